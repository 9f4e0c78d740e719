// SPDX-License-Identifier: Apache-2.0
// Calibration on float tensors instead of pixels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "quantize/quantize.h"
#include "quantize/test_nets.h"

namespace pronghorn::quantize {
namespace {

using graph::Graph;
using ::testing::HasSubstr;

constexpr std::int64_t kCount = 24;

// What the pixels of the other tests become under a preprocess of mean 120, deviation 60.
std::vector<float> tensors(int width) {
  std::vector<float> values;
  for (const std::uint8_t p : testing::images(7, kCount, width)) {
    values.push_back((static_cast<float>(p) - 120.0f) / 60.0f);
  }
  return values;
}

std::vector<float> run(const Graph& g, const float* input, device::Device& device) {
  const auto program = device::compile_or_throw(
      device, std::make_shared<const Graph>(
                  graph::is_quantized(g) ? graph::passes::lower_quantized(g) : g));
  std::vector<float> result(static_cast<std::size_t>(g.value(g.outputs[0]).shape.size()));
  const void* src[] = {input};
  void* dst[] = {result.data()};
  program->submit({src, dst, 1, 1});
  return result;
}

TEST(QuantizeTensors, KeepsTheFloatInputAndTheFunction) {
  const auto device = device::reference::make_device();
  const std::vector<float> data = tensors(20);
  Graph original = testing::residual_net(1);
  original.preprocess.reset();
  Report report;
  const Graph g = quantize(original, {nullptr, kCount, data.data()}, {}, *device, &report);
  EXPECT_EQ(g.value(g.inputs[0]).dtype, graph::DType::kF32);
  EXPECT_EQ(g.nodes[0].op, graph::Op::kQuantize);
  EXPECT_GE(report.top1_agreement, 0.9);
  double signal = 0, noise = 0;
  for (int image = 0; image < 4; ++image) {
    const float* x = data.data() + image * 20 * 20 * 3;
    const auto want = run(original, x, *device), got = run(g, x, *device);
    for (std::size_t i = 0; i < want.size(); ++i) {
      signal += want[i] * want[i];
      noise += (want[i] - got[i]) * (want[i] - got[i]);
    }
  }
  EXPECT_GT(10 * std::log10(signal / noise), 20) << "dB";
}

TEST(QuantizeTensors, InputsThatPixelsCannotBe) {
  const auto device = device::reference::make_device();
  // One channel, never negative, first seen by a pooling.
  graph::Graph g;
  g.name = "digits";
  g.inputs = {g.add_value("x", graph::DType::kF32, {8, 8, 1})};
  const auto pooled =
      g.add_node(graph::Op::kMaxPool, "pool", {g.inputs[0]}, graph::Window{2, 2, 2, 2});
  const auto w = g.add_constant("w", graph::Tensor::from<float>({2, 1, 1, 1}, {1.0f, -0.5f}));
  g.outputs = {g.add_node(graph::Op::kConv, "conv", {pooled, w}, graph::Window{})};
  graph::verify(g);
  std::vector<float> data(kCount * 64);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i % 97) / 96.0f;
  const Graph q = quantize(g, {nullptr, kCount, data.data()}, {}, *device);
  const auto want = run(g, data.data(), *device), got = run(q, data.data(), *device);
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(want[i], got[i], 0.01) << i;
}

TEST(QuantizeTensors, NotFiniteIsRefusedByNumber) {
  const auto device = device::reference::make_device();
  std::vector<float> data = tensors(20);
  data[5 * 20 * 20 * 3 + 7] = std::numeric_limits<float>::quiet_NaN();
  try {
    quantize(testing::residual_net(1), {nullptr, kCount, data.data()}, {}, *device);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.status(), base::Status::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("calibration tensor 5"));
  }
}

}  // namespace
}  // namespace pronghorn::quantize
