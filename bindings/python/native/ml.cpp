// SPDX-License-Identifier: Apache-2.0
// The submodule `_native.ml`: the C ABI's machine learning over NumPy's arrays. It checks shapes,
// because that is what would read or write outside an array; pronghorn.sklearn checks the rest.
#include "ml.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <memory>

namespace pronghorn::python {
namespace {

using namespace nb::literals;

std::int32_t float_type(const Matrix::Array& array, const char* what) {
  if (array.dtype() == nb::dtype<float>()) return PH_F32;
  if (array.dtype() == nb::dtype<double>()) return PH_F64;
  raise("WrongType", std::string(what) + " must be float32 or float64");
}

std::int32_t index_type(const Matrix::Array& array, const char* what) {
  if (array.dtype() == nb::dtype<std::int32_t>()) return PH_I32;
  if (array.dtype() == nb::dtype<std::int64_t>()) return PH_I64;
  raise("WrongType", std::string(what) + " must be int32 or int64");
}

void check_vector(const Matrix::Array& array, const char* what) {
  if (array.ndim() != 1 || (array.shape(0) > 1 && array.stride(0) != 1)) {
    raise("InvalidArgument", std::string(what) + " must have one dimension, without gaps");
  }
}

// Whether a matrix of these extents may be walked with these strides (in elements).
bool regular(std::int64_t outer, std::int64_t outer_stride, std::int64_t inner,
             std::int64_t inner_stride) {
  return (inner <= 1 || inner_stride == 1) && (outer <= 1 || outer_stride >= inner);
}

// ---- class labels

// Classes in ascending order and the index of each label, for integers of a narrow range: one look
// at the range, one at the labels. None where the range is wide, and sorting is the better way.
template <typename T>
nb::object encode(const nb::ndarray<>& y) {
  constexpr std::int64_t kWidest = 1 << 16, kBlock = 2048;
  const auto* labels = static_cast<const T*>(y.data());
  const auto count = static_cast<std::int64_t>(y.shape(0));
  T low = labels[0], high = labels[0];
  std::int64_t width = 0;
  auto codes = std::make_unique_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(count));
  std::vector<std::int64_t> classes;
  {
    const nb::gil_scoped_release release;
    const std::int64_t widest = std::min(kWidest, 4 * count + 64);
    std::vector<std::uint8_t> seen(static_cast<std::size_t>(widest));
    // Most labels are small numbers from 0, which their bits together tell: a block at a time,
    // coded while the first cache holds it. As soon as every number up to the largest was seen,
    // only a larger one is news.
    bool small = true;
    std::int32_t complete = -1;
    for (std::int64_t begin = 0; small && begin < count; begin += kBlock) {
      const std::int64_t n = std::min(kBlock, count - begin);
      const T* from = labels + begin;
      std::int32_t* to = codes.get() + begin;
      std::uint64_t bits = 0;
      for (std::int64_t i = 0; i < n; ++i) bits |= static_cast<std::uint64_t>(from[i]);
      small = bits < static_cast<std::uint64_t>(widest);
      if (!small) break;
      std::int32_t most = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        to[i] = static_cast<std::int32_t>(from[i]);
        most = std::max(most, to[i]);
      }
      if (most <= complete) continue;
      for (std::int64_t i = 0; i < n; ++i) seen[static_cast<std::size_t>(to[i])] = 1;
      const auto known = std::find(seen.begin(), seen.end(), std::uint8_t{0});
      complete = static_cast<std::int32_t>(known - seen.begin()) - 1;
    }
    if (small) {
      low = 0;
      width = widest;
      while (seen[static_cast<std::size_t>(width - 1)] == 0) --width;
    } else {
      for (std::int64_t i = 1; i < count; ++i) {
        low = std::min(low, labels[i]);
        high = std::max(high, labels[i]);
      }
      const std::uint64_t range =
          static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
      if (range < static_cast<std::uint64_t>(widest)) width = static_cast<std::int64_t>(range) + 1;
      seen.assign(seen.size(), 0);
      for (std::int64_t i = 0; width > 0 && i < count; ++i) {
        const auto at = static_cast<std::int32_t>(labels[i] - low);
        seen[static_cast<std::size_t>(at)] = 1;
        codes[static_cast<std::size_t>(i)] = at;
      }
    }
    if (width > 0) {
      std::vector<std::int32_t> table(static_cast<std::size_t>(width));
      bool same = true;
      for (std::int64_t i = 0; i < width; ++i) {
        if (seen[static_cast<std::size_t>(i)] == 0) continue;
        const auto code = static_cast<std::int32_t>(classes.size());
        same = same && code == i;
        table[static_cast<std::size_t>(i)] = code;
        classes.push_back(static_cast<std::int64_t>(low) + i);
      }
      for (std::int64_t i = 0; !same && i < count; ++i) {
        codes[static_cast<std::size_t>(i)] =
            table[static_cast<std::size_t>(codes[static_cast<std::size_t>(i)])];
      }
    }
  }
  if (width == 0) return nb::none();
  std::int32_t* data = codes.release();
  const nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<std::int32_t*>(p); });
  const std::size_t size = y.shape(0);
  nb::list values;
  for (const std::int64_t value : classes) values.append(value);
  return nb::make_tuple(values,
                        nb::cast(nb::ndarray<nb::numpy, std::int32_t>(data, 1, &size, owner)));
}

