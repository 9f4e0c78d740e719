// SPDX-License-Identifier: Apache-2.0
// The convolution that takes everything, on every GPU: groups, any channel count, any stride.
//
// A thread makes one output channel of kPixels neighbouring pixels, four input channels at a time
// with dp4a. Neighbouring threads make neighbouring channels, so weights are packed as
// [window place][quad of input channels][output channel][4]: a warp reads them in one go, and the
// pixels it shares come from the first-level cache. Half-precision weights are packed as
// [window place][input channel][output channel], and their sums taken in this order.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include "device/cuda/kernels/conv_kernel.h"
#include "device/cuda/kernels/finish.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kPixels = 4;

__device__ __forceinline__ std::int32_t dot4(std::uint32_t src, std::int32_t weights,
                                             std::int32_t acc) {
  asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(acc) : "r"(src), "r"(weights));
  return acc;
}

// Four channels from `at`, of which `count` exist.
__device__ __forceinline__ std::uint32_t load_quad(const std::uint8_t* at, int count, bool words) {
  if (words) return *reinterpret_cast<const std::uint32_t*>(at);
  std::uint32_t quad = 0;
  for (int i = 0; i < count; ++i) quad |= static_cast<std::uint32_t>(at[i]) << (8 * i);
  return quad;
}

