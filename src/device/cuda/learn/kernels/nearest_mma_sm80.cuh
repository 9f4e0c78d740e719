// SPDX-License-Identifier: Apache-2.0
// The nearest centre of each row on the matrix unit, for float rows of up to 64 columns and up to
// 256 centres: the same labels as product.cuh's, at the speed of memory.
//
// The unit rounds both factors to 11 bits, so what it returns of a row and centre differs from the
// value that decides (sums of float in order) by at most
//   e = 2^-9 1.01 |x| R + 2.5e-5 (|x| + R)^2,   R the longest centre,
// the first term for the factors, the second for the sums of both. Where the least value is below
// the second by more than 2 e its centre is the nearest; the other rows, a few in a hundred, go to
// a list, and product.cuh decides them.
//
// A warp takes 32 rows at a time through its own ring of stages, as in logistic_mma_sm80.cuh; the
// centres stay in shared memory, arranged like the rows.
#pragma once

#include "device/cuda/learn/kernels/language.cuh"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {

struct NearestTile {
  static constexpr int kRows = 32;
  static constexpr int kCols = 64;
  static constexpr int kMostPanels = 4;
  static constexpr int kGroups = 4;  // of eight centres, whose products take turns
  static constexpr int kStageBytes = kRows * kCols * 4;
  static constexpr int kStages = 2;
  static constexpr int shared_bytes(int panels, int warps) {
    return (panels * kPanel * (kCols + 1) + kCols) * 4 + warps * kStages * kStageBytes;
  }
  // 12, or 8 where a block may have less of shared memory than those need; 0: too little for both.
  static constexpr int warps(int panels, int most_bytes) {
    return shared_bytes(panels, 12) <= most_bytes  ? 12
           : shared_bytes(panels, 8) <= most_bytes ? 8
                                                   : 0;
  }
};

template <int kWarps>
class NearestWarp {
 public:
  using Tile = NearestTile;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kStages = Tile::kStages;

