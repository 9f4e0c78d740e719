// SPDX-License-Identifier: Apache-2.0
// Convolution on sm_90a with 64 output channels, stride 1 and few input bytes a pixel: first layers
// (16 channels, border included) and 3x3 layers of 64 channels.
//
// Such layers are bound by what the copy engine brings in when each window place is a matrix of its
// own. Here a tile's pixels come once, border and all, as a patch: rows of the product are the
// patch's pixels in order, and the operand of a window place is the same patch, begun a few pixels
// later. Rows that wrap around an edge of the image are computed and dropped. All weights stay in
// shared memory; each warpgroup has its own tiles, as in conv_wgmma_sm90a.cu.
//
//   16 channels   the patch is a run of memory; without a swizzle, pixels are the 16-byte units of
//   the
//                 operand, and a window row is an operand row that overlaps its neighbours.
//   64 channels   the patch is a box of the image, zeros outside, swizzled by 64 bytes; the swizzle
//                 depends on addresses alone, so an operand may begin at any pixel.
#include <cuda_runtime_api.h>

#include <atomic>

#include "device/cuda/kernels/sm90a.cuh"
#include "device/cuda/kernels/wgmma_finish.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kGroups = 3;
constexpr int kMi = 2;
constexpr int kRows = 64 * kMi;
constexpr int kN = 64;
constexpr int kStep = 64;  // bytes of the inner dimension
constexpr int kMaxStages = 12;
constexpr std::uint32_t kWeightBytes = kN * kStep;
constexpr std::uint32_t kRoom = (227 << 10) - 2048;

struct Job {
  WgmmaJob base;
  std::int32_t tiles, image_tiles;
  std::int32_t tile_rows;  // of the image, for a box
  std::int32_t width;      // of a patch row, in pixels
  std::int32_t inverse;    // of it: 2^16 / width, rounded up
  std::int32_t stages;
  std::uint32_t stage_bytes, patch_bytes;
  std::int64_t src_bytes;
  const std::uint8_t* src;
  std::int32_t full;  // results of any u8, zero point 0
};

