// SPDX-License-Identifier: Apache-2.0
// Tiles: a few rows of a matrix of any layout as the loops take them, and matrices packed as
// panels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/buffer.h"
#include "device/cpu/learn/kernels/learn_table.h"
#include "device/matrix.h"

namespace pronghorn::device::cpu {

template <class T>
struct Tile {
  const T* x;
  std::int64_t ld;
};

// Rows of one tile: about 96 KiB, so that a second loop over it finds it in the second cache.
template <class T>
std::int64_t tile_rows(std::int64_t cols) {
  const std::int64_t fit =
      96 * 1024 / (static_cast<std::int64_t>(sizeof(T)) * std::max<std::int64_t>(cols, 1));
  return std::clamp<std::int64_t>(fit / 8 * 8, 8, 1024);
}

// Reads tiles of a matrix on one thread. Rows that lie as the loops want them are not copied.
template <class T>
class TileReader {
 public:
  // `shift`: cols values taken off every row, or null.
  TileReader(const Matrix& x, const LearnLoops<T>& loops, const T* shift)
      : x_(x), loops_(loops), shift_(shift) {}

  // Valid until the next call.
  Tile<T> load(std::int64_t row, std::int64_t rows) {
    if (!x_.sparse() && x_.col_stride == 1) {
      const T* src = data() + row * x_.row_stride;
      if (shift_ == nullptr) return {src, x_.row_stride};
      T* dst = own(rows);
      loops_.shift_rows(src, x_.row_stride, rows, x_.cols, shift_, dst, x_.cols);
      return {dst, x_.cols};
    }
    T* dst = own(rows);
    if (x_.sparse()) {
      for (std::int64_t r = 0; r < rows; ++r) scatter(row + r, dst + r * x_.cols);
    } else {
      turn(row, rows, dst);
    }
    if (shift_ != nullptr) {
      loops_.shift_rows(dst, x_.cols, rows, x_.cols, shift_, dst, x_.cols);
    }
    return {dst, x_.cols};
  }

  // The rows of a list. Valid until the next call.
  template <class Index>
  Tile<T> gather(const Index* list, std::int64_t rows) {
    T* dst = own(rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t row = static_cast<std::int64_t>(list[r]);
      T* to = dst + r * x_.cols;
      if (x_.sparse()) {
        scatter(row, to);
      } else if (x_.col_stride == 1) {
        const T* src = data() + row * x_.row_stride;
        if (shift_ != nullptr) {
          loops_.shift_rows(src, 0, 1, x_.cols, shift_, to, 0);
          continue;
        }
        std::copy_n(src, x_.cols, to);
      } else {
        const T* src = data() + row * x_.row_stride;
        for (std::int64_t c = 0; c < x_.cols; ++c) to[c] = src[c * x_.col_stride];
      }
      if (shift_ != nullptr) loops_.shift_rows(to, 0, 1, x_.cols, shift_, to, 0);
    }
    return {dst, x_.cols};
  }

 private:
  const T* data() const { return static_cast<const T*>(x_.data); }

  T* own(std::int64_t rows) {
    const auto bytes = static_cast<std::size_t>(rows * x_.cols) * sizeof(T);
    if (tile_.size() < bytes) tile_ = base::Buffer(bytes);
    return tile_.as<T>();
  }

  void scatter(std::int64_t row, T* to) const {
    std::fill_n(to, x_.cols, T{});
    for (std::int64_t e = x_.pointer(row); e < x_.pointer(row + 1); ++e)
      to[x_.index(e)] = data()[e];
  }

  // Columns to rows, in squares that share their cache lines.
  void turn(std::int64_t row, std::int64_t rows, T* dst) const {
    constexpr std::int64_t kSide = 16;
    for (std::int64_t c0 = 0; c0 < x_.cols; c0 += kSide) {
      const std::int64_t c1 = std::min(c0 + kSide, x_.cols);
      for (std::int64_t r0 = 0; r0 < rows; r0 += kSide) {
        const std::int64_t r1 = std::min(r0 + kSide, rows);
        for (std::int64_t c = c0; c < c1; ++c) {
          const T* src = data() + c * x_.col_stride + row * x_.row_stride;
          for (std::int64_t r = r0; r < r1; ++r) dst[r * x_.cols + c] = src[r * x_.row_stride];
        }
      }
    }
  }

