// SPDX-License-Identifier: Apache-2.0
// Convolution as a matrix product on tensor cores, sm_80 and newer (mma.sync m16n8k32, u8 * s8, or
// m16n8k16 of half-precision floats, whose operands lie in the same bytes).
//
// The product is [pixels] x [window bytes] times [window bytes] x [output channels]. A block makes
// a tile of kM pixels by kN channels, kBytes bytes of the window at a time: cp.async brings the
// pixels' bytes (a gather: neighbouring 16-byte pieces of a window lie in one pixel, which is why
// the channel count is a multiple of 16) and the weights into a ring of shared-memory stages,
// ldmatrix hands them to the warps. Rows of 64 bytes lie without gaps, their four pieces exchanged
// by the row's bits 1 and 2, so that eight rows of one ldmatrix touch every bank once.
//
// Results are finished in registers, collected in shared memory as bytes (where the residual was
// brought meanwhile) and stored 16 bytes at a time.
//
// Layers with few tiles are split along the window: each part adds its sums to a workspace in
// device memory, which is exact in any order, and the last part of a tile to arrive finishes it.
// Half-precision problems are not split: their sums keep one order.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <atomic>
#include <type_traits>

#include "device/cuda/kernels/conv_kernel.h"
#include "device/cuda/kernels/finish.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kBytes = 64;  // of a window, a stage
constexpr int kPieces = kBytes / 16;
constexpr int kWeightRows = 64;  // packed output channels are a multiple of this
constexpr int kOutPad = 16;      // bytes between rows of the result tile: no bank conflicts

struct Args {
  ConvProblem p;
  ConvBuffers b;
  Finish finish;
  int window;   // bytes, a multiple of 16
  int row;      // of packed weights: window rounded up to kBytes
  int k_tiles;  // row / kBytes
  int pixels;
  int n_tiles;
  int rows;     // of packed weights
  int stages;   // used; no more than k_tiles
  int splits;   // parts along the window
  bool inside;  // no window leaves its image
  bool linear;  // pixel i of the result reads pixel i of the source
};

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void copy16(std::uint32_t dst, const void* src) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(dst), "l"(src));
}

__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;"); }

template <int kPending>
__device__ __forceinline__ void wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending));
}

