// SPDX-License-Identifier: Apache-2.0
// A first layer of 16-byte pixels and the max pool behind it (conv_pool.h).
//
// A block makes kBand rows of the pool's result at a time. The layer's rows that they need, one
// more than twice as many, are made as in conv_patch_sm90a.cu: rows of the product are the patch's
// pixels in order, those that wrap around the image's edge come to nothing. Their finished bytes
// stay in shared memory, and when all are there the block's threads take the maxima. The next
// band's patch is on its way meanwhile.
#include <cuda_runtime_api.h>

#include <atomic>

#include "device/cuda/kernels/conv_pool.h"
#include "device/cuda/kernels/sm90a.cuh"
#include "device/cuda/kernels/wgmma_finish.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kBand = 7;
constexpr int kConvRows = 2 * kBand + 1;
constexpr int kGroups = 3;
constexpr int kN = 64;
constexpr int kPixel = 16;
constexpr int kStep = 64;  // bytes of the inner dimension: a window row of 4 pixels
constexpr int kWindowRows = 4;
constexpr std::uint32_t kWeightBytes = kWindowRows * kN * kStep;
constexpr std::uint32_t kRoom = (227 << 10) - 2048;

struct Job {
  WgmmaJob base;  // dst is the pool's result
  const std::uint8_t* src;
  std::int32_t bands, image_bands;
  std::int32_t tiles;  // of 64 rows of the product, of a band
  std::int32_t pooled_h, pooled_w;
  std::uint32_t patch_bytes;  // of a buffer
  std::int32_t full;          // results of any u8, zero point 0
};

// Where 64 bytes of a row of the product lie: pairs of rows exchanged so that the pool's threads,
// which read every second row, use all banks.
__device__ __forceinline__ std::uint32_t result_at(int row) {
  return static_cast<std::uint32_t>(row ^ (row >> 1 & 1)) * kN;
}

// Maxima of bytes by maxima of 16-bit pairs, which this generation has an instruction for: the
// upper byte of the largest pair is the largest upper byte. `low` holds the words shifted up by 8.
struct Maxima {
  std::uint32_t high[4], low[4];
};

__device__ __forceinline__ Maxima larger(const Maxima& a, const Maxima& b, const Maxima& c) {
  Maxima m;
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    m.high[w] = __vimax3_u16x2(a.high[w], b.high[w], c.high[w]);
    m.low[w] = __vimax3_u16x2(a.low[w], b.low[w], c.low[w]);
  }
  return m;
}

__device__ __forceinline__ Maxima split(const uint4& v) {
  return {{v.x, v.y, v.z, v.w}, {v.x << 8, v.y << 8, v.z << 8, v.w << 8}};
}

__device__ __forceinline__ uint4 bytes_of(const Maxima& m) {
  std::uint32_t words[4];
#pragma unroll
  for (int w = 0; w < 4; ++w) words[w] = __byte_perm(m.high[w], m.low[w], 0x3715);
  return make_uint4(words[0], words[1], words[2], words[3]);
}

// The largest of three neighbouring pixels' 16 channels; those outside the image are left out.
__device__ __forceinline__ Maxima row_maximum(const std::uint8_t* results, int row, int x,
                                              int width, int piece) {
  uint4 pixels[3];
#pragma unroll
  for (int s = 0; s < 3; ++s) {
    const int column = x + s - 1;
    pixels[s] = make_uint4(0, 0, 0, 0);
    if (column >= 0 && column < width) {
      pixels[s] = *reinterpret_cast<const uint4*>(results + result_at(row + column) + piece * 16);
    }
  }
  return larger(split(pixels[0]), split(pixels[1]), split(pixels[2]));
}

template <bool kFull>
__device__ __forceinline__ void finish_rows(const Job& job, const Channels& held,
                                            const int (&acc)[kN / 2], std::uint8_t* results,
                                            int row, int quad) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    std::uint32_t out[4];
#pragma unroll
    for (int v = 0; v < 4; ++v) {
      const Quad& c = held.quads[v];
      const int* d = &acc[v * 8 + h * 2];
      out[v] = finish4<kFull>(__fmul_rn(__int2float_rn(d[0] + c.bias.x), c.m.x),
                              __fmul_rn(__int2float_rn(d[1] + c.bias.y), c.m.y),
                              __fmul_rn(__int2float_rn(d[4] + c.bias.z), c.m.z),
                              __fmul_rn(__int2float_rn(d[5] + c.bias.w), c.m.w), job.base.finish);
    }
    *reinterpret_cast<uint4*>(results + result_at(row + h * 8) + quad * 16) =
        make_uint4(out[0], out[1], out[2], out[3]);
  }
}