  __device__ __forceinline__ explicit NearestWarp(const NearestJob& job)
      : job_(job),
        lane_(static_cast<int>(threadIdx.x) % 32),
        g_(lane_ / 4),
        t_(lane_ % 4),
        centers_(reinterpret_cast<float*>(shared_memory())),
        norms_(centers_ + job.padded * Tile::kCols),
        shift_(norms_ + job.padded),
        memory_(reinterpret_cast<unsigned char*>(shift_ + Tile::kCols) +
                static_cast<int>(threadIdx.x) / 32 * kStages * Tile::kStageBytes),
        along_{piece_at(g_, t_) * 4, piece_at(g_, 4 + t_) * 4} {
    for (int i = static_cast<int>(threadIdx.x); i < job.padded * 16; i += kThreads) {
      const int k = i / 16;
      Pack<float> values{};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int col = i % 16 * 4 + e;
        if (col < job.cols) values.at[e] = rounded(job.b[col * job.padded + k]);
      }
      store_pack(centers_ + piece_at(k, i % 16) * 4, values);
    }
    for (int k = static_cast<int>(threadIdx.x); k < job.padded; k += kThreads) {
      norms_[k] = job.bias[k];
    }
    if (threadIdx.x < Tile::kCols) {
      const int col = static_cast<int>(threadIdx.x);
      shift_[col] = job.shift != nullptr && col < job.cols ? job.shift[col] : 0.0f;
    }
    __syncthreads();
  }

  __device__ __forceinline__ void run() {
    const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * kWarps;
    const std::int64_t own = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
    const std::int64_t tiles = (job_.rows + Tile::kRows - 1) / Tile::kRows;
    std::int64_t ahead = own;
    for (int stage = 0; stage < kStages - 1; ++stage, ahead += warps) fetch(stage, ahead, tiles);
    int stage = 0;
    for (std::int64_t tile = own; tile < tiles; tile += warps, ahead += warps) {
      wait_for_copies<kStages - 2>();
      __syncwarp();
      fetch((stage + kStages - 1) % kStages, ahead, tiles);
      const std::int64_t first = first_row(tile);
      take(memory_ + stage * Tile::kStageBytes, first,
           static_cast<int>(tile * Tile::kRows - first));
      stage = (stage + 1) % kStages;
      __syncwarp();
    }
    changed_ = warp_sum(changed_);
    if (lane_ == 0 && changed_ > 0 && job_.changed != nullptr) atomicAdd(job_.changed, changed_);
  }

 private:
  // The last tile ends with the last row: it has some rows of the one before, which take() skips.
  __device__ __forceinline__ std::int64_t first_row(std::int64_t tile) const {
    const std::int64_t last = job_.rows - Tile::kRows;
    return tile * Tile::kRows < last ? tile * Tile::kRows : last;
  }

  __device__ __forceinline__ void fetch(int stage, std::int64_t tile, std::int64_t tiles) const {
    if (tile < tiles) {
      unsigned char* to = memory_ + stage * Tile::kStageBytes;
      // Two rows at a time; the place of a piece in row r + 8 is that in row r.
      const int piece = lane_ % 16;
      const int first = lane_ / 16;
      const bool there = piece * 4 < job_.cols;
      const float* from = job_.x + (first_row(tile) + first) * job_.ld + (there ? piece * 4 : 0);
#pragma unroll
      for (int i = 0; i < Tile::kRows / 2; ++i, from += 2 * job_.ld) {
        copy_async<16>(to + piece_at(first + i % 4 * 2, piece) * 16 + i / 4 * 2048, from, there);
      }
    }
    commit_copies();
  }

  // The piece of row g or column 4 t on, of 64 floats each: 16 p columns and 8 `groups` rows after
  // it.
  __device__ __forceinline__ Pack<float> load_at(const float* rows, int groups, int p) const {
    return load_pack(rows + along_[p % 2] + groups * 8 * Tile::kCols + p / 2 * 32);
  }

  // Of one row: the least value, its centre, the second least, the sum of the columns' squares.
  struct Found {
    float best, second, norm;
    int index;
  };
  // By value: a choice of references would put both in memory.
  static __device__ __forceinline__ Found one_of(bool first, const Found& a, const Found& b) {
    return {first ? a.best : b.best, first ? a.second : b.second, first ? a.norm : b.norm,
            first ? a.index : b.index};
  }
  // What this lane and the one at lane ^ mask know of the row that this one keeps.
  static __device__ __forceinline__ Found of_both(Found kept, const Found& given, int mask) {
    const float best = __shfl_xor_sync(~0u, given.best, mask);
    const float second = __shfl_xor_sync(~0u, given.second, mask);
    const int index = __shfl_xor_sync(~0u, given.index, mask);
    kept.norm += __shfl_xor_sync(~0u, given.norm, mask);
    kept.second = fminf(fminf(kept.second, second), fmaxf(kept.best, best));
    kept.index = best < kept.best ? index : kept.index;
    kept.best = fminf(kept.best, best);
    return kept;
  }

  // 32 rows from `first` on without the `skipped` first ones of them.
  __device__ __forceinline__ void take(const unsigned char* stage, std::int64_t first,
                                       int skipped) {
    // This lane's own row, when labels are written.
    const int in_tile = g_ + 8 * t_;
    const std::int64_t own = first + in_tile;
    const bool there = in_tile >= skipped;
    int was = -1;
    if (job_.before != nullptr && there) was = job_.before[own];
    const auto* rows = reinterpret_cast<const float*>(stage);
    // Rows g, g + 8 of each of two tiles of 16: the left operands of eight steps.
    float x[2][8][4];
    float norm[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      norm[r] = 0;
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        Pack<float> values = load_at(rows, r, p);
        const Pack<float> shift = load_pack(shift_ + p * 16 + 4 * t_);
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          values.at[e] -= shift.at[e];
          norm[r] = std::fma(values.at[e], values.at[e], norm[r]);
          x[r / 2][p * 2 + e / 2][r % 2 + e % 2 * 2] = rounded(values.at[e]);
        }
      }
    }
    float best[4], second[4];
    int index[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      best[r] = second[r] = INFINITY;
      index[r] = 0;
    }
    const float* centers = centers_;
    for (int n = 0; n < job_.padded;
         n += 8 * Tile::kGroups, centers += 8 * Tile::kGroups * Tile::kCols) {
      float sum[Tile::kGroups][2][4];  // of groups of eight centres, two tiles of rows
#pragma unroll
      for (int c = 0; c < Tile::kGroups; ++c) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sum[c][0][i] = sum[c][1][i] = norms_[n + c * 8 + 2 * t_ + i % 2];
        }
      }
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        Pack<float> values[Tile::kGroups];
#pragma unroll
        for (int c = 0; c < Tile::kGroups; ++c) {
          values[c] = load_at(centers, c, p);
        }
