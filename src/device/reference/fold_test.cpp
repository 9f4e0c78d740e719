// SPDX-License-Identifier: Apache-2.0
// passes::fold, in numbers: a folded graph computes what the graph computed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"

namespace pronghorn::device::reference {
namespace {

using graph::DType;
using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;
using graph::Window;

class Fold : public ::testing::Test {
 protected:
  Fold() {
    g_.name = "fold";
    x_ = g_.add_value("x", DType::kF32, {9, 7, 6});
    g_.inputs = {x_};
  }

  std::vector<float> random_floats(std::int64_t size, float shift = 0) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> v(static_cast<std::size_t>(size));
    for (float& f : v) f = uniform(random_) + shift;
    return v;
  }

  ValueId conv(ValueId src, std::int64_t oc, Window w, bool bias = true) {
    const std::int64_t ic = g_.value(src).shape.c / w.groups;
    std::vector<ValueId> inputs{
        src, g_.add_constant("w", graph::Tensor::from({oc, w.kh, w.kw, ic},
                                                      random_floats(oc * w.kh * w.kw * ic)))};
    if (bias) inputs.push_back(g_.add_constant("b", graph::Tensor::from({oc}, random_floats(oc))));
    return g_.add_node(Op::kConv, "conv", inputs, w);
  }

  ValueId norm(ValueId src) {
    const std::int64_t c = g_.value(src).shape.c;
    return g_.add_node(
        Op::kBatchNorm, "norm",
        {src, g_.add_constant("scale", graph::Tensor::from({c}, random_floats(c, 1.5f))),
         g_.add_constant("shift", graph::Tensor::from({c}, random_floats(c)))});
  }

  ValueId pad(ValueId src, float value = 0) {
    return g_.add_node(Op::kPad, "pad", {src}, graph::Pad{1, 2, 1, 0, value});
  }

  static Window window(int k, int stride = 1, int p = 0, int groups = 1) {
    Window w;
    w.kh = w.kw = k;
    w.sh = w.sw = stride;
    w.pad_top = w.pad_left = w.pad_bottom = w.pad_right = p;
    w.groups = groups;
    return w;
  }

  static std::vector<float> run(const Graph& g, const std::vector<float>& input) {
    const auto device = make_device();
    const auto program = device::compile_or_throw(*device, std::make_shared<const Graph>(g), {1});
    std::vector<std::vector<float>> outputs;
    std::vector<void*> pointers;
    for (const ValueId id : g.outputs) {
      outputs.emplace_back(static_cast<std::size_t>(g.value(id).shape.size()));
    }
    for (auto& output : outputs) pointers.push_back(output.data());
    const void* source = input.data();
    program->submit({{&source, 1}, pointers, 1, 1});
    std::vector<float> all;
    for (const auto& output : outputs) all.insert(all.end(), output.begin(), output.end());
    return all;
  }

  // Folds and compares; returns how many nodes of `op` are left.
  std::int64_t left_after_fold(Op op, std::vector<ValueId> outputs) {
    g_.outputs = std::move(outputs);
    const std::vector<float> input = random_floats(g_.value(x_).shape.size());
    const std::vector<float> before = run(g_, input);
    Graph folded = g_;
    graph::passes::fold(folded);
    graph::verify(folded);
    for (std::size_t i = 0; i < g_.outputs.size(); ++i) {
      EXPECT_EQ(folded.value(folded.outputs[i]).name, g_.value(g_.outputs[i]).name);
    }
    const std::vector<float> after = run(folded, input);
    EXPECT_EQ(before.size(), after.size());
    float largest = 0;
    for (const float y : before) largest = std::max(largest, std::abs(y));
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_NEAR(before[i], after[i], 1e-5f * largest);
    }
    return std::count_if(folded.nodes.begin(), folded.nodes.end(),
                         [&](const Node& n) { return n.op == op; });
  }