__device__ __forceinline__ void load_matrices(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

__device__ __forceinline__ void multiply(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                         std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void multiply(float (&d)[4], const std::uint32_t (&a)[4],
                                         std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Byte offset of a 16-byte piece in a tile of rows of kBytes.
__device__ __forceinline__ int piece_at(int row, int piece) {
  return row * kBytes + ((piece ^ ((row >> 1) & 3)) << 4);
}

// Where this thread's piece of the window is: kernel row and column, channel.
struct Place {
  int y, x, c;
  __device__ void start(const Args& a, int byte) {
    const int tap = byte / a.p.ic;
    c = byte - tap * a.p.ic;
    y = tap / a.p.kw;
    x = tap - y * a.p.kw;
  }
  __device__ void advance(const Args& a) {
    c += kBytes;
    while (c >= a.p.ic) {
      c -= a.p.ic;
      if (++x == a.p.kw) {
        x = 0;
        ++y;
      }
    }
  }
};

template <typename Sum, int kM, int kN, int kWarpsM, int kWarpsN>
struct Tile {
  static constexpr bool kHalf = std::is_same_v<Sum, float>;
  static constexpr int kSize = kHalf ? 2 : 1;  // bytes of an element
  static constexpr int kThreads = kWarpsM * kWarpsN * 32;
  static constexpr int kWarpM = kM / kWarpsM;
  static constexpr int kWarpN = kN / kWarpsN;
  static constexpr int kFragmentsM = kWarpM / 16;
  static constexpr int kFragmentsN = kWarpN / 8;
  static constexpr int kStage = (kM + kN) * kBytes;
  static constexpr int kOutRow = kN * kSize + kOutPad;
  static constexpr int kOutPieces = kN * kSize / 16;   // of a row
  static constexpr int kRowStep = kThreads / kPieces;  // rows that all threads bring at once
  static constexpr int kRowsM = kM / kRowStep;         // of one thread
  static constexpr int kRowsN = kN / kRowStep;
  static_assert(kM % kRowStep == 0 && kN % kRowStep == 0 && kWarpN % 16 == 0);
};

template <typename Sum, typename T, int kStages, int kM, int kN, int kWarpsM, int kWarpsN>
__device__ __forceinline__ void run(const Args& a) {
  extern __shared__ __align__(128) std::uint8_t memory[];
  std::uint8_t* out = memory + a.stages * T::kStage;

  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp_m = thread / 32 / kWarpsN * T::kWarpM;
  const int warp_n = thread / 32 % kWarpsN * T::kWarpN;
  const int n0 = static_cast<int>(blockIdx.x) % a.n_tiles * kN;
  const int m0 = static_cast<int>(blockIdx.x) / a.n_tiles * kM;

  // What this thread brings: piece `piece` of rows load_row + i * kRowStep.
  const int piece = thread % kPieces;
  const int load_row = thread / kPieces;
  const int first_tile = static_cast<int>(blockIdx.y) * a.k_tiles / a.splits;
  const int last_tile = (static_cast<int>(blockIdx.y) + 1) * a.k_tiles / a.splits;

  int base[T::kRowsM];  // of the window's corner in the source, in bytes
  int corner[T::kRowsM];
#pragma unroll
  for (int i = 0; i < T::kRowsM; ++i) {
    const int pixel = min(m0 + load_row + i * T::kRowStep, a.pixels - 1);
    if (a.linear) {
      base[i] = pixel * a.p.ic;
      corner[i] = 0;
    } else {
      const int line = pixel / a.p.ow;
      const int image = line / a.p.oh;
      const int left = (pixel - line * a.p.ow) * a.p.sw - a.p.pad_left;
      const int top = (line - image * a.p.oh) * a.p.sh - a.p.pad_top;
      base[i] = ((image * a.p.ih + top) * a.p.iw + left) * a.p.ic;
      corner[i] = top * 65536 + (left & 0xffff);
    }
  }
  const std::int8_t* weights[T::kRowsN];
#pragma unroll
  for (int i = 0; i < T::kRowsN; ++i) {
    const int row = min(n0 + load_row + i * T::kRowStep, a.rows - 1);
    weights[i] = a.b.weights + std::int64_t{row} * a.row + first_tile * kBytes + piece * 16;
  }
  Place place;
  place.start(a, first_tile * kBytes + piece * 16);

  const std::uint32_t four = static_cast<std::uint32_t>(a.p.z_src) * 0x01010101u;
  const uint4 padding = make_uint4(four, four, four, four);
  const auto bring = [&](int stage) {
    std::uint8_t* to = memory + stage * T::kStage;
    const int shift = (place.y * a.p.iw + place.x) * a.p.ic + place.c;
    const bool exists = place.y < a.p.kh;
#pragma unroll
    for (int i = 0; i < T::kRowsM; ++i) {
      const std::uint8_t* from = a.b.src + base[i] + shift;
      bool in = exists;
      if (!a.inside) {
        const int top = (corner[i] >> 16) + place.y;
        const int left = static_cast<std::int16_t>(corner[i]) + place.x;
        in = in && static_cast<unsigned>(top) < static_cast<unsigned>(a.p.ih) &&
             static_cast<unsigned>(left) < static_cast<unsigned>(a.p.iw);
      }
      std::uint8_t* at = to + piece_at(load_row + i * T::kRowStep, piece);
      // Never a read of one place by all: such a place would be the slowest of the memory.
      if (in) {
        copy16(shared_address(at), from);
      } else {
        *reinterpret_cast<uint4*>(at) = padding;
      }
    }
#pragma unroll
    for (int i = 0; i < T::kRowsN; ++i) {
      copy16(shared_address(to + kM * kBytes + piece_at(load_row + i * T::kRowStep, piece)),
             weights[i]);
      weights[i] += kBytes;
    }
    place.advance(a);
  };

  const bool residual = a.p.result == ConvResult::kBytesResidual;
  const auto bring_residual = [&] {
    constexpr int kChannels = 16 / T::kSize;
    for (int i = thread; i < kM * T::kOutPieces; i += T::kThreads) {
      const int row = i / T::kOutPieces;
      const int column = i % T::kOutPieces * kChannels;
      const int pixel = min(m0 + row, a.pixels - 1);
      const int channel = min(n0 + column, a.p.oc - kChannels);
      copy16(shared_address(out + row * T::kOutRow + column * T::kSize),
             a.b.res + (std::int64_t{pixel} * a.p.oc + channel) * T::kSize);
    }
  };
  const int tiles = last_tile - first_tile;
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < tiles) bring(s);
    // With the first stage, long before it is needed.
    if (s == 0 && residual && a.splits == 1) bring_residual();
    commit();
  }

  Sum acc[T::kFragmentsM][T::kFragmentsN][4];
#pragma unroll
  for (int j = 0; j < T::kFragmentsN; ++j) {
    const int channel = n0 + warp_n + j * 8 + lane % 4 * 2;
    using Pair = std::conditional_t<T::kHalf, float2, int2>;
    const Pair bias =
        blockIdx.y == 0
            ? *reinterpret_cast<const Pair*>(static_cast<const Sum*>(a.b.bias) + channel)
            : Pair{};
#pragma unroll
    for (int i = 0; i < T::kFragmentsM; ++i) {
      acc[i][j][0] = acc[i][j][2] = bias.x;
      acc[i][j][1] = acc[i][j][3] = bias.y;
    }
  }

  int stage = 0;
  int next = kStages - 1;
  for (int tile = 0; tile < tiles; ++tile) {
    wait<kStages - 2>();
    __syncthreads();
    if (tile + kStages - 1 < tiles) bring(next);
    commit();
    const std::uint8_t* pixels = memory + stage * T::kStage;
    const std::uint8_t* channels = pixels + kM * kBytes;
#pragma unroll
    for (int step = 0; step < kBytes / 32; ++step) {
      std::uint32_t left[T::kFragmentsM][4];
#pragma unroll
      for (int i = 0; i < T::kFragmentsM; ++i) {
        load_matrices(left[i], shared_address(pixels + piece_at(warp_m + i * 16 + lane % 16,
                                                                step * 2 + lane / 16)));
      }
#pragma unroll
      for (int j = 0; j < T::kFragmentsN; j += 2) {
        std::uint32_t right[4];
        load_matrices(right,
                      shared_address(channels + piece_at(warp_n + j * 8 + lane % 8 + lane / 16 * 8,
                                                         step * 2 + lane / 8 % 2)));
#pragma unroll
        for (int i = 0; i < T::kFragmentsM; ++i) {
          multiply(acc[i][j], left[i], right[0], right[1]);
          multiply(acc[i][j + 1], left[i], right[2], right[3]);
        }
      }
    }
    if (++stage == kStages) stage = 0;
    if (++next == kStages) next = 0;
  }
  wait<0>();

  if constexpr (!T::kHalf) {
    if (a.splits > 1) {
      auto* sums = reinterpret_cast<std::int32_t*>(a.b.workspace) +
                   std::int64_t{blockIdx.x} * kM * kN + thread * 2;
      auto* arrived = reinterpret_cast<std::int32_t*>(a.b.workspace) +
                      std::int64_t{gridDim.x} * kM * kN + blockIdx.x;
#pragma unroll
      for (int i = 0; i < T::kFragmentsM; ++i) {
#pragma unroll
        for (int j = 0; j < T::kFragmentsN; ++j) {
#pragma unroll
          for (int h = 0; h < 4; ++h) {
            atomicAdd(sums + ((i * T::kFragmentsN + j) * 2 + h / 2) * T::kThreads * 2 + h % 2,
                      acc[i][j][h]);
          }
        }
      }
      __shared__ bool last;
      __threadfence();
      __syncthreads();
      if (thread == 0) {
        last = atomicAdd(arrived, 1) == a.splits - 1;
        if (last) *arrived = 0;
      }
      __syncthreads();
      if (!last) return;
      __threadfence();
#pragma unroll
      for (int i = 0; i < T::kFragmentsM; ++i) {
#pragma unroll
        for (int j = 0; j < T::kFragmentsN; ++j) {
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            auto* pair = reinterpret_cast<int2*>(sums + ((i * T::kFragmentsN + j) * 2 + h) *
                                                            T::kThreads * 2);
            const int2 sum = __ldcg(pair);
            *pair = make_int2(0, 0);
            acc[i][j][h * 2] = sum.x;
            acc[i][j][h * 2 + 1] = sum.y;
          }
        }
      }
      if (residual) {
        bring_residual();
        commit();
        wait<0>();
      }
    }
  }
  __syncthreads();

  const int column0 = warp_n + lane % 4 * 2;
  const int row0 = warp_m + lane / 4;
  const auto finish_all = [&](auto&& each) {
#pragma unroll
    for (int j = 0; j < T::kFragmentsN; ++j) {
      const float2 m = T::kHalf ? make_float2(1, 1)
                                : *reinterpret_cast<const float2*>(a.b.m + n0 + column0 + j * 8);
#pragma unroll
      for (int i = 0; i < T::kFragmentsM; ++i) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          each(row0 + i * 16 + h * 8, column0 + j * 8, acc[i][j][h * 2], acc[i][j][h * 2 + 1], m);
        }
      }
    }
  };
  using Pair = std::conditional_t<T::kHalf, __half2, std::uint16_t>;
  const auto pair_at = [&](int row, int column) {
    return reinterpret_cast<Pair*>(out + row * T::kOutRow + column * T::kSize);
  };
  if (a.p.result == ConvResult::kFloat) {
    finish_all([&](int row, int column, Sum first, Sum second, float2 m) {
      if (m0 + row >= a.pixels) return;
      float* dst = static_cast<float*>(a.b.dst) + std::int64_t{m0 + row} * a.p.oc + n0 + column;
      if (n0 + column < a.p.oc) dst[0] = __fmul_rn(static_cast<float>(first), m.x);
      if (n0 + column + 1 < a.p.oc) dst[1] = __fmul_rn(static_cast<float>(second), m.y);
    });
    return;
  }
  if constexpr (T::kHalf) {
    finish_all([&](int row, int column, float first, float second, float2) {
      __half2* pair = pair_at(row, column);
      if (residual) {
        const float2 res = __half22float2(*pair);
        first += res.x;
        second += res.y;
      }
      *pair = __floats2half2_rn(fminf(fmaxf(first, a.p.least), a.p.most),
                                fminf(fmaxf(second, a.p.least), a.p.most));
    });
  } else if (residual) {
    finish_all([&](int row, int column, std::int32_t first, std::int32_t second, float2 m) {
      std::uint16_t* pair = pair_at(row, column);
      const std::uint32_t res = *pair;
      *pair = static_cast<std::uint16_t>(finish_residual(first, m.x, res & 0xff, a.finish) |
                                         finish_residual(second, m.y, res >> 8, a.finish) << 8);
    });
  } else {
    finish_all([&](int row, int column, std::int32_t first, std::int32_t second, float2 m) {
      *pair_at(row, column) = static_cast<std::uint16_t>(finish(first, m.x, a.finish) |
                                                         finish(second, m.y, a.finish) << 8);
    });
  }
  __syncthreads();
  auto* dst = static_cast<std::uint8_t*>(a.b.dst);
