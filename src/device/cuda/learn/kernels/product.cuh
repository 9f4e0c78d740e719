// SPDX-License-Identifier: Apache-2.0
// Products of rows with a small matrix, and what is made of them where they lie: the nearest centre
// of each row, scores, Gaussian log likelihoods.
//
// A block of 128 threads takes kTileRows rows at a time and a panel of 64 columns of B. Both lie in
// shared memory, rows as they are in memory but 16 bytes further apart, so that the loads of a
// quarter of a warp fall on different banks. A thread keeps kRowsPerThread x 8 sums in registers.
// Every sum starts from its bias and takes the columns in order, one fused multiply-add each: the
// bits are those of the processor's kernels that have such an instruction, wherever the row lies.
// Three to four blocks share a multiprocessor, so that one loads while the others compute. Where
// the first of a thread's vectors of columns reach (16 columns in double, 32 in float), the others
// are left out.
#pragma once

#include "device/cuda/learn/kernels/language.cuh"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {

template <class T>
struct ProductTile {
  static constexpr int kThreads = 128;
  static constexpr int kPer = 16 / static_cast<int>(sizeof(T));
  static constexpr int kRowsPerThread = sizeof(T) == 4 ? 8 : 4;
  static constexpr int kRows = 16 * kRowsPerThread;
  static constexpr int kCols = sizeof(T) == 4 ? 64 : 32;  // of x at a time
  static constexpr int kStride = kCols + kPer;
  static constexpr int kVectors = 8 / kPer;  // of a thread's 8 columns of B
  static constexpr int shared_bytes(bool two) {
    return (kRows * kStride + (two ? 2 : 1) * kCols * kPanel) * static_cast<int>(sizeof(T));
  }
};

template <bool kListed>
__device__ __forceinline__ std::int64_t rows_of(const ProductJob& job) {
  return kListed ? std::int64_t{*job.list_count} : job.rows;
}

// A tile of x, its shift taken off, from memory to registers and from there to shared memory, in
// two halves (a tile as a whole would need the registers of the sums).
template <class TX, class T, bool kListed>
struct TileLoad {
  using Tile = ProductTile<T>;
  static constexpr int kPer = 16 / static_cast<int>(sizeof(TX));
  static constexpr int kLine = Tile::kCols / kPer;  // packs in a row
  static constexpr int kCount = Tile::kRows * kLine / Tile::kThreads / 2;

  static constexpr int kStep = Tile::kThreads / kLine;  // rows between a thread's packs

  __device__ __forceinline__ void read(const ProductJob& job, std::int64_t row, int col, int half) {
    const int line = static_cast<int>(threadIdx.x) / kLine + half * kCount * kStep;
    const int c = col + static_cast<int>(threadIdx.x) % kLine * kPer;
    const std::int64_t left = rows_of<kListed>(job) - row;
    const int rows = c >= job.cols ? 0 : left < Tile::kRows ? static_cast<int>(left) : Tile::kRows;
    const TX* x = static_cast<const TX*>(job.x) + c + (kListed ? 0 : (row + line) * job.ld);
    const std::int64_t step = kStep * job.ld;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (line + i * kStep < rows) {
        const std::int64_t at = kListed ? job.list[row + line + i * kStep] * job.ld : i * step;
        pack[i] = load_pack(x + at);
      } else {
#pragma unroll
        for (int e = 0; e < kPer; ++e) pack[i].at[e] = TX{};
      }
    }
  }
  __device__ __forceinline__ void write(const ProductJob& job, int col, int half, T* tile) const {
    const TX* shift = static_cast<const TX*>(job.shift);
    const int line = static_cast<int>(threadIdx.x) / kLine + half * kCount * kStep;
    const int c = static_cast<int>(threadIdx.x) % kLine * kPer;
    T* to = tile + line * Tile::kStride + c;
    Pack<TX> off{};
    if (shift != nullptr && col + c < job.cols) off = load_pack(shift + col + c);
#pragma unroll
    for (int i = 0; i < kCount; ++i, to += kStep * Tile::kStride) {
      Pack<TX> values = pack[i];
      if (shift != nullptr) {
#pragma unroll
        for (int e = 0; e < kPer; ++e) values.at[e] -= off.at[e];
      }
      if constexpr (sizeof(TX) == sizeof(T)) {
        store_pack(to, values);
      } else {
#pragma unroll
        for (int e = 0; e < kPer; e += Tile::kPer) {
          Pack<T> wide;
#pragma unroll
          for (int k = 0; k < Tile::kPer; ++k) wide.at[k] = static_cast<T>(values.at[e + k]);
          store_pack(to + e, wide);
        }
      }
    }
  }

  Pack<TX> pack[kCount];
};

// Rows col .. col + kCols - 1 of a panel of a packed matrix (job.padded columns) to shared memory.
template <class T>
__device__ __forceinline__ void load_panel(const void* matrix, const ProductJob& job, int col,
                                           int panel, T* to) {
  using Tile = ProductTile<T>;
  const T* b = static_cast<const T*>(matrix);
  constexpr int kLine = kPanel / Tile::kPer;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kCols * kLine; i += Tile::kThreads) {
    const int j = i / kLine;
    const int c = i % kLine * Tile::kPer;
    Pack<T> values{};
    if (col + j < job.cols) {
      values = load_pack(b + static_cast<std::int64_t>(col + j) * job.padded + panel * kPanel + c);
    }
    store_pack(to + j * kPanel + c, values);
  }
}

template <class T>
__device__ __forceinline__ bool precedes(T value, int index, T than, int than_index) {
  return value < than || (value == than && index < than_index);
}

