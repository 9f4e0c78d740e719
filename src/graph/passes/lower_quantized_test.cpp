// SPDX-License-Identifier: Apache-2.0
// Which integer ops come out of which cluster, and with which constants. That they compute the
// right numbers is tested in tests/exact.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "graph/passes/passes.h"

namespace pronghorn::graph::passes {
namespace {

class LowerQuantized : public ::testing::Test {
 protected:
  LowerQuantized() {
    g_.name = "qdq";
    g_.inputs = {g_.add_value("image", DType::kU8, {6, 6, 2})};
    x_ = dequantize(g_.inputs[0], 0.5f, 10);
  }

  ValueId dequantize(ValueId q, float scale, std::int32_t z) {
    return g_.add_node(Op::kDequantize, "dq", {q}, Quant{{scale}, {z}});
  }
  ValueId quantize(ValueId x, float scale = 0.25f, std::int32_t z = 20, DType dtype = DType::kU8) {
    return g_.add_node(Op::kQuantize, "q", {x}, Quant{{scale}, {z}}, dtype);
  }
  ValueId qdq(ValueId x, float scale = 0.25f, std::int32_t z = 20) {
    return dequantize(quantize(x, scale, z), scale, z);
  }
  // 1x1, as many output as input channels, per-channel scales 0.5 and 0.25.
  ValueId conv(ValueId src, std::vector<ValueId> bias = {}) {
    const ValueId w =
        g_.add_constant("w", Tensor::from({2, 1, 1, 2}, std::vector<std::int8_t>{1, -2, 3, -128}));
    return conv_with(src, g_.add_node(Op::kDequantize, "wdq", {w}, Quant{{0.5f, 0.25f}, {0, 0}}),
                     std::move(bias));
  }
  ValueId conv_with(ValueId src, ValueId weights, std::vector<ValueId> bias = {}) {
    bias.insert(bias.begin(), {src, weights});
    return g_.add_node(Op::kConv, "conv", std::move(bias), Window{});
  }
  ValueId relu(ValueId x) { return g_.add_node(Op::kRelu, "relu", {x}); }
  ValueId add(ValueId a, ValueId b) { return g_.add_node(Op::kAdd, "add", {a, b}); }
  ValueId max_pool(ValueId x) {
    Window w;
    w.kh = w.kw = 2;
    return g_.add_node(Op::kMaxPool, "pool", {x}, w);
  }

  // The names of the ops that lowering leaves, in order.
  std::string lower(std::vector<ValueId> outputs) {
    g_.outputs = std::move(outputs);
    lowered_ = lower_quantized(g_);
    std::string names;
    for (const Node& node : lowered_.nodes) {
      if (!names.empty()) names += ' ';
      names += name_of(node.op);
    }
    return names;
  }
  const Node& node(std::size_t i) const { return lowered_.nodes[i]; }
  const QConv& qconv(std::size_t i) const { return node(i).as<QConv>(); }
  std::vector<std::int32_t> bias(std::size_t i) const {
    const auto values = lowered_.constant(node(i).inputs[2]).values<std::int32_t>();
    return {values.begin(), values.end()};
  }