#pragma unroll 4
  for (int i = thread; i < kM * T::kOutPieces; i += T::kThreads) {
    const int row = i / T::kOutPieces;
    const int piece = i % T::kOutPieces;
    const int channel = n0 + piece * (16 / T::kSize);
    if (m0 + row < a.pixels && channel < a.p.oc) {
      *reinterpret_cast<uint4*>(dst + (std::int64_t{m0 + row} * a.p.oc + channel) * T::kSize) =
          *reinterpret_cast<const uint4*>(out + row * T::kOutRow + piece * 16);
    }
  }
}

template <typename Sum, int kM, int kN, int kWarpsM, int kWarpsN, int kStages, int kBlocks>
__global__ void __launch_bounds__(kWarpsM* kWarpsN * 32, kBlocks)
    conv_mma(const __grid_constant__ Args a) {
  run<Sum, Tile<Sum, kM, kN, kWarpsM, kWarpsN>, kStages, kM, kN, kWarpsM, kWarpsN>(a);
}

// One row a tile shape.
struct Shape {
  int m, n, threads, stages;
  void (*bytes)(Args);
  void (*halves)(Args);
  constexpr int stage_bytes() const { return (m + n) * kBytes; }
  constexpr int out_bytes(bool half) const { return m * (n * (half ? 2 : 1) + kOutPad); }
};

