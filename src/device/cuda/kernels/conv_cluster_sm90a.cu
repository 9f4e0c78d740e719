// SPDX-License-Identifier: Apache-2.0
// Convolution on sm_90a when there are few pixels: latency is what counts.
//
// The inner dimension is split among the blocks of a cluster (up to 8), so that a layer of a single
// image still gives work to most multiprocessors. A block makes 64 pixels by 32 or 64 channels and
// has shared memory for all of its part, so every copy is under way before the first product. Then
// each block sends every other one its partial sums of some of the pixels, through distributed
// shared memory; each adds up what it got, finishes and stores. The weights do not depend on
// the launch before this one: their copies start before it has ended.
#include <cuda_runtime_api.h>

#include <type_traits>

#include "device/cuda/kernels/sm90a.cuh"
#include "device/cuda/kernels/wgmma_finish.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kRows = 64;
constexpr int kMaxSteps = 16;
constexpr int kThreads = 160;              // a warpgroup and the producer
constexpr int kSlices = 8;                 // of 8 pixels, shared out among the blocks of a cluster
constexpr std::int32_t kRoom = 208 << 10;  // of dynamic shared memory

// Finishes and stores four neighbouring channels from element `at` on.
template <ConvResult kResult>
__device__ __forceinline__ void store(const WgmmaJob& job, const int4& sum, const float4& m,
                                      std::uint32_t res, std::int64_t at) {
  if constexpr (kResult == ConvResult::kFloat) {
    *reinterpret_cast<float4*>(static_cast<float*>(job.dst) + at) =
        make_float4(finish_float(sum.x, m.x), finish_float(sum.y, m.y), finish_float(sum.z, m.z),
                    finish_float(sum.w, m.w));
  } else {
    std::uint32_t q[4];
    if constexpr (kResult == ConvResult::kBytesResidual) {
      q[0] = finish_residual(sum.x, m.x, res & 255, job.finish);
      q[1] = finish_residual(sum.y, m.y, res >> 8 & 255, job.finish);
      q[2] = finish_residual(sum.z, m.z, res >> 16 & 255, job.finish);
      q[3] = finish_residual(sum.w, m.w, res >> 24, job.finish);
    } else {
      q[0] = finish(sum.x, m.x, job.finish);
      q[1] = finish(sum.y, m.y, job.finish);
      q[2] = finish(sum.z, m.z, job.finish);
      q[3] = finish(sum.w, m.w, job.finish);
    }
    *reinterpret_cast<std::uint32_t*>(static_cast<std::uint8_t*>(job.dst) + at) =
        q[0] | q[1] << 8 | q[2] << 16 | q[3] << 24;
  }
}

template <ConvResult kResult>
__device__ __forceinline__ void store(const WgmmaJob& job, float4 sum, const float4&, uint2 res,
                                      std::int64_t at) {
  if constexpr (kResult == ConvResult::kFloat) {
    *reinterpret_cast<float4*>(static_cast<float*>(job.dst) + at) = sum;
  } else {
    if constexpr (kResult == ConvResult::kBytesResidual) {
      const float2 low = to_floats(res.x);
      const float2 high = to_floats(res.y);
      sum = make_float4(sum.x + low.x, sum.y + low.y, sum.z + high.x, sum.w + high.y);
    }
    *reinterpret_cast<uint2*>(static_cast<__half*>(job.dst) + at) = make_uint2(
        to_halves(sum.x, sum.y, job.least, job.most), to_halves(sum.z, sum.w, job.least, job.most));
  }
}

