// SPDX-License-Identifier: Apache-2.0
// Where a tensor lies in an activation memory (docs/fpga.md, "Activation memories").
//
// Positions are counted flat: f = row * px + bank. A tensor lies on a grid of `pitch` x `height`
// pixels an image, at least as large as the tensor itself; what the grid has beyond it holds bytes
// without a meaning.
#pragma once

#include <cstdint>

#include "device/fpga/command.h"

namespace pronghorn::device::fpga {

enum class Form : std::uint8_t {
  kRaster,  // n, y, x one after another
  kPlanes,  // even and odd rows, even and odd columns apart: what a window of stride 2 reads
};

struct Layout {
  Form form = Form::kRaster;
  int images = 1;
  int width = 1, height = 1;            // of the tensor
  int grid_width = 1, grid_height = 1;  // of the grid
  std::int64_t drow = 0, dcol = 0;      // kPlanes: flat distance of the odd rows, the odd columns

  // Flat positions that the tensor of one channel group covers, from its first.
  std::int64_t extent() const;
  // Of pixel (y, x) of image n, from the tensor's first.
  std::int64_t position(int n, int y, int x) const;
  // Flat positions of one image in a plane.
  std::int64_t plane_image() const {
    return std::int64_t{(grid_height + 1) / 2} * (grid_width / 2);
  }
  bool operator==(const Layout&) const = default;
};

// `grid_width` must be even for planes; px is the number of banks.
Layout raster(int images, int width, int height, int grid_width, int grid_height);
Layout planes(int images, int width, int height, int grid_width, int grid_height, int px);

// A tensor that has its place: `groups` regions, gs rows apart, from row `row` of memory `mem`.
struct Region {
  int mem = 0;
  std::int64_t row = 0, gs = 0;
  int groups = 1;
  std::int64_t rows() const { return gs * groups; }
};

// Flat distance -> (row, bank), 0 <= bank < px.
inline Tap to_tap(std::int64_t flat, int px) {
  const std::int64_t row = flat >= 0 ? flat / px : -((-flat + px - 1) / px);
  return {row, flat - row * px, 0, 0};
}

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace pronghorn::device::fpga
