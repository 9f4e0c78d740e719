// SPDX-License-Identifier: Apache-2.0
// Logistic regression for any number of columns and outputs, in three steps over a piece of the
// rows: scores (product.cuh), residuals and loss of each row, and the residuals' products with the
// rows.
#pragma once

#include "device/cuda/learn/kernels/language.cuh"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {

inline constexpr int kRowThreads = 256;

// w (p - y) and the loss of one row of the binary problem.
template <class T>
__device__ __forceinline__ T binary_residual(T z, bool one, double w, double* loss) {
  const T tail = std::exp(-std::fabs(z));
  const T p = (z > 0 ? T(1) : tail) / (1 + tail);
  // 1 - p loses its digits where p is nearly 1; there it is the tail.
  const T residual = one ? (z > 0 ? -tail / (1 + tail) : p - 1) : p;
  const double margin = static_cast<double>(z);
  *loss = w * ((margin > 0 ? margin : 0.0) - (one ? margin : 0.0) +
               std::log1p(static_cast<double>(tail)));
  return residual * static_cast<T>(w);
}

template <class T>
__global__ void __launch_bounds__(kRowThreads) residual_kernel(ResidualJob job) {
  const std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * kRowThreads + threadIdx.x;
  if (r >= job.rows) return;
  const int outputs = job.outputs;
  T* z = static_cast<T*>(job.z) + r * outputs;
  const T* v =
      job.direction == nullptr ? nullptr : static_cast<const T*>(job.direction) + r * outputs;
  const double w = job.weight == nullptr ? 1.0 : job.weight[r];
  if (outputs == 1) {
    if (v == nullptr) {
      z[0] = binary_residual(z[0], job.y[r] == 1, w, job.loss + r);
    } else {
      const T tail = std::exp(-std::fabs(z[0]));
      z[0] = static_cast<T>(w) * v[0] * tail / ((1 + tail) * (1 + tail));
    }
    return;
  }
  T most = z[0];
  for (int k = 1; k < outputs; ++k) most = z[k] > most ? z[k] : most;
  const T right = v == nullptr ? z[job.y[r]] : T{};
  T sum{};
  for (int k = 0; k < outputs; ++k) {
    z[k] = std::exp(z[k] - most);
    sum += z[k];
  }
  if (v == nullptr) {
    job.loss[r] = w * (static_cast<double>(most) - static_cast<double>(right) +
                       std::log(static_cast<double>(sum)));
    for (int k = 0; k < outputs; ++k) {
      z[k] = static_cast<T>(w) * (z[k] / sum - (k == job.y[r] ? T(1) : T(0)));
    }
    return;
  }
  T mean{};
  for (int k = 0; k < outputs; ++k) {
    z[k] /= sum;
    mean += z[k] * v[k];
  }
  for (int k = 0; k < outputs; ++k) z[k] *= static_cast<T>(w) * (v[k] - mean);
}

// A block sums 16 outputs x 64 columns over its range of rows: in T over kFlush rows, then double.
struct OuterTile {
  static constexpr int kThreads = 128;
  static constexpr int kOutputs = 16, kCols = 64, kRows = 64, kFlush = 2048;
  template <class T>
  static constexpr int shared_bytes() {
    return kRows * (kCols + kOutputs) * static_cast<int>(sizeof(T));
  }
};

template <class T>
__global__ void __launch_bounds__(OuterTile::kThreads) outer_kernel(OuterJob job) {
  using Tile = OuterTile;
  T* xs = reinterpret_cast<T*>(shared_memory());
  T* gs = xs + Tile::kRows * Tile::kCols;
  const T* x = static_cast<const T*>(job.x);
  const T* g = static_cast<const T*>(job.g);
  const int width = (job.cols + Tile::kCols - 1) / Tile::kCols;
  const int k0 = static_cast<int>(blockIdx.y) / width * Tile::kOutputs;
  const int j0 = static_cast<int>(blockIdx.y) % width * Tile::kCols;
  const int tid = static_cast<int>(threadIdx.x);
  const int tk = tid / 16 * 2;
  const int tj = tid % 16 * 4;
  const std::int64_t each = (job.rows + gridDim.x - 1) / gridDim.x + Tile::kRows - 1;
  const std::int64_t range = each / Tile::kRows * Tile::kRows;
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * range;
  const std::int64_t end = begin + range < job.rows ? begin + range : job.rows;
  T part[2][4] = {};
  T part_bias[2] = {};
  double sum[2][4] = {};
  double bias[2] = {};
  int summed = 0;
  for (std::int64_t row = begin; row < end; row += Tile::kRows) {
    const int rows = static_cast<int>(end - row < Tile::kRows ? end - row : Tile::kRows);
    __syncthreads();
    for (int i = tid; i < Tile::kRows * Tile::kCols; i += Tile::kThreads) {
      const int r = i / Tile::kCols;
      const int c = j0 + i % Tile::kCols;
      xs[i] = r < rows && c < job.cols ? x[(row + r) * job.ld + c] : T{};
    }
    for (int i = tid; i < Tile::kRows * Tile::kOutputs; i += Tile::kThreads) {
      const int r = i / Tile::kOutputs;
      const int k = k0 + i % Tile::kOutputs;
      gs[i] = r < rows && k < job.outputs ? g[(row + r) * job.outputs + k] : T{};
    }
    __syncthreads();
    for (int r = 0; r < rows; ++r) {
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const T weight = gs[r * Tile::kOutputs + tk + k];
        part_bias[k] += weight;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          part[k][j] = std::fma(weight, xs[r * Tile::kCols + tj + j], part[k][j]);
        }
      }
    }
    summed += rows;
    if (summed < Tile::kFlush && row + rows < end) continue;
    summed = 0;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      bias[k] += static_cast<double>(part_bias[k]);
      part_bias[k] = T{};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        sum[k][j] += static_cast<double>(part[k][j]);
        part[k][j] = T{};
      }
    }
  }
  const std::int64_t size = std::int64_t{job.outputs} * (job.cols + 1);
  double* out = job.partial + static_cast<std::int64_t>(blockIdx.x) * size;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    if (k0 + tk + k >= job.outputs) continue;
    double* to = out + std::int64_t{k0 + tk + k} * (job.cols + 1);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j0 + tj + j < job.cols) to[j0 + tj + j] = sum[k][j];
    }
    if (j0 == 0 && tj == 0) to[job.cols] = bias[k];
  }
}

}  // namespace pronghorn::device::cuda
