// SPDX-License-Identifier: Apache-2.0
// One pass of logistic regression over float rows of up to 64 columns, for up to 16 outputs: rows
// are read once, margins and gradient are products on the matrix unit.
//
// A warp takes 16 rows at a time from its own ring of stages in shared memory, which cp.async fills
// ahead; warps never wait for one another. Both products have the outputs as the rows of their left
// operand: margins^T = coefficients x rows^T and gradient^T = residuals^T x rows. What the first
// leaves in a lane's registers then is, residual for margin, the left operand of the second:
// nothing goes through memory between them. The rows are read from shared memory twice, along and
// across, both free of bank conflicts (piece_at). Which column or row stands for which index of a
// product's inner dimension does not matter as long as both operands agree, so each lane reads four
// neighbouring columns at once.
//
// Each float is split into two parts of the unit's 11 bits; three products give the accuracy of
// float. Up to 8 outputs, both parts of the left operand lie in one (rows 0 to 7 and 8 to 15), and
// two products give all four. Sums over 512 rows are floats, all others double; those lie in shared
// memory, as registers are what limits the number of warps. Needs compute capability 8.0.
#pragma once

#include "device/cuda/learn/kernels/language.cuh"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {

struct LogisticTile {
  static constexpr int kMostWarps = 12;  // of a block; as many as shared memory has room for
  static constexpr int kRows = 16;
  static constexpr int kCols = 64;
  static constexpr int kStages = 2;
  static constexpr int kFlush = 32;  // tiles between additions to doubles
  static constexpr int kRowBytes = kRows * kCols * 4;
  static constexpr int kStageBytes = kRowBytes + kRows * (4 + 8);  // rows, classes, weights
  // Groups: of 8 outputs, as of LogisticWarp.
  static constexpr int warp_bytes(int groups) {
    return kStages * kStageBytes + groups * kCols * 8 * 8;
  }
};

// The left operand of a product of three or (one group of outputs) four parts: `high` and `low`
// are the parts of [output g or 8 + g][inner index t or t + 4], or `high` holds both.
template <int kGroups>
struct SplitLeft {
  // values: of output g and the inner indices t, t + 4, then of output 8 + g.
  __device__ __forceinline__ explicit SplitLeft(const float (&values)[kGroups][2]) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const Halves first = halves_of(values[0][e]);
      if constexpr (kGroups == 1) {
        high[2 * e] = first.high;
        high[2 * e + 1] = first.low;
      } else {
        const Halves second = halves_of(values[1][e]);
        high[2 * e] = first.high;
        high[2 * e + 1] = second.high;
        low[2 * e] = first.low;
        low[2 * e + 1] = second.low;
      }
    }
  }
  SplitLeft() = default;
  float high[4];
  float low[4];  // of two groups
};

// kGroups: 8 outputs each. kWeighted: job.weight is there. kBinary: one output, the binary loss.
// Needs at least LogisticTile::kRows rows.
template <int kGroups, bool kWeighted, bool kBinary>
class LogisticWarp {
 public:
  using Tile = LogisticTile;
  static constexpr int kWarpBytes = Tile::warp_bytes(kGroups);

