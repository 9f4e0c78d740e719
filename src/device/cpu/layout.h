// SPDX-License-Identifier: Apache-2.0
// How one image of an activation lies in memory. 8-bit activations carry a border as wide as the
// convolutions that read them pad, filled with the zero point: a window is then a constant set of
// byte offsets from its first pixel, whatever its place. Neighbours share the border between them:
// the right one of a row is the left one of the next row as far as that is wide, the bottom one of
// an image the top one of the next image of its slot. So the pixels of a row, of all rows and of
// all images lie at one constant distance. Float activations are plain NHWC.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::device::cpu {

struct Border {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
  std::vector<std::uint8_t> fill;  // one value, or one a channel; empty when there is no border

  bool any() const { return top + left + bottom + right > 0; }
};

struct Layout {
  graph::DType dtype = graph::DType::kU8;  // of the graph's value; s8 is stored as value + 128
  graph::Shape shape;
  Border border;

  std::int64_t element() const { return dtype == graph::DType::kF32 ? 4 : 1; }
  std::int64_t pixel() const { return shape.c * element(); }  // bytes
  std::int64_t row() const { return shape.w * pixel(); }      // of content
  std::int64_t pitch() const {
    return (border.left + shape.w + std::max<std::int64_t>(border.right - border.left, 0)) *
           pixel();
  }
  std::int64_t first() const { return border.top * pitch() + border.left * pixel(); }
  // From an image to the next one of a slot.
  std::int64_t stride() const { return (shape.h + std::max(border.top, border.bottom)) * pitch(); }
  // Of `images` with the borders after the last one, and room for vector loads that start inside.
  std::int64_t bytes(std::int64_t images = 1) const {
    return images * stride() + std::min(border.top, border.bottom) * pitch() +
           std::min(border.left, border.right) * pixel() + 64;
  }
};

// What must be added to a stored value or a zero point of `dtype` to have it as u8.
inline std::int32_t to_u8(graph::DType dtype) { return dtype == graph::DType::kS8 ? 128 : 0; }

void fill_border(const Layout& layout, std::byte* buffer);
// Its share `part` of `parts` equal ones.
void fill_border(const Layout& layout, std::byte* buffer, std::int64_t part, std::int64_t parts);

// Between a caller's plain NHWC image and a buffer, border included on the way in.
void copy_in(const Layout& layout, const void* image, std::byte* buffer);
void copy_out(const Layout& layout, const std::byte* buffer, void* image);

}  // namespace pronghorn::device::cpu
