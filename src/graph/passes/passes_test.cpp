// SPDX-License-Identifier: Apache-2.0
// What passes do to the shape of a graph. What they do to its numbers is tested where a device that
// runs graphs is known: device/reference and tests/exact.
#include "graph/passes/passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "graph/passes/uses.h"

namespace pronghorn::graph::passes {
namespace {

Graph chain() {
  Graph g;
  g.name = "chain";
  const ValueId x = g.add_value("x", DType::kF32, {2, 2, 4});
  const ValueId unused = g.add_value("unused", DType::kF32, {1, 1, 1});
  g.inputs = {unused, x};
  const ValueId a = g.add_node(Op::kRelu, "a", {x});
  const ValueId dead = g.add_node(Op::kFlatten, "dead", {a});
  g.add_node(Op::kSoftmax, "dead too", {dead});
  g.add_constant("dead constant", Tensor::from({1}, std::vector<float>{1}));
  const ValueId b = g.add_node(Op::kAdd, "b", {a, x});
  g.outputs = {b, a};
  return g;
}

TEST(DropDead, KeepsWhatOutputsNeed) {
  Graph g = chain();
  drop_dead(g);
  verify(g);
  ASSERT_EQ(g.nodes.size(), 2u);
  EXPECT_EQ(g.nodes[0].name, "a");
  EXPECT_EQ(g.nodes[1].name, "b");
  ASSERT_EQ(g.values.size(), 4u);
  EXPECT_EQ(g.value(g.inputs[0]).name, "unused");
  EXPECT_EQ(g.value(g.inputs[1]).name, "x");
  EXPECT_EQ(g.value(g.outputs[0]).name, "b");
  EXPECT_EQ(g.value(g.outputs[1]).name, "a");
}

// Random graphs of one-input and two-input ops; sizes are random too.
Graph random_graph(std::mt19937& random) {
  Graph g;
  g.name = "random";
  g.inputs = {g.add_value("x", DType::kF32, {1, 1, 8})};
  std::vector<ValueId> values = g.inputs;
  const int nodes = 1 + static_cast<int>(random() % 40);
  for (int i = 0; i < nodes; ++i) {
    const auto any = [&] {
      const std::size_t back = std::min<std::size_t>(values.size(), 1 + random() % 6);
      return values[values.size() - back];
    };
    values.push_back(random() % 2 == 0
                         ? g.add_node(Op::kRelu, "relu" + std::to_string(i), {any()})
                         : g.add_node(Op::kAdd, "add" + std::to_string(i), {any(), any()}));
  }
  g.outputs = {values.back()};
  if (random() % 2 == 0) g.outputs.push_back(values[values.size() / 2]);
  return g;
}

TEST(PlanMemory, LiveValuesNeverOverlap) {
  const unsigned seed = 5;
  std::mt19937 random(seed);
  for (int round = 0; round < 500; ++round) {
    Graph g = random_graph(random);
    std::vector<std::int64_t> bytes(g.values.size());
    for (auto& b : bytes) b = random() % 10 == 0 ? 0 : 1 + random() % 1000;
    const MemoryPlan plan = plan_memory(g, bytes);
    const Uses uses(g);
    ASSERT_EQ(plan.offset.size(), g.values.size());

    std::vector<std::vector<std::size_t>> alive(g.nodes.size());
    std::int64_t total = 0;
    for (std::size_t v = 0; v < g.values.size(); ++v) {
      const bool planned = uses.producer[v] >= 0 && !uses.is_output[v] && bytes[v] > 0 &&
                           static_cast<ValueId>(v) != g.inputs[0];
      ASSERT_EQ(plan.offset[v] >= 0, planned) << "seed " << seed << " round " << round;
      if (!planned) continue;
      EXPECT_EQ(plan.offset[v] % 64, 0);
      EXPECT_LE(plan.offset[v] + bytes[v], plan.size);
      total += (bytes[v] + 63) / 64 * 64;
      int last = uses.producer[v];
      for (const int reader : uses.consumers[v]) last = std::max(last, reader);
      for (int n = uses.producer[v]; n <= last; ++n)
        alive[static_cast<std::size_t>(n)].push_back(v);
    }
    EXPECT_LE(plan.size, total);
    for (const auto& together : alive) {
      for (const std::size_t a : together) {
        for (const std::size_t b : together) {
          if (a >= b) continue;
          ASSERT_TRUE(plan.offset[a] + bytes[a] <= plan.offset[b] ||
                      plan.offset[b] + bytes[b] <= plan.offset[a])
              << "seed " << seed << " round " << round << ": values " << a << " and " << b;
        }
      }
    }
  }
}

// A plain chain needs room for two values, however long it is.
TEST(PlanMemory, AChainTakesTwoPlaces) {
  Graph g;
  ValueId x = g.add_value("x", DType::kF32, {1, 1, 16});
  g.inputs = {x};
  for (int i = 0; i < 20; ++i) x = g.add_node(Op::kRelu, "relu", {x});
  g.outputs = {x};
  EXPECT_EQ(plan_memory(g, std::vector<std::int64_t>(g.values.size(), 64)).size, 128);
}

TEST(PlanMemory, SharesWhereItIsTold) {
  Graph g;
  std::vector<ValueId> x = {g.add_value("x", DType::kF32, {1, 1, 16})};
  g.inputs = x;
  for (int i = 0; i < 5; ++i) x.push_back(g.add_node(Op::kRelu, "relu", {x.back()}));
  g.outputs = {x.back()};
  // The third lies where the second did; the fourth must not, though the second is dead by then.
  std::vector<ValueId> same_as(g.values.size(), -1);
  same_as[static_cast<std::size_t>(x[3])] = x[2];
  const MemoryPlan plan = plan_memory(g, std::vector<std::int64_t>(g.values.size(), 64), same_as);
  const auto offset = [&](int i) {
    return plan.offset[static_cast<std::size_t>(x[static_cast<std::size_t>(i)])];
  };
  EXPECT_EQ(offset(3), offset(2));
  EXPECT_NE(offset(4), offset(3));
  EXPECT_NE(offset(1), offset(2));
}

// conv with s8 weights -> Q/DQ with z 0 (says ReLU) -> max pool -> Q/DQ with z 0 -> Q/DQ with z 5.
TEST(DropQuantization, WeightsBecomeFloatsAndPairsGo) {
  Graph g;
  const ValueId x = g.add_value("x", DType::kU8, {4, 4, 1});
  g.inputs = {x};
  const ValueId pixels = g.add_node(Op::kDequantize, "pixels", {x}, Quant{{1.0f}, {128}});
  const ValueId stored =
      g.add_constant("w", Tensor::from({1, 1, 1, 1}, std::vector<std::int8_t>{-6}));
  const auto v = static_cast<ValueId>(g.values.size());
  g.values.push_back({"w float", DType::kF32, {}, {1, 1, 1, 1}, std::nullopt});
  g.nodes.push_back({Op::kDequantize, "weights", {stored}, v, Quant{{0.5f}, {0}}});
  ValueId y = g.add_node(Op::kConv, "conv", {pixels, v}, Window{});
  const auto pair = [&](const std::string& name, std::int32_t z) {
    const ValueId q = g.add_node(Op::kQuantize, name + ".q", {y}, Quant{{0.1f}, {z}}, DType::kU8);
    y = g.add_node(Op::kDequantize, name + ".dq", {q}, Quant{{0.1f}, {z}});
  };
  pair("first", 0);
  y = g.add_node(Op::kMaxPool, "pool", {y}, Window{2, 2, 2, 2});
  pair("second", 0);
  pair("third", 5);
  y = g.add_node(Op::kFlatten, "flat", {y});
  g.outputs = {y};
  verify(g);
  const Graph f = drop_quantization(g);
  std::vector<std::string> names;
  for (const Node& node : f.nodes) names.push_back(node.name);
  EXPECT_EQ(names, (std::vector<std::string>{"pixels", "conv", "first.q", "pool", "flat"}));
  EXPECT_EQ(f.nodes[2].op, Op::kRelu);
  EXPECT_EQ(f.constant(f.nodes[1].inputs[1]).values<float>()[0], -3.0f);
}

TEST(Passes, AFloatGraphComesBackUnchanged) {
  const Graph g = chain();
  EXPECT_EQ(to_string(lower_quantized(g)), to_string(g));
}

}  // namespace
}  // namespace pronghorn::graph::passes
