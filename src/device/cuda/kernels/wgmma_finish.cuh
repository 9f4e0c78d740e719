// SPDX-License-Identifier: Apache-2.0
// From a thread's sums of a warpgroup product to stored bytes, 16 channels at once. Bit for bit
// finish.cuh, with fewer instructions: these, not the products, are most of a pointwise layer.
#pragma once

#include <cuda_fp16.h>

#include "device/cuda/kernels/wgmma_job.cuh"

namespace pronghorn::device::cuda {

// Four results as bytes. kFull: the range is that of u8 and the zero point 0, as after most ReLUs;
// then conversions that saturate do all of it, two results an instruction.
template <bool kFull>
__device__ __forceinline__ std::uint32_t finish4(float r0, float r1, float r2, float r3,
                                                 const Finish& f) {
  if constexpr (kFull) {
    std::uint32_t low = 0;
    std::uint32_t all = 0;
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, 0;"
        : "=r"(low)
        : "r"(__float2int_rn(r3)), "r"(__float2int_rn(r2)));
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;"
        : "=r"(all)
        : "r"(__float2int_rn(r1)), "r"(__float2int_rn(r0)), "r"(low));
    return all;
  } else {
    // As round_clamp; the zero point is added to all four at once, modulo 256.
    const auto rounded = [&](float r) {
      return __float_as_uint(__fadd_rn(fminf(fmaxf(r, f.lo), f.hi), 12582912.0f));
    };
    const std::uint32_t low = __byte_perm(rounded(r0), rounded(r1), 0x0040);
    const std::uint32_t high = __byte_perm(rounded(r2), rounded(r3), 0x0040);
    const std::uint32_t bytes = __byte_perm(low, high, 0x5410);
    const std::uint32_t z = static_cast<std::uint32_t>(f.z_dst & 255) * 0x01010101u;
    return ((bytes & 0x7f7f7f7fu) + (z & 0x7f7f7f7fu)) ^ ((bytes ^ z) & 0x80808080u);
  }
}

// res - z_res as binary32, exact: 2^23 + res has res in its low byte.
__device__ __forceinline__ float residual(std::uint32_t word, int byte, float offset) {
  return __fsub_rn(__uint_as_float(__byte_perm(word, 0x4b000000u, 0x7650u + byte)), offset);
}

// The constants of four neighbouring channels, and of 16.
struct Quad {
  int4 bias;
  float4 m;
};
struct Channels {
  Quad quads[4];
};

__device__ __forceinline__ Quad load_quad(const WgmmaJob& job, int channel) {
  return {
      __ldg(reinterpret_cast<const int4*>(static_cast<const std::int32_t*>(job.bias) + channel)),
      __ldg(reinterpret_cast<const float4*>(job.m + channel))};
}

__device__ __forceinline__ Channels load_channels(const WgmmaJob& job, int channel) {
  return {load_quad(job, channel), load_quad(job, channel + 4), load_quad(job, channel + 8),
          load_quad(job, channel + 12)};
}