// kVectors: how many vectors of columns each thread computes; all, unless there is one panel.
template <class TX, class T, Product kKind, bool kListed, int kVectors>
__global__ void __launch_bounds__(128, sizeof(T) == 4 ? 4 : 3) product_kernel(ProductJob job) {
  using Tile = ProductTile<T>;
  constexpr int kRows = Tile::kRowsPerThread;
  constexpr int kPer = Tile::kPer;
  constexpr int kOwn = kVectors * kPer;  // columns of a thread
  T* tile = reinterpret_cast<T*>(shared_memory());
  T* panel = tile + Tile::kRows * Tile::kStride;
  T* scales = panel + Tile::kCols * kPanel;
  const int tc = static_cast<int>(threadIdx.x) % 8;
  const int tr = static_cast<int>(threadIdx.x) / 8;
  const int panels = job.padded / kPanel;
  const int pieces = (job.cols + Tile::kCols - 1) / Tile::kCols;
  const bool keep_panel = panels * pieces == 1;
  const std::int64_t rows = rows_of<kListed>(job);
  const std::int64_t tiles = (rows + Tile::kRows - 1) / Tile::kRows;
  bool have_panel = false;
  unsigned long long changed = 0;

  for (std::int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
    const std::int64_t row = t * Tile::kRows;
    T best[kRows];
    int index[kRows];
    for (int p = 0; p < panels; ++p) {
      T sum[kRows][kOwn] = {};
      for (int piece = 0; piece < pieces; ++piece) {
        const int col = piece * Tile::kCols;
        const bool load_tile = p == 0 || pieces > 1;
        if (load_tile) {
          TileLoad<TX, T, kListed> load;
          load.read(job, row, col, 0);
          __syncthreads();
          load.write(job, col, 0, tile);
          load.read(job, row, col, 1);
          load.write(job, col, 1, tile);
        } else {
          __syncthreads();
        }
        if (!have_panel) {
          load_panel(job.b, job, col, p, panel);
          if constexpr (kKind == Product::kGauss) load_panel(job.scale, job, col, p, scales);
          have_panel = keep_panel;
        }
        __syncthreads();
        if (piece == 0) {
          const T* bias = static_cast<const T*>(job.bias) + p * kPanel + tc * kPer;
#pragma unroll
          for (int c = 0; c < kOwn; ++c) {
            const T start = bias[c / kPer * 8 * kPer + c % kPer];
#pragma unroll
            for (int i = 0; i < kRows; ++i) sum[i][c] = start;
          }
        }
        const int width = job.cols - col < Tile::kCols ? job.cols - col : Tile::kCols;
        for (int j = 0; j < width; j += kPer) {
          Pack<T> x[kRows];
#pragma unroll
          for (int i = 0; i < kRows; ++i) {
            x[i] = load_pack(tile + (tr + 16 * i) * Tile::kStride + j);
          }
#pragma unroll
          for (int e = 0; e < kPer; ++e) {
#pragma unroll
            for (int v = 0; v < kVectors; ++v) {
              const int at = (j + e) * kPanel + v * 8 * kPer + tc * kPer;
              const Pack<T> b = load_pack(panel + at);
              if constexpr (kKind == Product::kGauss) {
                const Pack<T> scale = load_pack(scales + at);
#pragma unroll
                for (int i = 0; i < kRows; ++i) {
#pragma unroll
                  for (int k = 0; k < kPer; ++k) {
                    const T off = x[i].at[e] - b.at[k];
                    sum[i][v * kPer + k] =
                        std::fma(-(off * off), scale.at[k], sum[i][v * kPer + k]);
                  }
                }
              } else {
#pragma unroll
                for (int i = 0; i < kRows; ++i) {
#pragma unroll
                  for (int k = 0; k < kPer; ++k) {
                    sum[i][v * kPer + k] = std::fma(x[i].at[e], b.at[k], sum[i][v * kPer + k]);
                  }
                }
              }
            }
          }
        }
      }
      if constexpr (kKind == Product::kNearest) {
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          if (p == 0) {
            best[i] = sum[i][0];
            index[i] = tc * kPer;
          }
#pragma unroll
          for (int c = 0; c < kOwn; ++c) {
            if (p == 0 && c == 0) continue;
            if (sum[i][c] < best[i]) {
              best[i] = sum[i][c];
              index[i] = p * kPanel + c / kPer * 8 * kPer + tc * kPer + c % kPer;
            }
          }
        }
      } else {
        T* out = static_cast<T*>(job.out);
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          const std::int64_t r = row + tr + 16 * i;
          if (r >= rows) continue;
#pragma unroll
          for (int c = 0; c < kOwn; ++c) {
            const int k = p * kPanel + c / kPer * 8 * kPer + tc * kPer + c % kPer;
            if (k < job.count) out[r * job.count + k] = sum[i][c];
          }
        }
      }
    }
    if constexpr (kKind == Product::kNearest) {
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
#pragma unroll
        for (int mask = 1; mask < 8; mask *= 2) {
          const T other = __shfl_xor_sync(~0u, best[i], mask);
          const int other_index = __shfl_xor_sync(~0u, index[i], mask);
          if (precedes(other, other_index, best[i], index[i])) {
            best[i] = other;
            index[i] = other_index;
          }
        }
        std::int64_t r = row + tr + 16 * i;
        if (tc == i && r < rows) {
          if constexpr (kListed) r = job.list[r];
          if (job.before != nullptr) changed += job.before[r] != index[i] ? 1 : 0;
          job.labels[r] = index[i];
        }
      }
    }
  }
  if constexpr (kKind == Product::kNearest) {
    if (job.changed == nullptr) return;
    changed = warp_sum(changed);
    if (threadIdx.x % 32 == 0 && changed > 0) atomicAdd(job.changed, changed);
  }
}

}  // namespace pronghorn::device::cuda
