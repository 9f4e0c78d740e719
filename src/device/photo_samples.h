// SPDX-License-Identifier: Apache-2.0
// From the sample planes of a JPEG to resized pixels, one value at a time: what a device's resize
// kernel computes, as constexpr functions that the processor's tests run too. The arithmetic is
// that of libjpeg-turbo's decoder behind its inverse transform (triangle upsampling, colour
// conversion of ITU-T T.871 in 16 fraction bits) and of src/image's resize, so that the same
// samples give the same pixels on every device.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pronghorn::device {

enum class SampleKind : std::int32_t { kRgb, kGray, kYcc };  // kRgb: interleaved in plane 0

// The samples of one photograph. Memory of whoever reads it.
struct PhotoSamples {
  SampleKind kind;
  std::int32_t width, height;                // of the picture
  std::int32_t h, v;                         // samples of Y for one of Cb and Cr: 1, or 2
  std::int32_t chroma_width, chroma_height;  // kYcc
  std::int32_t pitch[3];                     // bytes from row to row
  const std::uint8_t* plane[3];
};

struct Rgb {
  std::int32_t r, g, b;
};

constexpr std::int32_t clamp_byte(std::int32_t value) {
  return value < 0 ? 0 : (value > 255 ? 255 : value);
}

// y, cb, cr in 0 .. 255. The factors 1.402, 0.344136, 0.714136 and 1.772 times 2^16.
constexpr Rgb ycc_to_rgb(std::int32_t y, std::int32_t cb, std::int32_t cr) {
  constexpr std::int32_t kHalf = 1 << 15;
  cb -= 128;
  cr -= 128;
  return {clamp_byte(y + ((91881 * cr + kHalf) >> 16)),
          clamp_byte(y + ((kHalf - 22554 * cb - 46802 * cr) >> 16)),
          clamp_byte(y + ((116130 * cb + kHalf) >> 16))};
}

// Plane `i`, 1 or 2, at pixel (x, y): three parts of the nearer sample and one of the farther, on
// each axis that has half the samples.
constexpr std::int32_t chroma_at(const PhotoSamples& s, int i, std::int32_t x, std::int32_t y) {
  const std::int32_t column = s.h == 2 ? x >> 1 : x;
  const std::int32_t row = s.v == 2 ? y >> 1 : y;
  const std::uint8_t* near = s.plane[i] + static_cast<std::ptrdiff_t>(row) * s.pitch[i];
  if (s.h == 1) return near[column];
  const std::int32_t beside = (x & 1) != 0 ? column + 1 : column - 1;
  const bool edge = beside < 0 || beside >= s.chroma_width;
  if (s.v == 1) {
    if (edge) return near[column];
    return (3 * near[column] + near[beside] + ((x & 1) != 0 ? 2 : 1)) >> 2;
  }
  std::int32_t other = (y & 1) != 0 ? row + 1 : row - 1;
  if (other < 0) other = 0;
  if (other >= s.chroma_height) other = s.chroma_height - 1;
  const std::uint8_t* far = s.plane[i] + static_cast<std::ptrdiff_t>(other) * s.pitch[i];
  const std::int32_t here = 3 * near[column] + far[column];
  const std::int32_t there = edge ? here : 3 * near[beside] + far[beside];
  return (3 * here + there + ((x & 1) != 0 ? 7 : 8)) >> 4;
}

constexpr Rgb rgb_at(const PhotoSamples& s, std::int32_t x, std::int32_t y) {
  const std::uint8_t* row = s.plane[0] + static_cast<std::ptrdiff_t>(y) * s.pitch[0];
  if (s.kind == SampleKind::kRgb) {
    return {row[3 * static_cast<std::ptrdiff_t>(x)], row[3 * static_cast<std::ptrdiff_t>(x) + 1],
            row[3 * static_cast<std::ptrdiff_t>(x) + 2]};
  }
  if (s.kind == SampleKind::kGray) return {row[x], row[x], row[x]};
  return ycc_to_rgb(row[x], chroma_at(s, 1, x, y), chroma_at(s, 2, x, y));
}

// One axis of a resize: output i is the sum over t of weights[i * taps + t] * src[first[i] + t],
// plus half, shifted right by kTapBits. Taps beyond the source have weight 0. Columns first,
// rounded to bytes, then rows.
constexpr int kTapBits = 22;
struct TapAxis {
  std::int32_t taps;
  const std::int32_t* first;
  const std::int32_t* weights;
};

// Output column i of source row y.
constexpr Rgb resized_column(const PhotoSamples& s, const TapAxis& axis, std::int32_t i,
                             std::int32_t y) {
  constexpr std::int32_t kHalf = 1 << (kTapBits - 1);
  const std::int32_t* weights = axis.weights + static_cast<std::ptrdiff_t>(i) * axis.taps;
  Rgb sum{kHalf, kHalf, kHalf};
  for (std::int32_t t = 0; t < axis.taps; ++t) {
    if (weights[t] == 0) continue;
    const Rgb pixel = rgb_at(s, axis.first[i] + t, y);
    sum.r += pixel.r * weights[t];
    sum.g += pixel.g * weights[t];
    sum.b += pixel.b * weights[t];
  }
  return {sum.r >> kTapBits, sum.g >> kTapBits, sum.b >> kTapBits};
}

// Output row i of one column of bytes, `pitch` apart, whose first is source row `from`.
constexpr std::uint8_t resized_row(const std::uint8_t* column, std::ptrdiff_t pitch,
                                   std::int32_t from, const TapAxis& axis, std::int32_t i) {
  const std::int32_t* weights = axis.weights + static_cast<std::ptrdiff_t>(i) * axis.taps;
  std::int32_t sum = 1 << (kTapBits - 1);
  for (std::int32_t t = 0; t < axis.taps; ++t) {
    if (weights[t] != 0) sum += column[(axis.first[i] + t - from) * pitch] * weights[t];
  }
  return static_cast<std::uint8_t>(sum >> kTapBits);
}

}  // namespace pronghorn::device
