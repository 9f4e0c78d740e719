// SPDX-License-Identifier: Apache-2.0
// Plans need no GPU: where their slots lie is checked everywhere.
#include "device/cuda/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "device/cuda/test_network.h"

namespace pronghorn::device::cuda {
namespace {

TEST(Plan, SlotsThatLiveTogetherLieApart) {
  for (const int capability : {75, 80, 90}) {
    const auto plan = make_plan(test_network(), capability, 132);
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
  const auto plan = make_plan(test_network(), 90, 132);
  const Schedule schedule = make_schedule(*plan, 64);
  EXPECT_LE(schedule.size, 64 * (2 * 16 * 16 * 256 + 2 * 16 * 16 * 64) + 4 * kAlignment +
                               schedule.workspace_bytes);
}

}  // namespace
}  // namespace pronghorn::device::cuda