template <int kM, int kN, int kWarpsM, int kWarpsN, int kStages, int kBlocks>
constexpr Shape shape() {
  return {kM,
          kN,
          kWarpsM * kWarpsN * 32,
          kStages,
          conv_mma<int, kM, kN, kWarpsM, kWarpsN, kStages, kBlocks>,
          conv_mma<float, kM, kN, kWarpsM, kWarpsN, kStages, kBlocks>};
}

const Shape kShapes[] = {
    shape<256, 128, 4, 2, 4, 1>(), shape<128, 128, 2, 2, 4, 2>(), shape<128, 128, 4, 2, 4, 2>(),
    shape<128, 64, 2, 2, 4, 3>(),  shape<128, 64, 4, 2, 4, 3>(),  shape<64, 64, 2, 2, 5, 4>(),
    shape<64, 32, 2, 2, 6, 6>(),
};
enum { k256x128, k128x128, k128x128w, k128x64, k128x64w, k64x64, k64x32, kShapeCount };
static_assert(sizeof(kShapes) / sizeof(kShapes[0]) == kShapeCount);
constexpr int kSplits[] = {1, 2, 4, 8};
constexpr int kSplitCount = sizeof(kSplits) / sizeof(kSplits[0]);

const Shape& shape_of(int variant) { return kShapes[variant % kShapeCount]; }
int splits_of(int variant) { return kSplits[variant / kShapeCount]; }

