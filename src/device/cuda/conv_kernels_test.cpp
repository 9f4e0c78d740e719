// SPDX-License-Identifier: Apache-2.0
// Every variant of every convolution kernel against the direct one, which tests/exact holds to the
// reference: choose() would leave most variants of a layer untried.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "device/cuda/cuda_device.h"
#include "device/cuda/driver.h"
#include "device/cuda/kernels/conv_kernel.h"

namespace pronghorn::device::cuda {
namespace {

constexpr std::uint32_t kSeed = 20261124;

template <typename T>
Memory upload(const std::vector<T>& values) {
  Memory memory(values.size() * sizeof(T) + kAlignment, Where::kDevice);
  check(cudaMemcpy(memory.data(), values.data(), values.size() * sizeof(T), cudaMemcpyDefault),
        "upload");
  return memory;
}

class ConvKernels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device_names().empty()) GTEST_SKIP() << "no GPU";
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0), "properties");
    capability_ = properties.major * 10 + properties.minor;
    stream_.emplace();
  }

  std::vector<std::uint8_t> bytes(std::int64_t count) {
    std::vector<std::uint8_t> values(static_cast<std::size_t>(count));
    for (auto& value : values) value = static_cast<std::uint8_t>(random_() >> 11);
    return values;
  }

  std::vector<std::uint8_t> run(const ConvKernel& kernel, const ConvProblem& p, ConvBuffers buffers,
                                const std::vector<std::int8_t>& weights, std::int32_t variant) {
    check(kernel.prepare(), "prepare");
    std::vector<std::int8_t> packed(static_cast<std::size_t>(kernel.packed_bytes(p)));
    kernel.pack(p, weights.data(), packed.data());
    const Memory on_gpu = upload(packed);
    const Memory workspace(
        static_cast<std::size_t>(kernel.workspace_bytes(p, variant)) + kAlignment, Where::kDevice);
    std::vector<std::uint8_t> dst(
        static_cast<std::size_t>(p.pixels() * p.oc) * (p.result == ConvResult::kFloat ? 4 : 1),
        0xA5);
    const Memory dst_on_gpu = upload(dst);
    buffers.weights = reinterpret_cast<const std::int8_t*>(on_gpu.data());
    buffers.workspace = reinterpret_cast<std::uint8_t*>(workspace.data());
    buffers.dst = dst_on_gpu.data();
    check(cudaDeviceSynchronize(), "upload");  // the stream does not wait for it
    // Twice: the second launch may begin while the first still runs.
    for (int i = 0; i < 2; ++i) check(kernel.launch(p, buffers, variant, stream_->get()), "launch");
    check(cudaStreamSynchronize(stream_->get()), "kernel");
    check(cudaMemcpy(dst.data(), dst_on_gpu.data(), dst.size(), cudaMemcpyDefault), "download");
    return dst;
  }

  void compare_variants(const ConvProblem& p) {
    const std::int64_t window = p.window();
    std::vector<std::int8_t> weights(static_cast<std::size_t>(p.oc * window));
    for (auto& weight : weights) weight = static_cast<std::int8_t>(random_() >> 11);
    const auto channels =
        static_cast<std::size_t>((p.oc + kChannelPad - 1) / kChannelPad * kChannelPad);
    std::vector<std::int32_t> bias(channels);
    std::vector<float> m(channels);
    const auto spread = static_cast<float>(60 / (73.0 * 73.0 * std::sqrt(double(window))));
    for (std::size_t c = 0; c < static_cast<std::size_t>(p.oc); ++c) {
      std::int64_t sum = 0;
      for (std::int64_t i = 0; i < window; ++i) {
        sum += weights[c * static_cast<std::size_t>(window) + static_cast<std::size_t>(i)];
      }
      bias[c] = static_cast<std::int32_t>(random_() % 200000) - 100000 -
                static_cast<std::int32_t>(sum * 115);
      m[c] = spread * (0.5f + static_cast<float>(random_() % 1000) / 1000);
    }
    const Memory src = upload(bytes(std::int64_t{p.n} * p.ih * p.iw * p.ic));
    const Memory res = upload(bytes(p.pixels() * p.oc));
    const Memory bias_on_gpu = upload(bias);
    const Memory m_on_gpu = upload(m);
    const Memory pad = upload(std::vector<std::uint8_t>(256, static_cast<std::uint8_t>(p.z_src)));
    ConvBuffers buffers{};
    buffers.src = reinterpret_cast<const std::uint8_t*>(src.data());
    buffers.res = reinterpret_cast<const std::uint8_t*>(res.data());
    buffers.bias = reinterpret_cast<const std::int32_t*>(bias_on_gpu.data());
    buffers.m = reinterpret_cast<const float*>(m_on_gpu.data());
    buffers.pad = reinterpret_cast<const std::uint8_t*>(pad.data());

    const auto want = run(kConvDirect, p, buffers, weights, 0);
    for (std::int32_t i = 0; i < kConvKernelCount; ++i) {
      const ConvKernel& kernel = *kConvKernels[i];
      if (!kernel.supports(p, capability_)) continue;
      for (std::int32_t variant = 0; variant < kernel.variants; ++variant) {
        if (!kernel.takes(p, variant)) continue;
        const auto have = run(kernel, p, buffers, weights, variant);
        ASSERT_EQ(std::memcmp(have.data(), want.data(), want.size()), 0)
            << kernel.name << " " << kernel.variant_name(variant) << ", seed " << kSeed << ": n"
            << p.n << " ih" << p.ih << " ic" << p.ic << " oc" << p.oc << " k" << p.kh << " s"
            << p.sh;
        ++compared_;
      }
    }
  }

  static ConvProblem problem(int n, int size, int ic, int oc, int kernel, int stride, int pad,
                             ConvResult result) {
    ConvProblem p{};
    p.n = n;
    p.ih = p.iw = size;
    p.ic = ic;
    p.oc = oc;
    p.kh = p.kw = kernel;
    p.sh = p.sw = stride;
    p.pad_top = p.pad_left = pad;
    p.oh = p.ow = (size + 2 * pad - kernel) / stride + 1;
    p.groups = 1;
    p.result = result;
    p.z_dst = result == ConvResult::kBytes ? 3 : 0;
    p.lo = p.z_dst;
    p.hi = 255;
    p.z_res = 113;
    p.m_res = 0.37f;
    return p;
  }

  int capability_ = 0;
  int compared_ = 0;
  std::optional<StreamHandle> stream_;
  std::mt19937 random_{kSeed};
};

