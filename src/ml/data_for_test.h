// SPDX-License-Identifier: Apache-2.0
// Matrices for the tests of this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "device/cpu/learn/cpu_learner.h"
#include "device/learner.h"

namespace pronghorn::ml {

inline std::unique_ptr<device::Learner> cpu(int threads = 2) {
  return device::cpu::make_learner(threads);
}

// The same values as rows, as columns and as CSR.
template <class T>
class Data {
 public:
  Data(std::int64_t rows, std::int64_t cols) : rows_(rows), cols_(cols) {
    by_row_.resize(static_cast<std::size_t>(rows * cols));
  }
  T& at(std::int64_t r, std::int64_t c) { return by_row_[static_cast<std::size_t>(r * cols_ + c)]; }
  T at(std::int64_t r, std::int64_t c) const {
    return by_row_[static_cast<std::size_t>(r * cols_ + c)];
  }
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }

  device::Matrix rows_view() const { return view(by_row_.data(), cols_, 1); }
  device::Matrix columns_view() {
    by_column_.resize(by_row_.size());
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t c = 0; c < cols_; ++c) {
        by_column_[static_cast<std::size_t>(c * rows_ + r)] = at(r, c);
      }
    }
    return view(by_column_.data(), 1, rows_);
  }
  device::Matrix sparse_view() {
    values_.clear();
    indices_.clear();
    indptr_.assign(1, 0);
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t c = 0; c < cols_; ++c) {
        if (at(r, c) == 0) continue;
        values_.push_back(at(r, c));
        indices_.push_back(static_cast<std::int32_t>(c));
      }
      indptr_.push_back(static_cast<std::int32_t>(values_.size()));
    }
    device::Matrix x = view(values_.data(), 0, 0);
    x.indices = indices_.data();
    x.indptr = indptr_.data();
    return x;
  }

 private:
  device::Matrix view(const T* data, std::int64_t row_stride, std::int64_t col_stride) const {
    device::Matrix x;
    x.data = data;
    x.dtype = sizeof(T) == 4 ? device::Dtype::kF32 : device::Dtype::kF64;
    x.rows = rows_;
    x.cols = cols_;
    x.row_stride = row_stride;
    x.col_stride = col_stride;
    return x;
  }

  std::int64_t rows_, cols_;
  std::vector<T> by_row_, by_column_, values_;
  std::vector<std::int32_t> indices_, indptr_;
};

// Rows around `groups` points `apart` from one another; group[r] says which.
template <class T>
Data<T> blobs(unsigned seed, std::int64_t rows, std::int64_t cols, int groups, double apart,
              std::vector<std::int32_t>* group = nullptr) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> points(static_cast<std::size_t>(groups * cols));
  for (double& p : points) p = apart * normal(random);
  Data<T> data(rows, cols);
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto g = static_cast<std::int32_t>(random() % static_cast<unsigned>(groups));
    if (group != nullptr) group->push_back(g);
    for (std::int64_t c = 0; c < cols; ++c) {
      data.at(r, c) =
          static_cast<T>(points[static_cast<std::size_t>(g * cols + c)] + normal(random));
    }
  }
  return data;
}

}  // namespace pronghorn::ml
