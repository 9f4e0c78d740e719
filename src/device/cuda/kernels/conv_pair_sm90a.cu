// SPDX-License-Identifier: Apache-2.0
// A pointwise convolution with a residual and the pointwise one that reads its result
// (conv_pair.h).
//
// A warpgroup makes both results of 64 pixels. It goes through the channels of the first in chunks
// of 64: the product with the chunk's weights gives sums; each thread finishes 16 channels of two
// pixels, reading the residual from shared memory and writing the result over it. The chunk then
// leaves through the copy engine, and is at the same time the next 64 bytes of the inner dimension
// of the second product, whose sums stay in registers until the last chunk. All weights stay in
// shared memory.
//
// Everything in shared memory is a box of 64 rows of 64 bytes, swizzled by 64. Each warpgroup has a
// ring of them and a warp that fills it: the pixels of a tile, then its residual chunk by chunk.
#include <cuda_runtime_api.h>

#include <atomic>

#include "device/cuda/kernels/conv_pair.h"
#include "device/cuda/kernels/sm90a.cuh"
#include "device/cuda/kernels/wgmma_finish.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kRows = 64;
constexpr int kStep = 64;  // bytes of the inner dimension, and channels of a chunk
constexpr std::uint32_t kBox = kRows * kStep;
constexpr int kMaxStages = 24;                       // of a warpgroup
constexpr std::uint32_t kRoom = (227 << 10) - 4096;  // alignment, barriers

struct Job {
  WgmmaJob first, second;  // their maps are of boxes; first.dst is not used
  CUtensorMap res, dst;    // of the first
  std::int32_t tiles, stages;
  std::int32_t first_full, second_full;  // results of any u8, zero point 0
};

__device__ __forceinline__ uint4 load_piece(std::uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}

__device__ __forceinline__ void store_piece(std::uint32_t address, const std::uint32_t (&v)[4]) {
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(v[0]), "r"(v[1]),
               "r"(v[2]), "r"(v[3])
               : "memory");
}

// Finishes 16 channels of two pixels and writes them over their residuals at `places`.
template <bool kFull>
__device__ __forceinline__ void finish_chunk(const WgmmaJob& job, const int (&acc)[32],
                                             const std::uint32_t (&places)[2],
                                             const Channels& constants) {
  const float offset = 8388608.0f + static_cast<float>(job.finish.z_res);
  const float m_res = job.finish.m_res;
  const uint4 res[2] = {load_piece(places[0]), load_piece(places[1])};
  std::uint32_t out[2][4];
#pragma unroll
  for (int v = 0; v < 4; ++v) {
    const Quad& c = constants.quads[v];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int* d = &acc[v * 8 + h * 2];
      const std::uint32_t word = v == 0   ? res[h].x
                                 : v == 1 ? res[h].y
                                 : v == 2 ? res[h].z
                                          : res[h].w;
      const auto r = [&](int sum, int bias, float m, int byte) {
        return __fmaf_rn(__int2float_rn(sum + bias), m,
                         __fmul_rn(residual(word, byte, offset), m_res));
      };
      out[h][v] =
          finish4<kFull>(r(d[0], c.bias.x, c.m.x, 0), r(d[1], c.bias.y, c.m.y, 1),
                         r(d[4], c.bias.z, c.m.z, 2), r(d[5], c.bias.w, c.m.w, 3), job.finish);
    }
  }
  store_piece(places[0], out[0]);
  store_piece(places[1], out[1]);
}

