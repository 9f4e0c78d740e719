// SPDX-License-Identifier: Apache-2.0
// Sums of rows by group, bound by the reading of the rows.
//
// A block takes kTile rows at a time and sorts their numbers by group in shared memory, in their
// order within a group: counts of each warp's share, a prefix sum, and ranks from __match_any_sync.
// Then its warps share the sorted list in equal parts, whatever the sizes of the groups. A lane
// keeps two columns' sums in registers and stores them where the group changes. The first and last
// group of a warp's part may be its neighbours' too: these sums go to a place of their own and are
// added in the warps' order afterwards, so that no addition depends on timing. A block's sums stay
// in shared memory where they fit, else in device memory.
#pragma once

#include "device/cuda/learn/kernels/language.cuh"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {

struct GroupTile {
  static constexpr int kThreads = 256;
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kRows = 2048;
  static constexpr int kShare = kRows / kWarps;  // rows that a warp sorts
  static constexpr int kRounds = kShare / 32;
  static constexpr int kSlab = 64;  // columns at a time, two a lane
  static constexpr int kBatch = 8;  // rows that a warp reads at once
  static constexpr int kMaxSharedSums = 48 << 10;
};

// Where a block keeps what, in bytes.
struct GroupLayout {
  __device__ __host__ GroupLayout(const GroupJob& job) {
    const int moments = job.squares ? 2 : 1;
    sum_count = (std::int64_t{job.groups} * job.cols * moments + 2 * job.groups);
    sums_shared = sum_count * 8 <= GroupTile::kMaxSharedSums;
    edge_count = GroupTile::kWarps * 2 * (GroupTile::kSlab * moments + 1);
    int at = edge_count * 8;
    edges_of = at;
    at += GroupTile::kWarps * 2 * 4;
    sums = (at + 15) / 16 * 16;
    at = sums + (sums_shared ? static_cast<int>(sum_count) * 8 : 0);
    start = at;
    at += (job.groups + 1) * 4;
    scan = at;
    at += GroupTile::kWarps * 4;
    counts = at;
    at += GroupTile::kWarps * job.groups * 2;
    entries = (at + 3) / 4 * 4;
    bytes = entries + GroupTile::kRows * (job.before == nullptr ? 1 : 2) * 2;
  }
  std::int64_t sum_count;
  bool sums_shared;
  int edge_count, edges_of, sums, start, scan, counts, entries, bytes;
};

template <class T>
struct Pair {
  T at[2];
};

// kPlain: weights are 1, every entry is added, and there is no common shift.
template <bool kSquares, bool kPlain>
struct LaneSums {
  double first[2] = {0, 0};
  double second[2] = {0, 0};
  double weight = 0;

  __device__ __forceinline__ void add(double w, const double (&t)[2]) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const double wt = kPlain ? t[e] : w * t[e];
      first[e] += wt;
      if constexpr (kSquares) second[e] = std::fma(wt, t[e], second[e]);
    }
    if constexpr (!kPlain) weight += w;
  }
};

template <class TX, bool kSquares, bool kPlain>
class GroupBlock {
 public:
  using Tile = GroupTile;

  __device__ __forceinline__ explicit GroupBlock(const GroupJob& job)
      : job_(job),
        layout_(job),
        lane_(static_cast<int>(threadIdx.x) % 32),
        warp_(static_cast<int>(threadIdx.x) / 32) {
    unsigned char* shared = shared_memory();
    edges_ = reinterpret_cast<double*>(shared);
    edge_groups_ = reinterpret_cast<int*>(shared + layout_.edges_of);
    double* own = job.partial + static_cast<std::int64_t>(blockIdx.x) * layout_.sum_count;
    sums_ = layout_.sums_shared ? reinterpret_cast<double*>(shared + layout_.sums) : own;
    start_ = reinterpret_cast<int*>(shared + layout_.start);
    scan_ = reinterpret_cast<int*>(shared + layout_.scan);
    counts_ = reinterpret_cast<std::uint16_t*>(shared + layout_.counts);
    entries_ = reinterpret_cast<std::uint16_t*>(shared + layout_.entries);
    weights_ = sums_ + std::int64_t{job.groups} * job.cols * (kSquares ? 2 : 1);
    numbers_ = weights_ + job.groups;
    for (std::int64_t i = threadIdx.x; i < layout_.sum_count; i += Tile::kThreads) sums_[i] = 0;
    __syncthreads();
  }

