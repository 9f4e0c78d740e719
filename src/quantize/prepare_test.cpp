// SPDX-License-Identifier: Apache-2.0
#include "quantize/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "device/reference/reference_device.h"
#include "quantize/test_nets.h"

namespace pronghorn::quantize {
namespace {

using ::testing::HasSubstr;

std::vector<float> run(const graph::Graph& g, const std::vector<float>& input) {
  const auto device = device::reference::make_device();
  const auto program = device::compile_or_throw(*device, std::make_shared<graph::Graph>(g));
  std::vector<float> output(static_cast<std::size_t>(g.value(g.outputs[0]).shape.size()));
  const void* in = input.data();
  void* out = output.data();
  program->submit({{&in, 1}, {&out, 1}, 1, 1});
  return output;
}

// The original on preprocessed pixels and the prepared one on pixel - zero_point.
void compare(const graph::Graph& original, double border_tolerance) {
  const graph::Preprocess pre = *original.preprocess;
  const int width = static_cast<int>(original.value(original.inputs[0]).shape.w);
  const auto pixels = testing::images(9, 1, width);
  const Prepared prepared = prepare(original);
  std::vector<float> before, after;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::size_t c = i % 3, rgb = pre.bgr ? 2 - c : c;
    before.push_back((pixels[i - c + rgb] - pre.mean[c]) / pre.std[c]);
    after.push_back(static_cast<float>(pixels[i] - prepared.zero_point[c]));
  }
  const auto want = run(original, before), have = run(prepared.graph, after);
  double largest = 0;
  for (const float x : want) largest = std::max(largest, std::fabs(static_cast<double>(x)));
  const graph::Shape shape = original.value(original.outputs[0]).shape;
  for (std::int64_t y = 0; y < shape.h; ++y) {
    for (std::int64_t x = 0; x < shape.w; ++x) {
      const bool border = y == 0 || x == 0 || y == shape.h - 1 || x == shape.w - 1;
      for (std::int64_t c = 0; c < shape.c; ++c) {
        const auto i = static_cast<std::size_t>((y * shape.w + x) * shape.c + c);
        ASSERT_NEAR(have[i], want[i], largest * (border ? border_tolerance : 2e-6));
      }
    }
  }
}

TEST(Prepare, FirstConvolutionTakesInThePreprocess) {
  for (const graph::Preprocess& pre : {testing::kTorch, testing::kCaffe}) {
    testing::NetBuilder b(5, 12, pre);
    compare(b.finish(b.conv("first", b.input(), 8, 3)), 0.02);
  }
}

TEST(Prepare, IntegerMeansAreExactAtTheBorderToo) {
  graph::Preprocess whole = testing::kCaffe;
  whole.mean = {104, 117, 124};
  testing::NetBuilder b(6, 12, whole);
  compare(b.finish(b.conv("first", b.input(), 8, 3)), 2e-6);
}

TEST(Prepare, ZeroPointsAreTheRoundedMeansInRgbOrder) {
  testing::NetBuilder b(5, 12, testing::kCaffe);
  const Prepared p = prepare(b.finish(b.conv("first", b.input(), 8, 3)));
  EXPECT_EQ(p.zero_point, (std::array<std::int32_t, 3>{124, 117, 104}));
  graph::Preprocess tf{{127.5f, 127.5f, 127.5f}, {127.5f, 127.5f, 127.5f}};
  testing::NetBuilder c(5, 12, tf);
  compare(c.finish(c.conv("first", c.input(), 8, 3)), 0.02);
}

TEST(Prepare, WholeNetworkWithBatchNormKeepsItsFunction) {
  testing::NetBuilder b(8, 12, testing::kTorch);
  auto x = b.relu(b.conv("first", b.input(), 8, 3));
  auto& g = b.graph();
  const auto constant = [&](const char* name, float base) {
    std::vector<float> v;
    for (int i = 0; i < 8; ++i) v.push_back(base + 0.1f * static_cast<float>(i));
    return g.add_constant(name, graph::Tensor::from({8}, std::move(v)));
  };
  // Between two ReLUs: no convolution can take it in.
  x = b.relu(b.node(graph::Op::kBatchNorm, "norm", {x, constant("s", 0.5f), constant("t", -0.3f)}));
  const auto net = b.finish(b.conv("last", x, 4, 1));
  for (const graph::Node& node : prepare(net).graph.nodes) {
    EXPECT_NE(node.op, graph::Op::kBatchNorm);
    EXPECT_TRUE(node.op != graph::Op::kConv || node.inputs.size() == 3u);
  }
  compare(net, 0.02);
}

void expect_refusal(const graph::Graph& g, base::Status status, const std::string& words) {
  try {
    prepare(g);
    ADD_FAILURE() << "accepted; should say " << words;
  } catch (const base::Error& e) {
    EXPECT_EQ(e.status(), status);
    EXPECT_THAT(e.what(), HasSubstr(words));
  }
}

TEST(Prepare, RefusesByName) {
  using base::Status;
  graph::Graph blind = testing::residual_net(1);
  blind.preprocess.reset();
  expect_refusal(blind, Status::kInvalidArgument, "does not say how pixels become its input");

  testing::NetBuilder quantized(1, 8, testing::kTorch);
  const graph::Quant quant{{0.1f}, {3}};
  auto x = quantized.conv("c", quantized.input(), 4, 3);
  auto& g = quantized.graph();
  x = g.add_node(graph::Op::kQuantize, "q", {x}, quant, graph::DType::kU8);
  expect_refusal(quantized.finish(g.add_node(graph::Op::kDequantize, "d", {x}, quant)),
                 Status::kInvalidArgument, "quantized already");

  testing::NetBuilder pooled(1, 8, testing::kTorch);
  expect_refusal(pooled.finish(pooled.global_pool(pooled.input())), Status::kUnsupported,
                 "node pool (AveragePool) takes the input image");

  testing::NetBuilder forked(1, 8, testing::kTorch);
  const auto left = forked.conv("left", forked.input(), 4, 3);
  const auto right = forked.conv("right", forked.input(), 4, 3);
  expect_refusal(forked.finish(forked.add("sum", left, right)), Status::kUnsupported,
                 "node right (Conv) takes the input image");

  graph::Graph flat = testing::residual_net(1);
  flat.preprocess->std[1] = 0;
  expect_refusal(flat, Status::kInvalidArgument, "std");
}

}  // namespace
}  // namespace pronghorn::quantize