// The shapes of ResNet-50: one image, and as many as make every block of a GPU take several tiles.
TEST_F(ConvKernels, EveryVariantOfResNetLayersAgrees) {
  const auto check_layer = [&](int size, int ic, int oc, int kernel, int stride, int pad,
                               ConvResult result) {
    for (const int n : {1, 9}) {
      compare_variants(problem(n, size, ic, oc, kernel, stride, pad, result));
      if (HasFatalFailure()) return;
    }
  };
  check_layer(115, 16, 64, 4, 1, 0, ConvResult::kBytes);
  check_layer(1, 2048, 1000, 1, 1, 0, ConvResult::kFloat);
  int size = 56;
  for (int wide = 64; wide <= 512 && !HasFatalFailure(); wide *= 2, size /= 2) {
    check_layer(size, wide, wide, 3, 1, 1, ConvResult::kBytes);
    check_layer(size, wide, wide * 4, 1, 1, 0, ConvResult::kBytesResidual);
    check_layer(size, wide * 4, wide, 1, 1, 0, ConvResult::kBytes);
    if (wide == 512) break;
    check_layer(size, wide * 2, wide * 2, 3, 2, 1, ConvResult::kBytes);
    check_layer(size, wide * 4, wide * 8, 1, 2, 0, ConvResult::kBytes);
  }
  EXPECT_GT(compared_, 100);
}

// Odd sizes, paddings and strides, a zero point in the padding.
TEST_F(ConvKernels, EveryVariantOfRandomProblemsAgrees) {
  for (int i = 0; i < 60; ++i) {
    const auto pick = [&](std::initializer_list<int> values) {
      return values.begin()[random_() % values.size()];
    };
    const int kernel = pick({1, 2, 3, 5});
    ConvProblem p = problem(pick({1, 2, 5}), pick({7, 9, 16, 23}), pick({16, 64, 128, 192}),
                            pick({24, 64, 128, 320}), kernel, pick({1, 2, 3}),
                            static_cast<int>(random_() % static_cast<unsigned>(kernel)),
                            static_cast<ConvResult>(random_() % 3));
    p.z_src = pick({0, 0, 7});
    p.lo = pick({0, 5});
    p.hi = pick({255, 200});
    compare_variants(p);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace pronghorn::device::cuda