// kN: channels of the second; kSrc: boxes of a tile's pixels; kChunks: of the first's channels.
template <int kN, int kSrc, int kChunks, int kGroups>
__global__ void __launch_bounds__(kGroups * 128 + 128, 1)
    conv_pair(const __grid_constant__ Job job) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace sm90a;
  extern __shared__ std::uint8_t shared_memory[];
  __shared__ __align__(8) std::uint64_t barriers[2 * kGroups * kMaxStages + 1];

  const int warp = warp_index();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  // Of a consumer its warpgroup, of a producer the warpgroup that it serves.
  const int group = warp >= kGroups * 4 ? warp - kGroups * 4 : warp / 4;
  const std::uint32_t wide = (shared_address(shared_memory) + 1023u) & ~1023u;
  const std::uint32_t narrow = wide + static_cast<std::uint32_t>(kChunks * kSrc) * kBox;
  const std::uint32_t ring = narrow + static_cast<std::uint32_t>(kChunks) * kN * kStep +
                             static_cast<std::uint32_t>(group * job.stages) * kBox;
  const std::uint32_t weights_full = shared_address(barriers);
  const std::uint32_t full = weights_full + 8 + 8 * group * kMaxStages;
  const std::uint32_t empty = full + 8 * kGroups * kMaxStages;

  if (threadIdx.x == 0) {
    for (int g = 0; g < kGroups; ++g) {
      for (int s = 0; s < job.stages; ++s) {
        barrier_init(weights_full + 8 + 8 * (g * kMaxStages + s), 1);
        barrier_init(weights_full + 8 + 8 * ((kGroups + g) * kMaxStages + s), 4);
      }
    }
    barrier_init(weights_full, 1);
    barrier_init_fence();
  }
  __syncthreads();
  allow_next_launch();

  const int begin = static_cast<int>(blockIdx.x + group * gridDim.x);
  const int each = static_cast<int>(kGroups * gridDim.x);
  if (warp >= kGroups * 4) {
    give_registers<24>();
    if (group >= kGroups || lane != 0) return;
    if (group == 0) {
      barrier_expect(weights_full,
                     static_cast<std::uint32_t>(kChunks) * (kSrc * kBox + kN * kStep));
      for (int c = 0; c < kChunks; ++c) {
        for (int s = 0; s < kSrc; ++s) {
          load_tile(wide + static_cast<std::uint32_t>(c * kSrc + s) * kBox, job.first.weights,
                    weights_full, s * kStep, c * 64);
        }
        load_tile(narrow + static_cast<std::uint32_t>(c) * kN * kStep, job.second.weights,
                  weights_full, c * kStep, 0);
      }
    }
    wait_for_previous_launch();
    int stage = 0;
    std::uint32_t parity = 1;
    for (int t = begin; t < job.tiles; t += each) {
      for (int s = 0; s < kSrc + kChunks; ++s) {
        barrier_wait(empty + 8 * stage, parity);
        barrier_expect(full + 8 * stage, kBox);
        const bool pixels = s < kSrc;
        load_tile(ring + static_cast<std::uint32_t>(stage) * kBox, pixels ? job.first.src : job.res,
                  full + 8 * stage, (pixels ? s : s - kSrc) * kStep, t * kRows);
        if (++stage == job.stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    }
    return;
  }

  take_registers<kGroups == 2 ? 240 : 160>();
  const int quad = lane % 4;
  const int row = warp % 4 * 16 + lane / 4;  // and the one 8 below
  const bool elected = warp % 4 == 0 && lane == 0;
  // Of this thread's two pieces in a box; rows 8 apart are swizzled alike.
  const auto piece = static_cast<std::uint32_t>(row * kStep + ((quad ^ (row >> 1 & 3)) << 4));
  barrier_wait(weights_full, 0);
  wait_for_previous_launch();

  int stage = 0;
  std::uint32_t parity = 0;
  const auto advance = [&] {
    if (++stage == job.stages) {
      stage = 0;
      parity ^= 1;
    }
  };
  for (int t = begin; t < job.tiles; t += each) {
    std::uint32_t src[kSrc];
    int src_stage[kSrc];
#pragma unroll
    for (int s = 0; s < kSrc; ++s) {
      barrier_wait(full + 8 * stage, parity);
      src_stage[s] = stage;
      src[s] = ring + static_cast<std::uint32_t>(stage) * kBox;
      advance();
    }
    // The first product of a chunk runs while the one before it is finished, the second one while
    // the next is.
    int sums[1][kN / 2];
    int acc[2][32];
    int previous = 0;
    int before = 0;
    const auto multiply = [&](int(&to)[32], int c) {
      wgmma_fence();
#pragma unroll
      for (int s = 0; s < kSrc; ++s) {
        const std::uint64_t a = matrix<kStep>(src[s]);
        const std::uint64_t b =
            matrix<kStep>(wide + static_cast<std::uint32_t>(c * kSrc + s) * kBox);
#pragma unroll
        for (int i = 0; i < 2; ++i) wgmma<64>(to, a + 2 * i, b + 2 * i, s > 0 || i > 0);
      }
      wgmma_commit();
    };
    const auto finish = [&](const int(&from)[32], int c, const Channels& constants) {
      barrier_wait(full + 8 * stage, parity);
      const std::uint32_t box = ring + static_cast<std::uint32_t>(stage) * kBox;
      const std::uint32_t places[2] = {box + piece, box + piece + 8 * kStep};
      if (job.first_full) {
        finish_chunk<true>(job.first, from, places, constants);
      } else {
        finish_chunk<false>(job.first, from, places, constants);
      }
      async_fence();
      meet(1 + group, 128);
      if (c >= 2 && lane == 0) {
        // The box of two chunks ago is multiplied, and its copy read by now.
        if (elected) bulk_wait_read<1>();
        barrier_arrive(empty + 8 * before);
      }
      if (elected) {
        store_tile(job.dst, box, c * 64, t * kRows);
        bulk_commit();
      }
      wgmma_fence();
      const std::uint64_t a = matrix<kStep>(box);
      const std::uint64_t b = matrix<kStep>(narrow + static_cast<std::uint32_t>(c) * kN * kStep);
#pragma unroll
      for (int i = 0; i < 2; ++i) wgmma<kN>(sums[0], a + 2 * i, b + 2 * i, c > 0 || i > 0);
      wgmma_commit();
      before = previous;
      previous = stage;
      advance();
    };
    multiply(acc[0], 0);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      // On their way while products run.
      const Channels constants = load_channels(job.first, c * 64 + quad * 16);
      if (c + 1 < kChunks) {
        multiply(acc[(c + 1) % 2], c + 1);
        wgmma_wait<1>();
      } else {
        wgmma_wait<0>();
      }
      finish(acc[c % 2], c, constants);
    }
    const Channels constants = load_channels(job.second, quad * 16);
    wgmma_wait<0>();
    if (lane == 0) {
#pragma unroll
      for (int s = 0; s < kSrc; ++s) barrier_arrive(empty + 8 * src_stage[s]);
    }
    std::int32_t place[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int pixel = t * kRows + row + h * 8;
      place[h] = pixel < job.second.rows ? pixel * job.second.oc + quad * 16 : -1;
    }
    const uint4 none[1][1] = {};
    finish_tile<1, kN, false, true>(job.second, job.second_full, constants, sums, none, place,
                                    quad * 16);
    if (lane == 0) {
      if (elected) bulk_wait_read<0>();
      barrier_arrive(empty + 8 * before);
      barrier_arrive(empty + 8 * previous);
    }
  }
  if (elected) bulk_wait();
#endif
}