  __device__ __forceinline__ void run() {
    const std::int64_t tiles = (job_.rows + Tile::kRows - 1) / Tile::kRows;
    load_groups(blockIdx.x);
    for (std::int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
      row_ = t * Tile::kRows;
      rows_ = static_cast<int>(job_.rows - row_ < Tile::kRows ? job_.rows - row_ : Tile::kRows);
      int entries = rows_;
      if (job_.group != nullptr) {
        if constexpr (!kPlain) {
          bool any = false;
#pragma unroll
          for (int round = 0; round < Tile::kRounds; ++round) {
            any = any || now_[round] >= 0 || was_[round] >= 0;
          }
          if (__syncthreads_or(any) == 0) {  // no row has changed its group
            load_groups(t + gridDim.x);
            continue;
          }
        }
        sort();
        entries = start_[job_.groups];
        load_groups(t + gridDim.x);
      } else if (threadIdx.x == 0) {
        numbers_[0] += rows_;
      }
      for (int col = 0; col < job_.cols && entries > 0; col += Tile::kSlab) {
        walk(entries, col);
        __syncthreads();
        add_edges(col);
        __syncthreads();
      }
    }
    if (layout_.sums_shared) {
      __syncthreads();
      double* own = job_.partial + static_cast<std::int64_t>(blockIdx.x) * layout_.sum_count;
      for (std::int64_t i = threadIdx.x; i < layout_.sum_count; i += Tile::kThreads) {
        own[i] = sums_[i];
      }
    }
  }

 private:
  // The groups of this thread's rows of a tile, and (was_) those that they are taken off: -1 none.
  __device__ __forceinline__ void load_groups(std::int64_t tile) {
    if (job_.group == nullptr) return;
#pragma unroll
    for (int round = 0; round < Tile::kRounds; ++round) {
      const std::int64_t row = tile * Tile::kRows + warp_ * Tile::kShare + round * 32 + lane_;
      const bool there = row < job_.rows;
      now_[round] = there ? job_.group[row] : -1;
      if constexpr (!kPlain) {
        was_[round] = there && job_.before != nullptr ? job_.before[row] : -1;
        if (job_.before != nullptr && was_[round] == now_[round]) now_[round] = was_[round] = -1;
      }
    }
  }

  // Where a warp's entry lies among its entries of that group.
  __device__ __forceinline__ int count_entry(std::uint16_t* own, int group) const {
    const unsigned same = __match_any_sync(~0u, group);
    const int rank = __popc(same & ((1u << lane_) - 1));
    int at = 0;
    if (group >= 0) at = own[group];
    __syncwarp();
    if (group >= 0 && rank == 0) own[group] = static_cast<std::uint16_t>(at + __popc(same));
    __syncwarp();
    return at + rank;
  }

  // entries_: row | taken off << 15, by group; start_: where each group begins.
  __device__ __forceinline__ void sort() {
    const int groups = job_.groups;
    std::uint16_t* own = counts_ + warp_ * groups;
    for (int i = static_cast<int>(threadIdx.x); i < Tile::kWarps * groups; i += Tile::kThreads) {
      counts_[i] = 0;
    }
    __syncthreads();
    int at_now[Tile::kRounds], at_was[Tile::kRounds];
#pragma unroll
    for (int round = 0; round < Tile::kRounds; ++round) {
      at_now[round] = count_entry(own, now_[round]);
      if constexpr (!kPlain) {
        if (job_.before != nullptr) at_was[round] = count_entry(own, was_[round]);
      }
    }
    __syncthreads();
    place();
#pragma unroll
    for (int round = 0; round < Tile::kRounds; ++round) {
      const int row = warp_ * Tile::kShare + round * 32 + lane_;
      if (now_[round] >= 0) {
        entries_[own[now_[round]] + at_now[round]] = static_cast<std::uint16_t>(row);
      }
      if constexpr (!kPlain) {
        if (was_[round] >= 0) {
          entries_[own[was_[round]] + at_was[round]] = static_cast<std::uint16_t>(row | 0x8000);
        }
      }
    }
    __syncthreads();
  }

  // Counts of the warps to where each warp's entries of each group begin.
  __device__ __forceinline__ void place() {
    const int groups = job_.groups;
    const int each = (groups + Tile::kThreads - 1) / Tile::kThreads;
    const int from = static_cast<int>(threadIdx.x) * each;
    const int to = from + each < groups ? from + each : groups;
    int total = 0;
    for (int g = from; g < to; ++g) {
      for (int w = 0; w < Tile::kWarps; ++w) total += counts_[w * groups + g];
    }
    int before = total;  // inclusive prefix sum over the block's threads
#pragma unroll
    for (int by = 1; by < 32; by *= 2) {
      const int other = __shfl_up_sync(~0u, before, by);
      if (lane_ >= by) before += other;
    }
    if (lane_ == 31) scan_[warp_] = before;
    __syncthreads();
    for (int w = 0; w < warp_; ++w) before += scan_[w];
    int at = before - total;
    for (int g = from; g < to; ++g) {
      start_[g] = at;
      for (int w = 0; w < Tile::kWarps; ++w) {
        const int count = counts_[w * groups + g];
        counts_[w * groups + g] = static_cast<std::uint16_t>(at);
        at += count;
      }
    }
    if (to == groups && from < groups) start_[groups] = at;
    __syncthreads();
  }