template <int kMi, int kN, bool kRes, bool kHeld, bool kFull>
__device__ __forceinline__ void finish_rows(
    const WgmmaJob& job, const Channels& held, const int (&acc)[kMi][kN / 2],
    const uint4 (&res)[kRes ? kMi * 2 : 1][kRes ? kN / 64 : 1],
    const std::int32_t (&place)[kMi * 2], int channel) {
  auto* dst = static_cast<std::uint8_t*>(job.dst);
  const float offset = 8388608.0f + static_cast<float>(job.finish.z_res);
#pragma unroll
  for (int g = 0; g < kN / 64; ++g) {
    std::uint32_t out[kMi * 2][4];
#pragma unroll
    for (int v = 0; v < 4; ++v) {
      const Quad c = kHeld && g == 0 ? held.quads[v] : load_quad(job, channel + g * 64 + v * 4);
#pragma unroll
      for (int i = 0; i < kMi * 2; ++i) {
        const int* d = &acc[i / 2][g * 32 + v * 8 + i % 2 * 2];
        const float s0 = __int2float_rn(d[0] + c.bias.x);
        const float s1 = __int2float_rn(d[1] + c.bias.y);
        const float s2 = __int2float_rn(d[4] + c.bias.z);
        const float s3 = __int2float_rn(d[5] + c.bias.w);
        if constexpr (kRes) {
          const uint4 q = res[i][g];
          const std::uint32_t word = v == 0 ? q.x : v == 1 ? q.y : v == 2 ? q.z : q.w;
          const float m_res = job.finish.m_res;
          out[i][v] = finish4<kFull>(
              __fmaf_rn(s0, c.m.x, __fmul_rn(residual(word, 0, offset), m_res)),
              __fmaf_rn(s1, c.m.y, __fmul_rn(residual(word, 1, offset), m_res)),
              __fmaf_rn(s2, c.m.z, __fmul_rn(residual(word, 2, offset), m_res)),
              __fmaf_rn(s3, c.m.w, __fmul_rn(residual(word, 3, offset), m_res)), job.finish);
        } else {
          out[i][v] = finish4<kFull>(__fmul_rn(s0, c.m.x), __fmul_rn(s1, c.m.y),
                                     __fmul_rn(s2, c.m.z), __fmul_rn(s3, c.m.w), job.finish);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kMi * 2; ++i) {
      if (place[i] < 0) continue;
      *reinterpret_cast<uint4*>(dst + place[i] + g * 64) =
          make_uint4(out[i][0], out[i][1], out[i][2], out[i][3]);
    }
  }
}

// Finishes and stores a thread's part of a tile: rows at `place` (none where negative), 16 channels
// from `channel` on of each 64. With kHeld the constants of the first 64 are in `held`; others are
// read.
template <int kMi, int kN, bool kRes, bool kHeld>
__device__ __forceinline__ void finish_tile(
    const WgmmaJob& job, bool full, const Channels& held, const int (&acc)[kMi][kN / 2],
    const uint4 (&res)[kRes ? kMi * 2 : 1][kRes ? kN / 64 : 1],
    const std::int32_t (&place)[kMi * 2], int channel) {
  if (full) {
    finish_rows<kMi, kN, kRes, kHeld, true>(job, held, acc, res, place, channel);
  } else {
    finish_rows<kMi, kN, kRes, kHeld, false>(job, held, acc, res, place, channel);
  }
}

// Half precision. A residual is two pieces of 16 bytes for each 64 columns.
__device__ __forceinline__ float2 to_floats(std::uint32_t halves) {
  return __half22float2(*reinterpret_cast<const __half2*>(&halves));
}

__device__ __forceinline__ std::uint32_t to_halves(float low, float high, float least, float most) {
  const __half2 halves =
      __floats2half2_rn(fminf(fmaxf(low, least), most), fminf(fmaxf(high, least), most));
  return *reinterpret_cast<const std::uint32_t*>(&halves);
}

template <int kMi, int kN, bool kRes, bool kHeld>
__device__ __forceinline__ void finish_tile(
    const WgmmaJob& job, bool, const Channels&, const float (&acc)[kMi][kN / 2],
    const uint4 (&res)[kRes ? kMi * 2 : 1][kRes ? kN / 32 : 1],
    const std::int32_t (&place)[kMi * 2], int channel) {
  auto* dst = static_cast<__half*>(job.dst);
  const auto* bias = static_cast<const float*>(job.bias);
#pragma unroll
  for (int g = 0; g < kN / 64; ++g) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {  // of the 16 channels
      const float4 b[2] = {
          __ldg(reinterpret_cast<const float4*>(bias + channel + g * 64 + half * 8)),
          __ldg(reinterpret_cast<const float4*>(bias + channel + g * 64 + half * 8 + 4))};
#pragma unroll
      for (int i = 0; i < kMi * 2; ++i) {
        std::uint32_t out[4];
        const uint4 q = res[kRes ? i : 0][kRes ? g * 2 + half : 0];
        const std::uint32_t words[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
        for (int v = 0; v < 2; ++v) {
          const float* d = &acc[i / 2][g * 32 + half * 16 + v * 8 + i % 2 * 2];
          float2 low = make_float2(d[0] + b[v].x, d[1] + b[v].y);
          float2 high = make_float2(d[4] + b[v].z, d[5] + b[v].w);
          if constexpr (kRes) {
            const float2 first = to_floats(words[v * 2]);
            const float2 second = to_floats(words[v * 2 + 1]);
            low = make_float2(low.x + first.x, low.y + first.y);
            high = make_float2(high.x + second.x, high.y + second.y);
          }
          out[v * 2] = to_halves(low.x, low.y, job.least, job.most);
          out[v * 2 + 1] = to_halves(high.x, high.y, job.least, job.most);
        }
        if (place[i] < 0) continue;
        *reinterpret_cast<uint4*>(dst + place[i] + g * 64 + half * 8) =
            make_uint4(out[0], out[1], out[2], out[3]);
      }
    }
  }
}

}  // namespace pronghorn::device::cuda
