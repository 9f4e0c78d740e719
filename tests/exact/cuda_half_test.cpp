// SPDX-License-Identifier: Apache-2.0
// Half precision on the CUDA device against the reference device in binary32: whole float networks,
// with each row of the kernel table forced. Errors are those of rounding each result to 11 bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "device/cpu/cpu_device.h"
#include "device/cuda/cuda_device.h"
#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "import/import.h"
#include "judge.h"
#include "network.h"

namespace pronghorn::exact {
namespace {

using device::Precision;

class CudaHalf : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (device::cuda::device_names().empty()) GTEST_SKIP() << "no GPU";
    ::setenv("PRONGHORN_CUDA_KERNEL", GetParam(), 1);
    gpu_ = device::cuda::make_device("cuda:0");
  }
  void TearDown() override { ::unsetenv("PRONGHORN_CUDA_KERNEL"); }

  std::unique_ptr<device::Device> gpu_;
};

Bytes random_pixels(const graph::Graph& graph, int batch, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes inputs;
  for (const graph::ValueId id : graph.inputs) {
    const graph::Value& v = graph.value(id);
    EXPECT_EQ(v.dtype, graph::DType::kU8);
    inputs.emplace_back(static_cast<std::size_t>(v.shape.size() * batch));
    for (auto& byte : inputs.back()) byte = static_cast<std::byte>(random() >> 9);
  }
  return inputs;
}

// |have - want| / |want| over all of an output.
double relative_error(const std::vector<std::byte>& have, const std::vector<std::byte>& want) {
  double difference = 0;
  double norm = 0;
  for (std::size_t at = 0; at < want.size(); at += sizeof(float)) {
    float h = 0;
    float w = 0;
    std::memcpy(&h, have.data() + at, sizeof h);
    std::memcpy(&w, want.data() + at, sizeof w);
    difference += (double{h} - double{w}) * (double{h} - double{w});
    norm += double{w} * double{w};
  }
  return std::sqrt(difference / norm);
}

// The largest magnitude that any value of the graph takes.
double largest_value(device::Device& reference, graph::Graph graph, const Bytes& inputs,
                     int batch) {
  graph.outputs.clear();
  for (const graph::Node& node : graph.nodes) graph.outputs.push_back(node.output);
  const auto program =
      device::compile_or_throw(reference, std::make_shared<const graph::Graph>(std::move(graph)));
  double largest = 0;
  for (const auto& output : run(*program, inputs, batch, 0)) {
    for (std::size_t at = 0; at < output.size(); at += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, output.data() + at, sizeof value);
      largest = std::max(largest, std::abs(double{value}));
    }
  }
  return largest;
}

// Half precision ends at 65504, and half of the random networks go further once nothing cuts their
// values off: those are left out.
TEST_P(CudaHalf, RandomNetworks) {
  int compared = 0;
  const auto reference = device::reference::make_device();
  for (std::uint32_t seed = 4000; seed < 4080; ++seed) {
    const auto graph = std::make_shared<const graph::Graph>(
        graph::passes::drop_quantization(random_network(seed)));
    const int batch = 1 + static_cast<int>(seed % 5);
    const Bytes inputs = random_pixels(*graph, batch, seed);
    if (largest_value(*reference, *graph, inputs, batch) > 60000) continue;
    const Bytes want = run(*device::compile_or_throw(*reference, graph), inputs, batch, 0);
    const auto program = device::compile_or_throw(*gpu_, graph, {.precision = Precision::kFp16});
    const Bytes have = run(*program, inputs, batch, 0);
    for (std::size_t i = 0; i < want.size(); ++i) {
      ASSERT_LT(relative_error(have[i], want[i]), 5e-3) << "seed " << seed << ", output " << i;
      ++compared;
    }
    // The same bits again, from the graph of launches too.
    for (int again = 0; again < 3; ++again) {
      ASSERT_TRUE(run(*program, inputs, batch, 0) == have) << "seed " << seed;
    }
  }
  EXPECT_GE(compared, 30);
}

TEST_P(CudaHalf, EmbeddedModelWithoutQuantization) {
  constexpr int kImages = 9;  // the judge takes seconds for each: it is asked about the first
  const auto graph = std::make_shared<const graph::Graph>(
      graph::passes::drop_quantization(import::import_model("models/resnet50-tin200-int8.onnx")));
  const Bytes inputs = random_pixels(*graph, kImages, 5);
  const auto judge = device::reference::make_device();
  const Bytes one{{inputs[0].begin(), inputs[0].begin() + 224 * 224 * 3}};
  const Bytes want = run(*device::compile_or_throw(*judge, graph), one, 1, 0);
  const auto program = device::compile_or_throw(*gpu_, graph, {.precision = Precision::kFp16});
  Bytes have = run(*program, inputs, kImages, 0);
  have[0].resize(want[0].size());
  EXPECT_LT(relative_error(have[0], want[0]), 5e-3);
}

TEST(CudaHalfRefusals, IntegersAreRefusedByName) {
  if (device::cuda::device_names().empty()) GTEST_SKIP() << "no GPU";
  const auto graph =
      std::make_shared<const graph::Graph>(graph::passes::lower_quantized(random_network(1)));
  const auto result =
      device::cuda::make_device("cuda:0")->compile(graph, {.precision = Precision::kFp16});
  const auto* refusal = std::get_if<device::Refusal>(&result);
  ASSERT_NE(refusal, nullptr);
  EXPECT_NE(refusal->message().find(graph->nodes[0].name), std::string::npos);
}

TEST(CudaHalfRefusals, OtherDevicesSayThatTheyDoNot) {
  const auto graph =
      std::make_shared<const graph::Graph>(graph::passes::drop_quantization(random_network(1)));
  for (auto make : {device::reference::make_device, device::cpu::make_device}) {
    const auto device = make();
    try {
      device::compile_or_throw(*device, graph, {.precision = Precision::kFp16});
      FAIL();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.status(), base::Status::kUnsupported);
      EXPECT_NE(std::string(error.what()).find("fp16"), std::string::npos);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, CudaHalf, ::testing::Values("wgmma_sm90a", "mma_sm80", "direct"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace pronghorn::exact