  __device__ __forceinline__ int entry(int at) const {
    return job_.group == nullptr ? at : entries_[at];
  }

  // Entries at .. at + kBatch - 1 (those before `end`) of the rows: all on their way at once.
  struct Batch {
    Pair<TX> value[Tile::kBatch];
    double w[Tile::kBatch];
  };
  __device__ __forceinline__ void read_one(const TX* x, int at, Pair<TX>& value, double& w) const {
    const int e = entry(at);
    const int row = e & (Tile::kRows - 1);
    value = *reinterpret_cast<const Pair<TX>*>(x + row * job_.ld);
    w = 1;
    if constexpr (!kPlain) {
      if (job_.weight != nullptr) w = job_.weight[row_ + row];
      if ((e & 0x8000) != 0) w = -w;
    }
  }
  __device__ __forceinline__ void read(const TX* x, int at, int end, Batch& batch) const {
    if (at + Tile::kBatch <= end) {
#pragma unroll
      for (int i = 0; i < Tile::kBatch; ++i) read_one(x, at + i, batch.value[i], batch.w[i]);
      return;
    }
#pragma unroll
    for (int i = 0; i < Tile::kBatch; ++i) {
      batch.value[i] = {TX{}, TX{}};
      batch.w[i] = 0;
      if (at + i < end) read_one(x, at + i, batch.value[i], batch.w[i]);
    }
  }

  __device__ __forceinline__ static void add(const Pair<TX>& value, double w, const TX (&off)[2],
                                             const double (&shift)[2],
                                             LaneSums<kSquares, kPlain>& sums) {
    double t[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const TX moved = kPlain ? value.at[e] : static_cast<TX>(value.at[e] - off[e]);
      t[e] = static_cast<double>(moved) - shift[e];
    }
    sums.add(w, t);
  }

  // This warp's part of the sorted list. The next batch is read before the last is added up.
  __device__ __forceinline__ void walk(int entries, int slab) {
    const int begin = static_cast<int>(std::int64_t{entries} * warp_ / Tile::kWarps);
    const int end = static_cast<int>(std::int64_t{entries} * (warp_ + 1) / Tile::kWarps);
    if (lane_ < 2) edge_groups_[warp_ * 2 + lane_] = -1;
    __syncwarp();
    if (begin == end) return;
    const int col = slab + 2 * lane_;
    const bool mine = col < job_.cols;
    const int readable = mine ? end : begin;
    const TX* x = static_cast<const TX*>(job_.x) + row_ * job_.ld + col;
    const TX* common = static_cast<const TX*>(job_.shift);
    TX off[2] = {TX{}, TX{}};
    if (mine && common != nullptr) {
      off[0] = common[col];
      off[1] = common[col + 1];
    }
    int group = first_group(begin);
    bool head = true;
    double shift[2] = {0, 0};
    load_shift(group, col, mine, shift);
    LaneSums<kSquares, kPlain> sums;
    Batch batch;
    read(x, begin, readable, batch);
    for (int at = begin; at < end; at += Tile::kBatch) {
      Batch next;
      read(x, at + Tile::kBatch, readable, next);
      const int stop = end - at < Tile::kBatch ? end - at : Tile::kBatch;
      for (int i = 0; i < stop;) {
        const int run = job_.group == nullptr ? end : start_[group + 1];
        if (run <= at + i) {  // the group has ended
          flush(group, slab, head ? 0 : -1, mine, sums);
          head = false;
          sums = {};
          while (start_[++group + 1] <= at + i) {
          }
          load_shift(group, col, mine, shift);
          continue;
        }
        const int to = run - at < stop ? run - at : stop;
        if (to - i == Tile::kBatch) {
#pragma unroll
          for (int u = 0; u < Tile::kBatch; ++u) {
            add(batch.value[u], batch.w[u], off, shift, sums);
          }
        } else {
#pragma unroll
          for (int u = 0; u < Tile::kBatch; ++u) {
            if (u >= i && u < to) add(batch.value[u], batch.w[u], off, shift, sums);
          }
        }
        i = to;
      }
      batch = next;
    }
    flush(group, slab, head ? 0 : 1, mine, sums);
  }

