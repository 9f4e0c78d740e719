// SPDX-License-Identifier: Apache-2.0
// Every variant of every convolution kernel against the direct one, which tests/exact holds to the
// reference: choose() would leave most variants of a layer untried.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "device/cuda/cuda_device.h"
#include "device/cuda/driver.h"
#include "device/cuda/kernels/conv_kernel.h"
#include "device/cuda/kernels/conv_pair.h"
#include "device/cuda/kernels/conv_pool.h"

namespace pronghorn::device::cuda {
namespace {

constexpr std::uint32_t kSeed = 20261124;

template <typename T>
Memory uploaded(const std::vector<T>& values) {
  Memory memory(values.size() * sizeof(T) + kAlignment, Where::kDevice);
  upload(memory, values.data(), values.size() * sizeof(T));
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
    const Memory on_gpu = uploaded(packed);
    const Memory workspace(
        static_cast<std::size_t>(kernel.workspace_bytes(p, variant)) + kAlignment, Where::kDevice);
    std::vector<std::uint8_t> dst(static_cast<std::size_t>(p.pixels() * p.oc * p.result_bytes()),
                                  0xA5);
    const Memory dst_on_gpu = uploaded(dst);
    buffers.weights = reinterpret_cast<const std::int8_t*>(on_gpu.data());
    buffers.workspace = reinterpret_cast<std::uint8_t*>(workspace.data());
    buffers.dst = dst_on_gpu.data();
    // Twice: the second launch may begin while the first still runs.
    for (int i = 0; i < 2; ++i) check(kernel.launch(p, buffers, variant, stream_->get()), "launch");
    check(cudaStreamSynchronize(stream_->get()), "kernel");
    check(cudaMemcpy(dst.data(), dst_on_gpu.data(), dst.size(), cudaMemcpyDefault), "download");
    return dst;
  }

  // Random weights, with biases and multipliers that spread the results over their range.
  struct Layer {
    std::vector<std::int8_t> weights;
    Memory bias, m;
  };
  Layer layer(const ConvProblem& p) {
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
    return {std::move(weights), uploaded(bias), uploaded(m)};
  }

