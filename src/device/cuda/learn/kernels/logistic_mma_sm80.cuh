// SPDX-License-Identifier: Apache-2.0
// One pass of logistic regression over float rows of up to 64 columns, for up to 16 outputs: rows
// are read once, margins and gradient are products on the matrix unit.
//
// A warp takes 16 rows at a time from its own ring of stages in shared memory, which cp.async fills
// ahead; warps never wait for one another. Margins are rows x coefficients with the rows as the
// left operand; the gradient is rows^T x residuals, with the same rows read the other way round.
// Both readings are free of bank conflicts (piece_at). Which column or row stands for which index
// of a product's inner dimension does not matter as long as both operands agree, so each thread
// reads four neighbouring columns at once.
//
// Each float is split into two parts of the unit's 11 bits; three products give the accuracy of
// float. Sums over 512 rows are floats, all others double; those lie in shared memory, as registers
// are what limits the number of warps. Needs compute capability 8.0.
#pragma once

#include "device/cuda/learn/kernels/language.cuh"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {

struct LogisticTile {
  static constexpr int kMostWarps = 12;  // of a block; as many as shared memory has room for
  static constexpr int kRows = 16;
  static constexpr int kCols = 64;
  static constexpr int kStages = 2;
  static constexpr int kFlush = 32;           // tiles between additions to doubles
  static constexpr int kResidualStride = 24;  // floats between the residuals of two rows
  static constexpr int kRowBytes = kRows * kCols * 4;
  static constexpr int kStageBytes = kRowBytes + kRows * (4 + 8);  // rows, classes, weights
  static constexpr int kResidualBytes = kRows * kResidualStride * 4;
  // Tiles: as of LogisticWarp.
  static constexpr int warp_bytes(int tiles) {
    return kStages * kStageBytes + kResidualBytes + tiles * kCols * 8 * 8;
  }
};

// kTiles: 8 outputs each. kWeighted: job.weight is there. kBinary: one output, the binary loss.
template <int kTiles, bool kWeighted, bool kBinary>
class LogisticWarp {
 public:
  using Tile = LogisticTile;
  static constexpr int kWarpBytes = Tile::warp_bytes(kTiles);