  const Matrix& x_;
  const LearnLoops<T>& loops_;
  const T* shift_;
  base::Buffer tile_;
};

// The transpose of a matrix (outputs x cols doubles) as panels of T.
template <class T>
class PackedPanels {
 public:
  // Chooses the widest panels that waste little, at most `most` vectors wide; `most` 0: all outputs
  // in one panel, as products with sparse rows want it.
  PackedPanels(int lanes, int most, std::int64_t outputs, std::int64_t cols)
      : outputs_(outputs), cols_(cols) {
    const std::int64_t vectors = (outputs + lanes - 1) / lanes;
    nv_ = most == 0 ? static_cast<int>(vectors) : 1;
    for (int nv = 2; nv <= most; nv *= 2) {
      if (vectors % nv == 0 || vectors > 4 * nv) nv_ = nv;
    }
    width_ = nv_ * lanes;
    count_ = (outputs + width_ - 1) / width_;
    data_ = base::Buffer(static_cast<std::size_t>(count_ * width_ * cols) * sizeof(T));
    bias_ = base::Buffer(static_cast<std::size_t>(count_ * width_) * sizeof(T));
  }

  // factor * values, and bias (null: zeros) with `fill` for what is only padding.
  void pack(const double* values, double factor, const double* bias, double fill) {
    pack_values(values, factor, data_.as<T>());
    for (std::int64_t c = 0; c < padded(); ++c) {
      const double value = c >= outputs_ ? fill : bias == nullptr ? 0 : bias[c];
      bias_.as<T>()[c] = static_cast<T>(value);
    }
  }
  // A second matrix of the same shape, packed alike, to an array of size() values.
  void pack_values(const double* values, double factor, T* dst) const {
    for (std::int64_t p = 0; p < count_; ++p) {
      for (std::int64_t j = 0; j < cols_; ++j) {
        T* to = dst + (p * cols_ + j) * width_;
        for (std::int64_t c = 0; c < width_; ++c) {
          const std::int64_t k = p * width_ + c;
          to[c] = k < outputs_ ? static_cast<T>(factor * values[k * cols_ + j]) : T{};
        }
      }
    }
  }

  Panels<T> view() const {
    return {data_.as<T>(), bias_.as<T>(), static_cast<std::int32_t>(count_), nv_};
  }
  std::int64_t padded() const { return count_ * width_; }
  std::int64_t size() const { return count_ * width_ * cols_; }

 private:
  std::int64_t outputs_, cols_, count_ = 0, width_ = 0;
  int nv_ = 1;
  base::Buffer data_, bias_;
};

// Contiguous ranges of rows whose sums are kept apart and added up in order: as many as `rows` and
// the size of one sum suggest, never as many as there happen to be threads.
struct Slots {
  // `most`: the more, the more evenly threads of unequal speed end together, and the more there is
  // to add up.
  Slots(std::int64_t row_count, std::int64_t tile, std::int64_t sum_bytes, std::int64_t most = 64)
      : rows(row_count) {
    const std::int64_t tiles = std::max<std::int64_t>((rows + tile - 1) / tile, 1);
    const std::int64_t by_memory =
        std::max<std::int64_t>((64 << 20) / std::max<std::int64_t>(sum_bytes, 1), 4);
    count = std::min({tiles, by_memory, most});
    per_slot = (tiles + count - 1) / count * tile;
    count = std::max<std::int64_t>((rows + per_slot - 1) / per_slot, 1);
  }
  std::int64_t begin(std::int64_t slot) const { return std::min(slot * per_slot, rows); }
  std::int64_t end(std::int64_t slot) const { return std::min((slot + 1) * per_slot, rows); }

  std::int64_t rows, count = 1, per_slot = 0;
};

}  // namespace pronghorn::device::cpu