nb::object encode_labels(const nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>& y) {
  if (y.shape(0) == 0) return nb::none();
  const nb::ndarray<> labels(y);
  if (y.dtype() == nb::dtype<std::int64_t>()) return encode<std::int64_t>(labels);
  if (y.dtype() == nb::dtype<std::int32_t>()) return encode<std::int32_t>(labels);
  if (y.dtype() == nb::dtype<std::int16_t>()) return encode<std::int16_t>(labels);
  if (y.dtype() == nb::dtype<std::int8_t>()) return encode<std::int8_t>(labels);
  if (y.dtype() == nb::dtype<std::uint8_t>()) return encode<std::uint8_t>(labels);
  return nb::none();
}

}  // namespace

Matrix::Matrix(Array array) {
  if (array.ndim() != 2) raise("InvalidArgument", "a matrix must have two dimensions");
  view_.struct_size = sizeof view_;
  view_.dtype = float_type(array, "a matrix");
  view_.data = array.data();
  view_.rows = static_cast<std::int64_t>(array.shape(0));
  view_.cols = static_cast<std::int64_t>(array.shape(1));
  if (regular(view_.rows, array.stride(0), view_.cols, array.stride(1))) {
    view_.row_stride = std::max(array.stride(0), view_.cols);
    view_.col_stride = 1;
  } else if (regular(view_.cols, array.stride(1), view_.rows, array.stride(0))) {
    view_.row_stride = 1;
    view_.col_stride = std::max(array.stride(1), view_.rows);
  } else {
    raise("InvalidArgument", "a matrix must be without gaps in its rows or in its columns");
  }
  arrays_.push_back(std::move(array));
}

Matrix::Matrix(Array values, Array columns, Array row_ends, std::int64_t cols) {
  check_vector(values, "the values");
  check_vector(columns, "the columns");
  check_vector(row_ends, "the row ends");
  view_.struct_size = sizeof view_;
  view_.dtype = float_type(values, "the values");
  view_.index_dtype = index_type(columns, "the columns");
  if (index_type(row_ends, "the row ends") != view_.index_dtype) {
    raise("WrongType", "columns and row ends must have the same dtype");
  }
  if (row_ends.shape(0) < 1) raise("InvalidArgument", "the row ends are empty");
  view_.data = values.data();
  view_.indices = columns.data();
  view_.indptr = row_ends.data();
  view_.rows = static_cast<std::int64_t>(row_ends.shape(0)) - 1;
  view_.cols = cols;
  const std::int64_t last = view_.index_dtype == PH_I32
                                ? static_cast<const std::int32_t*>(view_.indptr)[view_.rows]
                                : static_cast<const std::int64_t*>(view_.indptr)[view_.rows];
  if (last < 0 || static_cast<std::size_t>(last) > std::min(values.shape(0), columns.shape(0))) {
    raise("InvalidArgument", "the row ends say " + std::to_string(last) + " values, there are " +
                                 std::to_string(values.shape(0)) + " and " +
                                 std::to_string(columns.shape(0)) + " columns");
  }
  arrays_ = {std::move(values), std::move(columns), std::move(row_ends)};
}