int round_up(int value, int to) { return (value + to - 1) / to * to; }

std::int64_t tiles_of(const ConvProblem& p, const Shape& s) {
  return (p.pixels() + s.m - 1) / s.m * ((p.oc + s.n - 1) / s.n);
}

bool supports(const ConvProblem& p, std::int32_t capability) {
  const std::int64_t src = std::int64_t{p.n} * p.ih * p.iw * p.ic;
  return capability >= 80 && p.groups == 1 && p.ic % 16 == 0 &&
         (p.oc * p.result_bytes() % 16 == 0 || p.result == ConvResult::kFloat) &&
         src < (1ll << 31) - (1 << 24) && p.pixels() < (1ll << 31) - 256 && p.ih < 32000 &&
         p.iw < 32000;
}

std::atomic<int> room = 227 << 10;  // shared memory that a block may have, on every GPU in use

bool takes(const ConvProblem& p, std::int32_t variant) {
  const Shape& s = shape_of(variant);
  const int splits = splits_of(variant);
  const int k_tiles = round_up(p.window(), kBytes) / kBytes;
  if (s.stages * s.stage_bytes() + s.out_bytes(p.half()) > room) return false;
  if (p.half() && splits > 1) return false;
  if (splits == 1) return s.n == 32 || s.n <= round_up(p.oc, 64);
  return k_tiles >= 2 * splits && tiles_of(p, s) <= 4096 && s.n <= round_up(p.oc, 64);
}

// From sweeps of ResNet50's layers on an H200 (bench/results): wide tiles pay for long windows, and
// a multiprocessor wants several blocks to hide the waits of short ones.
std::int32_t choose(const ConvProblem& p, std::int32_t multiprocessors) {
  const int k_tiles = round_up(p.window(), kBytes) / kBytes;
  const auto enough = [&](int shape, int blocks_each) {
    return takes(p, shape) && tiles_of(p, kShapes[shape]) >= blocks_each * multiprocessors;
  };
  if (k_tiles >= 16 && enough(k128x128, 1)) return k128x128;
  if (enough(k128x64, 2)) return k128x64;
  if (enough(k64x64, 2)) return k64x64;
  const int small = k_tiles >= 32 ? k64x64 : k64x32;
  int best = small;
  for (int split = 1; split < kSplitCount && k_tiles >= 32; ++split) {
    const int variant = split * kShapeCount + small;
    if (!takes(p, variant) || k_tiles < 6 * kSplits[split]) break;
    if (tiles_of(p, kShapes[small]) * kSplits[split - 1] >= multiprocessors) break;
    best = variant;
  }
  return best;
}