  __device__ __forceinline__ explicit LogisticWarp(const LogisticJob& job)
      : job_(job),
        lane_(static_cast<int>(threadIdx.x) % 32),
        g_(lane_ / 4),
        t_(lane_ % 4),
        memory_(shared_memory() + static_cast<int>(threadIdx.x) / 32 * kWarpBytes),
        sums_(reinterpret_cast<double*>(memory_ + Tile::kStages * Tile::kStageBytes) + lane_),
        along_{piece_at(g_, t_) * 16, piece_at(g_, 4 + t_) * 16},
        across_{piece_at(2 * t_, g_) * 16, piece_at(2 * t_ + 1, g_) * 16} {
#pragma unroll
    for (int i = 0; i < 16 * kGroups; ++i) sums_[32 * i] = 0;
#pragma unroll
    for (int step = 0; step < 8; ++step) {
      float values[kGroups][2];
#pragma unroll
      for (int o = 0; o < kGroups; ++o) {
        const int k = o * 8 + g_;
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int col = step / 2 * 16 + 4 * t_ + step % 2 * 2 + e;
          values[o][e] = k < job.outputs && col < job.cols ? job.coef[k * job.cols + col] : 0.0f;
        }
      }
      coef_[step] = SplitLeft<kGroups>(values);
    }
#pragma unroll
    for (int o = 0; o < kGroups; ++o) {
      bias_[o] = o * 8 + g_ < job.outputs ? job.bias[o * 8 + g_] : kNever;
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
      take(memory_ + stage * Tile::kStageBytes,
           static_cast<int>(tile * Tile::kRows - first_row(tile)));
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
  static constexpr float kNever = -1e30f;  // the margin of an output that there is not

  // The last tile ends with the last row: it has some rows of the one before, which take() skips.
  __device__ __forceinline__ std::int64_t first_row(std::int64_t tile) const {
    const std::int64_t last = job_.rows - Tile::kRows;
    return tile * Tile::kRows < last ? tile * Tile::kRows : last;
  }

  // Starts the copy of a tile, or of nothing. Pieces beyond the columns are the first one again:
  // their coefficients are zeros, their sums are not stored.
  __device__ __forceinline__ void fetch(int stage, std::int64_t tile, std::int64_t tiles) const {
    if (tile < tiles) {
      unsigned char* to = memory_ + stage * Tile::kStageBytes;
      const std::int64_t row = first_row(tile);
      // Two rows at a time; the place of a piece in row r + 8 is that in row r.
      const int piece = lane_ % 16;
      const int first = lane_ / 16;
      const float* from =
          job_.x + (row + first) * job_.ld + (piece * 4 < job_.cols ? piece * 4 : 0);
#pragma unroll
      for (int i = 0; i < 8; ++i, from += 2 * job_.ld) {
        copy_async<16>(to + piece_at(first + i % 4 * 2, piece) * 16 + i / 4 * 2048, from, true);
      }
      if (lane_ < Tile::kRows) {
        copy_async<4>(to + Tile::kRowBytes + lane_ * 4, job_.y + row + lane_, true);
        if constexpr (kWeighted) {
          copy_async<8>(to + Tile::kRowBytes + Tile::kRows * 4 + lane_ * 8,
                        job_.weight + row + lane_, true);
        }
      }
    }
    commit_copies();
  }

  // Values of outputs g and 8 + g for the rows 2 t and 2 t + 1 (e) of two halves (j) of a tile.
  struct Values {
    float at[2][kGroups][2];
  };

  // The pass over 16 rows without the first `skipped` ones.
  __device__ __forceinline__ void take(const unsigned char* stage, int skipped) {
    Values z = margins(stage);
    const auto* classes = reinterpret_cast<const int*>(stage + Tile::kRowBytes);
    const auto* weights =
        reinterpret_cast<const double*>(stage + Tile::kRowBytes + Tile::kRows * 4);
    const auto weight_of = [&](int row) {
      if (row < skipped) return 0.0;
      return kWeighted ? weights[row] : 1.0;
    };
    if constexpr (kBinary) {
      binary(z, classes, weight_of);
    } else {
      multinomial(z, classes, weight_of);
    }
#pragma unroll
    for (int o = 0; o < kGroups; ++o) {
      bias_part_[o] += (z.at[0][o][0] + z.at[0][o][1]) + (z.at[1][o][0] + z.at[1][o][1]);
    }
    gradient(stage, z);
  }

  __device__ __forceinline__ Values margins(const unsigned char* stage) const {
    constexpr int kKinds = kGroups == 1 ? 2 : 3;
    float sum[2][kKinds][4] = {};
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const Pack<float> values = load_at(stage + along_[pair % 2], j, pair / 2);
#pragma unroll
        for (int s = 0; s < 2; ++s) {
          const SplitLeft<kGroups>& left = coef_[pair * 2 + s];
          const Halves a = halves_of(values.at[2 * s]);
          const Halves b = halves_of(values.at[2 * s + 1]);
          const float high[2] = {a.high, b.high};
          const float low[2] = {a.low, b.low};
          multiply_add_tf32(sum[j][0], left.high, high);
          multiply_add_tf32(sum[j][1], left.high, low);
          if constexpr (kGroups == 2) multiply_add_tf32(sum[j][2], left.low, high);
        }
      }
    }
    Values z;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        if constexpr (kGroups == 1) {
          z.at[j][0][e] =
              bias_[0] + sum[j][0][e] + ((sum[j][0][2 + e] + sum[j][1][e]) + sum[j][1][2 + e]);
        } else {
#pragma unroll
          for (int o = 0; o < 2; ++o) {
            const int i = 2 * o + e;
            z.at[j][o][e] = bias_[o] + sum[j][0][i] + (sum[j][1][i] + sum[j][2][i]);
          }
        }
      }
    }
    return z;
  }

  // The piece that lies 8 j rows and 8 side pieces after one of the first eight.
  static __device__ __forceinline__ Pack<float> load_at(const unsigned char* first, int j,
                                                        int side) {
    return load_pack(reinterpret_cast<const float*>(first + j * 8 * Tile::kCols * 4 + side * 128));
  }

  // Sum over the eight lanes that have values of the same rows.
  static __device__ __forceinline__ float sum_of_outputs(float value) {
#pragma unroll
    for (int mask = 4; mask < 32; mask *= 2) value += __shfl_xor_sync(~0u, value, mask);
    return value;
  }

  // Margins to residuals. The label and the others are kept apart: a row that is all but certain
  // still says how much is left. Exponentials are taken relative to the label's margin, or, where
  // that could overflow, to the largest one.
  template <class WeightOf>
  __device__ __forceinline__ void multinomial(Values& z, const int* classes,
                                              const WeightOf& weight_of) {
    constexpr float kFar = 80;
    int label[2][2];
    float most[2][2] = {};  // over the label's margin
    float own[2][2] = {{1, 1}, {1, 1}};
    bool far = false;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        label[j][e] = classes[8 * j + 2 * t_ + e];
        float margin = z.at[j][0][e];
        if constexpr (kGroups == 2) margin = label[j][e] < 8 ? margin : z.at[j][1][e];
        margin = __shfl_sync(~0u, margin, label[j][e] % 8 * 4 + t_);
#pragma unroll
        for (int o = 0; o < kGroups; ++o) {
          z.at[j][o][e] -= margin;
          far = far || z.at[j][o][e] > kFar;
        }
      }
    }
    if (__any_sync(~0u, far)) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& largest = most[j][e];