template <int kPixel>
__global__ void __launch_bounds__(kGroups * 128 + 128, 1)
    conv_patch(const __grid_constant__ Job job) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace sm90a;
  extern __shared__ std::uint8_t shared_memory[];
  __shared__ __align__(8) std::uint64_t barriers[2 * kMaxStages + 1 + kGroups];

  const std::uint32_t weights = (shared_address(shared_memory) + 1023u) & ~1023u;
  const std::uint32_t ring = weights + static_cast<std::uint32_t>(job.base.steps) * kWeightBytes;
  const std::uint32_t full = shared_address(barriers);
  const std::uint32_t empty = full + 8 * kMaxStages;
  const std::uint32_t weights_full = empty + 8 * kMaxStages;
  const std::uint32_t turn = weights_full + 8;
  const int warp = warp_index();
  const int lane = static_cast<int>(threadIdx.x) % 32;

  if (threadIdx.x == 0) {
    for (int s = 0; s < job.stages; ++s) {
      barrier_init(full + 8 * s, 1);
      barrier_init(empty + 8 * s, 4);
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
    barrier_expect(weights_full, static_cast<std::uint32_t>(job.base.steps) * kWeightBytes);
    for (int k = 0; k < job.base.steps; ++k) {
      load_tile(weights + k * kWeightBytes, job.base.weights, weights_full, k * kStep, 0);
    }
    wait_for_previous_launch();
    int stage = 0;
    std::uint32_t parity = 1;
    for (int t = blockIdx.x; t < job.tiles; t += gridDim.x) {
      const std::uint32_t at = ring + stage * job.stage_bytes;
      const std::uint32_t ready = full + 8 * stage;
      barrier_wait(empty + 8 * stage, parity);
      if constexpr (kPixel == 16) {
        const std::int64_t first = static_cast<std::int64_t>(t) * kRows * kPixel;
        const std::int64_t left = job.src_bytes - first;
        const std::uint32_t bytes =
            left < job.patch_bytes ? static_cast<std::uint32_t>(left) : job.patch_bytes;
        barrier_expect(ready, bytes);
        load_bytes(at, job.src + first, bytes, ready);
      } else {
        const int n = t / job.image_tiles;
        const int y = (t - n * job.image_tiles) * job.tile_rows;
        barrier_expect(ready, job.patch_bytes);
        load_box(at, job.base.src, ready, 0, -job.base.pad_left, y - job.base.pad_top, n);
      }
      if (++stage == job.stages) {
        stage = 0;
        parity ^= 1;
      }
    }
    return;
  }

  take_registers<160>();
  const int group = warp / 4;
  const int quad = lane % 4;
  barrier_wait(weights_full, 0);
  wait_for_previous_launch();

  const Channels held = load_channels(job.base, quad * 16);
  int stage = group % job.stages;
  int rounds = group / job.stages;
  std::uint32_t turn_parity = group == 0;

  const int step = static_cast<int>(kGroups * gridDim.x);
  for (int t = static_cast<int>(blockIdx.x + group * gridDim.x); t < job.tiles; t += step) {
    // The pixel where the tile begins.
    int n = 0, y = 0, x = 0;
    if constexpr (kPixel == 16) {
      const int line = t * kRows / job.width;
      x = t * kRows - line * job.width;
      n = line / job.base.ih;
      y = line - n * job.base.ih;
    } else {
      n = t / job.image_tiles;
      y = (t - n * job.image_tiles) * job.tile_rows;
    }
    std::int32_t place[kMi * 2];
#pragma unroll
    for (int i = 0; i < kMi * 2; ++i) {
      const int row = x + warp % 4 * 16 + lane / 4 + i / 2 * 64 + i % 2 * 8;
      const int down = row * job.inverse >> 16;
      const int ox = row - down * job.width;
      int oy = y + down;
      int image = n;
      bool valid = ox < job.base.ow;
      if constexpr (kPixel == 16) {
        if (oy >= job.base.ih) {
          image += oy / job.base.ih;
          oy %= job.base.ih;
        }
        valid = valid && t * kRows + row - x < job.base.rows;
      } else {
        valid = valid && down < job.tile_rows;
      }
      valid = valid && oy < job.base.oh;
      place[i] =
          valid ? ((image * job.base.oh + oy) * job.base.ow + ox) * job.base.oc + quad * 16 : -1;
    }
    const uint4 res[1][1] = {};

    barrier_wait(turn + 8 * group, turn_parity);
    turn_parity ^= 1;
    barrier_wait(full + 8 * stage, static_cast<std::uint32_t>(rounds & 1));
    const std::uint32_t patch = ring + stage * job.stage_bytes;
    int acc[kMi][kN / 2];
    int shift = 0, kw = 0;
    wgmma_fence();
    for (int k = 0; k < job.base.steps; ++k) {
      const std::uint64_t b = matrix<kStep>(weights + k * kWeightBytes);
#pragma unroll
      for (int i = 0; i < kStep / 32; ++i) {
#pragma unroll
        for (int mi = 0; mi < kMi; ++mi) {
          const std::uint32_t at = patch + (shift + 64 * mi) * kPixel + 32 * i;
          const std::uint64_t a = kPixel == 16 ? plain_matrix(at, 16, 128) : matrix<64>(at);
          wgmma<kN>(acc[mi], a, b + 2 * i, i > 0 || k > 0);
        }
      }
      if constexpr (kPixel == 16) {
        shift += job.width;
      } else {
        ++shift;
        if (++kw == job.base.kw) {
          kw = 0;
          shift += job.width - job.base.kw;
        }
      }
    }
    wgmma_commit();
    if (lane == 0) barrier_arrive(turn + 8 * ((group + 1) % kGroups));
    wgmma_wait<0>();
    if (lane == 0) barrier_arrive(empty + 8 * stage);
    stage += kGroups;
    while (stage >= job.stages) {
      stage -= job.stages;
      ++rounds;
    }
    finish_tile<kMi, kN, false, kGroups == 3>(job.base, job.full, held, acc, res, place, quad * 16);
  }
#endif
}

std::int32_t patch_width(const ConvProblem& p) { return wgmma_lines(p) ? p.iw : p.ow + p.kw - 1; }

std::int32_t box_rows(const ConvProblem& p) {
  return (kRows + p.kw - 1) / patch_width(p);  // the last row's end is not needed
}

