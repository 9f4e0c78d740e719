// SPDX-License-Identifier: Apache-2.0
// Convolution on the warpgroup matrix units of sm_90a.
//
// Implicit GEMM: rows are output pixels, columns output channels, the inner dimension runs over
// window places and input channels. One warp is the producer: it has the copy engine bring boxes of
// pixels and weights into a ring of shared-memory stages, swizzled as the matrix units read them; a
// pointwise convolution's pixels are a plain matrix, any other's an im2col map, in which padding
// reads as zero. The other warps form warpgroups that multiply, finish and store. Blocks stay and
// walk over tiles, so the copies of the next tile run under the arithmetic of this one.
//
//   separate tiles   each warpgroup has its own tile: one multiplies while another finishes.
//                    For short inner dimensions.
//   shared tiles     the warpgroups split the rows of one tile: less is read for each product.
//   resident weights a block keeps one range of channels, whose weights stay in shared memory.
//
// Weights are packed [channel][window place][input channel] with the channels of each 64 in an
// order that gives a thread 16 neighbouring ones: results are stored, and residuals read, 16 bytes
// at once.
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstring>
#include <type_traits>

#include "device/cuda/kernels/conv_pair.h"
#include "device/cuda/kernels/conv_pool.h"
#include "device/cuda/kernels/sm90a.cuh"
#include "device/cuda/kernels/wgmma_choices.h"
#include "device/cuda/kernels/wgmma_finish.cuh"
#include "device/cuda/kernels/wgmma_job.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kMaxStages = 12;
constexpr std::uint32_t kSharedBytes = 227 << 10;  // what a block of sm_90 may have

struct Job {
  WgmmaJob base;
  std::int32_t row_tiles, column_tiles;
  std::int32_t stages;
  std::int32_t resident;  // weights stay
  std::int32_t full;      // results of any u8, zero point 0
};

template <int kMi, int kN, int kK, int kGroups, bool kShared>
struct Tile {
  static constexpr int kGroupRows = 64 * kMi;
  static constexpr int kRows = kShared ? kGroupRows * kGroups : kGroupRows;
  static constexpr std::uint32_t kSrcBytes = kRows * kK;
  static constexpr std::uint32_t kWeightBytes = kN * kK;
  static constexpr int kThreads = kGroups * 128 + 128;  // the producer has a warpgroup's place
  static constexpr int kRegisters = kGroups == 2   ? 240
                                    : kGroups == 3 ? 160
                                                   : 112;  // of a thread that multiplies
};

// Tiles of a block: every gridDim.x-th of all, channels first; or every `each`-th of those, from
// `first` on.
struct Walk {
  int row_tile, column_tile;
  int row_step, column_step;

  __device__ __forceinline__ Walk(const Job& job, int first, int each) {
    const int at = static_cast<int>(blockIdx.x + first * gridDim.x);
    const int step = static_cast<int>(each * gridDim.x);
    row_tile = at / job.column_tiles;
    column_tile = at - row_tile * job.column_tiles;
    row_step = step / job.column_tiles;
    column_step = step - row_step * job.column_tiles;
  }
  __device__ __forceinline__ void next(const Job& job) {
    row_tile += row_step;
    column_tile += column_step;
    if (column_tile >= job.column_tiles) {
      column_tile -= job.column_tiles;
      ++row_tile;
    }
  }
};

