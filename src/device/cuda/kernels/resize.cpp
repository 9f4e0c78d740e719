// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/kernels/resize.h"

#include <algorithm>

namespace pronghorn::device::cuda {
namespace {

constexpr int kBand = 16;
constexpr int kUsualShared = 32 << 10;  // several blocks of so much share a multiprocessor

}  // namespace

int resize_band(const TapAxis& y, int height, int side, int most_shared, int* shared) {
  for (int band = std::min(kBand, side); band >= 1; band /= 2) {
    int rows = 0;
    for (int begin = 0; begin < side; begin += band) {
      const int last = std::min(begin + band, side) - 1;
      rows = std::max(rows, std::min(y.first[last] + y.taps, height) - y.first[begin]);
    }
    const std::int64_t bytes = std::int64_t{rows} * side * 3;
    if (bytes <= std::min(kUsualShared, most_shared) || (band == 1 && bytes <= most_shared)) {
      *shared = static_cast<int>(bytes);
      return band;
    }
  }
  return 0;
}

}  // namespace pronghorn::device::cuda
