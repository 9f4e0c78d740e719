// SPDX-License-Identifier: Apache-2.0
// The judge itself: against sums written out by hand, and against loops over pixels with bounds
// checks, which share nothing with its frames and dot products.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/error.h"
#include "device/reference/reference_device.h"

namespace pronghorn::device::reference {
namespace {

using graph::DType;
using graph::Graph;
using graph::Op;
using graph::ValueId;
using graph::Window;

template <typename Dst, typename Src>
std::vector<Dst> run(const Graph& g, const std::vector<std::vector<Src>>& inputs, int batch = 1,
                     int threads = 0) {
  const auto device = make_device();
  const auto program = compile_or_throw(*device, std::make_shared<const Graph>(g), {2});
  std::vector<const void*> sources;
  for (const auto& input : inputs) sources.push_back(input.data());
  std::vector<Dst> dst(static_cast<std::size_t>(g.value(g.outputs[0]).shape.size() * batch));
  void* result = dst.data();
  EXPECT_EQ(program->submit({sources, {&result, 1}, batch, threads}), nullptr);
  return dst;
}

// One op on inputs of the given shapes, all of type `src`.
Graph one(Op op, std::vector<graph::Shape> shapes, DType src, graph::Attributes attributes = {},
          DType dst = DType::kF32) {
  Graph g;
  g.name = "one";
  for (const auto& shape : shapes) g.inputs.push_back(g.add_value("x", src, shape));
  g.outputs = {g.add_node(op, "op", g.inputs, std::move(attributes), dst)};
  return g;
}

TEST(Reference, QConvByHand) {
  Graph g;
  const ValueId x = g.add_value("x", DType::kU8, {1, 2, 2});
  const ValueId r = g.add_value("r", DType::kU8, {1, 2, 1});
  g.inputs = {x, r};
  graph::QConv q;
  q.window.kw = 2;
  q.window.pad_right = 1;
  q.z_src = {10, 20};
  q.m = {0.5f};
  q.z_dst = 100;
  q.z_res = 4;
  q.m_res = 2;
  const ValueId w = g.add_constant(
      "w", graph::Tensor::from({1, 1, 2, 2}, std::vector<std::int8_t>{1, 2, 3, -128}));
  const ValueId b = g.add_constant("b", graph::Tensor::from({1}, std::vector<std::int32_t>{7}));
  g.outputs = {g.add_node(Op::kQConv, "conv", {x, w, b, r}, q, DType::kU8)};
  // Left: 7 + (11-10)*1 + (22-20)*2 + (13-10)*3 + (21-20)*-128 = -107; -53.5 + (9-4)*2 = -43.5, to
  // even -44. Right: 7 + 3*1 + 1*2 = 12, the rest is padding; 6 + (0-4)*2 = -2.
  const auto dst = run<std::uint8_t, std::uint8_t>(g, {{11, 22, 13, 21}, {9, 0}});
  EXPECT_EQ(dst, (std::vector<std::uint8_t>{56, 98}));
}

// Random convolutions of every kind against bounds-checked loops.
TEST(Reference, QConvIsItsDefinition) {
  std::mt19937 random(4);
  const auto pick = [&](int lo, int hi) {
    return lo + static_cast<int>(random() % static_cast<unsigned>(hi - lo + 1));
  };
  for (int round = 0; round < 300; ++round) {
    Window w;
    w.groups = pick(1, 3);
    const int ic = w.groups * pick(1, 9);
    const int oc = w.groups * pick(1, 5);
    w.kh = pick(1, 4);
    w.kw = pick(1, 4);
    w.sh = pick(1, 3);
    w.sw = pick(1, 3);
    w.pad_top = pick(0, 4);
    w.pad_left = pick(0, 4);
    w.pad_bottom = pick(0, 4);
    w.pad_right = pick(0, 4);
    const int ih = pick(4, 9);
    const int iw = pick(4, 9);
    const int batch = pick(1, 2);

    Graph g;
    const ValueId x = g.add_value("x", DType::kS8, {ih, iw, ic});
    g.inputs = {x};
    graph::QConv q;
    q.window = w;
    for (int c = 0; c < (round % 2 == 0 ? ic : 1); ++c) q.z_src.push_back(pick(-128, 127));
    q.m.assign(static_cast<std::size_t>(oc), 1.0f);
    std::vector<std::int8_t> weights(static_cast<std::size_t>(oc * w.kh * w.kw * ic / w.groups));
    for (auto& v : weights) v = static_cast<std::int8_t>(random());
    std::vector<std::int32_t> bias(static_cast<std::size_t>(oc));
    for (auto& v : bias) v = pick(-9999, 9999);
    g.outputs = {g.add_node(
        Op::kQConv, "conv",
        {x, g.add_constant("w", graph::Tensor::from({oc, w.kh, w.kw, ic / w.groups}, weights)),
         g.add_constant("b", graph::Tensor::from({oc}, bias))},
        q, DType::kF32)};
    std::vector<std::int8_t> src(static_cast<std::size_t>(batch * ih * iw * ic));
    for (auto& v : src) v = static_cast<std::int8_t>(random());
    const auto dst = run<float, std::int8_t>(g, {src}, batch, round % 2);

    const graph::Shape d = g.value(g.outputs[0]).shape;
    std::size_t i = 0;
    for (int n = 0; n < batch; ++n) {
      for (int oh = 0; oh < d.h; ++oh) {
        for (int ow = 0; ow < d.w; ++ow) {
          for (int o = 0; o < oc; ++o, ++i) {
            std::int64_t acc = bias[static_cast<std::size_t>(o)];
            for (int kh = 0; kh < w.kh; ++kh) {
              for (int kw = 0; kw < w.kw; ++kw) {
                for (int c = 0; c < ic / w.groups; ++c) {
                  const int y = oh * w.sh + kh - w.pad_top;
                  const int z = ow * w.sw + kw - w.pad_left;
                  if (y < 0 || y >= ih || z < 0 || z >= iw) continue;
                  const int channel = o / (oc / w.groups) * (ic / w.groups) + c;
                  const auto from = ((n * ih + y) * iw + z) * ic + channel;
                  const auto weight = ((o * w.kh + kh) * w.kw + kw) * (ic / w.groups) + c;
                  acc += (src[static_cast<std::size_t>(from)] -
                          q.z_src[q.z_src.size() == 1 ? 0 : static_cast<std::size_t>(channel)]) *
                         weights[static_cast<std::size_t>(weight)];
                }
              }
            }
            ASSERT_EQ(dst[i], static_cast<float>(acc)) << "seed 4, round " << round;
          }
        }
      }
    }
  }
}

TEST(Reference, ConvByHand) {
  Graph g;
  const ValueId x = g.add_value("x", DType::kF32, {1, 2, 1});
  g.inputs = {x};
  Window w;
  w.kw = 2;
  w.pad_left = 1;
  const ValueId weights =
      g.add_constant("w", graph::Tensor::from({1, 1, 2, 1}, std::vector<float>{10, 1}));
  g.outputs = {g.add_node(Op::kConv, "conv", {x, weights}, w)};
  EXPECT_EQ((run<float, float>(g, {{2, 3}})), (std::vector<float>{2, 23}));
}

TEST(Reference, PoolsByHand) {
  Window w;
  w.kh = w.kw = 2;
  w.sh = w.sw = 2;
  w.pad_top = w.pad_left = 1;
  const graph::Shape shape{3, 3, 1};
  const std::vector<std::int8_t> src{-1, -2, -3, -4, -5, -6, -7, -8, -9};
  EXPECT_EQ(
      (run<std::int8_t, std::int8_t>(one(Op::kMaxPool, {shape}, DType::kS8, w, DType::kS8), {src})),
      (std::vector<std::int8_t>{-1, -2, -4, -5}));
  const std::vector<float> real{-1, -2, -3, -4, -5, -6, -7, -8, -9};
  EXPECT_EQ((run<float, float>(one(Op::kAveragePool, {shape}, DType::kF32, w), {real})),
            (std::vector<float>{-1, -2.5f, -5.5f, -7}));
  w.count_include_pad = true;
  EXPECT_EQ((run<float, float>(one(Op::kAveragePool, {shape}, DType::kF32, w), {real})),
            (std::vector<float>{-0.25f, -1.25f, -2.75f, -7}));
  graph::QAveragePool q;
  q.window = w;
  q.z_src = -9;
  q.z_dst = 1;
  q.range = arith::kS8;
  q.m = {1, 0.5f, 1.0f / 3, 0.25f};
  // Sums of (src + 9): 8; 7 + 6; 5 + 2; 4 + 3 + 1 + 0; each by 4, ties to even, plus 1.
  EXPECT_EQ((run<std::int8_t, std::int8_t>(
                one(Op::kQAveragePool, {shape}, DType::kS8, q, DType::kS8), {src})),
            (std::vector<std::int8_t>{3, 4, 3, 3}));
  q.window.count_include_pad = false;
  EXPECT_EQ((run<std::int8_t, std::int8_t>(
                one(Op::kQAveragePool, {shape}, DType::kS8, q, DType::kS8), {src})),
            (std::vector<std::int8_t>{9, 7, 5, 3}));
}

TEST(Reference, MovesByHand) {
  EXPECT_EQ(
      (run<std::uint8_t, std::uint8_t>(
          one(Op::kPad, {{1, 2, 1}}, DType::kU8, graph::Pad{1, 0, 0, 1, 9}, DType::kU8), {{1, 2}})),
      (std::vector<std::uint8_t>{9, 9, 9, 1, 2, 9}));
  EXPECT_EQ((run<float, float>(one(Op::kConcat, {{1, 2, 1}, {1, 2, 2}}, DType::kF32),
                               {{1, 2}, {3, 4, 5, 6}})),
            (std::vector<float>{1, 3, 4, 2, 5, 6}));
}

TEST(Reference, ElementwiseByHand) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const graph::Shape shape{1, 1, 4};
  const auto relu = run<float, float>(one(Op::kRelu, {shape}, DType::kF32), {{-1, 0, 2, nan}});
  EXPECT_EQ(relu[0], 0);
  EXPECT_EQ(relu[2], 2);
  EXPECT_TRUE(std::isnan(relu[3]));
  EXPECT_EQ((run<float, float>(one(Op::kClip, {shape}, DType::kF32, graph::Clip{-1, 6}),
                               {{-2, 0, 7, 3}})),
            (std::vector<float>{-1, 0, 6, 3}));
  EXPECT_EQ((run<std::uint8_t, float>(
                one(Op::kQuantize, {shape}, DType::kF32, graph::Quant{{0.5f}, {128}}, DType::kU8),
                {{0.25f, 0.75f, -1000, nan}})),
            (std::vector<std::uint8_t>{128, 130, 0, 128}));
  EXPECT_EQ((run<float, std::uint8_t>(
                one(Op::kDequantize, {{1, 2, 2}}, DType::kU8, graph::Quant{{1, 0.5f}, {10, 20}}),
                {{11, 22, 9, 18}})),
            (std::vector<float>{1, 1, -1, -1}));
  EXPECT_EQ(
      (run<std::uint8_t, std::uint8_t>(one(Op::kQAdd, {shape, shape}, DType::kU8,
                                           graph::QAdd{1, 2, 10, 0.5f, 2, {10, 255}}, DType::kU8),
                                       {{1, 4, 255, 0}, {2, 2, 255, 0}})),
      (std::vector<std::uint8_t>{10, 12, 255, 10}));
  EXPECT_EQ(
      (run<std::int8_t, std::uint8_t>(one(Op::kRequantize, {shape}, DType::kU8,
                                          graph::Requantize{128, 0, 0.5f, arith::kS8}, DType::kS8),
                                      {{0, 129, 131, 255}})),
      (std::vector<std::int8_t>{-64, 0, 2, 64}));
}

TEST(Reference, SumsOfManyThreadsAtOnceAreRight) {
  const auto device = make_device();
  const auto g =
      std::make_shared<const Graph>(one(Op::kFlatten, {{8, 8, 8}}, DType::kU8, {}, DType::kU8));
  const auto program = compile_or_throw(*device, g, {2});
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&, t] {
      const std::vector<std::uint8_t> src(512, static_cast<std::uint8_t>(t));
      std::vector<std::uint8_t> dst(512);
      const void* in = src.data();
      void* out = dst.data();
      for (int i = 0; i < 50; ++i) program->submit({{&in, 1}, {&out, 1}, 1, 0});
      EXPECT_EQ(src, dst);
    });
  }
  for (auto& caller : callers) caller.join();
}

TEST(Reference, RefusesAWrongCall) {
  const auto device = make_device();
  const auto g = std::make_shared<const Graph>(one(Op::kRelu, {{1, 1, 1}}, DType::kF32));
  const auto program = compile_or_throw(*device, g, {1});
  float x = 0;
  const void* in = &x;
  void* out = &x;
  EXPECT_THROW(program->submit({{}, {&out, 1}, 1, 0}), base::Error);
  EXPECT_THROW(program->submit({{&in, 1}, {&out, 1}, 0, 0}), base::Error);
}

}  // namespace
}  // namespace pronghorn::device::reference
