// SPDX-License-Identifier: Apache-2.0
// A caller's matrix of samples (rows) by features (columns), as machine learning reads it.
#pragma once

#include <cstdint>

namespace pronghorn::device {

enum class Dtype { kF32, kF64 };

// Dense: element (r, c) is data[r * row_stride + c * col_stride], one stride being 1.
// CSR, where indptr is given: `data` are the values, row r owns indptr[r] .. indptr[r + 1] - 1.
struct Matrix {
  const void* data = nullptr;
  Dtype dtype = Dtype::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;
  std::int64_t col_stride = 0;
  const void* indices = nullptr;
  const void* indptr = nullptr;
  bool wide_index = false;  // 64-bit indices and indptr

  bool sparse() const { return indptr != nullptr; }
  std::int64_t element_size() const { return dtype == Dtype::kF32 ? 4 : 8; }
  std::int64_t pointer(std::int64_t row) const {
    return wide_index ? static_cast<const std::int64_t*>(indptr)[row]
                      : static_cast<const std::int32_t*>(indptr)[row];
  }
  std::int64_t index(std::int64_t entry) const {
    return wide_index ? static_cast<const std::int64_t*>(indices)[entry]
                      : static_cast<const std::int32_t*>(indices)[entry];
  }
};

}  // namespace pronghorn::device
