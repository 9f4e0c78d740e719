// SPDX-License-Identifier: Apache-2.0
// Products of the rows of a CSR matrix with dense parameters: work for each stored value only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "device/matrix.h"

namespace pronghorn::device::cpu {

// Calls body(r, column, value) for the stored values of rows row .. row + rows - 1, in order.
template <class T, class Body>
void for_each_value(const Matrix& x, std::int64_t row, std::int64_t rows, Body&& body) {
  const T* values = static_cast<const T*>(x.data);
  const auto walk = [&](const auto* indptr, const auto* indices) {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t e = indptr[row + r]; e < indptr[row + r + 1]; ++e) {
        body(r, static_cast<std::int64_t>(indices[e]), values[e]);
      }
    }
  };
  if (x.wide_index) {
    walk(static_cast<const std::int64_t*>(x.indptr), static_cast<const std::int64_t*>(x.indices));
  } else {
    walk(static_cast<const std::int32_t*>(x.indptr), static_cast<const std::int32_t*>(x.indices));
  }
}

// out[r] = bias + x[r] . w
template <class T>
void sparse_dots(const Matrix& x, std::int64_t row, std::int64_t rows, const T* w, T bias, T* out) {
  std::fill_n(out, rows, bias);
  for_each_value<T>(x, row, rows,
                    [&](std::int64_t r, std::int64_t j, T value) { out[r] += value * w[j]; });
}

// out[r * width + c] = bias[c] + sum_j x[r][j] b[j * width + c]
template <class T, class Sum>
void sparse_scores(const Matrix& x, std::int64_t row, std::int64_t rows, const Sum* b,
                   const Sum* bias, std::int64_t width, Sum* out) {
  for (std::int64_t r = 0; r < rows; ++r) std::copy_n(bias, width, out + r * width);
  for_each_value<T>(x, row, rows, [&](std::int64_t r, std::int64_t j, T value) {
    Sum* to = out + r * width;
    const Sum* from = b + j * width;
    for (std::int64_t c = 0; c < width; ++c) to[c] += static_cast<Sum>(value) * from[c];
  });
}

// sums[k * cols + j] += sum_r g[r * ldg + k] x[r][j], in doubles.
template <class T>
void sparse_outer(const Matrix& x, std::int64_t row, std::int64_t rows, const T* g,
                  std::int64_t ldg, std::int64_t outputs, double* sums) {
  for_each_value<T>(x, row, rows, [&](std::int64_t r, std::int64_t j, T value) {
    for (std::int64_t k = 0; k < outputs; ++k) {
      sums[k * x.cols + j] += static_cast<double>(g[r * ldg + k]) * static_cast<double>(value);
    }
  });
}

}  // namespace pronghorn::device::cpu