  __device__ __forceinline__ explicit LogisticWarp(const LogisticJob& job)
      : job_(job),
        lane_(static_cast<int>(threadIdx.x) % 32),
        g_(lane_ / 4),
        t_(lane_ % 4),
        memory_(shared_memory() + static_cast<int>(threadIdx.x) / 32 * kWarpBytes),
        residuals_(reinterpret_cast<float*>(memory_ + Tile::kStages * Tile::kStageBytes)),
        sums_(reinterpret_cast<double*>(memory_ + Tile::kStages * Tile::kStageBytes +
                                        Tile::kResidualBytes) +
              lane_) {
#pragma unroll
    for (int i = 0; i < 16 * kTiles; ++i) sums_[32 * i] = 0;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const int k = n * 8 + g_;
#pragma unroll
      for (int step = 0; step < 8; ++step) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int col = step / 2 * 16 + 4 * t_ + step % 2 * 2 + e;
          const Halves w =
              halves_of(k < job.outputs && col < job.cols ? job.coef[k * job.cols + col] : 0.0f);
          high_[n][step][e] = w.high;
          low_[n][step][e] = w.low;
        }
      }
    }
  }

  __device__ __forceinline__ void run() {
    const int in_block = static_cast<int>(blockDim.x) / 32;
    const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * in_block;
    const std::int64_t own = static_cast<std::int64_t>(blockIdx.x) * in_block + threadIdx.x / 32;
    const std::int64_t tiles = (job_.rows + Tile::kRows - 1) / Tile::kRows;
    std::int64_t ahead = own;
    for (int stage = 0; stage < Tile::kStages - 1; ++stage, ahead += warps) {
      fetch(stage, ahead, tiles);
    }
    int stage = 0;
    int summed = 0;
    for (std::int64_t tile = own; tile < tiles; tile += warps, ahead += warps) {
      wait_for_copies<Tile::kStages - 2>();
      __syncwarp();
      fetch((stage + Tile::kStages - 1) % Tile::kStages, ahead, tiles);
      take(memory_ + stage * Tile::kStageBytes, job_.rows - tile * Tile::kRows);
      stage = (stage + 1) % Tile::kStages;
      if (++summed == Tile::kFlush) {
        flush();
        summed = 0;
      }
      __syncwarp();
    }
    flush();
    store(own);
  }

 private:
  // Starts the copy of a tile, or of nothing.
  __device__ __forceinline__ void fetch(int stage, std::int64_t tile, std::int64_t tiles) const {
    if (tile < tiles) {
      unsigned char* to = memory_ + stage * Tile::kStageBytes;
      const std::int64_t row = tile * Tile::kRows;
      const int left =
          static_cast<int>(job_.rows - row < Tile::kRows ? job_.rows - row : Tile::kRows);
      // Two rows at a time; the swizzle of row r + 4 is that of row r.
      const int piece = lane_ % 16;
      const int first = lane_ / 16;
      const bool wide = piece * 4 < job_.cols;
      const float* from = job_.x + (row + first) * job_.ld + (wide ? piece * 4 : 0);
      unsigned char* const even = to + piece_at(first, piece) * 16;
      unsigned char* const odd = to + piece_at(first + 2, piece) * 16;
      const std::int64_t step = 2 * job_.ld;
#pragma unroll
      for (int i = 0; i < 8; ++i, from += step) {
        const bool there = wide && i * 2 + first < left;
        copy_async<16>((i % 2 == 0 ? even : odd) + i / 2 * 1024, there ? from : job_.x, there);
      }
      const bool there = lane_ < left;
      if (lane_ < Tile::kRows) {
        const std::int64_t r = there ? row + lane_ : 0;
        copy_async<4>(to + Tile::kRowBytes + lane_ * 4, job_.y + r, there);
        if constexpr (kWeighted) {
          copy_async<8>(to + Tile::kRowBytes + Tile::kRows * 4 + lane_ * 8, job_.weight + r, there);
        }
      }
    }
    commit_copies();
  }

  // The pass over 16 rows, of which `left` are there.
  __device__ __forceinline__ void take(const unsigned char* stage, std::int64_t left) {
    float z[kTiles][4];
    margins(stage, z);
    const auto* classes = reinterpret_cast<const int*>(stage + Tile::kRowBytes);
    const auto* weights =
        reinterpret_cast<const double*>(stage + Tile::kRowBytes + Tile::kRows * 4);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = g_ + 8 * half;
      double w = row < left ? 1.0 : 0.0;
      if constexpr (kWeighted) w = weights[row];
      if constexpr (kBinary) {
        binary(z[0], half, classes[row], w);
      } else {
        multinomial(z, half, classes[row], w);
      }
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          bias_[n][e] += z[n][2 * half + e];
          residuals_[row * Tile::kResidualStride + n * 8 + 2 * t_ + e] = z[n][2 * half + e];
        }
      }
    }
    __syncwarp();
    gradient(stage);
  }

  __device__ __forceinline__ void margins(const unsigned char* stage, float (&z)[kTiles][4]) const {
    float rest[kTiles][2][4];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int k = n * 8 + 2 * t_ + i % 2;
        z[n][i] = k < job_.outputs ? job_.bias[k] : -INFINITY;
        rest[n][0][i] = rest[n][1][i] = 0;
      }
    }
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      const Pack<float> upper = load_piece(stage, g_, pair * 4 + t_);
      const Pack<float> lower = load_piece(stage, g_ + 8, pair * 4 + t_);
#pragma unroll
      for (int s = 0; s < 2; ++s) {
        const Halves a[4] = {halves_of(upper.at[2 * s]), halves_of(lower.at[2 * s]),
                             halves_of(upper.at[2 * s + 1]), halves_of(lower.at[2 * s + 1])};
        const float high[4] = {a[0].high, a[1].high, a[2].high, a[3].high};
        const float low[4] = {a[0].low, a[1].low, a[2].low, a[3].low};
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
          multiply_add_tf32(z[n], high, high_[n][pair * 2 + s]);
          multiply_add_tf32(rest[n][0], high, low_[n][pair * 2 + s]);
          multiply_add_tf32(rest[n][1], low, high_[n][pair * 2 + s]);
        }
      }
    }
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) z[n][i] += rest[n][0][i] + rest[n][1][i];
    }
  }

  // Margins of one row in four lanes to residuals; lane t = 0 adds its loss.
  __device__ __forceinline__ void multinomial(float (&z)[kTiles][4], int half, int label,
                                              double w) {
    float most = -INFINITY;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      most = fmaxf(most, fmaxf(z[n][2 * half], z[n][2 * half + 1]));
    }
    most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
    most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
    // The label and the others apart: a row that is all but certain still says how much is left.
    float others = 0;
    float own = 0;
    float right = 0;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float& value = z[n][2 * half + e];
        const float behind = value - most;
        value = expf(behind);
        if (n * 8 + 2 * t_ + e == label) {
          right = behind;
          own = value;
        } else {
          others += value;
        }
      }
    }
