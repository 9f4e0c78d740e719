// SPDX-License-Identifier: Apache-2.0
// The model port's inner loop: one step of the array for one pixel tile.
//
// sums[p * oc + o] += over i of src[p * ic + i] * weights(o, i), p < pixels. Weights lie in pairs
// of input channels, [ic / 2][oc][2], as s16; src as s16: what vpmaddwd multiplies and adds exactly
// (two products of s8 stay far inside s32).
#pragma once

#include <cstdint>

namespace pronghorn::device::fpga {

struct SumsKernel {
  const char* name;
  // ic even, oc a multiple of 8.
  void (*add)(const std::int16_t* src, const std::int16_t* weights, int pixels, int ic, int oc,
              std::int32_t* sums);
};

extern const SumsKernel kSumsPortable;
extern const SumsKernel kSumsAvx2;

// The fastest that this machine runs.
const SumsKernel& choose_sums_kernel();

}  // namespace pronghorn::device::fpga