template <typename Sum, int kN, int kK, ConvResult kResult>
__global__ void __launch_bounds__(kThreads, 1) conv_cluster(const __grid_constant__ WgmmaJob job) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace sm90a;
  using Quad = std::conditional_t<std::is_same_v<Sum, float>, float4, int4>;
  constexpr int kVectors = kN / 16;  // of four sums, for one thread and slice
  constexpr std::uint32_t kSrcBytes = kRows * kK;
  constexpr std::uint32_t kStepBytes = kSrcBytes + kN * kK;
  extern __shared__ std::uint8_t shared_memory[];
  __shared__ __align__(16) Quad partial[kSlices * kVectors * 32];
  __shared__ __align__(8) std::uint64_t barriers[kMaxSteps];

  const std::uint32_t base = (shared_address(shared_memory) + 1023u) & ~1023u;
  const std::uint32_t full = shared_address(barriers);
  const int warp = warp_index();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int parts = static_cast<int>(gridDim.z);
  const int rank = static_cast<int>(cluster_rank());
  const int begin = rank * job.steps / parts;
  const int count = (rank + 1) * job.steps / parts - begin;
  const int column = static_cast<int>(blockIdx.x) * kN;
  const int row = static_cast<int>(blockIdx.y) * kRows;

  if (threadIdx.x == 0) {
    for (int s = 0; s < count; ++s) barrier_init(full + 8 * s, 1);
    barrier_init_fence();
  }
  __syncthreads();
  cluster_arrive();
  allow_next_launch();

  if (warp == 4) {
    if (lane == 0) {
      for (int s = 0; s < count; ++s) {
        barrier_expect(full + 8 * s, kStepBytes);
        load_tile(base + s * kStepBytes + kSrcBytes, job.weights, full + 8 * s, (begin + s) * kK,
                  column);
      }
      int w = 0, h = 0, n = 0;
      if (job.source == WgmmaSource::kWindows) {
        const int line = row / job.ow;
        w = (row - line * job.ow) * job.sw - job.pad_left;
        n = line / job.oh;
        h = (line - n * job.oh) * job.sh - job.pad_top;
      }
      wait_for_previous_launch();
      for (int s = 0; s < count; ++s) {
        const std::uint32_t at = base + s * kStepBytes;
        if (job.source == WgmmaSource::kWindows) {
          const int place = (begin + s) / job.channel_steps;
          const int kh = place / job.kw;
          load_im2col(at, job.src, full + 8 * s, (begin + s - place * job.channel_steps) * kK, w, h,
                      n, static_cast<std::uint16_t>(place - kh * job.kw),
                      static_cast<std::uint16_t>(kh));
        } else if (job.source == WgmmaSource::kLines) {
          load_tile(at, job.src, full + 8 * s, 0, row + (begin + s) * job.iw);
        } else {
          load_tile(at, job.src, full + 8 * s, (begin + s) * kK, row);
        }
      }
    }
    __syncwarp();
    cluster_wait();
    cluster_arrive();
    cluster_wait();
    return;
  }

  // What this thread will finish: vector `v` of each of this block's slices.
  const int per = kSlices / parts;
  const int v = warp % kVectors;
  const int quad = lane % 4;
  const int channel = column / 64 * 64 + quad * 16 + column % 64 / 4 + v * 4;
  const Quad bias =
      __ldg(reinterpret_cast<const Quad*>(static_cast<const Sum*>(job.bias) + channel));
  [[maybe_unused]] const float4 m = __ldg(reinterpret_cast<const float4*>(job.m + channel));
  wait_for_previous_launch();
  constexpr int kSliceStep = 4 / kVectors;  // slices that the four warps finish at once
  using Res = std::conditional_t<std::is_same_v<Sum, float>, uint2, std::uint32_t>;
  Res res[kSlices / kSliceStep];
  if constexpr (kResult == ConvResult::kBytesResidual) {
#pragma unroll
    for (int i = 0; i < kSlices / kSliceStep; ++i) {
      const int slice = i * kSliceStep + warp / kVectors;
      const int pixel = wgmma_pixel(job, row + (rank * per + slice) * 8 + lane / 4);
      res[i] = {};
      if (slice < per && pixel >= 0) {
        res[i] = *reinterpret_cast<const Res*>(
            job.res + (static_cast<std::int64_t>(pixel) * job.oc + channel) * int{sizeof(Res) / 4});
      }
    }
  }

  Sum acc[kN / 2];
  for (int s = 0; s < count; ++s) {
    barrier_wait(full + 8 * s, 0);
    const std::uint64_t a = matrix<kK>(base + s * kStepBytes);
    const std::uint64_t b = matrix<kK>(base + s * kStepBytes + kSrcBytes);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < kK / 32; ++i) {
      wgmma<kN>(acc, a + 2 * i, b + 2 * i, i > 0 || s > 0);
    }
    wgmma_commit();
  }
  wgmma_wait<0>();

  cluster_wait();  // the others have started
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int slice = warp * 2 + half;
    const int owner = slice / per;
    const int first = ((slice % per) * parts + rank) * kVectors * 32 + lane;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const Sum* d = &acc[i * 8 + half * 2];
      store_remote(shared_address(&partial[first + i * 32]), static_cast<std::uint32_t>(owner),
                   d[0], d[1], d[4], d[5]);
    }
  }
  cluster_arrive();
  cluster_wait();

#pragma unroll
  for (int i = 0; i < kSlices / kSliceStep; ++i) {
    const int slice = i * kSliceStep + warp / kVectors;
    if (slice >= per) break;
    Quad sum = bias;
    for (int part = 0; part < parts; ++part) {
      const Quad other = partial[(slice * parts + part) * kVectors * 32 + v * 32 + lane];
      sum.x += other.x;
      sum.y += other.y;
      sum.z += other.z;
      sum.w += other.w;
    }
    const int pixel = wgmma_pixel(job, row + (rank * per + slice) * 8 + lane / 4);
    if (pixel < 0 || channel >= job.oc) continue;
    const std::int64_t at = static_cast<std::int64_t>(pixel) * job.oc + channel;
    store<kResult>(job, sum, m, res[i], at);
  }
#endif
}

