// SPDX-License-Identifier: Apache-2.0
// A resize that takes its source row by row, so that a decoder can feed it while rows are in cache.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "image/image.h"
#include "image/resize_kernels.h"

namespace pronghorn::image {

struct Range {  // [begin, end)
  int begin = 0;
  int end = 0;
  int size() const { return end - begin; }
};

// One axis: the source interval [from, to) of `src` pixels is stretched to `dst` pixels, of which
// `wanted` are computed. 0 <= from < to <= src; whole numbers unless the source was scaled before.
struct Stretch {
  int src = 0;
  double from = 0;
  double to = 0;
  int dst = 0;
  Range wanted;
};

// The whole of `src` pixels to `dst` pixels.
inline Stretch whole(int src, int dst) { return {src, 0, static_cast<double>(src), dst, {0, dst}}; }

// Both axes of what a mode makes of a picture of width x height.
struct ResizePlan {
  Stretch x;
  Stretch y;
};
ResizePlan plan_resize(const ResizeMode& mode, int width, int height);

// One axis of the triangle filter as numbers: output i is the sum over t in [0, taps) of
// weights[i * taps + t] * src[first[i] + t], plus half, shifted right by kWeightBits. Taps beyond
// the source have weight 0.
struct Taps {
  std::vector<std::int32_t> first;
  std::vector<std::int32_t> weights;
  int taps = 0;
};
Taps triangle_taps(const Stretch& stretch);

class Resampler {
 public:
  Resampler(const Stretch& x, const Stretch& y, Interpolation interpolation);

  Range rows() const { return rows_; }        // source rows that are needed
  Range columns() const { return columns_; }  // source columns that are needed

  // The next `count` of rows(): src[r] points to pixel columns().begin of a row, RGB.
  // kRowSlack bytes behind pixel columns().end must be readable.
  void push(const std::uint8_t* const* src, int count);
  // After the last row: the wanted pixels, rows back to back.
  void finish(std::uint8_t* dst);

 private:
  friend Taps triangle_taps(const Stretch& stretch);
  struct Weights {  // owns what Axis points to
    std::vector<std::int32_t> first;
    std::vector<std::int32_t> weights;
    std::vector<std::int16_t> parts;
    int taps = 0;
    Axis axis() const;
    Range source() const;  // what first and taps span
  };
  static Weights triangle(const Stretch& stretch);
  static Weights nearest(const Stretch& stretch);

  std::uint8_t* intermediate(int row) { return intermediate_.data() + row * pitch_; }

  const ResizeKernels* kernels_;  // nullptr: nearest neighbour
  Weights x_;
  Weights y_;
  Range rows_;
  Range columns_;
  std::ptrdiff_t pitch_;
  int pushed_ = 0;
  std::vector<std::uint8_t> intermediate_;  // rows() of the wanted width
};

// The fastest kernels of this processor. PRONGHORN_ISA=portable in the environment forces the
// portable ones.
const ResizeKernels& resize_kernels();

}  // namespace pronghorn::image