std::uint32_t patch_bytes(const ConvProblem& p) {
  const std::int32_t width = patch_width(p);
  return static_cast<std::uint32_t>(wgmma_lines(p) ? (kRows + p.kw - 1 + (p.kh - 1) * width) * 16
                                                   : width * (box_rows(p) + p.kh - 1) * 64);
}

std::uint32_t stage_bytes(const ConvProblem& p) { return (patch_bytes(p) + 1023) / 1024 * 1024; }

// Behind the last patch: what rows that are dropped may read.
std::uint32_t slack(const ConvProblem& p) {
  return static_cast<std::uint32_t>((kRows + p.kw + patch_width(p)) * 64);
}

std::int32_t stages(const ConvProblem& p) {
  const std::uint32_t weights = static_cast<std::uint32_t>(p.window()) * kN;
  if (weights + slack(p) > kRoom) return 0;
  const std::uint32_t count = (kRoom - weights - slack(p)) / stage_bytes(p);
  return static_cast<std::int32_t>(count < kMaxStages ? count : kMaxStages);
}

using Kernel = void (*)(Job);

Kernel kernel_for(bool lines) { return lines ? conv_patch<16> : conv_patch<64>; }

std::atomic<int> multiprocessors = 0;

}  // namespace

bool patch_takes(const ConvProblem& p) {
  if (p.half()) return false;
  const bool lines = wgmma_lines(p) && p.ic == 16 && p.kw == 4;
  const bool box = p.ic == 64 && p.sw == 1 && p.sh == 1 && p.kw <= 8 && p.kh <= 8 &&
                   patch_width(p) <= kRows && box_rows(p) >= 1;
  return (lines || box) && p.oc == kN && p.result == ConvResult::kBytes && stages(p) >= 2;
}

float patch_estimate(const ConvProblem& p, std::int32_t gpu_multiprocessors) {
  const float k = static_cast<float>(p.window()) / 1024;
  const std::int64_t tiles = wgmma_lines(p)
                                 ? (wgmma_rows(p) + kRows - 1) / kRows
                                 : std::int64_t{p.n} * ((p.oh + box_rows(p) - 1) / box_rows(p));
  const auto more = static_cast<float>((tiles + gpu_multiprocessors - 1) / gpu_multiprocessors - 1);
  return 2.69f + 1.04f * k + more * (0.32f + 1.14f * k);
}

int patch_prepare() {
  int device = 0;
  int count = 0;
  int error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  }
  if (multiprocessors == 0 || count < multiprocessors) multiprocessors = count;
  for (const bool lines : {false, true}) {
    if (error != cudaSuccess) return error;
    error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel_for(lines)),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, kRoom + 1024);
  }
  return error;
}

int patch_launch(const ConvProblem& p, const ConvBuffers& b, Stream stream) {
  const bool lines = wgmma_lines(p);
  Job job;
  int error = make_wgmma_job(job.base, p, b, kRows, kN);
  if (error != cudaSuccess) return error;
  job.width = patch_width(p);
  job.inverse = 65536 / job.width + 1;
  job.tile_rows = lines ? 0 : box_rows(p);
  job.image_tiles = lines ? 0 : (p.oh + job.tile_rows - 1) / job.tile_rows;
  job.tiles = lines ? (job.base.rows + kRows - 1) / kRows : p.n * job.image_tiles;
  job.base.steps = p.window() / kStep;
  job.stages = stages(p);
  job.stage_bytes = stage_bytes(p);
  job.patch_bytes = patch_bytes(p);
  job.src = b.src;
  job.src_bytes = std::int64_t{job.base.rows} * p.ic;
  job.full = p.z_dst == 0 && p.lo == 0 && p.hi == 255;
  if (!lines) {
    error = box_map(job.base.src, p, b.src, job.width, job.tile_rows + p.kh - 1);
    if (error != cudaSuccess) return error;
  }

  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  const int blocks = job.tiles < multiprocessors ? job.tiles : multiprocessors.load();
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kGroups * 128 + 128);
  config.dynamicSmemBytes = 1024 + static_cast<std::uint32_t>(p.window()) * kN +
                            static_cast<std::uint32_t>(job.stages) * job.stage_bytes + slack(p);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  void* arguments[] = {&job};
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel_for(lines)), arguments);
}

}  // namespace pronghorn::device::cuda