struct Variant {
  const char* name;
  std::int32_t n, parts;
  WgmmaCost cost;
};
constexpr Variant kVariants[kClusterVariants] = {
    {"64x64 /1", 64, 1, {4.01f, 1.58f, 0.67f, 0, 4.48f}},
    {"64x64 /2", 64, 2, {3.58f, 1.13f, 0.55f, 0, 3.91f}},
    {"64x64 /4", 64, 4, {3.21f, 1.82f, 0.90f, 0, 2.97f}},
    {"64x64 /8", 64, 8, {3.42f, 1.50f, 0.91f, 0, 2.69f}},
    {"64x32 /1", 32, 1, {3.23f, 0.81f, 0.56f, 0, 2.11f}},
    {"64x32 /2", 32, 2, {2.72f, 1.35f, 0.57f, 0, 1.85f}},
    {"64x32 /4", 32, 4, {2.40f, 2.62f, 0.69f, 0, 1.88f}},
    {"64x32 /8", 32, 8, {2.45f, 2.95f, 0.85f, 0, 1.10f}},
};

using Kernel = void (*)(WgmmaJob);

template <typename Sum, int kN, int kK>
constexpr Kernel kernel_for(ConvResult result) {
  return result == ConvResult::kBytes ? conv_cluster<Sum, kN, kK, ConvResult::kBytes>
         : result == ConvResult::kBytesResidual
             ? conv_cluster<Sum, kN, kK, ConvResult::kBytesResidual>
             : conv_cluster<Sum, kN, kK, ConvResult::kFloat>;
}

template <typename Sum>
Kernel kernel_for(std::int32_t n, std::int32_t k, ConvResult result) {
  if (n == 64) return k == 64 ? kernel_for<Sum, 64, 64>(result) : kernel_for<Sum, 64, 128>(result);
  return k == 64 ? kernel_for<Sum, 32, 64>(result) : kernel_for<Sum, 32, 128>(result);
}

Kernel kernel_for(ConvElement element, std::int32_t n, std::int32_t k, ConvResult result) {
  return element == ConvElement::kHalf ? kernel_for<float>(n, k, result)
                                       : kernel_for<int>(n, k, result);
}

std::int32_t bytes(const ConvProblem& p, const Variant& v) {
  const std::int32_t steps = p.window() / wgmma_step(p);
  return (steps + v.parts - 1) / v.parts * (kRows + v.n) * wgmma_step(p) + 1024;
}

}  // namespace

const char* cluster_name(std::int32_t i) { return kVariants[i].name; }

bool cluster_takes(const ConvProblem& p, std::int32_t i) {
  const Variant& v = kVariants[i];
  const std::int32_t steps = p.window() / wgmma_step(p);
  return steps >= v.parts && (steps + v.parts - 1) / v.parts <= kMaxSteps && bytes(p, v) <= kRoom &&
         p.oc % 4 == 0 && wgmma_rows(p) <= 65535LL * kRows;
}

float cluster_estimate(const ConvProblem& p, std::int32_t i, std::int32_t multiprocessors) {
  const Variant& v = kVariants[i];
  const std::int32_t steps = p.window() / wgmma_step(p);
  const std::int64_t blocks =
      (wgmma_rows(p) + kRows - 1) / kRows * ((p.oc + 63) / 64 * 64 / v.n) * v.parts;
  const float more = static_cast<float>(blocks) / static_cast<float>(multiprocessors) - 1;
  return v.cost.estimate(p, static_cast<float>((steps + v.parts - 1) / v.parts * wgmma_step(p)),
                         more > 0 ? more : 0);
}

int cluster_prepare() {
  for (const auto element : {ConvElement::kByte, ConvElement::kHalf}) {
    for (const std::int32_t n : {32, 64}) {
      for (const std::int32_t k : {64, 128}) {
        for (const auto result :
             {ConvResult::kBytes, ConvResult::kBytesResidual, ConvResult::kFloat}) {
          const cudaError_t error =
              cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel_for(element, n, k, result)),
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, kRoom);
          if (error != cudaSuccess) return error;
        }
      }
    }
  }
  return cudaSuccess;
}

int cluster_launch(const ConvProblem& p, const ConvBuffers& b, std::int32_t i, Stream stream) {
  const Variant& v = kVariants[i];
  WgmmaJob job;
  const int error = make_wgmma_job(job, p, b, kRows, v.n);
  if (error != cudaSuccess) return error;

  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {1, 1, static_cast<unsigned>(v.parts)};
  cudaLaunchConfig_t config = {};
  config.gridDim =
      dim3(static_cast<unsigned>((p.oc + 63) / 64 * 64 / v.n),
           static_cast<unsigned>((job.rows + kRows - 1) / kRows), static_cast<unsigned>(v.parts));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = static_cast<std::size_t>(bytes(p, v));
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  void* arguments[] = {&job};
  return cudaLaunchKernelExC(
      &config, reinterpret_cast<const void*>(kernel_for(p.element, v.n, wgmma_step(p), p.result)),
      arguments);
}

}  // namespace pronghorn::device::cuda