using Kernel = void (*)(Job);

struct Variant {
  std::int32_t n, src, chunks, groups;
  Kernel kernel;
};
constexpr Variant kVariants[] = {
    {64, 1, 4, 3, conv_pair<64, 1, 4, 3>},
    {128, 1, 4, 2, conv_pair<128, 1, 4, 2>},
    {128, 2, 8, 2, conv_pair<128, 2, 8, 2>},
};

const Variant* variant_for(const ConvProblem& first, const ConvProblem& second) {
  for (const Variant& v : kVariants) {
    if (second.oc == v.n && first.ic == v.src * kStep && first.oc == v.chunks * 64) return &v;
  }
  return nullptr;
}

std::uint32_t weight_bytes(const ConvProblem& first, const ConvProblem& second) {
  return static_cast<std::uint32_t>(first.oc * (first.ic + second.oc));
}

// Of a warpgroup's ring; 0 when a tile does not fit.
std::int32_t stages(const ConvProblem& first, const ConvProblem& second, const Variant& v) {
  const std::uint32_t weights = weight_bytes(first, second);
  if (weights >= kRoom) return 0;
  const auto count = static_cast<std::int32_t>((kRoom - weights) / kBox) / v.groups;
  if (count < v.src + first.oc / 64 + 1) return 0;
  return count < kMaxStages ? count : kMaxStages;
}

