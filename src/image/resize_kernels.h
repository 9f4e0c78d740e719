// SPDX-License-Identifier: Apache-2.0
// The two inner loops of a resize, one table an instruction set. All tables give the same bytes.
#pragma once

#include <cstdint>

namespace pronghorn::image {

// Weights are fixed-point numbers of 22 fraction bits, >= 0, those of one output adding up to one.
constexpr int kWeightBits = 22;
// For 16-bit multipliers each weight w is also kept as two parts, w == high << 15 | low with
// 0 <= low < 2^15 and 0 <= high < 2^7. A weight of exactly one becomes 1 - 2^-22 there, which no
// result shows: p * 2^22 - p rounds to p for every 8-bit p.
constexpr int kLowBits = 15;

// How the outputs of one axis are made: output i is the sum of weights[i * taps + t] *
// src[first[i] + t]. `taps` is even; surplus taps have weight 0.
struct Axis {
  const std::int32_t* first;
  const std::int32_t* weights;  // [count][taps]
  const std::int16_t* parts;    // [count][taps / 2][4]: low, low, high, high of two taps
  int count;
  int taps;
};

// Bytes which must be readable behind a source row and writable behind an intermediate row.
constexpr int kRowSlack = 32;

struct ResizeKernels {
  const char* name;
  // Rows of RGB pixels: dst[r] gets axis.count pixels made from src[r], for r in [0, rows).
  void (*horizontal)(const Axis& axis, const std::uint8_t* const* src, int rows,
                     std::uint8_t* const* dst);
  // Output row i of the axis from the rows src[0 .. taps): `bytes` bytes, nothing behind is
  // written.
  void (*vertical)(const Axis& axis, int i, const std::uint8_t* const* src, int bytes,
                   std::uint8_t* dst);
};

extern const ResizeKernels kResizePortable;
extern const ResizeKernels kResizeAvx2;  // needs AVX2

}  // namespace pronghorn::image
