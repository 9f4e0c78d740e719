// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/layout.h"

#include <cstring>

namespace pronghorn::device::cpu {
namespace {

// `pixels` pixels of border from `at` on.
void fill(const Border& border, std::int64_t channels, std::byte* at, std::int64_t pixels) {
  const auto bytes = static_cast<std::size_t>(pixels * channels);
  if (border.fill.size() == 1) {
    std::memset(at, border.fill[0], bytes);
    return;
  }
  for (std::size_t i = 0; i < bytes; i += static_cast<std::size_t>(channels)) {
    std::memcpy(at + i, border.fill.data(), static_cast<std::size_t>(channels));
  }
}

// 8-bit rows change between s8 and value + 128 by flipping the top bit.
void copy_row(const Layout& layout, const std::byte* src, std::byte* dst) {
  const auto bytes = static_cast<std::size_t>(layout.row());
  if (layout.dtype != graph::DType::kS8) {
    std::memcpy(dst, src, bytes);
    return;
  }
  for (std::size_t i = 0; i < bytes; ++i) dst[i] = src[i] ^ std::byte{0x80};
}

}  // namespace

void fill_border(const Layout& layout, std::byte* buffer) { fill_border(layout, buffer, 0, 1); }

void fill_border(const Layout& layout, std::byte* buffer, std::int64_t part, std::int64_t parts) {
  const Border& b = layout.border;
  if (!b.any()) return;
  const std::int64_t c = layout.shape.c;
  const std::int64_t pitch = layout.pitch();
  const std::int64_t width = pitch / c;
  // What stands between the contents of two rows; the first row's stands before it.
  const std::int64_t between = width - layout.shape.w;
  const std::int64_t h = layout.shape.h;
  if (part == 0) fill(b, c, buffer, b.top * width + b.left);
  std::byte* end = buffer + layout.first() + layout.shape.w * c;
  for (std::int64_t y = h * part / parts; y < h * (part + 1) / parts; ++y) {
    fill(b, c, end + y * pitch, y + 1 < h ? between : b.right + b.bottom * width);
  }
}

void copy_in(const Layout& layout, const void* image, std::byte* buffer) {
  fill_border(layout, buffer);
  const auto* src = static_cast<const std::byte*>(image);
  for (std::int64_t y = 0; y < layout.shape.h; ++y) {
    copy_row(layout, src + y * layout.row(), buffer + layout.first() + y * layout.pitch());
  }
}

void copy_out(const Layout& layout, const std::byte* buffer, void* image) {
  auto* dst = static_cast<std::byte*>(image);
  for (std::int64_t y = 0; y < layout.shape.h; ++y) {
    copy_row(layout, buffer + layout.first() + y * layout.pitch(), dst + y * layout.row());
  }
}

}  // namespace pronghorn::device::cpu
