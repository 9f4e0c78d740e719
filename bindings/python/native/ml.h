// SPDX-License-Identifier: Apache-2.0
// What the files of the module share about machine learning: matrices, vectors, how a call runs.
#pragma once

#include <pronghorn/ml.h>

#include <optional>
#include <string>

#include "native.h"

namespace pronghorn::python {

// A caller's dense array or CSR matrix as the C ABI takes it; keeps the arrays alive.
class Matrix {
 public:
  using Array = nb::ndarray<nb::ro, nb::device::cpu>;
  // Dense, two dimensions, float32 or float64, one of the strides 1 element.
  explicit Matrix(Array array);
  // CSR: values float32 or float64, columns and row ends both int32 or both int64.
  Matrix(Array values, Array columns, Array row_ends, std::int64_t cols);

  const ph_matrix* get() const { return &view_; }
  std::int64_t rows() const { return view_.rows; }
  std::int64_t cols() const { return view_.cols; }
  bool is_f32() const { return view_.dtype == PH_F32; }

 private:
  ph_matrix view_{};
  std::vector<Array> arrays_;
};

// How a call runs. While it does, iterations call back `progress(iteration, max_iter, objective)`
// (None: nothing) and see Ctrl-C; `finish` throws what was raised there.
class Run {
 public:
  Run(const std::string& device, int threads, nb::object progress);
  const ph_ml_run* get() const { return &run_; }
  // Runs `call`, a function of status, without the interpreter lock; throws what it reports.
  template <typename Call>
  void operator()(Call&& call) {
    ph_status status = PH_OK;
    std::string message;
    {
      const nb::gil_scoped_release release;
      status = call();
      if (status != PH_OK) message = ph_last_error();
    }
    finish();
    if (status != PH_OK) throw Error(status, message);
  }

 private:
  void finish();
  static int32_t called(void* user, int32_t iteration, int32_t max_iter, double objective);

  std::string device_;
  nb::object progress_;
  std::optional<nb::python_error> raised_;
  ph_ml_run run_{};
};

template <typename T>
using Vector = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
// One double a row, or None.
using Weights = std::optional<Vector<const double>>;
template <typename T>
using Table = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
// A table of either type of values; what it must be is said by `check_table`.
using AnyTable = nb::ndarray<nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using AnyTableIn = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// The C ABI does not know the length of what it is given: these do. `what` is for messages.
void check_length(std::size_t given, std::int64_t wanted, const char* what);
const double* weights_of(const Weights& weights, const Matrix& x);
template <typename T>
T* table_of(const Table<T>& table, std::int64_t rows, std::int64_t cols, const char* what) {
  check_length(table.shape(0), rows, what);
  check_length(table.shape(1), cols, what);
  return table.data();
}
// Of x's dtype.
void* table_like(const Matrix& x, const AnyTable& table, std::int64_t rows, std::int64_t cols,
                 const char* what);
const void* table_like(const Matrix& x, const AnyTableIn& table, std::int64_t rows,
                       std::int64_t cols, const char* what);

void bind_ml_kmeans(nb::module_& module);
void bind_ml_linear(nb::module_& module);
void bind_ml_bayes(nb::module_& module);

}  // namespace pronghorn::python
