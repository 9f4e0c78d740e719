// SPDX-License-Identifier: Apache-2.0
// device::Learner on NVIDIA GPUs: passes over rows that stay in their memory between calls. A
// learner keeps the matrix of its last call there, so the caller's data must not change while it
// lives. With several GPUs each has an equal share of the rows; sums of the shares are added on the
// host, in order.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "device/cuda/learn/kernels/learn_kernels.h"
#include "device/cuda/learn/transfer.h"
#include "device/learner.h"

namespace pronghorn::device::cuda {

// `threads` >= 1: of the host, for copying.
std::unique_ptr<Learner> make_learner(const std::vector<int>& gpus, int threads);

std::unique_ptr<KMeansPasses> make_kmeans_passes(std::shared_ptr<GpuTeam> team,
                                                 std::shared_ptr<const Resident> x,
                                                 const KMeansSetup& setup);
std::unique_ptr<LogisticPasses> make_logistic_passes(std::shared_ptr<GpuTeam> team,
                                                     std::shared_ptr<const Resident> x,
                                                     const LogisticSetup& setup);

// Calls body with a value of the matrix's element type.
template <class Body>
decltype(auto) with_type(Dtype dtype, Body&& body) {
  return dtype == Dtype::kF32 ? std::forward<Body>(body)(float{})
                              : std::forward<Body>(body)(double{});
}

// Few values, to memory that is kept between calls.
template <class T>
void send(const Gpu& gpu, const std::vector<T>& values, GpuArray& to) {
  const auto bytes = static_cast<std::int64_t>(values.size() * sizeof(T));
  to.reserve(bytes);
  check(cudaMemcpyAsync(to.as<void>(), values.data(), static_cast<std::size_t>(bytes),
                        cudaMemcpyHostToDevice, gpu.stream.get()),
        "copying to the GPU");
}
// Waits for all that the GPU was given.
template <class T>
void receive(const Gpu& gpu, const void* from, std::vector<T>& values) {
  check(cudaMemcpyAsync(values.data(), from, values.size() * sizeof(T), cudaMemcpyDeviceToHost,
                        gpu.stream.get()),
        "copying from the GPU");
  check(cudaStreamSynchronize(gpu.stream.get()), "work on the GPU");
}

// The transpose of a matrix (count x cols doubles) as the products take it: cols (padded) x
// `padded` values of a type.
template <class T>
std::vector<T> pack_columns(const double* values, std::int64_t count, std::int64_t cols,
                            std::int64_t padded_cols, std::int64_t padded, double factor) {
  std::vector<T> packed(static_cast<std::size_t>(padded_cols * padded));
  for (std::int64_t k = 0; k < count; ++k) {
    for (std::int64_t j = 0; j < cols; ++j) {
      packed[static_cast<std::size_t>(j * padded + k)] =
          static_cast<T>(factor * values[k * cols + j]);
    }
  }
  return packed;
}
// `count` values (null: zeros) and `fill` up to `padded`.
template <class T>
std::vector<T> pack_bias(const double* values, std::int64_t count, std::int64_t padded,
                         double fill) {
  std::vector<T> packed(static_cast<std::size_t>(padded), static_cast<T>(fill));
  for (std::int64_t k = 0; k < count; ++k) {
    packed[static_cast<std::size_t>(k)] = values == nullptr ? T{} : static_cast<T>(values[k]);
  }
  return packed;
}
// Rows of `cols` values, each with zeros up to padded_cols.
template <class T>
std::vector<T> pack_rows(const double* values, std::int64_t count, std::int64_t cols,
                         std::int64_t padded_cols) {
  std::vector<T> packed(static_cast<std::size_t>(count * padded_cols));
  for (std::int64_t k = 0; k < count; ++k) {
    for (std::int64_t j = 0; j < cols; ++j) {
      packed[static_cast<std::size_t>(k * padded_cols + j)] = static_cast<T>(values[k * cols + j]);
    }
  }
  return packed;
}
// Labels rows with their nearest centres (Product::kNearest), on the matrix unit where it can.
// `longest`: the largest of the centres' squared norms. open: memory of its own, kept between
// calls.
void label_rows(const Gpu& gpu, Dtype dtype, const ProductJob& job, double longest, GpuArray& open);

std::vector<double> squared_norms(const double* points, std::int64_t count, std::int64_t cols);

inline std::int64_t padded_count(std::int64_t count) { return (count + 63) / 64 * 64; }

}  // namespace pronghorn::device::cuda