#pragma unroll
          for (int o = 0; o < kGroups; ++o) largest = fmaxf(largest, z.at[j][o][e]);
#pragma unroll
          for (int mask = 4; mask < 32; mask *= 2) {
            largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, mask));
          }
#pragma unroll
          for (int o = 0; o < kGroups; ++o) z.at[j][o][e] -= largest;
          own[j][e] = exponential(-largest);
        }
      }
    }
    float row_others = 0;
    float row_own = 1;
    float row_most = 0;
    double row_weight = 0;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float part = 0;
#pragma unroll
        for (int o = 0; o < kGroups; ++o) {
          float& value = z.at[j][o][e];
          value = exponential(value);
          if (8 * o + g_ != label[j][e]) part += value;
        }
        const float others = sum_of_outputs(part);
        const double w = weight_of(8 * j + 2 * t_ + e);
        const float scale = static_cast<float>(w) * reciprocal(own[j][e] + others);
#pragma unroll
        for (int o = 0; o < kGroups; ++o) {
          float& value = z.at[j][o][e];
          value = scale * (8 * o + g_ == label[j][e] ? -others : value);
        }
        if (g_ == 2 * j + e) {  // the lane that adds the row's loss
          row_others = others;
          row_own = own[j][e];
          row_most = most[j][e];
          row_weight = w;
        }
      }
    }
    const float log = row_own == 1.0f ? log1pf(row_others) : logf(row_own + row_others);
    if (row_weight != 0) loss_ += row_weight * (static_cast<double>(log) + row_most);
  }

  // Lanes of output 0 have four rows each; they hand one to each of four lanes and get residuals.
  template <class WeightOf>
  __device__ __forceinline__ void binary(Values& z, const int* classes, const WeightOf& weight_of) {
    float margin = 0;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const float value = __shfl_sync(~0u, z.at[r / 2][0][r % 2], t_);
      if (g_ % 4 == r) margin = value;
    }
    const int row = g_ % 4 / 2 * 8 + 2 * t_ + g_ % 2;
    const bool one = classes[row] == 1;
    const double w = weight_of(row);
    const float tail = expf(-fabsf(margin));
    const float less = quotient(tail, 1.0f + tail);
    const float p = margin > 0 ? quotient(1.0f, 1.0f + tail) : less;
    // 1 - p loses its digits where p is nearly 1; there it is the tail.
    float residual = one ? (margin > 0 ? -less : p - 1.0f) : p;
    residual *= static_cast<float>(w);
    const float linear = (margin > 0 ? margin : 0.0f) - (one ? margin : 0.0f);
    if (g_ < 4) loss_ += w * (static_cast<double>(linear) + static_cast<double>(log1pf(tail)));
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const float value = __shfl_sync(~0u, residual, r * 4 + t_);
      z.at[r / 2][0][r % 2] = g_ == 0 ? value : 0.0f;
    }
  }

  // Column 4 n + i (i < 4) or 32 + 4 n + i - 4 is column n of the tile i of sums.
  __device__ __forceinline__ void gradient(const unsigned char* stage, const Values& residuals) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const SplitLeft<kGroups> left(residuals.at[j]);
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        const Pack<float> even = load_at(stage + across_[0], j, side);
        const Pack<float> odd = load_at(stage + across_[1], j, side);
        float high[4][2], low[4][2];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const Halves a = halves_of(even.at[i]);
          const Halves b = halves_of(odd.at[i]);
          high[i][0] = a.high;
          high[i][1] = b.high;
          low[i][0] = a.low;
          low[i][1] = b.low;
        }
        // The products of one kind with all tiles come before the next kind: none waits for the one
        // before.