template <typename Sum, int kMi, int kN, int kK, int kGroups, bool kShared, bool kRes>
__global__ void __launch_bounds__(kGroups * 128 + 128, 1)
    conv_wgmma(const __grid_constant__ Job job) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace sm90a;
  using T = Tile<kMi, kN, kK, kGroups, kShared>;
  constexpr bool kHalf = std::is_same_v<Sum, float>;
  extern __shared__ std::uint8_t shared_memory[];
  __shared__ __align__(8) std::uint64_t barriers[2 * kMaxStages + 1 + kGroups];

  const std::uint32_t base = (shared_address(shared_memory) + 1023u) & ~1023u;
  const std::uint32_t stage_bytes = T::kSrcBytes + (job.resident ? 0 : T::kWeightBytes);
  const std::uint32_t resident = base + job.stages * stage_bytes;
  const std::uint32_t full = shared_address(barriers);
  const std::uint32_t empty = full + 8 * kMaxStages;
  const std::uint32_t weights_full = empty + 8 * kMaxStages;
  const std::uint32_t turn = weights_full + 8;
  const int warp = warp_index();
  const int lane = threadIdx.x % 32;

  if (threadIdx.x == 0) {
    for (int s = 0; s < job.stages; ++s) {
      barrier_init(full + 8 * s, 1);
      barrier_init(empty + 8 * s, 4 * (kShared ? kGroups : 1));
    }
    barrier_init(weights_full, 1);
    for (int g = 0; g < kGroups; ++g) barrier_init(turn + 8 * g, 4);
    barrier_init_fence();
  }
  __syncthreads();
  allow_next_launch();

  if (warp >= kGroups * 4) {
    give_registers<24>();
    if (warp != kGroups * 4 || lane != 0) return;
    prefetch_map(job.base.src);
    prefetch_map(job.base.weights);
    if (job.resident) {
      const int column = static_cast<int>(blockIdx.x) % job.column_tiles * kN;
      barrier_expect(weights_full, job.base.steps * T::kWeightBytes);
      for (int k = 0; k < job.base.steps; ++k) {
        load_tile(resident + k * T::kWeightBytes, job.base.weights, weights_full, k * kK, column);
      }
    }
    wait_for_previous_launch();
    int stage = 0;
    std::uint32_t parity = 1;  // a fresh barrier counts as passed with this
    for (Walk at_tile(job, 0, 1); at_tile.row_tile < job.row_tiles; at_tile.next(job)) {
      const int column = at_tile.column_tile * kN;
      const int row = at_tile.row_tile * T::kRows;
      int w = 0, h = 0, n = 0;
      if (job.base.source == WgmmaSource::kWindows) {
        const int line = row / job.base.ow;
        w = (row - line * job.base.ow) * job.base.sw - job.base.pad_left;
        n = line / job.base.oh;
        h = (line - n * job.base.oh) * job.base.sh - job.base.pad_top;
      }
      int channel = 0, kw = 0, kh = 0;
      for (int k = 0; k < job.base.steps; ++k) {
        const std::uint32_t at = base + stage * stage_bytes;
        const std::uint32_t ready = full + 8 * stage;
        barrier_wait(empty + 8 * stage, parity);
        barrier_expect(ready, stage_bytes);
        if (job.base.source == WgmmaSource::kWindows) {
          load_im2col(at, job.base.src, ready, channel * kK, w, h, n,
                      static_cast<std::uint16_t>(kw), static_cast<std::uint16_t>(kh));
          if (++channel == job.base.channel_steps) {
            channel = 0;
            if (++kw == job.base.kw) {
              kw = 0;
              ++kh;
            }
          }
        } else if (job.base.source == WgmmaSource::kLines) {
          load_tile(at, job.base.src, ready, 0, row + k * job.base.iw);
        } else {
          load_tile(at, job.base.src, ready, k * kK, row);
        }
        if (!job.resident) load_tile(at + T::kSrcBytes, job.base.weights, ready, k * kK, column);
        if (++stage == job.stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    }
    return;
  }

  take_registers<T::kRegisters>();
  const int group = warp / 4;
  const int quad = lane % 4;
  if (job.resident) barrier_wait(weights_full, 0);
  wait_for_previous_launch();

  // The constants of this thread's channels stay in registers where there are enough.
  constexpr bool kHeld = kGroups == 3 && kN == 64 && !kHalf;
  Channels held = {};
  if constexpr (kHeld) {
    held =
        load_channels(job.base, static_cast<int>(blockIdx.x) % job.column_tiles * kN + quad * 16);
  }
  // The place in the ring of this warpgroup's next stage, and how often the ring had gone round.
  const int skipped = kShared ? 0 : (kGroups - 1) * job.base.steps;  // stages of the others
  const int before = kShared ? 0 : group * job.base.steps;
  int stage = before % job.stages;
  int rounds = before / job.stages;
  const int skipped_stages = skipped % job.stages;
  const int skipped_rounds = skipped / job.stages;
  std::uint32_t turn_parity = group == 0;

  for (Walk tile(job, kShared ? 0 : group, kShared ? 1 : kGroups); tile.row_tile < job.row_tiles;
       tile.next(job)) {
    const int column = tile.column_tile * kN;
    const int row =
        tile.row_tile * T::kRows + (kShared ? group * T::kGroupRows : 0) + warp % 4 * 16 + lane / 4;
    std::int32_t place[kMi * 2];  // of this thread's rows; negative: none
#pragma unroll
    for (int i = 0; i < kMi * 2; ++i) {
      const int pixel = wgmma_pixel(job.base, row + i / 2 * 64 + i % 2 * 8);
      place[i] = pixel < 0 ? -1 : pixel * job.base.oc + column + quad * 16;
    }

    constexpr int kSize = kHalf ? 2 : 1;  // bytes of an element
    uint4 res[kRes ? kMi * 2 : 1][kRes ? kN / 64 * kSize : 1];
    if constexpr (kRes) {
#pragma unroll
      for (int i = 0; i < kMi * 2; ++i) {
#pragma unroll
        for (int g = 0; g < kN / 64 * kSize; ++g) {
          res[i][g] = make_uint4(0, 0, 0, 0);
          if (place[i] < 0) continue;
          const int at = place[i] + g / kSize * 64;
          const std::uint8_t* from =
              job.base.res + static_cast<std::int64_t>(at) * kSize + g % kSize * 16;
          // With four warpgroups they displaced the constants: 5 to 9 % of such layers.
          res[i][g] =
              kGroups == 4 && !kHalf ? load_once(from) : *reinterpret_cast<const uint4*>(from);
        }
      }
    }

    // Warpgroups take from the ring in turn: one that waited for a stage's second filling before
    // the first had come could not tell the two apart.
    if constexpr (!kShared) {
      barrier_wait(turn + 8 * group, turn_parity);
      turn_parity ^= 1;
    }
    Sum acc[kMi][kN / 2];
    int previous = 0;
    for (int k = 0; k < job.base.steps; ++k) {
      barrier_wait(full + 8 * stage, static_cast<std::uint32_t>(rounds & 1));
      const std::uint32_t at = base + stage * stage_bytes;
      const std::uint64_t a = matrix<kK>(at + (kShared ? group * T::kGroupRows * kK : 0));
      const std::uint64_t b =
          matrix<kK>(job.resident ? resident + k * T::kWeightBytes : at + T::kSrcBytes);
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < kK / 32; ++i) {
#pragma unroll
        for (int mi = 0; mi < kMi; ++mi) {
          wgmma<kN>(acc[mi], a + (64 * kK / 16) * mi + 2 * i, b + 2 * i, i > 0 || k > 0);
        }
      }
      wgmma_commit();
      if (k > 0) {
        wgmma_wait<1>();
        if (lane == 0) barrier_arrive(empty + 8 * previous);
      }
      previous = stage;
      if (++stage == job.stages) {
        stage = 0;
        ++rounds;
      }
    }
    if (!kShared && lane == 0) barrier_arrive(turn + 8 * ((group + 1) % kGroups));
    wgmma_wait<0>();
    if (lane == 0) barrier_arrive(empty + 8 * previous);

    stage += skipped_stages;
    rounds += skipped_rounds;
    if (stage >= job.stages) {
      stage -= job.stages;
      ++rounds;
    }
    finish_tile<kMi, kN, kRes, kHeld>(job.base, job.full, held, acc, res, place,
                                      column + quad * 16);
  }
#endif
}