const char* variant_name(std::int32_t variant) {
  static const char* const kNames[kSplitCount][kShapeCount] = {
      {"256x128", "128x128", "128x128w", "128x64", "128x64w", "64x64", "64x32"},
      {"256x128/2", "128x128/2", "128x128w/2", "128x64/2", "128x64w/2", "64x64/2", "64x32/2"},
      {"256x128/4", "128x128/4", "128x128w/4", "128x64/4", "128x64w/4", "64x64/4", "64x32/4"},
      {"256x128/8", "128x128/8", "128x128w/8", "128x64/8", "128x64w/8", "64x64/8", "64x32/8"}};
  return kNames[variant / kShapeCount][variant % kShapeCount];
}

std::int64_t packed_bytes(const ConvProblem& p) {
  return std::int64_t{round_up(p.oc, kWeightRows)} * round_up(p.window(), kBytes);
}

// [output channel][window byte], both rounded up with zeros.
void pack(const ConvProblem& p, const std::int8_t* weights, std::int8_t* packed) {
  const std::int64_t window = p.window();
  const std::int64_t row = round_up(p.window(), kBytes);
  for (std::int64_t i = 0; i < packed_bytes(p); ++i) {
    const bool exists = i / row < p.oc && i % row < window;
    packed[i] = exists ? weights[i / row * window + i % row] : std::int8_t{0};
  }
}

std::int64_t workspace_bytes(const ConvProblem& p, std::int32_t variant) {
  if (splits_of(variant) == 1) return 0;
  const Shape& s = shape_of(variant);
  return tiles_of(p, s) * (std::int64_t{s.m} * s.n + 1) * 4;
}

const void* kernel_of(const Shape& s, bool half) {
  return reinterpret_cast<const void*>(half ? s.halves : s.bytes);
}

int prepare() {
  int gpu = 0;
  int most = 0;
  cudaError_t error = cudaGetDevice(&gpu);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, gpu);
  }
  if (error != cudaSuccess) return static_cast<int>(error);
  if (most < room) room = most;
  for (const Shape& s : kShapes) {
    for (const bool half : {false, true}) {
      if (s.stages * s.stage_bytes() + s.out_bytes(half) > most) continue;
      const cudaError_t status =
          cudaFuncSetAttribute(kernel_of(s, half), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               s.stages * s.stage_bytes() + s.out_bytes(half));
      if (status != cudaSuccess) return static_cast<int>(status);
    }
  }
  return 0;
}

int launch(const ConvProblem& p, const ConvBuffers& b, std::int32_t variant, Stream stream) {
  const Shape& s = shape_of(variant);
  Args a{};
  a.p = p;
  a.b = b;
  a.finish = make_finish(p.z_dst, p.lo, p.hi, p.z_res, p.m_res);
  a.window = p.window();
  a.row = round_up(a.window, kBytes);
  a.k_tiles = a.row / kBytes;
  a.pixels = static_cast<int>(p.pixels());
  a.n_tiles = (p.oc + s.n - 1) / s.n;
  a.rows = round_up(p.oc, kWeightRows);
  a.splits = splits_of(variant);
  const int most = (a.k_tiles + a.splits - 1) / a.splits;
  a.stages = most < s.stages ? most : s.stages;
  a.inside = p.inside();
  a.linear = p.pointwise() && p.sh == 1 && p.sw == 1;
  void* arguments[] = {&a};
  const dim3 grid(static_cast<unsigned>(tiles_of(p, s)), static_cast<unsigned>(a.splits));
  return static_cast<int>(cudaLaunchKernel(
      kernel_of(s, p.half()), grid, dim3(static_cast<unsigned>(s.threads)), arguments,
      static_cast<std::size_t>(a.stages * s.stage_bytes() + s.out_bytes(p.half())), stream));
}

}  // namespace

const ConvKernel kConvMmaSm80 = {
    .name = "mma_sm80",
    .supports = supports,
    .variants = kShapeCount * kSplitCount,
    .variant_name = variant_name,
    .takes = takes,
    .choose = choose,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .workspace_bytes = workspace_bytes,
    .prepare = prepare,
    .launch = launch,
};

}  // namespace pronghorn::device::cuda