#pragma unroll
        for (int i = 0; i < 4; ++i) multiply_add_tf32(part_[4 * side + i], left.high, high[i]);
        if constexpr (kGroups == 2) {
#pragma unroll
          for (int i = 0; i < 4; ++i) multiply_add_tf32(part_[4 * side + i], left.low, high[i]);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) multiply_add_tf32(part_[4 * side + i], left.high, low[i]);
      }
    }
  }

  // Of output 8 o + g and column 2 t + e of tile m.
  __device__ __forceinline__ double& sum(int m, int o, int e) const {
    return sums_[32 * ((m * kGroups + o) * 2 + e)];
  }

  __device__ __forceinline__ void flush() {
#pragma unroll
    for (int m = 0; m < 8; ++m) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        if constexpr (kGroups == 1) {
          sum(m, 0, e) += static_cast<double>(part_[m][e]) + static_cast<double>(part_[m][2 + e]);
        } else {
#pragma unroll
          for (int o = 0; o < 2; ++o) sum(m, o, e) += static_cast<double>(part_[m][2 * o + e]);
        }
        part_[m][e] = part_[m][2 + e] = 0;
      }
    }
#pragma unroll
    for (int o = 0; o < kGroups; ++o) {
      bias_sum_[o] += static_cast<double>(bias_part_[o]);
      bias_part_[o] = 0;
    }
  }

  // The warp's sums: outputs x (cols + 1), then the loss.
  __device__ __forceinline__ void store(std::int64_t warp) {
    const std::int64_t size = std::int64_t{job_.outputs} * (job_.cols + 1) + 1;
    double* to = job_.partial + warp * size;
#pragma unroll
    for (int o = 0; o < kGroups; ++o) {
      const int k = o * 8 + g_;
#pragma unroll
      for (int m = 0; m < 8; ++m) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int col = m / 4 * 32 + 4 * (2 * t_ + e) + m % 4;
          if (k < job_.outputs && col < job_.cols) to[k * (job_.cols + 1) + col] = sum(m, o, e);
        }
      }
      double bias = bias_sum_[o];
#pragma unroll
      for (int mask = 1; mask < 4; mask *= 2) bias += __shfl_xor_sync(~0u, bias, mask);
      if (t_ == 0 && k < job_.outputs) to[k * (job_.cols + 1) + job_.cols] = bias;
    }
    const double loss = warp_sum(loss_);
    if (lane_ == 0) to[size - 1] = loss;
  }

  const LogisticJob& job_;
  const int lane_, g_, t_;
  unsigned char* const memory_;
  double* const sums_;  // of this lane
  // Bytes to this lane's pieces: of row g, t and 4 + t; and piece g of rows 2 t and 2 t + 1.
  const int along_[2], across_[2];
  SplitLeft<kGroups> coef_[8];
  float bias_[kGroups];
  float part_[8][4] = {};
  float bias_part_[kGroups] = {};
  double bias_sum_[kGroups] = {};
  double loss_ = 0;
};

template <int kGroups, bool kWeighted, bool kBinary>
__global__ void __launch_bounds__(32 * LogisticTile::kMostWarps, 1)
    logistic_kernel(LogisticJob job) {
  LogisticWarp<kGroups, kWeighted, kBinary>(job).run();
}

}  // namespace pronghorn::device::cuda