using Kernel = void (*)(Job);

struct Variant {
  const char* name;
  ConvElement element;
  std::int32_t rows, n, k, threads;
  bool resident;
  Kernel plain, with_residual;
  WgmmaCost cost;
};

template <typename Sum, int kMi, int kN, int kK, int kGroups, bool kShared>
constexpr Variant variant(const char* name, bool resident, WgmmaCost cost) {
  using T = Tile<kMi, kN, kK, kGroups, kShared>;
  return {name,
          std::is_same_v<Sum, float> ? ConvElement::kHalf : ConvElement::kByte,
          T::kRows,
          kN,
          kK,
          T::kThreads,
          resident,
          conv_wgmma<Sum, kMi, kN, kK, kGroups, kShared, false>,
          conv_wgmma<Sum, kMi, kN, kK, kGroups, kShared, true>,
          cost};
}

// rows x channels x inner, warpgroups with tiles of their own ("x") or sharing one ("+").
constexpr Variant kVariants[] = {
    variant<int, 1, 64, 64, 4, false>("64x64x64 x4", false, {2.44f, 2.73f, 0.19f, 0.07f, 3.35f}),
    variant<int, 1, 64, 64, 4, false>("64x64x64 x4 resident", true,
                                      {2.61f, 2.35f, 0.12f, 0.12f, 2.82f}),
    variant<int, 2, 64, 64, 3, false>("128x64x64 x3 resident", true,
                                      {2.70f, 2.09f, 0.18f, 0.32f, 3.43f}),
    variant<int, 1, 128, 64, 4, false>("64x128x64 x4 resident", true, {3.39f, 0, 0.53f, 0.30f, 0}),
    variant<int, 1, 64, 128, 4, false>("64x64x128 x4", false, {2.41f, 1.47f, 0.20f, 0.01f, 1.55f}),
    variant<int, 2, 64, 128, 3, false>("128x64x128 x3 resident", true,
                                       {2.43f, 1.56f, 0.48f, 0.04f, 1.48f}),
    variant<int, 1, 128, 128, 4, false>("64x128x128 x4", false,
                                        {3.28f, 1.55f, 0.48f, 0.27f, 1.66f}),
    variant<int, 1, 128, 128, 4, false>("64x128x128 x4 resident", true,
                                        {2.91f, 2.08f, 0.46f, 0.19f, 1.57f}),
    variant<int, 2, 128, 128, 2, false>("128x128x128 x2", false,
                                        {3.30f, 2.19f, 1.04f, 0.32f, 2.34f}),
    variant<int, 2, 128, 128, 2, false>("128x128x128 x2 resident", true,
                                        {3.24f, 2.26f, 1.09f, 0.17f, 2.12f}),
    variant<int, 1, 256, 128, 2, false>("64x256x128 x2", false,
                                        {3.74f, 2.18f, 1.22f, 0.48f, 2.10f}),
    variant<int, 1, 256, 128, 2, false>("64x256x128 x2 resident", true,
                                        {3.43f, 3.02f, 1.03f, 0.31f, 2.48f}),
    variant<int, 1, 256, 128, 2, true>("128x256x128 +2", false,
                                       {4.48f, 4.32f, 2.60f, 0.47f, 4.68f}),
    variant<int, 2, 128, 128, 2, true>("256x128x128 +2", false,
                                       {3.92f, 4.32f, 2.35f, 0.40f, 4.91f}),
    variant<int, 1, 128, 128, 2, true>("128x128x128 +2", false,
                                       {3.38f, 2.19f, 1.35f, 0.25f, 2.90f}),
    // Half precision: residuals and results of a tile take twice the registers and stores.
    variant<float, 1, 64, 128, 4, false>("f16 64x64x128 x4", false,
                                         {2.41f, 1.47f, 0.30f, 0.1f, 1.55f}),
    variant<float, 2, 64, 128, 3, false>("f16 128x64x128 x3", false,
                                         {2.43f, 1.56f, 0.58f, 0.2f, 1.55f}),
    variant<float, 2, 64, 128, 3, false>("f16 128x64x128 x3 resident", true,
                                         {2.43f, 1.56f, 0.58f, 0.2f, 1.48f}),
    variant<float, 1, 128, 128, 3, false>("f16 64x128x128 x3", false,
                                          {3.28f, 1.55f, 0.58f, 0.2f, 1.66f}),
    variant<float, 1, 128, 128, 3, false>("f16 64x128x128 x3 resident", true,
                                          {2.91f, 2.08f, 0.56f, 0.2f, 1.57f}),
    variant<float, 2, 128, 128, 2, false>("f16 128x128x128 x2", false,
                                          {3.30f, 2.19f, 1.24f, 0.4f, 2.34f}),
    variant<float, 2, 128, 128, 2, false>("f16 128x128x128 x2 resident", true,
                                          {3.24f, 2.26f, 1.29f, 0.4f, 2.12f}),
    variant<float, 1, 256, 128, 2, false>("f16 64x256x128 x2", false,
                                          {3.74f, 2.18f, 1.42f, 0.5f, 2.10f}),
    variant<float, 1, 256, 128, 2, true>("f16 128x256x128 +2", false,
                                         {4.48f, 4.32f, 2.80f, 0.5f, 4.68f}),
    variant<float, 2, 128, 128, 2, true>("f16 256x128x128 +2", false,
                                         {3.92f, 4.32f, 2.55f, 0.5f, 4.91f}),
    variant<float, 1, 128, 128, 2, true>("f16 128x128x128 +2", false,
                                         {3.38f, 2.19f, 1.45f, 0.3f, 2.90f}),
};
constexpr std::int32_t kTileVariants = sizeof(kVariants) / sizeof(kVariants[0]);
constexpr std::int32_t kPatchVariant = kTileVariants + kClusterVariants;
constexpr std::int32_t kVariantCount = kPatchVariant + 1;