Run::Run(const std::string& device, int threads, nb::object progress)
    : device_(device), progress_(std::move(progress)) {
  run_.struct_size = sizeof run_;
  run_.device = device_.c_str();
  run_.threads = threads;
  run_.progress = &Run::called;
  run_.user = this;
}

int32_t Run::called(void* user, int32_t iteration, int32_t max_iter, double objective) {
  auto& run = *static_cast<Run*>(user);
  const nb::gil_scoped_acquire acquire;
  try {
    check_signals();
    if (!run.progress_.is_none()) run.progress_(iteration, max_iter, objective);
    return 0;
  } catch (nb::python_error& error) {
    run.raised_.emplace(std::move(error));
    return 1;
  }
}

void Run::finish() {
  if (raised_) throw nb::python_error(std::move(*raised_));
}

void check_length(std::size_t given, std::int64_t wanted, const char* what) {
  if (static_cast<std::int64_t>(given) != wanted) {
    raise("InvalidArgument", std::string(what) + ": length " + std::to_string(given) + " where " +
                                 std::to_string(wanted) + " is needed");
  }
}

const double* weights_of(const Weights& weights, const Matrix& x) {
  if (!weights) return nullptr;
  check_length(weights->shape(0), x.rows(), "sample_weight");
  return weights->data();
}

namespace {

template <typename Any>
auto table_data(const Matrix& x, const Any& table, std::int64_t rows, std::int64_t cols,
                const char* what) {
  check_length(table.shape(0), rows, what);
  check_length(table.shape(1), cols, what);
  if (table.dtype() != (x.is_f32() ? nb::dtype<float>() : nb::dtype<double>())) {
    raise("WrongType", std::string(what) + " must have the dtype of the matrix");
  }
  return table.data();
}

}  // namespace

void* table_like(const Matrix& x, const AnyTable& table, std::int64_t rows, std::int64_t cols,
                 const char* what) {
  return table_data(x, table, rows, cols, what);
}

const void* table_like(const Matrix& x, const AnyTableIn& table, std::int64_t rows,
                       std::int64_t cols, const char* what) {
  return table_data(x, table, rows, cols, what);
}

void bind_ml(nb::module_& module) {
  nb::module_ ml = module.def_submodule("ml", "Machine learning; what pronghorn.sklearn is over.");
  nb::class_<Matrix>(ml, "Matrix")
      .def(nb::init<Matrix::Array>(), "array"_a.noconvert())
      .def(nb::init<Matrix::Array, Matrix::Array, Matrix::Array, std::int64_t>(),
           "values"_a.noconvert(), "columns"_a.noconvert(), "row_ends"_a.noconvert(), "cols"_a)
      .def_prop_ro("rows", &Matrix::rows)
      .def_prop_ro("cols", &Matrix::cols)
      .def_prop_ro("is_f32", &Matrix::is_f32);
  nb::class_<Run>(ml, "Run").def(nb::init<const std::string&, int, nb::object>(),
                                 "device"_a = "auto", "threads"_a = 0, "progress"_a = nb::none());
  ml.def(
      "check",
      [](const Matrix& x, bool finite, Run& run) {
        run([&] { return ph_matrix_check(x.get(), finite ? 1 : 0, run.get()); });
      },
      "x"_a, "finite"_a, "run"_a);
  ml.def(
      "moments",
      [](const Matrix& x, const Weights& weights, Vector<double> means, Vector<double> variances,
         Run& run) {
        check_length(means.shape(0), x.cols(), "means");
        check_length(variances.shape(0), x.cols(), "variances");
        const double* w = weights_of(weights, x);
        run([&] {
          return ph_matrix_moments(x.get(), w, means.data(), variances.data(), run.get());
        });
      },
      "x"_a, "sample_weight"_a.none(), "means"_a, "variances"_a, "run"_a);
  ml.def("encode_labels", &encode_labels, "y"_a.noconvert(),
         "(classes, code of each label as int32), or None where the labels are not integers of a "
         "narrow range");
  bind_ml_kmeans(ml);
  bind_ml_linear(ml);
  bind_ml_bayes(ml);
}

}  // namespace pronghorn::python