__global__ void __launch_bounds__(kGroups * 128 + 128, 1)
    conv_pool(const __grid_constant__ Job job) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace sm90a;
  extern __shared__ std::uint8_t shared_memory[];
  __shared__ __align__(8) std::uint64_t barriers[5];

  const std::uint32_t raw = shared_address(shared_memory);
  const std::uint32_t weights = (raw + 1023u) & ~1023u;
  const std::uint32_t band = weights + kWeightBytes;
  std::uint8_t* results = shared_memory + (band - raw);
  const std::uint32_t patches = band + static_cast<std::uint32_t>(job.tiles) * 64 * kN;
  const std::uint32_t full = shared_address(barriers);
  const std::uint32_t empty = full + 16;
  const std::uint32_t weights_full = empty + 16;
  const int warp = warp_index();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int width = job.base.iw;  // of a patch row, in pixels

  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; ++s) {
      barrier_init(full + 8 * s, 1);
      barrier_init(empty + 8 * s, kGroups * 4);
    }
    barrier_init(weights_full, 1);
    barrier_init_fence();
  }
  __syncthreads();
  allow_next_launch();

  if (warp >= kGroups * 4) {
    give_registers<24>();
    if (warp != kGroups * 4 || lane != 0) return;
    barrier_expect(weights_full, kWeightBytes);
    for (int k = 0; k < kWindowRows; ++k) {
      load_tile(weights + k * kN * kStep, job.base.weights, weights_full, k * kStep, 0);
    }
    wait_for_previous_launch();
    int stage = 0;
    std::uint32_t parity = 1;
    for (int b = blockIdx.x; b < job.bands; b += gridDim.x) {
      const int n = b / job.image_bands;
      const int top = (b - n * job.image_bands) * 2 * kBand - 1;  // row of the layer's result
      const int first = top < 0 ? 0 : top;
      int last = top + kConvRows + kWindowRows - 1;
      if (last > job.base.ih) last = job.base.ih;
      const auto row_bytes = static_cast<std::uint32_t>(width * kPixel);
      const std::uint32_t bytes = static_cast<std::uint32_t>(last - first) * row_bytes;
      barrier_wait(empty + 8 * stage, parity);
      barrier_expect(full + 8 * stage, bytes);
      load_bytes(
          patches + stage * job.patch_bytes + static_cast<std::uint32_t>(first - top) * row_bytes,
          job.src + (static_cast<std::int64_t>(n) * job.base.ih + first) * row_bytes, bytes,
          full + 8 * stage);
      stage ^= 1;
      if (stage == 0) parity ^= 1;
    }
    return;
  }

  take_registers<160>();
  const int group = warp / 4;
  const int quad = lane % 4;
  barrier_wait(weights_full, 0);
  wait_for_previous_launch();
  const Channels held = load_channels(job.base, quad * 16);

  int stage = 0;
  std::uint32_t parity = 0;
  for (int b = blockIdx.x; b < job.bands; b += gridDim.x) {
    barrier_wait(full + 8 * stage, parity);
    const std::uint32_t patch = patches + stage * job.patch_bytes;
    // A tile's product runs while the one before it is finished.
    int acc[2][kN / 2];
    const auto multiply = [&](int(&to)[kN / 2], int tile) {
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kWindowRows; ++k) {
        const std::uint64_t w = matrix<kStep>(weights + k * kN * kStep);
        const std::uint32_t at = patch + static_cast<std::uint32_t>(tile * 64 + k * width) * kPixel;
#pragma unroll
        for (int i = 0; i < kStep / 32; ++i) {
          wgmma<kN>(to, plain_matrix(at + 32 * i, 16, 128), w + 2 * i, i > 0 || k > 0);
        }
      }
      wgmma_commit();
    };
    const auto finish = [&](const int(&from)[kN / 2], int tile) {
      const int row = tile * 64 + warp % 4 * 16 + lane / 4;
      if (job.full) {
        finish_rows<true>(job, held, from, results, row, quad);
      } else {
        finish_rows<false>(job, held, from, results, row, quad);
      }
    };
    int tile = group;
    if (tile < job.tiles) multiply(acc[0], tile);
    while (tile < job.tiles) {
      if (tile + kGroups < job.tiles) {
        multiply(acc[1], tile + kGroups);
        wgmma_wait<1>();
        finish(acc[0], tile);
      } else {
        wgmma_wait<0>();
        finish(acc[0], tile);
        break;
      }
      tile += kGroups;
      if (tile + kGroups < job.tiles) {
        multiply(acc[0], tile + kGroups);
        wgmma_wait<1>();
        finish(acc[1], tile);
      } else {
        wgmma_wait<0>();
        finish(acc[1], tile);
        break;
      }
      tile += kGroups;
    }
    if (lane == 0) barrier_arrive(empty + 8 * stage);
    stage ^= 1;
    if (stage == 0) parity ^= 1;
    meet(1, kGroups * 128);

    const int n = b / job.image_bands;
    const int first = (b - n * job.image_bands) * kBand;  // row of the pool's result
    const int rows = min(kBand, job.pooled_h - first);
    const int pieces = job.pooled_w * (kN / 16);
    // Strips of up to four results below each other, whose windows share rows.
    constexpr int kStrip = 4;
    const int strips = (rows + kStrip - 1) / kStrip;
    for (int i = static_cast<int>(threadIdx.x); i < strips * pieces; i += kGroups * 128) {
      const int strip = i / pieces;
      const int within = i - strip * pieces;
      const int column = within / (kN / 16);
      const int piece = within % (kN / 16);
      const int count = min(kStrip, rows - strip * kStrip);
      const auto row_at = [&](int y) {  // of the band's rows; the layer's is 2 * first - 1 + y
        const int line = 2 * first - 1 + y;
        return line < 0 || line >= job.base.oh
                   ? Maxima{}
                   : row_maximum(results, y * width, 2 * column, job.base.ow, piece);
      };
      std::uint8_t* dst =
          static_cast<std::uint8_t*>(job.base.dst) +
          ((static_cast<std::int64_t>(n) * job.pooled_h + first + strip * kStrip) * job.pooled_w +
           column) *
              kN +
          piece * 16;
      Maxima above = row_at(strip * kStrip * 2);
      for (int r = 0; r < count; ++r) {
        const Maxima middle = row_at((strip * kStrip + r) * 2 + 1);
        const Maxima below = row_at((strip * kStrip + r) * 2 + 2);
        *reinterpret_cast<uint4*>(dst + static_cast<std::int64_t>(r) * job.pooled_w * kN) =
            bytes_of(larger(above, middle, below));
        above = below;
      }
    }
    meet(1, kGroups * 128);
  }