__global__ void __launch_bounds__(kThreads)
    conv_direct(ConvProblem p, ConvBuffers b, Finish f, std::int64_t items) {
  const std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (item >= items) return;
  const int oc = static_cast<int>(item % p.oc);
  const std::int64_t first = item / p.oc * kPixels;
  const std::int64_t pixels = p.pixels();
  const int ic = p.ic / p.groups;
  const int quads = (ic + 3) / 4;
  const int channel = oc / (p.oc / p.groups) * ic;
  const bool words = p.ic % 4 == 0 && ic % 4 == 0;
  const std::uint32_t padding = static_cast<std::uint32_t>(p.z_src) * 0x01010101u;

  int top[kPixels], left[kPixels];
  std::int64_t image[kPixels];
  std::int32_t acc[kPixels];
#pragma unroll
  for (int i = 0; i < kPixels; ++i) {
    const std::int64_t pixel = first + i < pixels ? first + i : pixels - 1;
    const std::int64_t row = pixel / p.ow;
    left[i] = static_cast<int>(pixel % p.ow) * p.sw - p.pad_left;
    top[i] = static_cast<int>(row % p.oh) * p.sh - p.pad_top;
    image[i] = row / p.oh * p.ih * p.iw;
    acc[i] = static_cast<const std::int32_t*>(b.bias)[oc];
  }
  const auto* weights = reinterpret_cast<const std::int32_t*>(b.weights) + oc;
  for (int y = 0; y < p.kh; ++y) {
    for (int x = 0; x < p.kw; ++x) {
      const std::uint8_t* at[kPixels];
#pragma unroll
      for (int i = 0; i < kPixels; ++i) {
        const int row = top[i] + y;
        const int column = left[i] + x;
        const bool in = row >= 0 && row < p.ih && column >= 0 && column < p.iw;
        at[i] =
            in ? b.src + (image[i] + std::int64_t{row} * p.iw + column) * p.ic + channel : nullptr;
      }
      for (int q = 0; q < quads; ++q) {
        const std::int32_t w = *weights;
        weights += p.oc;
        const int count = min(4, ic - 4 * q);
#pragma unroll
        for (int i = 0; i < kPixels; ++i) {
          const std::uint32_t src =
              at[i] != nullptr ? load_quad(at[i] + 4 * q, count, words) : padding;
          acc[i] = dot4(src, w, acc[i]);
        }
      }
    }
  }
  const float m = b.m[oc];
  for (int i = 0; i < kPixels && first + i < pixels; ++i) {
    const std::int64_t at = (first + i) * p.oc + oc;
    if (p.result == ConvResult::kFloat) {
      static_cast<float*>(b.dst)[at] = finish_float(acc[i], m);
    } else {
      const std::uint32_t q = p.result == ConvResult::kBytesResidual
                                  ? finish_residual(acc[i], m, b.res[at], f)
                                  : finish(acc[i], m, f);
      static_cast<std::uint8_t*>(b.dst)[at] = static_cast<std::uint8_t>(q);
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    conv_direct_half(ConvProblem p, ConvBuffers b, std::int64_t items) {
  const std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (item >= items) return;
  const int oc = static_cast<int>(item % p.oc);
  const std::int64_t first = item / p.oc * kPixels;
  const std::int64_t pixels = p.pixels();
  const int all = p.ic / 2;
  const int ic = all / p.groups;
  const int channel = oc / (p.oc / p.groups) * ic;
  const auto* src = reinterpret_cast<const __half*>(b.src);

  int top[kPixels], left[kPixels];
  std::int64_t image[kPixels];
  float acc[kPixels];
#pragma unroll
  for (int i = 0; i < kPixels; ++i) {
    const std::int64_t pixel = first + i < pixels ? first + i : pixels - 1;
    const std::int64_t row = pixel / p.ow;
    left[i] = static_cast<int>(pixel % p.ow) * p.sw - p.pad_left;
    top[i] = static_cast<int>(row % p.oh) * p.sh - p.pad_top;
    image[i] = row / p.oh * p.ih * p.iw;
    acc[i] = static_cast<const float*>(b.bias)[oc];
  }
  const __half* weights = reinterpret_cast<const __half*>(b.weights) + oc;
  for (int y = 0; y < p.kh; ++y) {
    for (int x = 0; x < p.kw; ++x) {
      const __half* at[kPixels];
#pragma unroll
      for (int i = 0; i < kPixels; ++i) {
        const int row = top[i] + y;
        const int column = left[i] + x;
        const bool in = row >= 0 && row < p.ih && column >= 0 && column < p.iw;
        at[i] = in ? src + (image[i] + std::int64_t{row} * p.iw + column) * all + channel : nullptr;
      }
      for (int c = 0; c < ic; ++c) {
        const float w = __half2float(*weights);
        weights += p.oc;
#pragma unroll
        for (int i = 0; i < kPixels; ++i) {
          if (at[i] != nullptr) acc[i] = __fmaf_rn(__half2float(at[i][c]), w, acc[i]);
        }
      }
    }
  }
  for (int i = 0; i < kPixels && first + i < pixels; ++i) {
    const std::int64_t at = (first + i) * p.oc + oc;
    if (p.result == ConvResult::kFloat) {
      static_cast<float*>(b.dst)[at] = acc[i];
      continue;
    }
    float r = acc[i];
    if (p.result == ConvResult::kBytesResidual) {
      r += __half2float(reinterpret_cast<const __half*>(b.res)[at]);
    }
    static_cast<__half*>(b.dst)[at] = __float2half_rn(fminf(fmaxf(r, p.least), p.most));
  }
}

std::int64_t packed_bytes(const ConvProblem& p) {
  if (p.half()) return std::int64_t{p.window()} * p.oc;
  return std::int64_t{p.kh} * p.kw * ((p.ic / p.groups + 3) / 4) * 4 * p.oc;
}

void pack(const ConvProblem& p, const std::int8_t* weights, std::int8_t* packed) {
  if (p.half()) {
    const std::int64_t window = p.window() / 2;
    for (std::int64_t i = 0; i < window * p.oc; ++i) {
      const std::int8_t* from = weights + (i % p.oc * window + i / p.oc) * 2;
      packed[i * 2] = from[0];
      packed[i * 2 + 1] = from[1];
    }
    return;
  }
  const int ic = p.ic / p.groups;
  const std::int64_t quads = (ic + 3) / 4;
  for (std::int64_t oc = 0; oc < p.oc; ++oc) {
    for (std::int64_t place = 0; place < std::int64_t{p.kh} * p.kw; ++place) {
      const std::int8_t* from = weights + (oc * p.kh * p.kw + place) * ic;
      for (std::int64_t c = 0; c < quads * 4; ++c) {
        packed[((place * quads + c / 4) * p.oc + oc) * 4 + c % 4] =
            c < ic ? from[c] : std::int8_t{0};
      }
    }
  }
}

int launch(const ConvProblem& p, const ConvBuffers& b, std::int32_t, Stream stream) {
  const Finish f = make_finish(p.z_dst, p.lo, p.hi, p.z_res, p.m_res);
  const std::int64_t items = (p.pixels() + kPixels - 1) / kPixels * p.oc;
  const auto blocks = static_cast<unsigned>((items + kThreads - 1) / kThreads);
  if (p.half()) {
    conv_direct_half<<<blocks, kThreads, 0, stream>>>(p, b, items);
  } else {
    conv_direct<<<blocks, kThreads, 0, stream>>>(p, b, f, items);
  }
  return static_cast<int>(cudaGetLastError());
}

}  // namespace

const ConvKernel kConvDirect = {
    .name = "direct",
    .supports = [](const ConvProblem&, std::int32_t capability) { return capability >= 75; },
    .variants = 1,
    .variant_name = [](std::int32_t) { return "128"; },
    .takes = [](const ConvProblem&, std::int32_t) { return true; },
    .choose = [](const ConvProblem&, std::int32_t) { return std::int32_t{0}; },
    .packed_bytes = packed_bytes,
    .pack = pack,
    .workspace_bytes = [](const ConvProblem&, std::int32_t) { return std::int64_t{0}; },
    .prepare = [] { return 0; },
    .launch = launch,
};

}  // namespace pronghorn::device::cuda
