// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/space_to_depth.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kPixel = 4;  // bytes of a pixel in a block

// `count` pixels of `ic` bytes, each widened to four; the fourth keeps what it has, weight 0.
void widen(const std::uint8_t* src, std::int64_t ic, std::uint8_t* dst, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t c = 0; c < ic; ++c) dst[i * kPixel + c] = src[i * ic + c];
  }
}

// Two pixels of three bytes, read as eight.
void widen_pair(const std::uint8_t* src, std::uint8_t* dst) {
  std::uint64_t six;
  std::memcpy(&six, src, 8);
  if constexpr (std::endian::native == std::endian::little) {
    const std::uint64_t eight = (six & 0xffffff) | (six & 0xffffff000000) << 8;
    std::memcpy(dst, &eight, 8);
  } else {
    widen(src, 3, dst, 2);
  }
}

}  // namespace

bool suits_space_to_depth(const graph::Window& window, std::int64_t ic) {
  return window.groups == 1 && ic <= kPixel && window.sh * window.sw > 1;
}

SpaceToDepth make_space_to_depth(const graph::Window& window, const graph::Shape& dst,
                                 std::int64_t ic, const std::vector<std::int32_t>& outside) {
  SpaceToDepth blocks;
  blocks.source = window;
  blocks.window.kh = (window.kh + window.sh - 1) / window.sh;
  blocks.window.kw = (window.kw + window.sw - 1) / window.sw;
  blocks.layout = {
      graph::DType::kU8,
      {dst.h + blocks.window.kh - 1, dst.w + blocks.window.kw - 1, window.sh * window.sw * kPixel},
      {}};
  for (std::int64_t c = 0; c < kPixel; ++c) {
    const std::size_t of = outside.size() == 1 ? 0 : static_cast<std::size_t>(c);
    blocks.outside.push_back(c < ic ? static_cast<std::uint8_t>(outside[of]) : std::uint8_t{0});
  }
  return blocks;
}

void to_blocks(const SpaceToDepth& blocks, const Layout& src, const std::uint8_t* image,
               std::uint8_t* dst, std::int64_t first, std::int64_t last) {
  const graph::Window& w = blocks.source;
  const std::int64_t ic = src.shape.c;
  const std::int64_t block = blocks.layout.pixel();
  for (std::int64_t by = first; by < last; ++by) {
    for (std::int64_t dy = 0; dy < w.sh; ++dy) {
      const std::int64_t iy = by * w.sh + dy - w.pad_top;
      const bool row_inside = iy >= 0 && iy < src.shape.h;
      const std::uint8_t* row = image + src.first() + iy * src.pitch();
      std::uint8_t* to = dst + by * blocks.layout.pitch() + dy * w.sw * kPixel;
      for (std::int64_t bx = 0; bx < blocks.layout.shape.w; ++bx, to += block) {
        const std::int64_t ix = bx * w.sw - w.pad_left;
        if (row_inside && ic == 3 && w.sw == 2 && ix >= 0 && ix + 1 < src.shape.w) {
          const std::int64_t pairs = std::min((src.shape.w - ix) / 2, blocks.layout.shape.w - bx);
          for (std::int64_t i = 0; i < pairs; ++i)
            widen_pair(row + (ix + 2 * i) * 3, to + i * block);
          bx += pairs - 1;
          to += (pairs - 1) * block;
          continue;
        }
        for (std::int64_t dx = 0; dx < w.sw; ++dx) {
          std::uint8_t* pixel = to + dx * kPixel;
          if (row_inside && ix + dx >= 0 && ix + dx < src.shape.w) {
            widen(row + (ix + dx) * ic, ic, pixel, 1);
          } else {
            std::memcpy(pixel, blocks.outside.data(), kPixel);
          }
        }
      }
    }
  }
}

std::vector<std::int8_t> block_weights(const SpaceToDepth& blocks, std::int64_t ic,
                                       std::span<const std::int8_t> weights) {
  const graph::Window& w = blocks.source;
  const std::int64_t block = w.sh * w.sw * kPixel;
  const std::int64_t size = std::int64_t{blocks.window.kh} * blocks.window.kw * block;
  const std::int64_t source = std::int64_t{w.kh} * w.kw * ic;
  const std::int64_t oc = static_cast<std::int64_t>(weights.size()) / source;
  std::vector<std::int8_t> result(static_cast<std::size_t>(oc * size), 0);
  for (std::int64_t o = 0; o < oc; ++o) {
    for (std::int64_t y = 0; y < w.kh; ++y) {
      for (std::int64_t x = 0; x < w.kw; ++x) {
        const std::int64_t at = (y / w.sh * blocks.window.kw + x / w.sw) * block +
                                (y % w.sh * w.sw + x % w.sw) * kPixel;
        for (std::int64_t c = 0; c < ic; ++c) {
          result[static_cast<std::size_t>(o * size + at + c)] =
              weights[static_cast<std::size_t>(o * source + (y * w.kw + x) * ic + c)];
        }
      }
    }
  }
  return result;
}

}  // namespace pronghorn::device::cpu