#endif
}

std::int32_t tiles(const ConvProblem& p) { return ((kConvRows - 1) * p.iw + p.ow + 63) / 64; }

// Of a patch, with what rows that come to nothing may read behind it.
std::uint32_t patch_bytes(const ConvProblem& p) {
  const std::int32_t pixels = tiles(p) * 64 + (kWindowRows - 1) * p.iw + 4;
  const std::int32_t rows = (kConvRows + kWindowRows - 1) * p.iw;
  return (static_cast<std::uint32_t>(pixels > rows ? pixels : rows) * kPixel + 1023) / 1024 * 1024;
}

std::uint32_t shared_bytes(const ConvProblem& p) {
  // An operand counts as 64 rows of 32 bytes, though rows overlap: room for that behind the last.
  constexpr std::uint32_t kOperand = 64 * 32;
  return kWeightBytes + static_cast<std::uint32_t>(tiles(p)) * 64 * kN + 2 * patch_bytes(p) +
         kOperand;
}

std::int32_t image_bands(const Pool& pool) { return (pool.oh + kBand - 1) / kBand; }

std::atomic<int> multiprocessors = 0;

}  // namespace

bool conv_pool_takes(const ConvProblem& p, const Pool& pool) {
  return wgmma_lines(p) && p.ic == kPixel && p.kw == 4 && p.kh == kWindowRows && p.oc == kN &&
         p.result == ConvResult::kBytes && p.element == ConvElement::kByte && pool.kh == 3 &&
         pool.kw == 3 && pool.sh == 2 && pool.sw == 2 && pool.pad_top == 1 && pool.pad_left == 1 &&
         pool.channels == kN && pool.ih == p.oh && pool.iw == p.ow && 2 * pool.oh <= p.oh + 1 &&
         2 * pool.ow <= p.ow + 1 && shared_bytes(p) <= kRoom;
}

bool conv_pool_pays(const ConvProblem& p, const Pool& pool, std::int32_t multiprocessors) {
  return conv_pool_takes(p, pool) && p.n * image_bands(pool) >= 2 * multiprocessors;
}

int conv_pool_prepare() {
  int device = 0;
  int count = 0;
  int error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  }
  if (multiprocessors == 0 || count < multiprocessors) multiprocessors = count;
  if (error != cudaSuccess) return error;
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(conv_pool),
                              cudaFuncAttributeMaxDynamicSharedMemorySize, kRoom + 1024);
}

int conv_pool_launch(const ConvProblem& p, const ConvBuffers& b, const Pool& pool, Stream stream) {
  Job job;
  int error = make_wgmma_job(job.base, p, b, 64, kN);
  if (error != cudaSuccess) return error;
  job.src = b.src;
  job.image_bands = image_bands(pool);
  job.bands = p.n * job.image_bands;
  job.tiles = tiles(p);
  job.pooled_h = pool.oh;
  job.pooled_w = pool.ow;
  job.patch_bytes = patch_bytes(p);
  job.full = p.z_dst == 0 && p.lo == 0 && p.hi == 255;

  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  const int blocks = job.bands < multiprocessors ? job.bands : multiprocessors.load();
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kGroups * 128 + 128);
  config.dynamicSmemBytes = 1024 + shared_bytes(p);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  void* arguments[] = {&job};
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(conv_pool), arguments);
}

}  // namespace pronghorn::device::cuda
