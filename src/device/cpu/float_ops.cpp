// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/float_ops.h"

#include <algorithm>

#include "arith/softmax.h"

namespace pronghorn::device::cpu {
namespace {

// Keeps NaN: both comparisons are false for it.
inline float clamp(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

// The part of a window that lies inside the image, along one axis.
struct Span {
  std::int64_t begin, end;
};
Span inside(std::int64_t out, int stride, int pad, int kernel, std::int64_t size) {
  const std::int64_t first = out * stride - pad;
  return {std::max<std::int64_t>(first, 0), std::min<std::int64_t>(first + kernel, size)};
}

// Calls cell(dst pixel, rows, columns) for each output pixel of the window.
template <typename Cell>
void for_each_cell(const graph::Shape& src, const graph::Window& w, float* dst, const Cell& cell) {
  const std::int64_t oh = graph::window_out(src.h, w.kh, w.sh, w.pad_top, w.pad_bottom);
  const std::int64_t ow = graph::window_out(src.w, w.kw, w.sw, w.pad_left, w.pad_right);
  for (std::int64_t y = 0; y < oh; ++y) {
    const Span rows = inside(y, w.sh, w.pad_top, w.kh, src.h);
    for (std::int64_t x = 0; x < ow; ++x) {
      cell(dst + (y * ow + x) * src.c, y, x, rows, inside(x, w.sw, w.pad_left, w.kw, src.w));
    }
  }
}

// How many positions of the window count: those inside, or inside the padded image.
std::int64_t divisor(const graph::Shape& src, const graph::Window& w, std::int64_t y,
                     std::int64_t x, Span rows, Span columns) {
  if (!w.count_include_pad) return (rows.end - rows.begin) * (columns.end - columns.begin);
  const std::int64_t bottom = std::min(y * w.sh - w.pad_top + w.kh, src.h + w.pad_bottom);
  const std::int64_t right = std::min(x * w.sw - w.pad_left + w.kw, src.w + w.pad_right);
  return (bottom - (y * w.sh - w.pad_top)) * (right - (x * w.sw - w.pad_left));
}

}  // namespace

void batch_norm(const float* src, const float* scale, const float* shift, float* dst,
                std::int64_t pixels, std::int64_t channels) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t i = p * channels + c;
      dst[i] = src[i] * scale[c] + shift[c];
    }
  }
}

void clip(const float* src, float* dst, std::int64_t size, const graph::Clip& clip) {
  for (std::int64_t i = 0; i < size; ++i) dst[i] = clamp(src[i], clip.lo, clip.hi);
}

void add(const float* a, const float* b, float* dst, std::int64_t size, const graph::Clip& clip) {
  for (std::int64_t i = 0; i < size; ++i) dst[i] = clamp(a[i] + b[i], clip.lo, clip.hi);
}

void average_pool(const float* src, const graph::Shape& shape, const graph::Window& w, float* dst) {
  for_each_cell(shape, w, dst,
                [&](float* cell, std::int64_t y, std::int64_t x, Span rows, Span columns) {
                  std::fill_n(cell, shape.c, 0.0f);
                  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
                    for (std::int64_t k = columns.begin; k < columns.end; ++k) {
                      const float* pixel = src + (r * shape.w + k) * shape.c;
                      for (std::int64_t c = 0; c < shape.c; ++c) cell[c] += pixel[c];
                    }
                  }
                  const auto count = static_cast<float>(divisor(shape, w, y, x, rows, columns));
                  for (std::int64_t c = 0; c < shape.c; ++c) cell[c] /= count;
                });
}

void max_pool(const float* src, const graph::Shape& shape, const graph::Window& w, float* dst) {
  for_each_cell(shape, w, dst,
                [&](float* cell, std::int64_t, std::int64_t, Span rows, Span columns) {
                  std::fill_n(cell, shape.c, -std::numeric_limits<float>::infinity());
                  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
                    for (std::int64_t k = columns.begin; k < columns.end; ++k) {
                      const float* pixel = src + (r * shape.w + k) * shape.c;
                      for (std::int64_t c = 0; c < shape.c; ++c) {
                        cell[c] = std::max(cell[c], pixel[c]);
                      }
                    }
                  }
                });
}

void softmax(const float* src, float* dst, std::int64_t pixels, std::int64_t channels) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    arith::softmax(src + p * channels, dst + p * channels, channels);
  }
}

void concat(std::span<const float* const> srcs, std::span<const std::int64_t> channels, float* dst,
            std::int64_t pixels) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    for (std::size_t i = 0; i < srcs.size(); ++i) {
      dst = std::copy_n(srcs[i] + p * channels[i], channels[i], dst);
    }
  }
}

void pad(const float* src, const graph::Shape& shape, const graph::Pad& pad, float* dst) {
  const std::int64_t row = shape.w * shape.c;
  const std::int64_t wide = row + (pad.left + pad.right) * shape.c;
  dst = std::fill_n(dst, pad.top * wide, pad.value);
  for (std::int64_t y = 0; y < shape.h; ++y) {
    dst = std::fill_n(dst, pad.left * shape.c, pad.value);
    dst = std::copy_n(src + y * row, row, dst);
    dst = std::fill_n(dst, pad.right * shape.c, pad.value);
  }
  std::fill_n(dst, pad.bottom * wide, pad.value);
}

}  // namespace pronghorn::device::cpu