std::atomic<int> multiprocessors = 0;

bool plain(const ConvProblem& p) {
  return p.pointwise() && p.sh == 1 && p.sw == 1 && p.element == ConvElement::kByte;
}

}  // namespace

bool pair_takes(const ConvProblem& first, const ConvProblem& second) {
  const Variant* v = variant_for(first, second);
  return v != nullptr && plain(first) && plain(second) &&
         first.result == ConvResult::kBytesResidual && second.result == ConvResult::kBytes &&
         first.oc % 128 == 0 && second.ic == first.oc && second.pixels() == first.pixels() &&
         first.pixels() * first.oc < (std::int64_t{1} << 31) && stages(first, second, *v) > 0;
}

bool pair_pays(const ConvProblem& first, const ConvProblem& second, std::int32_t multiprocessors) {
  return pair_takes(first, second) && first.pixels() / kRows >= 8 * multiprocessors;
}

int pair_prepare() {
  int device = 0;
  int count = 0;
  int error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  }
  if (multiprocessors == 0 || count < multiprocessors) multiprocessors = count;
  for (const Variant& v : kVariants) {
    if (error != cudaSuccess) return error;
    error = cudaFuncSetAttribute(reinterpret_cast<const void*>(v.kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, kRoom + 1024);
  }
  return error;
}

int pair_launch(const ConvProblem& first, const ConvBuffers& a, const ConvProblem& second,
                const ConvBuffers& b, Stream stream) {
  const Variant& v = *variant_for(first, second);
  const std::int64_t rows = first.pixels();
  Job job;
  int error = make_wgmma_job(job.first, first, a, kRows, 64);
  if (error == cudaSuccess) error = make_wgmma_job(job.second, second, b, kRows, v.n);
  const auto map = [&](CUtensorMap& to, const void* data, std::int64_t height, std::int32_t width,
                       std::int32_t box_rows) {
    if (error == cudaSuccess) error = matrix_map(to, data, height, width, width, box_rows, kStep);
  };
  map(job.first.src, a.src, rows, first.ic, kRows);
  map(job.first.weights, a.weights, first.oc, first.ic, 64);
  map(job.second.weights, b.weights, second.oc, second.ic, v.n);
  map(job.res, a.res, rows, first.oc, kRows);
  map(job.dst, a.dst, rows, first.oc, kRows);
  if (error != cudaSuccess) return error;
  const auto full = [](const ConvProblem& p) { return p.z_dst == 0 && p.lo == 0 && p.hi == 255; };
  job.tiles = static_cast<std::int32_t>((rows + kRows - 1) / kRows);
  job.stages = stages(first, second, v);
  job.first_full = full(first);
  job.second_full = full(second);

  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  const int blocks = job.tiles < multiprocessors ? job.tiles : multiprocessors.load();
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(v.groups * 128 + 128));
  config.dynamicSmemBytes =
      1024 + weight_bytes(first, second) + static_cast<std::uint32_t>(v.groups * job.stages) * kBox;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  void* arguments[] = {&job};
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(v.kernel), arguments);
}

}  // namespace pronghorn::device::cuda