// Stages that fit; 0 if the variant cannot run.
std::int32_t stages(const ConvProblem& p, const Variant& v) {
  const auto window = static_cast<std::uint32_t>(p.window());
  const std::uint32_t weights = static_cast<std::uint32_t>(v.n) * (v.resident ? window : v.k);
  const auto src = static_cast<std::uint32_t>(v.rows * v.k);
  constexpr std::uint32_t kRoom = kSharedBytes - 2048;  // alignment and barriers
  std::uint32_t count = 0;
  if (v.resident) {
    if (weights + 2 * src > kRoom) return 0;
    count = (kRoom - weights) / src;
  } else {
    count = kRoom / (src + weights);
  }
  return static_cast<std::int32_t>(count < kMaxStages ? count : kMaxStages);
}

bool takes(const ConvProblem& p, std::int32_t i) {
  if (i == kPatchVariant) return patch_takes(p);
  if (i >= kTileVariants) return cluster_takes(p, i - kTileVariants);
  const Variant& v = kVariants[i];
  return p.element == v.element && p.oc % v.n == 0 && v.k == wgmma_step(p) && stages(p, v) >= 2 &&
         p.result != ConvResult::kFloat && (!v.resident || p.oc / v.n <= 16);
}

const char* variant_name(std::int32_t i) {
  if (i == kPatchVariant) return "128x64 patch";
  return i < kTileVariants ? kVariants[i].name : cluster_name(i - kTileVariants);
}