#pragma unroll
    for (int mask = 1; mask < 4; mask *= 2) {
      others += __shfl_xor_sync(~0u, others, mask);
      own += __shfl_xor_sync(~0u, own, mask);
    }
    const float scale = quotient(static_cast<float>(w), own + others);
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float& value = z[n][2 * half + e];
        value = scale * (n * 8 + 2 * t_ + e == label ? -others : value);
      }
    }
    const float log = own == 1.0f ? log1pf(others) : logf(own + others);
    const float loss = (t_ == 0 ? log : 0.0f) - right;
    loss_ += w * static_cast<double>(loss);
  }

  __device__ __forceinline__ void binary(float (&z)[4], int half, int label, double w) {
    const float margin = z[2 * half];
    const float tail = expf(-fabsf(margin));
    const float less = quotient(tail, 1.0f + tail);
    const float p = margin > 0 ? quotient(1.0f, 1.0f + tail) : less;
    const bool one = label == 1;
    // 1 - p loses its digits where p is nearly 1; there it is the tail.
    float residual = one ? (margin > 0 ? -less : p - 1.0f) : p;
    residual *= static_cast<float>(w);
    const float linear = (margin > 0 ? margin : 0.0f) - (one ? margin : 0.0f);
    if (t_ == 0) loss_ += w * (static_cast<double>(linear) + static_cast<double>(log1pf(tail)));
    z[2 * half] = t_ == 0 ? residual : 0.0f;
    z[2 * half + 1] = 0.0f;
  }

  // Column 4 g + i (i < 4) or 32 + 4 g + i - 4 is row g + 8 (i % 2) of the tile i / 2 of sums. The
  // products of one kind with all tiles come before the next kind: none waits for the one before.
  __device__ __forceinline__ void gradient(const unsigned char* stage) {
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      float high[kTiles][2], low[kTiles][2];
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int row = step * 8 + t_ + 4 * e;
          const Halves r = halves_of(residuals_[row * Tile::kResidualStride + n * 8 + g_]);
          high[n][e] = r.high;
          low[n][e] = r.low;
        }
      }
      float a_high[4][4], a_low[4][4];
#pragma unroll
      for (int side = 0; side < 2; ++side) {
#pragma unroll
        for (int lower = 0; lower < 2; ++lower) {
          const Pack<float> values = load_piece(stage, step * 8 + t_ + 4 * lower, side * 8 + g_);
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const Halves a = halves_of(values.at[i]);
            a_high[side * 2 + i / 2][lower * 2 + i % 2] = a.high;
            a_low[side * 2 + i / 2][lower * 2 + i % 2] = a.low;
          }
        }
      }
#pragma unroll
      for (int kind = 0; kind < 3; ++kind) {
#pragma unroll
        for (int m = 0; m < 4; ++m) {
#pragma unroll
          for (int n = 0; n < kTiles; ++n) {
            multiply_add_tf32(part_[m][n], kind == 2 ? a_low[m] : a_high[m],
                              kind == 1 ? low[n] : high[n]);
          }
        }
      }
    }
  }

  __device__ __forceinline__ double& sum(int m, int n, int i) const {
    return sums_[32 * ((m * kTiles + n) * 4 + i)];
  }

  __device__ __forceinline__ void flush() {
#pragma unroll
    for (int m = 0; m < 4; ++m) {
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sum(m, n, i) += static_cast<double>(part_[m][n][i]);
          part_[m][n][i] = 0;
        }
      }
    }
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        bias_sum_[n][e] += static_cast<double>(bias_[n][e]);
        bias_[n][e] = 0;
      }
    }
  }

  // The warp's sums: outputs x (cols + 1), then the loss.
  __device__ __forceinline__ void store(std::int64_t warp) {
    const std::int64_t size = std::int64_t{job_.outputs} * (job_.cols + 1) + 1;
    double* to = job_.partial + warp * size;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int k = n * 8 + 2 * t_ + i % 2;
#pragma unroll
        for (int m = 0; m < 4; ++m) {
          const int col = m / 2 * 32 + 4 * g_ + m % 2 * 2 + i / 2;
          if (k < job_.outputs && col < job_.cols) to[k * (job_.cols + 1) + col] = sum(m, n, i);
        }
      }
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        double bias = bias_sum_[n][e];
#pragma unroll
        for (int mask = 4; mask < 32; mask *= 2) bias += __shfl_xor_sync(~0u, bias, mask);
        const int k = n * 8 + 2 * t_ + e;
        if (g_ == 0 && k < job_.outputs) to[k * (job_.cols + 1) + job_.cols] = bias;
      }
    }
    const double loss = warp_sum(loss_);
    if (lane_ == 0) to[size - 1] = loss;
  }

  const LogisticJob& job_;
  const int lane_, g_, t_;
  unsigned char* const memory_;
  float* const residuals_;
  double* const sums_;  // of this lane
  float high_[kTiles][8][2], low_[kTiles][8][2];
  float part_[4][kTiles][4] = {};
  float bias_[kTiles][2] = {};
  double bias_sum_[kTiles][2] = {};
  double loss_ = 0;
};

template <int kTiles, bool kWeighted, bool kBinary>
__global__ void __launch_bounds__(32 * LogisticTile::kMostWarps, 1)
    logistic_kernel(LogisticJob job) {
  LogisticWarp<kTiles, kWeighted, kBinary>(job).run();
}

}  // namespace pronghorn::device::cuda