  void compare_variants(const ConvProblem& p) {
    const Layer made = layer(p);
    const std::vector<std::int8_t>& weights = made.weights;
    const Memory src = uploaded(bytes(std::int64_t{p.n} * p.ih * p.iw * p.ic));
    const Memory res = uploaded(bytes(p.pixels() * p.oc));
    const Memory pad = uploaded(std::vector<std::uint8_t>(256, static_cast<std::uint8_t>(p.z_src)));
    ConvBuffers buffers{};
    buffers.src = reinterpret_cast<const std::uint8_t*>(src.data());
    buffers.res = reinterpret_cast<const std::uint8_t*>(res.data());
    buffers.bias = made.bias.data();
    buffers.m = reinterpret_cast<const float*>(made.m.data());
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

  // Both convolutions of a pair in one launch against the direct kernel, one after the other.
  void compare_pair(const ConvProblem& first, const ConvProblem& second) {
    ASSERT_TRUE(pair_takes(first, second));
    const Layer a = layer(first);
    const Layer b = layer(second);
    const std::vector<std::uint8_t> src = bytes(first.pixels() * first.ic);
    const Memory src_on_gpu = uploaded(src);
    const Memory res = uploaded(bytes(first.pixels() * first.oc));
    ConvBuffers one{};
    one.src = reinterpret_cast<const std::uint8_t*>(src_on_gpu.data());
    one.res = reinterpret_cast<const std::uint8_t*>(res.data());
    one.bias = a.bias.data();
    one.m = reinterpret_cast<const float*>(a.m.data());
    one.pad = one.src;
    const auto want_first = run(kConvDirect, first, one, a.weights, 0);
    const Memory middle = uploaded(want_first);
    ConvBuffers two = one;
    two.src = reinterpret_cast<const std::uint8_t*>(middle.data());
    two.res = nullptr;
    two.bias = b.bias.data();
    two.m = reinterpret_cast<const float*>(b.m.data());
    const auto want_second = run(kConvDirect, second, two, b.weights, 0);

    const auto packed = [&](const ConvProblem& p, const Layer& layer) {
      std::vector<std::int8_t> to(static_cast<std::size_t>(kConvWgmmaSm90a.packed_bytes(p)));
      kConvWgmmaSm90a.pack(p, layer.weights.data(), to.data());
      return uploaded(to);
    };
    check(kConvWgmmaSm90a.prepare(), "prepare");
    const Memory weights_a = packed(first, a);
    const Memory weights_b = packed(second, b);
    std::vector<std::uint8_t> have_first(want_first.size(), 0xA5);
    std::vector<std::uint8_t> have_second(want_second.size(), 0xA5);
    const Memory dst_a = uploaded(have_first);
    const Memory dst_b = uploaded(have_second);
    one.weights = reinterpret_cast<const std::int8_t*>(weights_a.data());
    one.dst = dst_a.data();
    two.weights = reinterpret_cast<const std::int8_t*>(weights_b.data());
    two.src = reinterpret_cast<const std::uint8_t*>(dst_a.data());
    two.dst = dst_b.data();
    for (int i = 0; i < 2; ++i) {
      check(pair_launch(first, one, second, two, stream_->get()), "launch");
    }
    check(cudaStreamSynchronize(stream_->get()), "kernel");
    const auto download = [](std::vector<std::uint8_t>& to, const Memory& from) {
      check(cudaMemcpy(to.data(), from.data(), to.size(), cudaMemcpyDefault), "download");
    };
    download(have_first, dst_a);
    download(have_second, dst_b);
    ASSERT_TRUE(have_first == want_first) << "first, n" << first.n << " ic" << first.ic;
    ASSERT_TRUE(have_second == want_second)
        << "second, n" << first.n << " ic" << first.ic << " oc" << second.oc;
  }

  // A first layer and its pool in one launch against one after the other.
  void compare_pooled(const ConvProblem& p, const Pool& pool) {
    ASSERT_TRUE(conv_pool_takes(p, pool));
    const Layer made = layer(p);
    const Memory src = uploaded(bytes(std::int64_t{p.n} * p.ih * p.iw * p.ic));
    ConvBuffers buffers{};
    buffers.src = reinterpret_cast<const std::uint8_t*>(src.data());
    buffers.bias = made.bias.data();
    buffers.m = reinterpret_cast<const float*>(made.m.data());
    buffers.pad = buffers.src;
    const Memory unpooled = uploaded(run(kConvDirect, p, buffers, made.weights, 0));
    const auto size = static_cast<std::size_t>(std::int64_t{pool.n} * pool.oh * pool.ow) * 64;
    std::vector<std::uint8_t> want(size, 0xA5);
    std::vector<std::uint8_t> have(size, 0xA5);
    const Memory want_on_gpu = uploaded(want);
    const Memory have_on_gpu = uploaded(have);
    check(launch_max_pool(pool, reinterpret_cast<const std::uint8_t*>(unpooled.data()),
                          reinterpret_cast<std::uint8_t*>(want_on_gpu.data()), stream_->get()),
          "pool");
    check(kConvWgmmaSm90a.prepare(), "prepare");
    std::vector<std::int8_t> packed(static_cast<std::size_t>(kConvWgmmaSm90a.packed_bytes(p)));
    kConvWgmmaSm90a.pack(p, made.weights.data(), packed.data());
    const Memory weights = uploaded(packed);
    buffers.weights = reinterpret_cast<const std::int8_t*>(weights.data());
    buffers.dst = have_on_gpu.data();
    for (int i = 0; i < 2; ++i) {
      check(conv_pool_launch(p, buffers, pool, stream_->get()), "launch");
    }
    check(cudaStreamSynchronize(stream_->get()), "kernel");
    check(cudaMemcpy(want.data(), want_on_gpu.data(), size, cudaMemcpyDefault), "download");
    check(cudaMemcpy(have.data(), have_on_gpu.data(), size, cudaMemcpyDefault), "download");
    ASSERT_TRUE(have == want) << "n" << p.n << " ih" << p.ih << " z" << p.z_dst;
  }

  static float value_at(const std::vector<std::uint8_t>& bytes, ConvResult result,
                        std::size_t index) {
    if (result == ConvResult::kFloat) {
      float value = 0;
      std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
      return value;
    }
    __half value;
    std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
    return __half2float(value);
  }

  std::vector<__half> halves(std::int64_t count, float scale) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<__half> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(__float2half_rn(normal(random_)));
    return values;
  }