// Microseconds, by the model of WgmmaCost.
float estimate(const ConvProblem& p, std::int32_t i, std::int32_t gpu_multiprocessors) {
  if (i == kPatchVariant) return patch_estimate(p, gpu_multiprocessors);
  if (i >= kTileVariants) return cluster_estimate(p, i - kTileVariants, gpu_multiprocessors);
  const Variant& v = kVariants[i];
  const std::int64_t columns = p.oc / v.n;
  const std::int64_t tiles = (wgmma_rows(p) + v.rows - 1) / v.rows * columns;
  const std::int64_t blocks =
      gpu_multiprocessors - (v.resident ? gpu_multiprocessors % columns : 0);
  const auto more = static_cast<float>((tiles + blocks - 1) / blocks - 1);
  return v.cost.estimate(p, static_cast<float>(p.window()), more);
}

std::int32_t choose(const ConvProblem& p, std::int32_t gpu_multiprocessors) {
  if (const char* measured = measured_variant(p, gpu_multiprocessors)) {
    for (std::int32_t i = 0; i < kVariantCount; ++i) {
      if (std::strcmp(variant_name(i), measured) == 0 && takes(p, i)) return i;
    }
  }
  std::int32_t best = -1;
  float best_time = 0;
  for (std::int32_t i = 0; i < kVariantCount; ++i) {
    if (!takes(p, i)) continue;
    const float time = estimate(p, i, gpu_multiprocessors);
    if (best >= 0 && time >= best_time) continue;
    best = i;
    best_time = time;
  }
  return best;
}

