// SPDX-License-Identifier: Apache-2.0
#include "device/fpga/kernels/sums.h"

namespace pronghorn::device::fpga {
namespace {

void add(const std::int16_t* src, const std::int16_t* weights, int pixels, int ic, int oc,
         std::int32_t* sums) {
  for (int p = 0; p < pixels; ++p) {
    for (int i = 0; i < ic; i += 2) {
      const std::int32_t a = src[p * ic + i];
      const std::int32_t b = src[p * ic + i + 1];
      const std::int16_t* w = weights + i * oc;
      for (int o = 0; o < oc; ++o) sums[p * oc + o] += a * w[2 * o] + b * w[2 * o + 1];
    }
  }
}

}  // namespace

const SumsKernel kSumsPortable{"portable", add};

}  // namespace pronghorn::device::fpga