  // The group of an entry.
  __device__ __forceinline__ int first_group(int at) const {
    if (job_.group == nullptr) return 0;
    int low = 0, high = job_.groups;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (start_[middle] <= at ? low : high) = middle;
    }
    return low;
  }

  __device__ __forceinline__ void load_shift(int group, int col, bool mine,
                                             double (&shift)[2]) const {
    if (!mine || job_.group_shift == nullptr) return;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      shift[e] = job_.group_shift[std::int64_t{group} * job_.cols + col + e];
    }
  }

  // `edge`: 0 the warp's first group, 1 its last, -1 one that is no other warp's.
  __device__ __forceinline__ void flush(int group, int slab, int edge, bool mine,
                                        const LaneSums<kSquares, kPlain>& sums) {
    if (edge < 0) {
      if (mine) store(group, slab, 2 * lane_, sums.first, sums.second);
      if (!kPlain && lane_ == 0 && slab == 0) weights_[group] += sums.weight;
      return;
    }
    double* to = edges_ + (warp_ * 2 + edge) * (Tile::kSlab * (kSquares ? 2 : 1) + 1);
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      to[2 * lane_ + e] = sums.first[e];
      if constexpr (kSquares) to[Tile::kSlab + 2 * lane_ + e] = sums.second[e];
    }
    if (lane_ == 0) {
      to[Tile::kSlab * (kSquares ? 2 : 1)] = sums.weight;
      edge_groups_[warp_ * 2 + edge] = group;
    }
  }

  __device__ __forceinline__ void store(int group, int slab, int at, const double* first,
                                        const double* second) {
    const std::int64_t size = std::int64_t{job_.groups} * job_.cols;
    double* to = sums_ + std::int64_t{group} * job_.cols + slab + at;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      to[e] += first[e];
      if constexpr (kSquares) to[size + e] += second[e];
    }
  }

  // The warps' first and last groups, one thread a column, in the warps' order; and the counts.
  __device__ __forceinline__ void add_edges(int slab) {
    constexpr int kStride = Tile::kSlab * (kSquares ? 2 : 1) + 1;
    const std::int64_t size = std::int64_t{job_.groups} * job_.cols;
    const int i = static_cast<int>(threadIdx.x);
    const int moment = i / Tile::kSlab;
    const int col = slab + i % Tile::kSlab;
    const bool sums = moment < (kSquares ? 2 : 1) && col < job_.cols;
    if (sums || i == Tile::kThreads - 1) {
      for (int edge = 0; edge < 2 * Tile::kWarps; ++edge) {
        const int group = edge_groups_[edge];
        if (group < 0) continue;
        if (sums) {
          sums_[moment * size + std::int64_t{group} * job_.cols + col] +=
              edges_[edge * kStride + i];
        } else if (slab == 0) {
          weights_[group] += edges_[edge * kStride + kStride - 1];
        }
      }
    }
    if (slab > 0 || job_.group == nullptr) return;
    for (int g = i; g < job_.groups; g += Tile::kThreads) {
      int number = start_[g + 1] - start_[g];
      if (job_.before != nullptr) {
        for (int at = start_[g]; at < start_[g + 1]; ++at) number -= entries_[at] >> 15 << 1;
      }
      numbers_[g] += number;
    }
  }

  const GroupJob& job_;
  const GroupLayout layout_;
  const int lane_, warp_;
  double *edges_, *sums_, *weights_, *numbers_;
  int *edge_groups_, *start_, *scan_;
  std::uint16_t *counts_, *entries_;
  std::int64_t row_ = 0;
  int rows_ = 0;
  int now_[GroupTile::kRounds] = {}, was_[GroupTile::kRounds] = {};
};

template <class TX, bool kSquares, bool kPlain>
__global__ void __launch_bounds__(GroupTile::kThreads, 2) group_kernel(GroupJob job) {
  GroupBlock<TX, kSquares, kPlain>(job).run();
}

// A thread for each sum and eighth of the parts.
inline constexpr int kAddColumns = 32;
inline constexpr int kAddParts = 8;
static __global__ void add_parts_kernel(const double* partial, std::int64_t parts,
                                        std::int64_t size, double* sums, bool add) {
  double* shared = reinterpret_cast<double*>(shared_memory());
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kAddColumns + threadIdx.x;
  double sum = 0;
  if (i < size) {
    for (std::int64_t p = threadIdx.y; p < parts; p += kAddParts) sum += partial[p * size + i];
  }
  shared[threadIdx.y * kAddColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || i >= size) return;
  for (int p = 1; p < kAddParts; ++p) sum += shared[p * kAddColumns + threadIdx.x];
  sums[i] = (add ? sums[i] : 0.0) + sum;
}

}  // namespace pronghorn::device::cuda
