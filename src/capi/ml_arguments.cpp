// SPDX-License-Identifier: Apache-2.0
#include "capi/ml_arguments.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "runtime/device_list.h"

namespace pronghorn::capi {
namespace {

using base::Status;

template <class Index>
void check_csr(const device::Matrix& x) {
  const auto* indptr = static_cast<const Index*>(x.indptr);
  const auto* indices = static_cast<const Index*>(x.indices);
  if (indptr[0] != 0) {
    base::fail(Status::kInvalidArgument, "x: indptr begins with {}, not 0",
               static_cast<std::int64_t>(indptr[0]));
  }
  for (std::int64_t r = 0; r < x.rows; ++r) {
    if (indptr[r + 1] < indptr[r]) {
      base::fail(Status::kInvalidArgument, "x: indptr falls at row {}", r);
    }
  }
  const std::int64_t stored = indptr[x.rows];
  if (stored > 0 && (x.indices == nullptr || x.data == nullptr)) {
    base::fail(Status::kInvalidArgument, "x: {} is NULL", x.data == nullptr ? "data" : "indices");
  }
  bool good = true;
  for (std::int64_t e = 0; e < stored; ++e) good &= indices[e] >= 0 && indices[e] < x.cols;
  if (good) return;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t e = indptr[r]; e < indptr[r + 1]; ++e) {
      if (indices[e] < 0 || indices[e] >= x.cols) {
        base::fail(Status::kInvalidArgument, "x: row {} has column {}; 0 to {}", r,
                   static_cast<std::int64_t>(indices[e]), x.cols - 1);
      }
    }
  }
}

}  // namespace

device::Matrix matrix_of(const ph_matrix* given) {
  require(given, "x");
  const ph_matrix c = read_struct(given, "x");
  device::Matrix x;
  if (c.dtype != PH_F32 && c.dtype != PH_F64) {
    base::fail(Status::kInvalidArgument, "x: dtype is {}; PH_F32 or PH_F64", c.dtype);
  }
  require_count(c.rows, 1, "x: rows");
  require_count(c.cols, 1, "x: cols");
  x.data = c.data;
  x.dtype = c.dtype == PH_F32 ? device::Dtype::kF32 : device::Dtype::kF64;
  x.rows = c.rows;
  x.cols = c.cols;
  if (c.indptr != nullptr) {
    if (c.index_dtype != PH_I32 && c.index_dtype != PH_I64) {
      base::fail(Status::kInvalidArgument, "x: index_dtype is {}; PH_I32 or PH_I64", c.index_dtype);
    }
    x.indptr = c.indptr;
    x.indices = c.indices;
    x.wide_index = c.index_dtype == PH_I64;
    x.wide_index ? check_csr<std::int64_t>(x) : check_csr<std::int32_t>(x);
    return x;
  }
  require(c.data, "x: data");
  x.row_stride = c.row_stride;
  x.col_stride = c.col_stride;
  if (x.row_stride == 0 && x.col_stride == 0) {
    x.row_stride = x.cols;
    x.col_stride = 1;
  }
  // A single row or column may come with any stride along it.
  if (x.cols == 1) x.col_stride = 1;
  if (x.rows == 1 && x.col_stride == 1) x.row_stride = x.cols;
  const bool by_row = x.col_stride == 1 && x.row_stride >= x.cols;
  const bool by_column = x.row_stride == 1 && x.col_stride >= x.rows;
  if (!by_row && !by_column) {
    base::fail(Status::kInvalidArgument,
               "x: strides {} and {} of {} x {}; one of them must be 1 and the other at least that "
               "dimension's length",
               x.row_stride, x.col_stride, x.rows, x.cols);
  }
  return x;
}

std::unique_ptr<device::Learner> learner_of(const ph_ml_run* run, double work) {
  const ph_ml_run given = read_struct(run, "run");
  if (given.threads < 0) {
    base::fail(Status::kInvalidArgument, "threads is {}; 0 (every core) or more", given.threads);
  }
  // A GPU is taken by name only: one pass over data in the host's memory is done before they have
  // crossed the bus, and which is better for a fit depends on the iterations to come.
  const auto names = runtime::devices_to_try(given.device == nullptr ? "" : given.device);
  const auto device = runtime::open_device(names.size() == 1 ? names.front() : "cpu");
  const int threads = given.threads == 0 && work < 3e5 ? 1 : given.threads;
  auto learner = device->learner(threads);
  if (!learner) {
    base::fail(Status::kUnsupported,
               "device \"{}\" does no machine learning; \"cpu\" and \"cuda\" do",
               device->properties().name);
  }
  return learner;
}

ml::Progress progress_of(const ph_ml_run* run, const char* what) {
  const ph_ml_run given = read_struct(run, "run");
  if (given.progress == nullptr) return {};
  return [given, what](int iteration, int max_iter, double objective) {
    if (given.progress(given.user, iteration, max_iter, objective) != 0) {
      base::fail(Status::kCancelled, "{} was stopped by its caller at iteration {}", what,
                 iteration);
    }
  };
}

void require_weights(const double* sample_weight, std::int64_t rows) {
  if (sample_weight == nullptr) return;
  double sum = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    if (!(sample_weight[r] >= 0) || std::isinf(sample_weight[r])) {
      base::fail(Status::kInvalidArgument, "sample_weight: {} at row {}; finite and 0 or more",
                 sample_weight[r], r);
    }
    sum += sample_weight[r];
  }
  if (!(sum > 0)) base::fail(Status::kInvalidArgument, "sample_weight: all weights are 0");
}

void require_finite(device::Learner& learner, const device::Matrix& x) {
  const std::int64_t bad = learner.find_not_finite(x);
  if (bad >= 0) {
    base::fail(Status::kInvalidArgument, "x: the value at row {}, column {} is NaN or infinite",
               bad / x.cols, bad % x.cols);
  }
}

void require_classes(const std::int32_t* y, std::int64_t rows, std::int32_t classes) {
  require(y, "y");
  // The signs tell, all together.
  std::int32_t signs = 0;
  for (std::int64_t r = 0; r < rows; ++r) signs |= y[r] | (classes - 1 - (y[r] & INT32_MAX));
  for (std::int64_t r = 0; signs < 0 && r < rows; ++r) {
    if (y[r] < 0 || y[r] >= classes) {
      base::fail(Status::kInvalidArgument, "y: class {} at row {}; 0 to {}", y[r], r, classes - 1);
    }
  }
}

void require_count(std::int64_t value, std::int64_t least, const char* argument) {
  if (value < least) {
    base::fail(Status::kInvalidArgument, "{} is {}; {} or more", argument, value, least);
  }
}

std::vector<double> read_values(const void* values, std::int64_t count, device::Dtype dtype,
                                const char* argument) {
  require(values, argument);
  if (dtype == device::Dtype::kF64) {
    const auto* from = static_cast<const double*>(values);
    return {from, from + count};
  }
  const auto* from = static_cast<const float*>(values);
  return {from, from + count};
}

void write_values(const std::vector<double>& values, void* to, device::Dtype dtype) {
  if (dtype == device::Dtype::kF64) {
    std::copy(values.begin(), values.end(), static_cast<double*>(to));
    return;
  }
  std::transform(values.begin(), values.end(), static_cast<float*>(to),
                 [](double value) { return static_cast<float>(value); });
}

}  // namespace pronghorn::capi