#pragma unroll
        for (int s = 0; s < 2; ++s) {
#pragma unroll
          for (int c = 0; c < Tile::kGroups; ++c) {
            const float b[2] = {values[c].at[2 * s], values[c].at[2 * s + 1]};
            multiply_add_tf32(sum[c][0], x[0][p * 2 + s], b);
            multiply_add_tf32(sum[c][1], x[1][p * 2 + s], b);
          }
        }
      }
#pragma unroll
      for (int c = 0; c < Tile::kGroups; ++c) {
#pragma unroll
        for (int r = 0; r < 4; ++r) {
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            const float value = sum[c][r / 2][r % 2 * 2 + e];
            second[r] = fminf(second[r], fmaxf(best[r], value));
            if (value < best[r]) index[r] = n + c * 8 + e;  // and 2 t
            best[r] = fminf(best[r], value);
          }
        }
      }
    }
    // The four lanes of four rows exchange halves until each has a row of its own.
    Found of[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) of[r] = {best[r], second[r], norm[r], index[r] + 2 * t_};
    const bool upper = (t_ & 2) != 0;
    const bool right = (t_ & 1) != 0;
    const Found even = of_both(one_of(upper, of[2], of[0]), one_of(upper, of[0], of[2]), 2);
    const Found odd = of_both(one_of(upper, of[3], of[1]), one_of(upper, of[1], of[3]), 2);
    const Found row = of_both(one_of(right, odd, even), one_of(right, even, odd), 1);
    const float length = root(row.norm);
    const float reach = length + job_.radius;
    const float apart = row.second - row.best;
    const bool sure = apart > 2 * (1.01f / 512 * length * job_.radius + 2.5e-5f * reach * reach);
    if (there && sure) {
      if (was != row.index) ++changed_;
      job_.labels[own] = row.index;
    }
    // The others go to the list, a warp's in one addition.
    const unsigned open = __ballot_sync(~0u, there && !sure);
    if (open == 0) return;
    unsigned at = 0;
    if (lane_ == 0) at = atomicAdd(job_.open_count, static_cast<unsigned>(__popc(open)));
    at = __shfl_sync(~0u, at, 0);
    if ((open >> lane_ & 1) != 0) {
      job_.open[at + static_cast<unsigned>(__popc(open & ((1u << lane_) - 1)))] =
          static_cast<unsigned>(own);
    }
  }

  const NearestJob& job_;
  const int lane_, g_, t_;
  float* const centers_;
  float* const norms_;
  float* const shift_;
  unsigned char* const memory_;
  const int along_[2];  // floats to the pieces t and 4 + t of row g
  unsigned long long changed_ = 0;
};

template <int kWarps>
__global__ void __launch_bounds__(32 * kWarps, 1) nearest_kernel(NearestJob job) {
  NearestWarp<kWarps>(job).run();
}

}  // namespace pronghorn::device::cuda