bool supports(const ConvProblem& p, std::int32_t capability) {
  return capability == 90 && p.groups == 1 && p.ic > 0 && p.oc > 0 &&
         (p.ic % 64 == 0 || wgmma_lines(p)) && p.oc % 4 == 0 && (p.z_src == 0 || p.inside()) &&
         p.sw <= 8 && p.sh <= 8 && p.kh <= 64 && p.kw <= 64 && p.pad_left < 64 && p.pad_top < 64 &&
         wgmma_rows(p) < (1 << 28) && p.pixels() * p.oc < (std::int64_t{1} << 31) &&
         choose(p, 132) >= 0;
}

std::int64_t packed_bytes(const ConvProblem& p) {
  return std::int64_t{(p.oc + 63) / 64 * 64} * p.window();
}

void pack(const ConvProblem& p, const std::int8_t* weights, std::int8_t* packed) {
  const std::int64_t window = p.window();
  for (std::int32_t column = 0; column < (p.oc + 63) / 64 * 64; ++column) {
    const std::int32_t within = column % 64;
    const std::int32_t channel =
        column - within + within % 8 / 2 * 16 + within / 8 * 2 + within % 2;
    std::int8_t* to = packed + column * window;
    if (channel < p.oc) {
      std::memcpy(to, weights + channel * window, static_cast<std::size_t>(window));
    } else {
      std::memset(to, 0, static_cast<std::size_t>(window));
    }
  }
}

std::int64_t workspace_bytes(const ConvProblem&, std::int32_t) { return 0; }

std::atomic<int> multiprocessors = 0;  // the fewest of the GPUs in use

int prepare() {
  int error = prepare_tensor_maps();
  if (error == cudaSuccess) error = cluster_prepare();
  if (error == cudaSuccess) error = patch_prepare();
  if (error == cudaSuccess) error = pair_prepare();
  if (error == cudaSuccess) error = conv_pool_prepare();
  int device = 0;
  if (error == cudaSuccess) error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    int count = 0;
    error = cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
    if (multiprocessors == 0 || count < multiprocessors) multiprocessors = count;
  }
  for (const Variant& v : kVariants) {
    for (const Kernel kernel : {v.plain, v.with_residual}) {
      if (error != cudaSuccess) return error;
      error =
          cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes - 1024);
    }
  }
  return error;
}

int launch(const ConvProblem& p, const ConvBuffers& b, std::int32_t i, Stream stream) {
  if (i == kPatchVariant) return patch_launch(p, b, stream);
  if (i >= kTileVariants) return cluster_launch(p, b, i - kTileVariants, stream);
  const Variant& v = kVariants[i];
  Job job;
  const int error = make_wgmma_job(job.base, p, b, v.rows, v.n);
  if (error != cudaSuccess) return error;
  job.row_tiles = (job.base.rows + v.rows - 1) / v.rows;
  job.column_tiles = p.oc / v.n;
  job.stages = stages(p, v);
  job.resident = v.resident;
  job.full = p.z_dst == 0 && p.lo == 0 && p.hi == 255;

  std::int32_t blocks = job.row_tiles * job.column_tiles;
  if (blocks > multiprocessors) blocks = multiprocessors;
  if (v.resident) blocks -= blocks % job.column_tiles;
  const std::int32_t src_bytes = v.rows * v.k;
  const std::int32_t weight_bytes = v.n * v.k;

  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(v.threads));
  config.dynamicSmemBytes =
      static_cast<std::size_t>(1024 + job.stages * (src_bytes + (v.resident ? 0 : weight_bytes)) +
                               (v.resident ? job.base.steps * weight_bytes : 0));
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  void* arguments[] = {&job};
  const Kernel kernel = p.result == ConvResult::kBytesResidual ? v.with_residual : v.plain;
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), arguments);
}

}  // namespace

const ConvKernel kConvWgmmaSm90a = {
    .name = "wgmma_sm90a",
    .supports = supports,
    .variants = kVariantCount,
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
