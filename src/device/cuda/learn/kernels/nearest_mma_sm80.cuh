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
  static constexpr int kWarps = 8;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRows = 32;
  static constexpr int kCols = 64;
  static constexpr int kMostPanels = 4;
  static constexpr int kGroups = 4;  // of eight centres, whose products take turns
  static constexpr int kStageBytes = kRows * kCols * 4;
  static constexpr int stages(int panels) { return panels == 1 ? 3 : 2; }
  static constexpr int shared_bytes(int panels) {
    return (panels * kPanel * (kCols + 1) + kCols) * 4 + kWarps * stages(panels) * kStageBytes;
  }
};

template <int kStages>
class NearestWarp {
 public:
  using Tile = NearestTile;

  __device__ __forceinline__ explicit NearestWarp(const NearestJob& job)
      : job_(job),
        lane_(static_cast<int>(threadIdx.x) % 32),
        g_(lane_ / 4),
        t_(lane_ % 4),
        centers_(reinterpret_cast<float*>(shared_memory())),
        norms_(centers_ + job.padded * Tile::kCols),
        shift_(norms_ + job.padded),
        memory_(reinterpret_cast<unsigned char*>(shift_ + Tile::kCols) +
                static_cast<int>(threadIdx.x) / 32 * kStages * Tile::kStageBytes) {
    for (int i = static_cast<int>(threadIdx.x); i < job.padded * 16; i += Tile::kThreads) {
      const int k = i / 16;
      Pack<float> values{};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int col = i % 16 * 4 + e;
        if (col < job.cols) values.at[e] = rounded(job.b[col * job.padded + k]);
      }
      store_pack(centers_ + piece_at(k, i % 16) * 4, values);
    }
    for (int k = static_cast<int>(threadIdx.x); k < job.padded; k += Tile::kThreads) {
      norms_[k] = job.bias[k];
    }
    if (threadIdx.x < Tile::kCols) {
      const int col = static_cast<int>(threadIdx.x);
      shift_[col] = job.shift != nullptr && col < job.cols ? job.shift[col] : 0.0f;
    }
    __syncthreads();
  }

  __device__ __forceinline__ void run() {
    const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * Tile::kWarps;
    const std::int64_t own =
        static_cast<std::int64_t>(blockIdx.x) * Tile::kWarps + threadIdx.x / 32;
    const std::int64_t tiles = (job_.rows + Tile::kRows - 1) / Tile::kRows;
    std::int64_t ahead = own;
    for (int stage = 0; stage < kStages - 1; ++stage, ahead += warps) fetch(stage, ahead, tiles);
    int stage = 0;
    for (std::int64_t tile = own; tile < tiles; tile += warps, ahead += warps) {
      wait_for_copies<kStages - 2>();
      __syncwarp();
      fetch((stage + kStages - 1) % kStages, ahead, tiles);
      take(memory_ + stage * Tile::kStageBytes, tile * Tile::kRows);
      stage = (stage + 1) % kStages;
      __syncwarp();
    }
    changed_ = warp_sum(changed_);
    if (lane_ == 0 && changed_ > 0 && job_.changed != nullptr) atomicAdd(job_.changed, changed_);
  }

 private:
  __device__ __forceinline__ void fetch(int stage, std::int64_t tile, std::int64_t tiles) const {
    if (tile < tiles) {
      unsigned char* to = memory_ + stage * Tile::kStageBytes;
      const std::int64_t row = tile * Tile::kRows;
      const int left =
          static_cast<int>(job_.rows - row < Tile::kRows ? job_.rows - row : Tile::kRows);
#pragma unroll
      for (int i = 0; i < Tile::kRows / 2; ++i) {
        const int r = i * 2 + lane_ / 16;
        const int piece = lane_ % 16;
        const bool there = r < left && piece * 4 < job_.cols;
        const float* from = there ? job_.x + (row + r) * job_.ld + piece * 4 : job_.x;
        copy_async<16>(to + piece_at(r, piece) * 16, from, there);
      }
    }
    commit_copies();
  }

  __device__ __forceinline__ void take(const unsigned char* stage, std::int64_t first) {
    // This lane's own row, when labels are written.
    const std::int64_t own = first + g_ + 8 * t_;
    int was = -1;
    if (job_.before != nullptr && own < job_.rows) was = job_.before[own];
    const auto* rows = reinterpret_cast<const float*>(stage);
    // Rows g, g + 8 of each of two tiles of 16: the left operands of eight steps.
    float x[2][8][4];
    float norm[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      norm[r] = 0;
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        Pack<float> values = load_piece(rows, g_ + 8 * r, p * 4 + t_);
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
    for (int n = 0; n < job_.padded; n += 8 * Tile::kGroups) {
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
          values[c] = load_piece(centers_, n + c * 8 + g_, p * 4 + t_);
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
            if (value < best[r]) index[r] = n + c * 8 + 2 * t_ + e;
            best[r] = fminf(best[r], value);
          }
        }
      }
    }
    int label = 0;
    bool sure = false;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
#pragma unroll
      for (int mask = 1; mask < 4; mask *= 2) {
        const float other = __shfl_xor_sync(~0u, best[r], mask);
        const float other_second = __shfl_xor_sync(~0u, second[r], mask);
        const int other_index = __shfl_xor_sync(~0u, index[r], mask);
        norm[r] += __shfl_xor_sync(~0u, norm[r], mask);
        second[r] = fminf(fminf(second[r], other_second), fmaxf(best[r], other));
        if (other < best[r]) {
          best[r] = other;
          index[r] = other_index;
        }
      }
      if (t_ == r) {
        const float length = sqrtf(norm[r]);
        const float reach = length + job_.radius;
        const float error = 1.01f / 512 * length * job_.radius + 2.5e-5f * reach * reach;
        sure = second[r] - best[r] > 2 * error;
        label = index[r];
      }
    }
    const bool there = own < job_.rows;
    if (there && sure) {
      if (was != label) ++changed_;
      job_.labels[own] = label;
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
  unsigned long long changed_ = 0;
};

template <int kStages>
__global__ void __launch_bounds__(NearestTile::kThreads, 1) nearest_kernel(NearestJob job) {
  NearestWarp<kStages>(job).run();
}

}  // namespace pronghorn::device::cuda
