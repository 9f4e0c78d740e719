// SPDX-License-Identifier: Apache-2.0
// Plans need no GPU: where their slots lie is checked everywhere.
#include "device/cuda/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::device::cuda {
namespace {

using graph::DType;
using graph::Graph;
using graph::Op;
using graph::ValueId;

ValueId add_conv(Graph& g, const std::string& name, ValueId src, std::int64_t oc, int kernel,
                 int stride, ValueId residual = graph::kNoValue) {
  const std::int64_t ic = g.value(src).shape.c;
  const auto count = static_cast<std::size_t>(oc * kernel * kernel * ic);
  const auto size = static_cast<std::size_t>(oc);
  graph::QConv q;
  q.window = {kernel, kernel, stride, stride, kernel / 2, kernel / 2, kernel / 2, kernel / 2};
  q.z_src = {0};
  q.m.assign(size, 0.01f);
  q.m_res = 1;
  std::vector<ValueId> inputs = {
      src,
      g.add_constant(name + ".w", graph::Tensor::from({oc, kernel, kernel, ic},
                                                      std::vector<std::int8_t>(count, 1))),
      g.add_constant(name + ".b", graph::Tensor::from({oc}, std::vector<std::int32_t>(size, 3)))};
  if (residual != graph::kNoValue) inputs.push_back(residual);
  return g.add_node(Op::kQConv, name, std::move(inputs), q, DType::kU8);
}

// A first layer, a pool and three bottleneck blocks.
std::shared_ptr<const Graph> network() {
  Graph g;
  g.name = "blocks";
  const ValueId image = g.add_value("image", DType::kU8, {64, 64, 3});
  g.inputs = {image};
  ValueId x = add_conv(g, "first", image, 64, 7, 2);
  x = g.add_node(Op::kMaxPool, "pool", {x}, graph::Window{3, 3, 2, 2, 1, 1, 1, 1}, DType::kU8);
  for (int block = 0; block < 3; ++block) {
    const std::string name = "block" + std::to_string(block);
    const ValueId down = add_conv(g, name + ".down", x, 64, 1, 1);
    const ValueId middle = add_conv(g, name + ".middle", down, 64, 3, 1);
    const ValueId shortcut = block == 0 ? add_conv(g, name + ".shortcut", x, 256, 1, 1) : x;
    x = add_conv(g, name + ".up", middle, 256, 1, 1, shortcut);
  }
  g.outputs = {x};
  graph::verify(g);
  return std::make_shared<const Graph>(std::move(g));
}

TEST(Plan, SlotsThatLiveTogetherLieApart) {
  for (const int capability : {75, 80, 90}) {
    const auto plan = make_plan(network(), capability, 132);
    for (const int images : {1, 5, 128, 1024}) {
      const Schedule schedule = make_schedule(*plan, images);
      if (capability == 90 && images == 1024) {
        // The first layer with its pool; the ends of two blocks with the beginnings of the next.
        EXPECT_EQ(std::count(schedule.variants.begin(), schedule.variants.end(), kWithNext), 3);
      }
      const auto end = [&](Slot slot) {
        return schedule.offset[slot] + plan->slot_bytes[slot] * images;
      };
      // Walks the steps with what is alive before each: inputs, results that are still read.
      for (std::size_t i = 0; i < plan->steps.size(); ++i) {
        const Step& step = plan->steps[i];
        std::vector<Slot> alive = step.reads;
        if (schedule.variants[i] == kWithPrevious) {
          // In one launch with the step before, which still reads its sources.
          const auto& reads = plan->steps[i - 1].reads;
          alive.insert(alive.end(), reads.begin(), reads.end());
        }
        for (std::size_t later = i + 1; later < plan->steps.size(); ++later) {
          for (const Slot slot : plan->steps[later].reads) {
            const bool made =
                std::find(plan->inputs.begin(), plan->inputs.end(), slot) != plan->inputs.end() ||
                std::any_of(plan->steps.begin(),
                            plan->steps.begin() + static_cast<std::ptrdiff_t>(i),
                            [&](const Step& other) { return other.writes == slot; });
            if (made) alive.push_back(slot);
          }
        }
        // A first layer that runs with its pool stores nothing.
        const bool kept = schedule.variants[i] != kWithNext || !plan->steps[i + 1].max_pool;
        if (!kept) {
          EXPECT_EQ(schedule.offset[step.writes], -1);
          continue;
        }
        ASSERT_GE(schedule.offset[step.writes], 0);
        ASSERT_EQ(schedule.offset[step.writes] % kAlignment, 0);
        ASSERT_LE(end(step.writes), schedule.size - kAlignment);
        for (const Slot slot : alive) {
          if (schedule.offset[slot] < 0) continue;
          ASSERT_TRUE(end(slot) <= schedule.offset[step.writes] ||
                      end(step.writes) <= schedule.offset[slot])
              << step.node << " writes over slot " << slot << ", batch " << images;
        }
      }
    }
  }
}

// What is behind the last step that reads it makes room: no more than the three largest together.
TEST(Plan, MemoryIsSharedAmongSteps) {
  const auto plan = make_plan(network(), 90, 132);
  const Schedule schedule = make_schedule(*plan, 64);
  EXPECT_LE(schedule.size, 64 * (2 * 16 * 16 * 256 + 2 * 16 * 16 * 64) + 4 * kAlignment +
                               schedule.workspace_bytes);
}

}  // namespace
}  // namespace pronghorn::device::cuda
