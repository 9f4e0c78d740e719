// SPDX-License-Identifier: Apache-2.0
// Small kernels over rows: scores to probabilities, distances of rows, sums of them.
#pragma once

#include "device/cuda/learn/kernels/language.cuh"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {

inline constexpr int kRowWarps = 8;  // of the kernels with a warp for each row

template <class T>
__global__ void __launch_bounds__(256)
    finish_kernel(const T* scores, std::int64_t rows, int outputs, bool binary, Output output,
                  T* out, std::int32_t* labels) {
  const std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (r >= rows) return;
  const T* z = scores + r * outputs;
  if (binary) {
    if (output == Output::kLabel) {
      labels[r] = z[0] > 0 ? 1 : 0;
      return;
    }
    const T tail = std::exp(-std::fabs(z[0]));
    if (output == Output::kProba) {
      const T p = (z[0] > 0 ? T(1) : tail) / (1 + tail);
      out[2 * r] = 1 - p;
      out[2 * r + 1] = p;
    } else {
      const T lost = static_cast<T>(std::log1p(static_cast<double>(tail)));
      out[2 * r] = -(z[0] > 0 ? z[0] : T{}) - lost;
      out[2 * r + 1] = (z[0] < 0 ? z[0] : T{}) - lost;
    }
    return;
  }
  int best = 0;
  for (int k = 1; k < outputs; ++k) best = z[k] > z[best] ? k : best;
  if (output == Output::kLabel) {
    labels[r] = best;
    return;
  }
  const T most = z[best];
  T sum{};
  for (int k = 0; k < outputs; ++k) sum += std::exp(z[k] - most);
  const T off = most + static_cast<T>(std::log(static_cast<double>(sum)));
  for (int k = 0; k < outputs; ++k) {
    out[r * outputs + k] =
        output == Output::kProba ? static_cast<T>(std::exp(z[k] - most)) / sum : z[k] - off;
  }
}

// |x_r - shift - point|^2, the same in every lane.
template <class TX>
__device__ __forceinline__ double square_distance(const RowJob& job, std::int64_t row,
                                                  const double* point) {
  const TX* x = static_cast<const TX*>(job.x) + row * job.ld;
  const TX* shift = static_cast<const TX*>(job.shift);
  double sum = 0;
  for (int c = static_cast<int>(threadIdx.x) % 32; c < job.cols; c += 32) {
    const TX value = shift == nullptr ? x[c] : static_cast<TX>(x[c] - shift[c]);
    const double off = static_cast<double>(value) - point[c];
    sum = std::fma(off, off, sum);
  }
  return warp_sum(sum);
}

__device__ __forceinline__ std::int64_t first_warp_row() {
  return static_cast<std::int64_t>(blockIdx.x) * kRowWarps + threadIdx.x / 32;
}
__device__ __forceinline__ std::int64_t warp_row_step() {
  return static_cast<std::int64_t>(gridDim.x) * kRowWarps;
}

template <class TX>
__global__ void __launch_bounds__(32 * kRowWarps)
    label_distance_kernel(RowJob job, const std::int32_t* labels, const double* centers,
                          double* out) {
  for (std::int64_t r = first_warp_row(); r < job.rows; r += warp_row_step()) {
    const double d = square_distance<TX>(job, r, centers + std::int64_t{labels[r]} * job.cols);
    if (threadIdx.x % 32 == 0) out[r] = d;
  }
}

template <class TX>
__global__ void __launch_bounds__(32 * kRowWarps)
    distance_kernel(RowJob job, const double* centers, int count, TX* out) {
  for (std::int64_t r = first_warp_row(); r < job.rows; r += warp_row_step()) {
    for (int c = 0; c < count; ++c) {
      const double d = square_distance<TX>(job, r, centers + std::int64_t{c} * job.cols);
      if (static_cast<int>(threadIdx.x) % 32 == c % 32) {
        out[r * count + c] = static_cast<TX>(std::sqrt(d));
      }
    }
  }
}

template <class TX>
__global__ void __launch_bounds__(32 * kRowWarps)
    closest_kernel(RowJob job, const double* point, double* closest) {
  for (std::int64_t r = first_warp_row(); r < job.rows; r += warp_row_step()) {
    const double d = square_distance<TX>(job, r, point);
    if (threadIdx.x % 32 == 0 && d < closest[r]) closest[r] = d;
  }
}

// Lane c keeps the sum of point c; partial[block][c].
template <class TX>
__global__ void __launch_bounds__(32 * kRowWarps)
    potential_kernel(RowJob job, const double* points, int count, const double* closest,
                     double* partial) {
  double* shared = reinterpret_cast<double*>(shared_memory());
  const int lane = static_cast<int>(threadIdx.x) % 32;
  double sum = 0;
  for (std::int64_t r = first_warp_row(); r < job.rows; r += warp_row_step()) {
    const double w = job.weight == nullptr ? 1.0 : job.weight[r];
    const double near = closest[r];
    for (int c = 0; c < count; ++c) {
      const double d = square_distance<TX>(job, r, points + std::int64_t{c} * job.cols);
      if (lane == c) sum += w * (d < near ? d : near);
    }
  }
  shared[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  for (int w = 1; w < kRowWarps; ++w) sum += shared[w * 32 + lane];
  partial[static_cast<std::int64_t>(blockIdx.x) * 32 + lane] = sum;
}

// partial[block] = the block's share of sum_r w_r values[r].
static __global__ void __launch_bounds__(256)
    weighted_sum_kernel(const double* values, const double* weight, std::int64_t rows,
                        double* partial) {
  double* shared = reinterpret_cast<double*>(shared_memory());
  double sum = 0;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * 256;
  for (std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x; r < rows;
       r += step) {
    sum += weight == nullptr ? values[r] : weight[r] * values[r];
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int w = 1; w < 8; ++w) sum += shared[w];
  partial[blockIdx.x] = sum;
}

template <class TX>
__global__ void __launch_bounds__(256)
    find_kernel(RowJob job, bool negative, std::int64_t first_row, int width,
                unsigned long long* entry) {
  const TX* x = static_cast<const TX*>(job.x);
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * 256;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x;
       i < job.rows * job.cols; i += step) {
    const std::int64_t r = i / job.cols;
    const int c = static_cast<int>(i % job.cols);
    const TX value = x[r * job.ld + c];
    if (negative ? value < 0 : value - value != 0) {
      const std::int64_t found = (first_row + r) * width + c;
      atomicMin(entry, static_cast<unsigned long long>(found));
    }
  }
}

// Squares of 32 x 32 through shared memory, a column of padding between its rows. 256 threads.
template <class TX>
__global__ void __launch_bounds__(256)
    turn_kernel(const TX* src, std::int64_t src_stride, std::int64_t rows, int cols, TX* dst,
                std::int64_t ld) {
  TX* square = reinterpret_cast<TX*>(shared_memory());
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int line = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t r0 = static_cast<std::int64_t>(blockIdx.x) * 32;
  const int c0 = static_cast<int>(blockIdx.y) * 32;
  for (int i = line; i < 32; i += 8) {
    const bool there = r0 + lane < rows && c0 + i < cols;
    square[lane * 33 + i] = there ? src[std::int64_t{c0 + i} * src_stride + r0 + lane] : TX{};
  }
  __syncthreads();
  for (int i = line; i < 32; i += 8) {
    if (r0 + i < rows && c0 + lane < ld) dst[(r0 + i) * ld + c0 + lane] = square[i * 33 + lane];
  }
}

}  // namespace pronghorn::device::cuda
