// SPDX-License-Identifier: Apache-2.0
// A valid graph of each kind, and each rule broken once.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/graph.h"

namespace pronghorn::graph {
namespace {

Tensor floats(std::vector<std::int64_t> dims, float value = 1) {
  std::int64_t size = 1;
  for (const std::int64_t d : dims) size *= d;
  return Tensor::from(std::move(dims), std::vector<float>(static_cast<std::size_t>(size), value));
}

// conv 3x3 -> relu -> max pool -> clip -> add -> average pool -> flatten -> softmax
Graph float_graph() {
  Graph g;
  g.name = "float";
  const ValueId x = g.add_value("x", DType::kF32, {8, 8, 3});
  g.inputs = {x};
  Window w;
  w.kh = w.kw = 3;
  const ValueId weights = g.add_constant("weights", floats({4, 3, 3, 3}));
  const ValueId bias = g.add_constant("bias", floats({4}));
  ValueId y = g.add_node(Op::kConv, "conv", {x, weights, bias}, w);
  const ValueId scale = g.add_constant("scale", floats({4}));
  const ValueId shift = g.add_constant("shift", floats({4}));
  y = g.add_node(Op::kBatchNorm, "norm", {y, scale, shift});
  y = g.add_node(Op::kRelu, "relu", {y});
  y = g.add_node(Op::kMaxPool, "max", {y}, w);
  const ValueId clip = g.add_node(Op::kClip, "clip", {y}, Clip{0, 6});
  y = g.add_node(Op::kAdd, "add", {y, clip});
  y = g.add_node(Op::kPad, "pad", {y}, Pad{1, 0, 0, 1, 0.5f});
  y = g.add_node(Op::kAveragePool, "average", {y}, w);
  y = g.add_node(Op::kConcat, "concat", {y, y});
  y = g.add_node(Op::kFlatten, "flatten", {y});
  g.outputs = {g.add_node(Op::kSoftmax, "softmax", {y})};
  return g;
}

// quantize -> conv with residual -> add -> average pool -> requantize -> pad -> dequantize
Graph integer_graph() {
  Graph g;
  g.name = "integer";
  const ValueId x = g.add_value("x", DType::kF32, {4, 4, 2});
  g.inputs = {x};
  const ValueId q = g.add_node(Op::kQuantize, "quantize", {x}, Quant{{0.5f}, {3}}, DType::kU8);
  QConv conv;
  conv.z_src = {3};
  conv.m = {0.1f, 0.2f};
  const ValueId weights =
      g.add_constant("weights", Tensor::from({2, 1, 1, 2}, std::vector<std::int8_t>(4, -128)));
  const ValueId bias = g.add_constant("bias", Tensor::from({2}, std::vector<std::int32_t>(2, 5)));
  ValueId y = g.add_node(Op::kQConv, "conv", {q, weights, bias, q}, conv, DType::kU8);
  y = g.add_node(Op::kQAdd, "add", {y, q}, QAdd{0, 0, 0, 1, 1, arith::kU8}, DType::kU8);
  QAveragePool pool;
  pool.window.kh = pool.window.kw = 2;
  pool.m = {1, 0.5f, 0.3f, 0.25f};
  pool.range = arith::kS8;
  y = g.add_node(Op::kQAveragePool, "average", {y}, pool, DType::kS8);
  y = g.add_node(Op::kRequantize, "requantize", {y}, Requantize{0, 128, 1, arith::kU8}, DType::kU8);
  y = g.add_node(Op::kPad, "pad", {y}, Pad{1, 1, 1, 1, 128}, DType::kU8);
  g.outputs = {g.add_node(Op::kDequantize, "dequantize", {y}, Quant{{0.5f}, {128}})};
  return g;
}

Node& node(Graph& g, const std::string& name) {
  for (Node& n : g.nodes) {
    if (n.name == name) return n;
  }
  throw std::logic_error("no node " + name);
}

template <typename T>
T& attributes(Graph& g, const std::string& name) {
  return std::get<T>(node(g, name).attributes);
}

struct Broken {
  const char* why;  // part of the message
  Graph (*make)();
  std::function<void(Graph&)> damage;
};

TEST(Verify, ValidGraphsPass) {
  EXPECT_NO_THROW(verify(float_graph()));
  EXPECT_NO_THROW(verify(integer_graph()));
}

TEST(Verify, EachRuleIsChecked) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<Broken> cases{
      {"no input or no output", float_graph, [](Graph& g) { g.outputs.clear(); }},
      {"no input or no output", float_graph,
       [](Graph& g) {
         g.inputs.clear();
         g.nodes.clear();
         g.outputs.clear();
       }},
      {"names value 99", float_graph, [](Graph& g) { g.outputs = {99}; }},
      {"names value -1", float_graph, [](Graph& g) { node(g, "relu").inputs[0] = -1; }},
      {"names value 99", float_graph, [](Graph& g) { node(g, "relu").output = 99; }},
      {"never made", float_graph,
       [](Graph& g) { g.outputs = {g.add_value("loose", DType::kF32, {1, 1, 1})}; }},
      {"output weights is a constant", float_graph, [](Graph& g) { g.outputs = {1}; }},
      {"before it is made", float_graph, [](Graph& g) { std::swap(g.nodes[2], g.nodes[3]); }},
      {"a second time", float_graph,
       [](Graph& g) { node(g, "clip").output = node(g, "max").output; }},
      {"disagrees with its tensor", float_graph, [](Graph& g) { g.value(1).dims[0] = 5; }},
      {"input x is 0x8x3", float_graph, [](Graph& g) { g.value(g.inputs[0]).shape.h = 0; }},
      {"input x is", float_graph,
       [](Graph& g) { g.value(g.inputs[0]).shape = {1 << 20, 1 << 20, 1 << 20}; }},
      {"inputs, takes", float_graph, [](Graph& g) { node(g, "relu").inputs.clear(); }},
      {"inputs, takes", float_graph, [](Graph& g) { node(g, "conv").inputs.resize(1); }},
      {"needs attributes of kind Window", float_graph,
       [](Graph& g) { node(g, "conv").attributes = Clip{}; }},
      {"needs attributes of kind none", float_graph,
       [](Graph& g) { node(g, "relu").attributes = Clip{}; }},
      {"needs attributes of kind Quant", integer_graph,
       [](Graph& g) { node(g, "quantize").attributes = {}; }},
      {"weights must be [oc][5][3][ic]", float_graph,
       [](Graph& g) { attributes<Window>(g, "conv").kh = 5; }},
      {"in 2 groups do not fit", float_graph,
       [](Graph& g) { attributes<Window>(g, "conv").groups = 2; }},
      {"all must be positive", float_graph, [](Graph& g) { attributes<Window>(g, "conv").sw = 0; }},
      {"pads not negative", float_graph,
       [](Graph& g) { attributes<Window>(g, "conv").pad_left = -1; }},
      {"does not fit into", float_graph, [](Graph& g) { attributes<Window>(g, "max").kh = 7; }},
      {"must be smaller than the 3x3 kernel", float_graph,
       [](Graph& g) {
         attributes<Window>(g, "average").pad_top = 3;
         attributes<Window>(g, "average").sh = 2;
       }},
      {"one for each channel", float_graph,
       [](Graph& g) { node(g, "conv").inputs[2] = g.add_constant("b", floats({3})); }},
      {"one for each channel", float_graph,
       [](Graph& g) { node(g, "norm").inputs[1] = g.add_constant("s", floats({1})); }},
      {"must be an activation", float_graph,
       [](Graph& g) { node(g, "relu").inputs[0] = g.add_constant("c", floats({4})); }},
      {"holds nan; must be finite", float_graph,
       [&](Graph& g) { node(g, "conv").inputs[2] = g.add_constant("b", floats({4}, nan)); }},
      {"holds inf; must be finite", float_graph,
       [&](Graph& g) { node(g, "norm").inputs[1] = g.add_constant("s", floats({4}, infinity)); }},
      {"hold nothing", float_graph, [](Graph& g) { attributes<Clip>(g, "clip").lo = 7; }},
      {"hold nothing", float_graph, [&](Graph& g) { attributes<Clip>(g, "clip").hi = nan; }},
      {"must be equal", float_graph,
       [](Graph& g) { node(g, "add").inputs[1] = node(g, "relu").output; }},
      {"differ in height or width", float_graph,
       [](Graph& g) { node(g, "concat").inputs[1] = node(g, "relu").output; }},
      {"negative padding", float_graph, [](Graph& g) { attributes<Pad>(g, "pad").left = -1; }},
      {"does not fit float32", float_graph,
       [&](Graph& g) { attributes<Pad>(g, "pad").value = infinity; }},
      {"should be", float_graph, [](Graph& g) { g.value(node(g, "conv").output).shape.c = 5; }},
      {"is uint8, must be float32", float_graph,
       [](Graph& g) { g.value(g.inputs[0]).dtype = DType::kU8; }},
      {"result must be float32", float_graph,
       [](Graph& g) { g.value(g.outputs[0]).dtype = DType::kU8; }},
      {"must be uint8 or int8", integer_graph,
       [](Graph& g) { g.value(node(g, "quantize").output).dtype = DType::kS32; }},
      {"scales and", integer_graph,
       [](Graph& g) { attributes<Quant>(g, "quantize").scale = {1, 1, 1}; }},
      {"must be positive and finite", integer_graph,
       [](Graph& g) { attributes<Quant>(g, "quantize").scale = {0}; }},
      {"must be positive and finite", integer_graph,
       [&](Graph& g) { attributes<Quant>(g, "dequantize").scale = {nan}; }},
      {"zero point 256 does not fit uint8", integer_graph,
       [](Graph& g) { attributes<Quant>(g, "quantize").zero_point = {256}; }},
      {"zero point 300 does not fit uint8", integer_graph,
       [](Graph& g) { attributes<QConv>(g, "conv").z_src = {300}; }},
      {"zero point -1 does not fit uint8", integer_graph,
       [](Graph& g) { attributes<QConv>(g, "conv").z_dst = -1; }},
      {"zero point 900 does not fit uint8", integer_graph,
       [](Graph& g) { attributes<QConv>(g, "conv").z_res = 900; }},
      {"input zero points, needs 1 or 2", integer_graph,
       [](Graph& g) { attributes<QConv>(g, "conv").z_src = {1, 2, 3}; }},
      {"multipliers, needs 2", integer_graph,
       [](Graph& g) { attributes<QConv>(g, "conv").m = {1}; }},
      {"multiplier inf is not finite", integer_graph,
       [&](Graph& g) { attributes<QConv>(g, "conv").m[1] = infinity; }},
      {"is not inside uint8", integer_graph,
       [](Graph& g) { attributes<QConv>(g, "conv").range = arith::kS8; }},
      {"is not inside uint8", integer_graph,
       [](Graph& g) { attributes<QAdd>(g, "add").range = {9, 8}; }},
      {"input 2 is float32, must be int32", integer_graph,
       [](Graph& g) { node(g, "conv").inputs[2] = g.add_constant("b", floats({2})); }},
      {"must be a constant", integer_graph,
       [](Graph& g) {
         const ValueId real = g.add_constant("w", floats({2, 1, 1, 2}));
         node(g, "conv").inputs[1] =
             g.add_node(Op::kQuantize, "wq", {real}, Quant{{1}, {0}}, DType::kS8);
         std::rotate(g.nodes.begin(), g.nodes.end() - 1, g.nodes.end());
       }},
      {"output channel 1 can leave int32", integer_graph,
       [](Graph& g) {
         node(g, "conv").inputs[2] =
             g.add_constant("b", Tensor::from({2}, std::vector<std::int32_t>{0, 2147483647}));
       }},
      {"a residual needs a quantized result", integer_graph,
       [](Graph& g) { g.value(node(g, "conv").output).dtype = DType::kF32; }},
      {"residual is", integer_graph,
       [](Graph& g) {
         node(g, "conv").inputs[3] = g.add_value("r", DType::kU8, {1, 1, 2});
         g.inputs.push_back(node(g, "conv").inputs[3]);
       }},
      {"multipliers, needs 4", integer_graph,
       [](Graph& g) { attributes<QAveragePool>(g, "average").m.pop_back(); }},
      {"must be smaller than the 2x2 kernel", integer_graph,
       [](Graph& g) {
         attributes<QAveragePool>(g, "average").window.pad_left = 2;
         attributes<QAveragePool>(g, "average").window.sw = 2;
       }},
      {"result cannot be float32", integer_graph,
       [](Graph& g) { g.value(node(g, "add").output).dtype = DType::kF32; }},
      {"border value 0.5 does not fit uint8", integer_graph,
       [](Graph& g) { attributes<Pad>(g, "pad").value = 0.5f; }},
      {"border value 256 does not fit uint8", integer_graph,
       [](Graph& g) { attributes<Pad>(g, "pad").value = 256; }},
      {"multiplier nan is not finite", integer_graph,
       [&](Graph& g) { attributes<Requantize>(g, "requantize").m = nan; }},
  };
  for (const Broken& broken : cases) {
    Graph g = broken.make();
    broken.damage(g);
    try {
      verify(g);
      ADD_FAILURE() << "accepted: " << broken.why;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.status(), base::Status::kCorrupt);
      EXPECT_NE(std::string(error.what()).find(broken.why), std::string::npos)
          << error.what() << " does not say: " << broken.why;
    } catch (const std::exception& error) {
      ADD_FAILURE() << broken.why << ": " << error.what();
    }
  }
}

TEST(Graph, CountsMultiplyAccumulates) {
  const Graph g = float_graph();
  EXPECT_EQ(macs(g), 6 * 6 * 4 * 27);
  EXPECT_FALSE(is_quantized(g));
  EXPECT_TRUE(is_quantized(integer_graph()));
  EXPECT_EQ(macs(integer_graph()), 4 * 4 * 2 * 2);
}

TEST(Graph, PrintsOneLineANode) {
  const std::string text = to_string(integer_graph());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 7);
  EXPECT_NE(text.find("QConv"), std::string::npos);
}

TEST(WindowOut, RoundsDown) {
  EXPECT_EQ(window_out(224, 7, 2, 3, 3), 112);
  EXPECT_EQ(window_out(7, 3, 2, 0, 0), 3);
  EXPECT_EQ(window_out(2, 3, 1, 0, 0), 0);
}

}  // namespace
}  // namespace pronghorn::graph