  Graph g_;
  ValueId x_ = kNoValue;
  Graph lowered_;
};

TEST_F(LowerQuantized, ConvTakesItsConstantsFromTheGraph) {
  EXPECT_EQ(lower({quantize(conv(x_))}), "QConv");
  EXPECT_EQ(qconv(0).z_src, (std::vector<std::int32_t>{10}));
  EXPECT_EQ(qconv(0).m, (std::vector<float>{0.5f * 0.5f / 0.25f, 0.5f * 0.25f / 0.25f}));
  EXPECT_EQ(qconv(0).z_dst, 20);
  EXPECT_EQ(qconv(0).range.lo, 0);
  EXPECT_EQ(qconv(0).range.hi, 255);
  EXPECT_EQ(bias(0), (std::vector<std::int32_t>{0, 0}));
  EXPECT_EQ(lowered_.constant(node(0).inputs[1]).values<std::int8_t>()[3], -128);
}

TEST_F(LowerQuantized, ReluAndClipNarrowTheRange) {
  EXPECT_EQ(lower({quantize(relu(conv(x_)))}), "QConv");
  EXPECT_EQ(qconv(0).range.lo, 20);
  const ValueId clip = g_.add_node(Op::kClip, "clip", {relu(conv(x_))}, Clip{-1, 6});
  EXPECT_EQ(lower({quantize(clip)}), "QConv");
  EXPECT_EQ(qconv(0).range.lo, 20);
  EXPECT_EQ(qconv(0).range.hi, 44);
}

TEST_F(LowerQuantized, AReluAfterTheQuantizationIsARequantize) {
  EXPECT_EQ(lower({quantize(relu(qdq(conv(x_))), 0.125f, 0)}), "QConv Requantize");
  EXPECT_EQ(node(1).as<Requantize>().m, 2.0f);
  EXPECT_EQ(node(1).as<Requantize>().range.lo, 0);
  // On one scale as well: the range must not be lost.
  EXPECT_EQ(lower({quantize(relu(x_), 0.5f, 10)}), "Requantize");
  EXPECT_EQ(node(0).as<Requantize>().range.lo, 10);
  // Carried along in integers when nothing quantizes it again before the next convolution.
  EXPECT_EQ(lower({quantize(conv(relu(qdq(conv(x_)))))}), "QConv Requantize QConv");
  EXPECT_EQ(node(1).as<Requantize>().m, 1.0f);
  EXPECT_EQ(node(1).as<Requantize>().range.lo, 20);
}

TEST_F(LowerQuantized, AClipBetweenTwoStoredValuesStaysFloat) {
  const ValueId clip = g_.add_node(Op::kClip, "clip", {x_}, Clip{0, 0.6f});
  EXPECT_EQ(lower({clip}), "DequantizeLinear Clip");
  EXPECT_EQ(lower({quantize(clip)}), "Requantize");
}

TEST_F(LowerQuantized, ConvPlusStoredValueIsAResidual) {
  for (const bool conv_first : {true, false}) {
    const ValueId c = conv(x_);
    EXPECT_EQ(lower({quantize(relu(conv_first ? add(c, x_) : add(x_, c)))}), "QConv");
    ASSERT_EQ(node(0).inputs.size(), 4u);
    EXPECT_EQ(node(0).inputs[3], lowered_.inputs[0]);
    EXPECT_EQ(qconv(0).z_res, 10);
    EXPECT_EQ(qconv(0).m_res, 2.0f);
    EXPECT_EQ(qconv(0).range.lo, 20);
  }
}

TEST_F(LowerQuantized, AQuantizationBeforeTheSumIsKept) {
  EXPECT_EQ(lower({quantize(relu(add(qdq(conv(x_), 0.125f, 3), x_)))}), "QConv QAdd");
  const auto& q = node(1).as<QAdd>();
  EXPECT_EQ(q.z_a, 3);
  EXPECT_EQ(q.m_a, 0.5f);
  EXPECT_EQ(q.z_b, 10);
  EXPECT_EQ(q.m_b, 2.0f);
  EXPECT_EQ(q.range.lo, 20);
}

TEST_F(LowerQuantized, ASumOfTwoPlainConvolutionsIsFloat) {
  EXPECT_EQ(lower({quantize(add(conv(x_), conv(x_)))}), "QConv QConv Add QuantizeLinear");
  EXPECT_EQ(lowered_.value(node(0).output).dtype, DType::kF32);
}

TEST_F(LowerQuantized, AValueReadBySeveralIsMadeOnce) {
  const ValueId shared = qdq(relu(conv(x_)));
  const ValueId main = conv(qdq(conv(shared)));
  EXPECT_EQ(lower({quantize(relu(add(main, shared))), quantize(conv(shared), 0.75f)}),
            "QConv QConv QConv QConv");
  EXPECT_EQ(node(2).inputs[3], node(0).output);
  EXPECT_EQ(node(1).inputs[0], node(0).output);
  EXPECT_EQ(node(3).inputs[0], node(0).output);
}

TEST_F(LowerQuantized, EqualQuantizationsBecomeOne) {
  const ValueId c = conv(x_);
  EXPECT_EQ(lower({quantize(conv(qdq(c))), quantize(conv(qdq(c)), 0.75f)}), "QConv QConv QConv");
  // Each output of the graph is still a value of its own.
  EXPECT_EQ(lower({quantize(c), quantize(c)}), "QConv Requantize");
  EXPECT_EQ(lower({quantize(x_, 0.5f, 10)}), "Requantize");
}

TEST_F(LowerQuantized, MaxPoolMovesIntegers) {
  EXPECT_EQ(lower({quantize(max_pool(x_), 0.5f, 10)}), "MaxPool");
  EXPECT_EQ(lower({quantize(max_pool(x_))}), "MaxPool Requantize");
  EXPECT_EQ(lower({quantize(max_pool(relu(conv(x_))))}), "QConv MaxPool");
}

TEST_F(LowerQuantized, AveragePoolHoldsAConstantForEachDivisor) {
  Window w;
  w.kh = 2;
  EXPECT_EQ(lower({quantize(g_.add_node(Op::kAveragePool, "pool", {x_}, w))}), "QAveragePool");
  EXPECT_EQ(node(0).as<QAveragePool>().m, (std::vector<float>{2, 1}));
  EXPECT_EQ(lower({g_.add_node(Op::kAveragePool, "pool", {x_}, w)}), "QAveragePool");
  EXPECT_EQ(node(0).as<QAveragePool>().m, (std::vector<float>{0.5f, 0.25f}));
}

TEST_F(LowerQuantized, ConcatBringsItsPartsToOneScale) {
  const ValueId both = g_.add_node(Op::kConcat, "concat", {x_, qdq(conv(x_))});
  EXPECT_EQ(lower({quantize(both)}), "QConv Requantize Concat");
  const ValueId plain = g_.add_node(Op::kConcat, "concat", {x_, conv(x_)});
  EXPECT_EQ(lower({quantize(plain)}), "Requantize QConv Concat");
  const ValueId equal = g_.add_node(Op::kConcat, "concat", {x_, qdq(conv(x_), 0.5f, 10)});
  EXPECT_EQ(lower({quantize(equal, 0.5f, 10)}), "QConv Concat");
  for (const auto& [scale, z] : {std::pair{0.5f, 11}, std::pair{0.25f, 10}}) {
    const ValueId other = g_.add_node(Op::kConcat, "concat", {x_, qdq(conv(x_), scale, z)});
    EXPECT_EQ(lower({quantize(other, 0.5f, 10)}), "QConv Requantize Concat");
  }
}

TEST_F(LowerQuantized, PadsHoldTheStoredValue) {
  const auto padded = [&](float value) {
    return g_.add_node(Op::kPad, "pad", {x_}, Pad{1, 1, 0, 0, value});
  };
  EXPECT_EQ(lower({quantize(padded(3), 0.5f, 10)}), "Pad");
  EXPECT_EQ(node(0).as<Pad>().value, 16);
  EXPECT_EQ(lower({quantize(conv(padded(0)))}), "QConv");
  EXPECT_EQ(qconv(0).window.pad_top, 1);
  EXPECT_EQ(qconv(0).window.pad_right, 0);
  EXPECT_EQ(lower({quantize(conv(padded(3)))}), "Pad QConv");
  const ValueId low = g_.add_node(Op::kPad, "pad", {x_}, Pad{1, 1, 0, 0, -5});
  EXPECT_EQ(lower({quantize(max_pool(low), 0.5f, 10)}), "MaxPool");
  EXPECT_EQ(lower({quantize(max_pool(padded(0)), 0.5f, 10)}), "Pad MaxPool");
}

TEST_F(LowerQuantized, BiasIsTakenOrRounded) {
  const auto stored = [&](std::vector<float> scale) {
    const ValueId b = g_.add_constant("b", Tensor::from({2}, std::vector<std::int32_t>{7, -9}));
    const std::vector<std::int32_t> zeros(scale.size(), 0);
    return g_.add_node(Op::kDequantize, "bdq", {b}, Quant{std::move(scale), zeros});
  };
  lower({quantize(conv(x_, {stored({0.25f, 0.125f})}))});
  EXPECT_EQ(bias(0), (std::vector<std::int32_t>{7, -9}));
  lower({quantize(conv(x_, {stored({0.125f})}))});  // 3.5 and -9 units
  EXPECT_EQ(bias(0), (std::vector<std::int32_t>{4, -9}));
  const ValueId real = g_.add_constant("b", Tensor::from({2}, std::vector<float>{1.1f, -0.0625f}));
  lower({quantize(conv(x_, {real}))});  // 4.4 and -0.5 units
  EXPECT_EQ(bias(0), (std::vector<std::int32_t>{4, 0}));
}

TEST_F(LowerQuantized, WhatDoesNotFitStaysFloat) {
  const ValueId huge = g_.add_constant("b", Tensor::from({2}, std::vector<float>{1e9f, 0}));
  EXPECT_EQ(lower({quantize(conv(x_, {huge}))}), "DequantizeLinear Conv QuantizeLinear");
  const ValueId wide =
      g_.add_constant("w", Tensor::from({2, 1, 1, 2}, std::vector<std::uint8_t>{0, 255, 3, 4}));
  const ValueId off = g_.add_node(Op::kDequantize, "wdq", {wide}, Quant{{0.5f}, {100}});
  EXPECT_EQ(lower({quantize(conv_with(x_, off))}), "DequantizeLinear Conv QuantizeLinear");
  // Constants are dequantized once and for all: no device sees a DequantizeLinear of weights.
  EXPECT_EQ(lowered_.constant(node(1).inputs[1]).values<float>()[1], 77.5f);
}

TEST_F(LowerQuantized, UnsignedWeightsLoseTheirZeroPoint) {
  const ValueId w =
      g_.add_constant("w", Tensor::from({2, 1, 1, 2}, std::vector<std::uint8_t>{0, 255, 128, 4}));
  const ValueId dq = g_.add_node(Op::kDequantize, "wdq", {w}, Quant{{0.5f}, {128}});
  EXPECT_EQ(lower({quantize(conv_with(x_, dq))}), "QConv");
  const auto weights = lowered_.constant(node(0).inputs[1]).values<std::int8_t>();
  EXPECT_EQ((std::vector<std::int8_t>{weights.begin(), weights.end()}),
            (std::vector<std::int8_t>{-128, 127, 0, -124}));
}

TEST_F(LowerQuantized, WeightsQuantizedInTheGraphAreConstants) {
  const ValueId real =
      g_.add_constant("w", Tensor::from({2, 1, 1, 2}, std::vector<float>{0.5f, -1, 1.25f, 3}));
  const Quant quant{{0.5f}, {0}};
  const ValueId q = g_.add_node(Op::kQuantize, "wq", {real}, quant, DType::kS8);
  const ValueId dq = g_.add_node(Op::kDequantize, "wdq", {q}, quant);
  EXPECT_EQ(lower({quantize(conv_with(x_, dq))}), "QConv");
  const auto weights = lowered_.constant(node(0).inputs[1]).values<std::int8_t>();
  EXPECT_EQ((std::vector<std::int8_t>{weights.begin(), weights.end()}),
            (std::vector<std::int8_t>{1, -2, 2, 6}));
}

TEST_F(LowerQuantized, TheRawImageHasAZeroPointForEachChannel) {
  const ValueId image = g_.add_node(Op::kDequantize, "dq", g_.inputs, Quant{{1, 1}, {124, 104}});
  EXPECT_EQ(lower({quantize(conv(image))}), "QConv");
  EXPECT_EQ(qconv(0).z_src, (std::vector<std::int32_t>{124, 104}));
  const ValueId uneven = g_.add_node(Op::kDequantize, "dq", g_.inputs, Quant{{1, 2}, {124, 104}});
  EXPECT_EQ(lower({quantize(conv(uneven))}), "DequantizeLinear Conv QuantizeLinear");
}

TEST_F(LowerQuantized, LogitsAreFloat) {
  const ValueId flat = g_.add_node(Op::kFlatten, "flatten", {max_pool(x_)});
  const ValueId w =
      g_.add_constant("w", Tensor::from({3, 1, 1, 50}, std::vector<std::int8_t>(150, 1)));
  const ValueId dq = g_.add_node(Op::kDequantize, "wdq", {w}, Quant{{0.5f}, {0}});
  const ValueId logits = conv_with(flat, dq);
  EXPECT_EQ(lower({logits}), "MaxPool Flatten QConv");
  EXPECT_EQ(qconv(2).m, (std::vector<float>{0.25f, 0.25f, 0.25f}));
  EXPECT_EQ(lower({g_.add_node(Op::kSoftmax, "softmax", {logits})}),
            "MaxPool Flatten QConv Softmax");
  EXPECT_EQ(lower({qdq(logits)}), "MaxPool Flatten QConv DequantizeLinear");
}

TEST_F(LowerQuantized, AFloatInputIsQuantizedFirst) {
  g_.inputs.push_back(g_.add_value("x", DType::kF32, {6, 6, 2}));
  EXPECT_EQ(lower({quantize(relu(conv(qdq(g_.inputs[1]))))}), "QuantizeLinear QConv");
}

TEST_F(LowerQuantized, NamesAndSignatureStay) {
  const ValueId c = conv(x_);
  const ValueId q = quantize(c);
  const ValueId d = dequantize(q, 0.25f, 20);
  g_.value(c).name = "c";
  g_.value(q).name = "stored";
  g_.value(d).name = "real";
  EXPECT_EQ(lower({d, q, c}), "QConv QConv DequantizeLinear");
  EXPECT_EQ(lowered_.value(lowered_.outputs[0]).name, "real");
  EXPECT_EQ(lowered_.value(lowered_.outputs[1]).name, "stored");
  EXPECT_EQ(lowered_.value(lowered_.outputs[2]).name, "c");
  EXPECT_EQ(lowered_.value(lowered_.inputs[0]).name, "image");
  // Lowering what is lowered changes nothing.
  EXPECT_EQ(to_string(lower_quantized(lowered_)), to_string(lowered_));
}

// However deep: no recursion that a file could drive into the ground.
TEST_F(LowerQuantized, DeepChainsAreLowered) {
  ValueId y = conv(x_);
  for (int i = 0; i < 20000; ++i) y = relu(y);
  EXPECT_NO_THROW(lower({quantize(y)}));
  y = conv(x_);
  for (int i = 0; i < 40; ++i) y = g_.add_node(Op::kFlatten, "f", {y});
  EXPECT_NO_THROW(lower({quantize(y)}));
}

}  // namespace
}  // namespace pronghorn::graph::passes
