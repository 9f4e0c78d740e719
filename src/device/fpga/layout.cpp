// SPDX-License-Identifier: Apache-2.0
#include "device/fpga/layout.h"

namespace pronghorn::device::fpga {

std::int64_t Layout::extent() const {
  if (form == Form::kPlanes) return dcol + 2 * images * plane_image();
  return std::int64_t{images} * grid_height * grid_width;
}

std::int64_t Layout::position(int n, int y, int x) const {
  if (form == Form::kPlanes) {
    return y % 2 * drow + x % 2 * dcol + n * plane_image() + y / 2 * (grid_width / 2) + x / 2;
  }
  return (std::int64_t{n} * grid_height + y) * grid_width + x;
}

Layout raster(int images, int width, int height, int grid_width, int grid_height) {
  Layout l;
  l.images = images;
  l.width = width;
  l.height = height;
  l.grid_width = grid_width;
  l.grid_height = grid_height;
  return l;
}

Layout planes(int images, int width, int height, int grid_width, int grid_height, int px) {
  Layout l = raster(images, width, height, grid_width, grid_height);
  l.form = Form::kPlanes;
  // Odd rows follow the even ones; the odd columns begin where a tile's two columns never meet in a
  // bank: half a row further.
  l.drow = images * l.plane_image();
  const std::int64_t behind = 2 * l.drow;
  l.dcol = behind + ((px / 2 - behind) % px + px) % px;
  return l;
}

}  // namespace pronghorn::device::fpga
