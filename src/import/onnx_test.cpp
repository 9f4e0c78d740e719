// SPDX-License-Identifier: Apache-2.0
// Each op of the ONNX importer: what graph it becomes, and what that graph computes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "import/onnx_test_model.h"

namespace pronghorn::import::test {
namespace {

using graph::Op;
using graph::Window;
using onnx::TensorProto;
using testing::ElementsAre;
using testing::FloatEq;

std::vector<float> counting(std::size_t n, float first = 1) {
  std::vector<float> v(n);
  std::iota(v.begin(), v.end(), first);
  return v;
}

std::vector<Op> ops(const graph::Graph& graph) {
  std::vector<Op> all;
  for (const auto& node : graph.nodes) all.push_back(node.op);
  return all;
}

const Window& window(const graph::Graph& graph, std::size_t node = 0) {
  return graph.nodes.at(node).as<Window>();
}

// x {h, w, c} -> one node -> y
Model one_input(const Dims& nchw, std::int64_t opset = 13) {
  Model m(opset);
  m.input("x", nchw);
  m.output("y");
  return m;
}

TEST(OnnxConv, ReordersWeightsAndReadsAsymmetricPads) {
  Model m = one_input({-1, 2, 3, 4});
  m.floats("w", {1, 2, 1, 2}, {1, 2, 3, 4});  // ic 0: 1 2, ic 1: 3 4
  m.floats("b", {1}, {0.5f});
  auto& conv = m.node("Conv", {"x", "w", "b"}, "y");
  set(conv, "pads", {0, 1, 1, 0});
  set(conv, "strides", {2, 1});
  const auto g = import(m);
  ASSERT_THAT(ops(g), ElementsAre(Op::kConv));
  EXPECT_EQ(window(g), (Window{.kh = 1, .kw = 2, .sh = 2, .pad_left = 1, .pad_bottom = 1}));
  EXPECT_EQ(g.value(g.nodes[0].inputs[1]).dims, (Dims{1, 1, 2, 2}));
  EXPECT_THAT(g.constant(g.nodes[0].inputs[1]).values<float>(), ElementsAre(1, 3, 2, 4));
  EXPECT_EQ(g.value(g.outputs[0]).shape, (graph::Shape{2, 4, 1}));
  EXPECT_EQ(g.value(g.outputs[0]).name, "y");
  EXPECT_EQ(g.nodes[0].name, "y_node");
}

TEST(OnnxConv, Depthwise) {
  Model m = one_input({1, 2, 1, 1});
  m.floats("w", {2, 1, 1, 1}, {3, 5});
  set(m.node("Conv", {"x", "w"}, "y"), "group", 2);
  EXPECT_THAT(run<float>(import(m), {10, 100}), ElementsAre(30, 500));
}

TEST(OnnxConv, SamePadding) {
  for (const bool upper : {true, false}) {
    Model m = one_input({1, 1, 4, 5});
    m.floats("w", {1, 1, 3, 2}, counting(6));
    auto& conv = m.node("Conv", {"x", "w"}, "y");
    set_text(conv, "auto_pad", upper ? "SAME_UPPER" : "SAME_LOWER");
    set(conv, "strides", {2, 1});
    const Window w = window(import(m));
    EXPECT_EQ(w.pad_top, upper ? 0 : 1);
    EXPECT_EQ(w.pad_bottom, upper ? 1 : 0);
    EXPECT_EQ(w.pad_left, upper ? 0 : 1);
    EXPECT_EQ(w.pad_right, upper ? 1 : 0);
  }
  Model m = one_input({1, 1, 4, 4});
  m.floats("w", {1, 1, 3, 3}, counting(9));
  auto& conv = m.node("Conv", {"x", "w"}, "y");
  set_text(conv, "auto_pad", "VALID");
  EXPECT_EQ(import(m).value(import(m).outputs[0]).shape, (graph::Shape{2, 2, 1}));
}

TEST(OnnxConv, HalfAndDoubleWeightsBecomeFloat) {
  Model m = one_input({1, 2, 1, 1});
  // 1.5, -2^-24 (the smallest subnormal), as float16
  m.constant<std::uint16_t>("w", TensorProto::FLOAT16, {1, 2, 1, 1}, {0x3e00, 0x8001});
  m.constant<double>("b", TensorProto::DOUBLE, {1}, {0.25});
  m.node("Conv", {"x", "w", "b"}, "y");
  const auto g = import(m);
  EXPECT_THAT(g.constant(g.nodes[0].inputs[1]).values<float>(),
              ElementsAre(1.5f, -std::ldexp(1.0f, -24)));
  EXPECT_THAT(g.constant(g.nodes[0].inputs[2]).values<float>(), ElementsAre(0.25f));
}

TEST(OnnxConv, TypedFieldsInsteadOfRawData) {
  Model m = one_input({1, 1, 1, 1});
  auto& w = m.floats("w", {1, 1, 1, 1}, {0});
  w.clear_raw_data();
  w.add_float_data(7);
  m.node("Conv", {"x", "w"}, "y");
  EXPECT_THAT(run<float>(import(m), {2}), ElementsAre(14));
}

TEST(OnnxBatchNormalization, BecomesScaleAndShift) {
  Model m = one_input({1, 2, 1, 1}, 9);
  m.floats("g", {2}, {2, 1}).name();
  m.floats("b", {2}, {10, 0});
  m.floats("m", {2}, {1, 3});
  m.floats("v", {2}, {3, 0});
  set_float(m.node("BatchNormalization", {"x", "g", "b", "m", "v"}, "y"), "epsilon", 1);
  const auto g = read(m);
  ASSERT_THAT(ops(g), ElementsAre(Op::kBatchNorm));
  EXPECT_THAT(run<float>(g, {5, 5}), ElementsAre(14, 2));
}

TEST(OnnxBatchNormalization, FoldsIntoTheConvolution) {
  Model m = one_input({1, 1, 1, 1}, 9);
  m.floats("w", {1, 1, 1, 1}, {2});
  m.floats("g", {1}, {3});
  m.floats("b", {1}, {10});
  m.floats("m", {1}, {1});
  m.floats("v", {1}, {0.25f});
  m.node("Conv", {"x", "w"}, "c");
  set_float(m.node("BatchNormalization", {"c", "g", "b", "m", "v"}, "y"), "epsilon", 0);
  const auto g = import(m);
  ASSERT_THAT(ops(g), ElementsAre(Op::kConv));
  EXPECT_EQ(g.value(g.outputs[0]).name, "y");
  EXPECT_THAT(run<float>(g, {4}), ElementsAre(52));
}

TEST(OnnxClip, AttributesBefore11InputsAfter) {
  Model old = one_input({1, 1, 1, 2}, 7);
  auto& clip = old.node("Clip", {"x"}, "y");
  set_float(clip, "min", 0);
  set_float(clip, "max", 6);
  EXPECT_THAT(run<float>(import(old), {-1, 7}), ElementsAre(0, 6));
  Model now = one_input({1, 1, 1, 2}, 13);
  now.floats("hi", {}, {6});
  now.node("Clip", {"x", "", "hi"}, "y");
  EXPECT_THAT(run<float>(import(now), {-1, 7}), ElementsAre(-1, 6));
  Model relu = one_input({1, 1, 1, 2}, 13);
  relu.floats("lo", {}, {0});
  relu.node("Clip", {"x", "lo"}, "y");
  EXPECT_THAT(ops(import(relu)), ElementsAre(Op::kRelu));
}

TEST(OnnxAdd, OfTwoActivations) {
  Model m = one_input({1, 1, 1, 2});
  m.node("Relu", {"x"}, "r");
  m.node("Add", {"x", "r"}, "y");
  EXPECT_THAT(run<float>(import(m), {-3, 4}), ElementsAre(-3, 8));
}

TEST(OnnxArithmetic, WithConstants) {
  struct Case {
    std::string op;
    bool swapped;
    std::vector<float> expected;
  };
  for (const Case& c : {Case{"Add", false, {14, 28}}, Case{"Add", true, {14, 28}},
                        Case{"Sub", false, {6, 12}}, Case{"Sub", true, {-6, -12}},
                        Case{"Mul", true, {40, 160}}, Case{"Div", false, {2.5f, 2.5f}}}) {
    for (const Dims& dims : {Dims{1, 2, 1, 1}, Dims{2, 1, 1}}) {
      Model m = one_input({1, 2, 1, 1});
      m.floats("k", dims, {4, 8});
      m.node(c.op,
             c.swapped ? std::vector<std::string>{"k", "x"} : std::vector<std::string>{"x", "k"},
             "y");
      EXPECT_THAT(run<float>(read(m), {10, 20}), testing::Pointwise(FloatEq(), c.expected)) << c.op;
    }
  }
}

TEST(OnnxPool, MaxWithCeilModeLeavesOutWindowsInThePadding) {
  Model m = one_input({1, 1, 1, 5});
  auto& pool = m.node("MaxPool", {"x"}, "y");
  set(pool, "kernel_shape", {1, 2});
  set(pool, "strides", {1, 2});
  set(pool, "ceil_mode", 1);
  EXPECT_THAT(run<float>(import(m), {1, 5, 2, 3, -4}), ElementsAre(5, 3, -4));
  Model padded = one_input({1, 1, 1, 4});
  auto& other = padded.node("MaxPool", {"x"}, "y");
  set(other, "kernel_shape", {1, 2});
  set(other, "strides", {1, 3});
  set(other, "pads", {0, 1, 0, 1});
  set(other, "ceil_mode", 1);  // a third window would start behind the last pixel
  EXPECT_THAT(run<float>(import(padded), {1, 2, 3, 4}), ElementsAre(1, 4));
}

TEST(OnnxPool, AverageCountsPaddingWhenAsked) {
  for (const bool count : {false, true}) {
    Model m = one_input({1, 1, 1, 2});
    auto& pool = m.node("AveragePool", {"x"}, "y");
    set(pool, "kernel_shape", {1, 2});
    set(pool, "pads", {0, 1, 0, 0});
    set(pool, "count_include_pad", count ? 1 : 0);
    EXPECT_THAT(run<float>(import(m), {4, 8}), ElementsAre(count ? 2 : 4, 6));
  }
}

TEST(OnnxPool, AverageWithCeilModeDoesNotCountWhatItAdds) {
  Model m = one_input({1, 1, 1, 4});
  auto& pool = m.node("AveragePool", {"x"}, "y");
  set(pool, "kernel_shape", {1, 3});
  set(pool, "strides", {1, 2});
  set(pool, "pads", {0, 1, 0, 0});
  set(pool, "ceil_mode", 1);
  set(pool, "count_include_pad", 1);
  // windows: (pad 3 6), (6 9 12), and nothing beyond: 12 + nothing is left out of a floor of 2
  EXPECT_THAT(run<float>(import(m), {3, 6, 9, 12}), ElementsAre(3, 9));
  Model more = one_input({1, 1, 1, 5});
  auto& third = more.node("AveragePool", {"x"}, "y");
  set(third, "kernel_shape", {1, 3});
  set(third, "strides", {1, 2});
  set(third, "pads", {0, 1, 0, 0});
  set(third, "ceil_mode", 1);
  set(third, "count_include_pad", 1);
  EXPECT_THAT(run<float>(import(more), {3, 6, 9, 12, 8}), ElementsAre(3, 9, 10));
}

TEST(OnnxPool, GlobalAndReduceMean) {
  Model m = one_input({1, 2, 1, 2});
  m.node("GlobalAveragePool", {"x"}, "y");
  EXPECT_THAT(run<float>(import(m), {1, 10, 3, 30}), ElementsAre(2, 20));
  for (const std::int64_t opset : {11, 18}) {
    Model mean = one_input({1, 2, 1, 2}, opset);
    mean.ints("axes", {2}, {-1, -2});
    auto& node = opset >= 18 ? mean.node("ReduceMean", {"x", "axes"}, "y")
                             : mean.node("ReduceMean", {"x"}, "y");
    if (opset < 18) set(node, "axes", {2, 3});
    set(node, "keepdims", 0);
    EXPECT_THAT(run<float>(import(mean), {1, 10, 3, 30}), ElementsAre(2, 20));
  }
}

TEST(OnnxGemm, AfterFlattenIsAConvolutionInNhwcOrder) {
  for (const bool transposed : {true, false}) {
    Model m = one_input({-1, 2, 1, 3});  // c 2, h 1, w 3
    const std::vector<float> row = {1, 2, 3, 4, 5, 6};
    m.floats("w", transposed ? Dims{1, 6} : Dims{6, 1}, row);
    m.floats("b", {1}, {100});
    m.node("Flatten", {"x"}, "f");
    auto& gemm = m.node("Gemm", {"f", "w", "b"}, "y");
    set(gemm, "transB", transposed ? 1 : 0);
    set_float(gemm, "alpha", 2);
    set_float(gemm, "beta", 0.5f);
    const auto g = import(m);
    ASSERT_THAT(ops(g), ElementsAre(Op::kConv));
    EXPECT_EQ(window(g), (Window{.kh = 1, .kw = 3}));
    EXPECT_THAT(g.constant(g.nodes[0].inputs[1]).values<float>(), ElementsAre(2, 8, 4, 10, 6, 12));
    EXPECT_THAT(run<float>(g, {1, 0, 0, 0, 0, 1}), ElementsAre(2 + 12 + 50));
  }
}

TEST(OnnxMatMul, WithAddBecomesOneConvolution) {
  Model m(13);
  m.input("x", {-1, 2}).output("y");
  m.floats("w", {2, 3}, {1, 2, 3, 4, 5, 6});
  m.floats("b", {3}, {10, 20, 30});
  m.node("MatMul", {"x", "w"}, "p");
  m.node("Add", {"p", "b"}, "y");
  const auto g = import(m);
  ASSERT_THAT(ops(g), ElementsAre(Op::kConv));
  EXPECT_THAT(run<float>(g, {1, 2}), ElementsAre(19, 32, 45));
}

TEST(OnnxReshape, FlattensByShapeChains) {
  Model m = one_input({-1, 2, 1, 1}, 13);
  m.ints("zero", {}, {0});
  m.ints("axes", {1}, {0});
  m.ints("rest", {1}, {-1});
  m.node("Shape", {"x"}, "s");
  m.node("Gather", {"s", "zero"}, "n");
  m.node("Unsqueeze", {"n", "axes"}, "n1");
  set(m.node("Concat", {"n1", "rest"}, "target"), "axis", 0);
  m.node("Reshape", {"x", "target"}, "f");
  m.floats("w", {2, 1}, {3, 4});
  m.node("MatMul", {"f", "w"}, "y");
  EXPECT_THAT(run<float>(import(m), {1, 10}), ElementsAre(43));
}

TEST(OnnxReshape, ForthAndBackAndSqueeze) {
  Model m = one_input({1, 2, 1, 1}, 13);
  m.ints("flat", {2}, {1, -1});
  m.ints("full", {4}, {0, 2, 1, 1});
  m.ints("axes", {2}, {2, 3});
  m.node("Reshape", {"x", "flat"}, "a");
  m.node("Reshape", {"a", "full"}, "b");
  m.node("Squeeze", {"b", "axes"}, "c");
  m.node("Unsqueeze", {"c", "axes"}, "d");
  m.node("Relu", {"d"}, "y");
  EXPECT_THAT(ops(import(m)), ElementsAre(Op::kRelu));
}

TEST(OnnxTranspose, NhwcInputIsTakenAsItIs) {
  Model m(13);
  m.input("x", {-1, 1, 2, 3}, TensorProto::UINT8).output("y");
  m.floats("scale", {3}, {1, 1, 1});
  m.constant<std::uint8_t>("zero", TensorProto::UINT8, {3}, {10, 20, 30});
  set(m.node("DequantizeLinear", {"x", "scale", "zero"}, "f"), "axis", 3);
  set(m.node("Transpose", {"f"}, "t"), "perm", {0, 3, 1, 2});
  m.node("GlobalAveragePool", {"t"}, "y");
  const auto g = import(m);
  EXPECT_EQ(g.value(g.inputs[0]).shape, (graph::Shape{1, 2, 3}));
  EXPECT_EQ(g.value(g.inputs[0]).dtype, graph::DType::kU8);
  EXPECT_FALSE(g.preprocess.has_value());
  EXPECT_THAT(run<std::uint8_t>(g, {10, 20, 30, 12, 24, 36}), ElementsAre(1, 2, 3));
}

TEST(OnnxConcat, AlongChannels) {
  Model m = one_input({1, 1, 1, 2});
  m.node("Relu", {"x"}, "r");
  set(m.node("Concat", {"x", "r"}, "y"), "axis", 1);
  EXPECT_THAT(run<float>(import(m), {-1, 2}), ElementsAre(-1, 0, 2, 2));
}

TEST(OnnxPad, AttributesInputsAndAxes) {
  for (const std::int64_t opset : {10, 13, 18}) {
    Model m = one_input({1, 1, 1, 1}, opset);
    m.floats("value", {}, {9});
    m.ints("pads", {opset == 18 ? 2 : 8}, opset == 18 ? Dims{1, 0} : Dims{0, 0, 0, 1, 0, 0, 0, 0});
    m.ints("axes", {1}, {-1});
    if (opset == 10) {
      auto& pad = m.node("Pad", {"x"}, "y");
      set(pad, "pads", {0, 0, 0, 1, 0, 0, 0, 0});
      set_float(pad, "value", 9);
    } else if (opset == 13) {
      m.node("Pad", {"x", "pads", "value"}, "y");
    } else {
      m.node("Pad", {"x", "pads", "value", "axes"}, "y");
    }
    EXPECT_THAT(run<float>(import(m), {5}), ElementsAre(9, 5)) << opset;
  }
}

TEST(OnnxSoftmax, OverChannels) {
  for (const std::int64_t opset : {11, 13}) {
    Model m(opset);
    m.input("x", {-1, 2}).output("y");
    m.node("Softmax", {"x"}, "y");
    EXPECT_THAT(run<float>(import(m), {0, 0}), ElementsAre(0.5f, 0.5f));
  }
}

TEST(OnnxNoOps, LeaveNothing) {
  Model m = one_input({1, 1, 1, 1});
  m.node("Identity", {"x"}, "a");
  m.node("Dropout", {"a"}, "b");
  set(m.node("Cast", {"b"}, "c"), "to", TensorProto::FLOAT);
  auto& constant = m.node("Constant", {}, "one");
  auto* value = constant.add_attribute();
  value->set_name("value_float");
  value->set_type(onnx::AttributeProto::FLOAT);
  value->set_f(6);
  m.node("Clip", {"c", "", "one"}, "y");
  EXPECT_THAT(ops(import(m)), ElementsAre(Op::kClip));
}

TEST(OnnxOrder, UnsortedNodesAreSorted) {
  Model m = one_input({1, 1, 1, 1});
  m.node("Relu", {"b"}, "y");
  m.node("Relu", {"a"}, "b");
  m.node("Relu", {"x"}, "a");
  EXPECT_EQ(import(m).nodes.size(), 3u);
}

TEST(OnnxOrder, WhatNoOutputNeedsIsLeftOut) {
  Model m = one_input({1, 1, 1, 1});
  m.node("Relu", {"x"}, "y");
  m.node("NonMaxSuppression", {"x"}, "boxes");
  EXPECT_EQ(import(m).nodes.size(), 1u);
}

// u8 -> s8 weights per channel, s32 bias -> u8
Model quantized(std::int64_t opset = 13) {
  Model m(opset);
  m.input("x", {-1, 1, 1, 2}, TensorProto::UINT8).output("y");
  m.floats("sx", {}, {0.5f});
  m.constant<std::uint8_t>("zx", TensorProto::UINT8, {}, {10});
  m.floats("sw", {2}, {0.25f, 0.5f});
  m.constant<std::int8_t>("zw", TensorProto::INT8, {2}, {0, 0});
  m.constant<std::int8_t>("w", TensorProto::INT8, {2, 1, 1, 2}, {1, 2, -3, 4});
  m.floats("sb", {2}, {0.125f, 0.25f});
  m.constant<std::int32_t>("b", TensorProto::INT32, {2}, {8, -4});
  m.floats("sy", {}, {0.25f});
  m.constant<std::int8_t>("zy", TensorProto::INT8, {}, {-5});
  m.node("DequantizeLinear", {"x", "sx", "zx"}, "xf");
  set(m.node("DequantizeLinear", {"w", "sw", "zw"}, "wf"), "axis", 0);
  set(m.node("DequantizeLinear", {"b", "sb"}, "bf"), "axis", 0);
  m.node("Conv", {"xf", "wf", "bf"}, "c");
  m.node("QuantizeLinear", {"c", "sy", "zy"}, "y");
  return m;
}

TEST(OnnxQuantized, ConvolutionRunsInIntegers) {
  for (const std::int64_t opset : {13, 19, 21}) {
    const auto g = import(quantized(opset));
    EXPECT_THAT(ops(g), ElementsAre(Op::kDequantize, Op::kDequantize, Op::kDequantize, Op::kConv,
                                    Op::kQuantize));
    const auto lowered = graph::passes::lower_quantized(g);
    EXPECT_THAT(ops(lowered), ElementsAre(Op::kQConv));
    // acc = 8 + (2 * 1 + 4 * 2) = 18, * 0.125 / 0.25 = 9; -4 + (-6 + 16) = 6, * 0.25 / 0.25 = 6
    EXPECT_THAT(run<std::uint8_t>(g, {12, 14}), ElementsAre(9 - 5, 6 - 5));
  }
}

TEST(OnnxQuantized, UnsignedWeightsAround128BecomeSigned) {
  Model m = quantized();
  auto& init = *m.proto.mutable_graph()->mutable_initializer();
  for (auto& t : init) {
    if (t.name() == "w") {
      t.set_data_type(TensorProto::UINT8);
      t.set_raw_data(std::string("\x81\x82\x7d\x84", 4));
    } else if (t.name() == "zw") {
      t.set_data_type(TensorProto::UINT8);
      t.set_raw_data(std::string("\x80\x80", 2));
    }
  }
  EXPECT_THAT(ops(graph::passes::lower_quantized(import(m))), ElementsAre(Op::kQConv));
  EXPECT_THAT(run<std::uint8_t>(import(m), {12, 14}), ElementsAre(4, 1));
}

TEST(OnnxQuantized, LopsidedWeightsStayExactInFloat) {
  Model m = quantized();
  for (auto& t : *m.proto.mutable_graph()->mutable_initializer()) {
    if (t.name() == "w") {
      t.set_data_type(TensorProto::UINT8);
      t.set_raw_data(std::string("\x01\xff\x00\x04", 4));
    } else if (t.name() == "zw") {
      t.set_data_type(TensorProto::UINT8);
      t.set_raw_data(std::string("\x00\x02", 2));
    }
  }
  // (0.125 + 1) / 0.25 = 4.5, to even 4; (-0.5 - 1) / 0.25 = -6
  EXPECT_THAT(run<std::uint8_t>(import(m), {11, 10}), ElementsAre(4 - 5, -6 - 5));
}

TEST(OnnxQuantized, ConstantsThroughQuantizeAndDequantizeAreStored) {
  Model m = quantized();
  auto* graph = m.proto.mutable_graph();
  for (auto& t : *graph->mutable_initializer()) {
    if (t.name() == "w") t.set_name("w_unused");
  }
  m.floats("w_float", {2, 1, 1, 2}, {0.25f, 0.5f, -1.5f, 2.0f});
  set(m.node("QuantizeLinear", {"w_float", "sw", "zw"}, "w"), "axis", 0);
  EXPECT_THAT(ops(graph::passes::lower_quantized(import(m))), ElementsAre(Op::kQConv));
  EXPECT_THAT(run<std::uint8_t>(import(m), {12, 14}), ElementsAre(4, 1));
}

TEST(OnnxQuantized, DefaultZeroPointIsUnsignedZero) {
  Model m(10);
  m.input("x", {-1, 1}).output("y");
  m.floats("s", {}, {0.5f});
  m.node("QuantizeLinear", {"x", "s"}, "q");
  m.node("DequantizeLinear", {"q", "s"}, "y");
  const auto g = import(m);
  EXPECT_EQ(g.value(g.nodes[0].output).dtype, graph::DType::kU8);
  EXPECT_THAT(run<float>(g, {1.2f}), ElementsAre(1.0f));
}

TEST(OnnxQuantized, OutputTypeAttributeOf21) {
  Model m(21);
  m.input("x", {-1, 1}).output("y");
  m.floats("s", {}, {0.5f});
  set(m.node("QuantizeLinear", {"x", "s"}, "q"), "output_dtype", TensorProto::INT8);
  m.node("DequantizeLinear", {"q", "s"}, "y");
  EXPECT_EQ(import(m).value(import(m).nodes[0].output).dtype, graph::DType::kS8);
}

TEST(OnnxMetadata, IsReadAndTheRestKept) {
  Model m = one_input({1, 3, 2, 2});
  m.node("Relu", {"x"}, "y");
  const auto add = [&](const char* key, const char* text) {
    auto* entry = m.proto.add_metadata_props();
    entry->set_key(key);
    entry->set_value(text);
  };
  EXPECT_EQ(import(m).preprocess->mean[0], 123.675f);
  EXPECT_EQ(import(m).preprocess->std[2], 57.375f);
  add(kPreprocessKey, R"({"mean":[1,2,3.5],"std":[1,2,4],"bgr":true})");
  add(kResizeKey, "short:256,crop:224");
  add(kLabelsKey, R"(["a cat","a \"dog\""])");
  add(kLabelIdsKey, R"(["n1","n2"])");
  add("author", "somebody");
  const auto g = import(m);
  EXPECT_EQ(*g.preprocess, (graph::Preprocess{{1, 2, 3.5f}, {1, 2, 4}, true}));
  EXPECT_EQ(g.resize, "short:256,crop:224");
  EXPECT_THAT(g.labels, ElementsAre("a cat", "a \"dog\""));
  EXPECT_THAT(g.label_ids, ElementsAre("n1", "n2"));
  EXPECT_EQ(g.metadata.at("author"), "somebody");
}

}  // namespace
}  // namespace pronghorn::import::test
