// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "image/resize_kernels.h"

namespace pronghorn::image {
namespace {

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

void horizontal(const Axis& axis, const std::uint8_t* const* src, int rows,
                std::uint8_t* const* dst) {
  for (int r = 0; r < rows; ++r) {
    std::uint8_t* out = dst[r];
    for (int i = 0; i < axis.count; ++i) {
      const std::uint8_t* in = src[r] + 3 * static_cast<std::ptrdiff_t>(axis.first[i]);
      const std::int32_t* weights = axis.weights + static_cast<std::ptrdiff_t>(i) * axis.taps;
      std::int32_t red = kHalf;
      std::int32_t green = kHalf;
      std::int32_t blue = kHalf;
      for (int t = 0; t < axis.taps; ++t) {
        red += in[3 * t] * weights[t];
        green += in[3 * t + 1] * weights[t];
        blue += in[3 * t + 2] * weights[t];
      }
      *out++ = static_cast<std::uint8_t>(red >> kWeightBits);
      *out++ = static_cast<std::uint8_t>(green >> kWeightBits);
      *out++ = static_cast<std::uint8_t>(blue >> kWeightBits);
    }
  }
}

// In blocks that stay in the first cache, so that the loop over x is the inner one.
void vertical(const Axis& axis, int i, const std::uint8_t* const* src, int bytes,
              std::uint8_t* dst) {
  constexpr int kBlock = 512;
  std::array<std::int32_t, kBlock> sum;
  const std::int32_t* weights = axis.weights + static_cast<std::ptrdiff_t>(i) * axis.taps;
  for (int begin = 0; begin < bytes; begin += kBlock) {
    const int count = std::min(kBlock, bytes - begin);
    std::fill_n(sum.begin(), count, kHalf);
    for (int t = 0; t < axis.taps; ++t) {
      const std::uint8_t* in = src[t] + begin;
      const std::int32_t weight = weights[t];
      for (int x = 0; x < count; ++x) sum[x] += in[x] * weight;
    }
    for (int x = 0; x < count; ++x)
      dst[begin + x] = static_cast<std::uint8_t>(sum[x] >> kWeightBits);
  }
}

}  // namespace

const ResizeKernels kResizePortable = {"portable", horizontal, vertical};

}  // namespace pronghorn::image