  std::mt19937 random_{3};
  Graph g_;
  ValueId x_ = graph::kNoValue;
};

TEST_F(Fold, NormAfterConv) {
  EXPECT_EQ(left_after_fold(Op::kBatchNorm, {norm(conv(x_, 5, window(3, 1, 1)))}), 0);
}

TEST_F(Fold, TwoNormsAfterDepthwiseConvWithoutBias) {
  const ValueId y = conv(x_, 12, window(3, 2, 1, 6), false);
  EXPECT_EQ(left_after_fold(Op::kBatchNorm, {norm(norm(y))}), 0);
}

TEST_F(Fold, NormStaysWhenTheConvIsReadTwice) {
  const ValueId y = conv(x_, 5, window(3));
  EXPECT_EQ(left_after_fold(Op::kBatchNorm, {norm(y), y}), 1);
}

TEST_F(Fold, NormBeforeConvsWithoutPadding) {
  const ValueId y = norm(x_);
  const ValueId a = conv(y, 4, window(3));
  const ValueId b = conv(y, 6, window(3, 1, 0, 3), false);
  EXPECT_EQ(left_after_fold(Op::kBatchNorm, {a, b}), 0);
}

TEST_F(Fold, NormBeforePaddedConvStays) {
  EXPECT_EQ(left_after_fold(Op::kBatchNorm, {conv(norm(x_), 4, window(3, 1, 1))}), 1);
}

TEST_F(Fold, NormWithAnotherReaderStays) {
  const ValueId y = norm(x_);
  EXPECT_EQ(
      left_after_fold(Op::kBatchNorm, {conv(y, 4, window(1)), g_.add_node(Op::kRelu, "relu", {y})}),
      1);
}

TEST_F(Fold, PadIntoConv) {
  const ValueId y = pad(x_);
  EXPECT_EQ(left_after_fold(Op::kPad, {conv(y, 4, window(3, 2, 1)), conv(y, 4, window(1))}), 0);
}

TEST_F(Fold, PadOfAnotherValueStays) {
  EXPECT_EQ(left_after_fold(Op::kPad, {conv(pad(x_, 0.25f), 4, window(3))}), 1);
}

TEST_F(Fold, PadIntoMaxPoolOfNonNegativeValues) {
  const ValueId relu = g_.add_node(Op::kRelu, "relu", {x_});
  EXPECT_EQ(
      left_after_fold(Op::kPad, {g_.add_node(Op::kMaxPool, "pool", {pad(relu)}, window(3, 2))}), 0);
}

TEST_F(Fold, PadIntoMaxPoolStaysWhereItCanWin) {
  const ValueId clip = g_.add_node(Op::kClip, "clip", {x_}, graph::Clip{-0.5f, 6});
  EXPECT_EQ(left_after_fold(Op::kPad, {g_.add_node(Op::kMaxPool, "any sign", {pad(x_)}, window(3)),
                                       g_.add_node(Op::kMaxPool, "clip", {pad(clip)}, window(3))}),
            2);
  // A window that would see nothing but the border.
  const ValueId relu = g_.add_node(Op::kRelu, "relu", {x_});
  EXPECT_EQ(left_after_fold(Op::kPad, {g_.add_node(Op::kMaxPool, "pool", {pad(relu)}, window(2))}),
            1);
}

TEST_F(Fold, PadIntoAveragePool) {
  const ValueId y = g_.add_node(Op::kAveragePool, "pool", {pad(x_)}, window(3));
  EXPECT_EQ(left_after_fold(Op::kPad, {y}), 0);
}

TEST_F(Fold, PadIntoAveragePoolThatSkipsItsOwnPaddingStays) {
  const ValueId y = g_.add_node(Op::kAveragePool, "pool", {pad(x_)}, window(3, 1, 1));
  EXPECT_EQ(left_after_fold(Op::kPad, {y}), 1);
}

}  // namespace
}  // namespace pronghorn::device::reference