  // Half precision, `p` in channels: the direct kernel against sums in binary64 where the problem
  // is small, and every variant against the direct kernel. Sums of few and rounded once, they
  // differ in the last of 11 bits at most.
  void compare_half_variants(ConvProblem p, bool judge) {
    p.element = ConvElement::kHalf;
    p.least = p.result == ConvResult::kFloat ? -65504.0f : -0.5f;
    p.most = 65504.0f;
    const std::int64_t channels = p.ic;
    p.ic *= 2;
    p.z_src = 0;
    const std::int64_t window = p.window() / 2;
    const auto weights = halves(p.oc * window, 1.0f / std::sqrt(static_cast<float>(window)));
    const auto src_values = halves(std::int64_t{p.n} * p.ih * p.iw * channels, 1);
    const auto res_values = halves(p.pixels() * p.oc, 1);
    std::vector<float> bias(
        static_cast<std::size_t>((p.oc + kChannelPad - 1) / kChannelPad * kChannelPad));
    for (std::size_t c = 0; c < static_cast<std::size_t>(p.oc); ++c) {
      bias[c] = static_cast<float>(random_() % 2000) / 1000 - 1;
    }
    const Memory src = uploaded(src_values);
    const Memory res = uploaded(res_values);
    const Memory bias_on_gpu = uploaded(bias);
    const Memory pad = uploaded(std::vector<std::uint8_t>(256, 0));
    ConvBuffers buffers{};
    buffers.src = reinterpret_cast<const std::uint8_t*>(src.data());
    buffers.res = reinterpret_cast<const std::uint8_t*>(res.data());
    buffers.bias = bias_on_gpu.data();
    buffers.m = reinterpret_cast<const float*>(bias_on_gpu.data());
    buffers.pad = reinterpret_cast<const std::uint8_t*>(pad.data());
    const std::vector<std::int8_t> bytes(
        reinterpret_cast<const std::int8_t*>(weights.data()),
        reinterpret_cast<const std::int8_t*>(weights.data() + weights.size()));

    const auto want = run(kConvDirect, p, buffers, bytes, 0);
    const auto count = static_cast<std::size_t>(p.pixels() * p.oc);
    const auto close = [](double have, double wanted) {
      return std::abs(have - wanted) <= 1.5e-3 * std::abs(wanted) + 1e-4;
    };
    for (std::size_t i = 0; judge && i < count; ++i) {
      const auto oc = static_cast<std::int64_t>(i) % p.oc;
      const std::int64_t pixel = static_cast<std::int64_t>(i) / p.oc;
      const std::int64_t line = pixel / p.ow;
      double sum = bias[static_cast<std::size_t>(oc)];
      for (std::int64_t k = 0; k < window; ++k) {
        const std::int64_t y = line % p.oh * p.sh - p.pad_top + k / channels / p.kw;
        const std::int64_t x = pixel % p.ow * p.sw - p.pad_left + k / channels % p.kw;
        if (y < 0 || y >= p.ih || x < 0 || x >= p.iw) continue;
        const std::int64_t at = ((line / p.oh * p.ih + y) * p.iw + x) * channels + k % channels;
        sum += double{__half2float(src_values[static_cast<std::size_t>(at)])} *
               double{__half2float(weights[static_cast<std::size_t>(oc * window + k)])};
      }
      if (p.result == ConvResult::kBytesResidual) sum += double{__half2float(res_values[i])};
      if (p.result != ConvResult::kFloat) sum = std::max(sum, double{p.least});
      ASSERT_TRUE(close(double{value_at(want, p.result, i)}, sum)) << "direct, seed " << kSeed;
    }
    for (std::int32_t k = 0; k < kConvKernelCount; ++k) {
      const ConvKernel& kernel = *kConvKernels[k];
      if (!kernel.supports(p, capability_)) continue;
      for (std::int32_t variant = 0; variant < kernel.variants; ++variant) {
        if (!kernel.takes(p, variant)) continue;
        const auto have = run(kernel, p, buffers, bytes, variant);
        for (std::size_t i = 0; i < count; ++i) {
          ASSERT_TRUE(
              close(double{value_at(have, p.result, i)}, double{value_at(want, p.result, i)}))
              << kernel.name << " " << kernel.variant_name(variant) << ", seed " << kSeed << ": n"
              << p.n << " ih" << p.ih << " ic" << channels << " oc" << p.oc << " k" << p.kh << " s"
              << p.sh << ", result " << i << ": " << value_at(have, p.result, i) << " instead of "
              << value_at(want, p.result, i);
        }
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

// Pixels that fill whole tiles and not, few and many; results of the whole range and of a part.
TEST_F(ConvKernels, PairsEqualTwoLaunches) {
  if (capability_ != 90) GTEST_SKIP() << "pairs are for compute capability 9.0";
  for (const auto [ic, wide, narrow] :
       {std::array{64, 256, 64}, std::array{64, 256, 128}, std::array{128, 512, 128}}) {
    for (const auto [n, size] :
         {std::array{1, 5}, std::array{3, 28}, std::array{16, 28}, std::array{7, 56}}) {
      for (const bool whole : {true, false}) {
        ConvProblem first = problem(n, size, ic, wide, 1, 1, 0, ConvResult::kBytesResidual);
        ConvProblem second = problem(n, size, wide, narrow, 1, 1, 0, ConvResult::kBytes);
        for (ConvProblem* p : {&first, &second}) {
          p->z_dst = whole ? 0 : 3;
          p->lo = whole ? 0 : 5;
          p->hi = whole ? 255 : 201;
        }
        compare_pair(first, second);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// ResNet's first layer, and images whose last band is short.
TEST_F(ConvKernels, AFirstLayerWithItsPoolEqualsTwoLaunches) {
  if (capability_ != 90) GTEST_SKIP() << "for compute capability 9.0";
  for (const auto [n, size] :
       {std::array{1, 115}, std::array{40, 115}, std::array{3, 67}, std::array{2, 36}}) {
    for (const bool whole : {true, false}) {
      ConvProblem p = problem(n, size, 16, 64, 4, 1, 0, ConvResult::kBytes);
      p.z_dst = whole ? 0 : 3;
      p.lo = whole ? 0 : 5;
      p.hi = whole ? 255 : 201;
      const int pooled = (p.oh + 2 - 3) / 2 + 1;
      compare_pooled(p, {n, p.oh, p.ow, pooled, pooled, 64, 3, 3, 2, 2, 1, 1});
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(ConvKernels, EveryHalfVariantOfResNetLayersAgrees) {
  const auto check_layer = [&](int n, int size, int ic, int oc, int kernel, int stride, int pad,
                               ConvResult result) {
    compare_half_variants(problem(n, size, ic, oc, kernel, stride, pad, result), false);
  };
  check_layer(2, 115, 16, 64, 4, 1, 0, ConvResult::kBytes);
  check_layer(9, 1, 2048, 200, 1, 1, 0, ConvResult::kFloat);
  int size = 56;
  for (int wide = 64; wide <= 512 && !HasFatalFailure(); wide *= 2, size /= 2) {
    const int n = wide == 64 ? 3 : 9;
    check_layer(n, size, wide, wide, 3, 1, 1, ConvResult::kBytes);
    check_layer(n, size, wide, wide * 4, 1, 1, 0, ConvResult::kBytesResidual);
    check_layer(n, size, wide * 4, wide, 1, 1, 0, ConvResult::kBytes);
    if (wide == 512) break;
    check_layer(n, size, wide * 2, wide * 2, 3, 2, 1, ConvResult::kBytes);
    check_layer(n, size, wide * 4, wide * 8, 1, 2, 0, ConvResult::kBytes);
  }
  EXPECT_GT(compared_, 100);
}

TEST_F(ConvKernels, EveryHalfVariantOfRandomProblemsAgrees) {
  for (int i = 0; i < 60; ++i) {
    const auto pick = [&](std::initializer_list<int> values) {
      return values.begin()[random_() % values.size()];
    };
    const int kernel = pick({1, 2, 3, 5});
    const int groups = pick({1, 1, 2});
    ConvProblem p = problem(pick({1, 2}), pick({7, 9, 16}), pick({6, 16, 64, 128}),
                            pick({24, 64, 128, 320}), kernel, pick({1, 2, 3}),
                            static_cast<int>(random_() % static_cast<unsigned>(kernel)),
                            static_cast<ConvResult>(random_() % 3));
    p.groups = groups;
    compare_half_variants(p, groups == 1);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace pronghorn::device::cuda
