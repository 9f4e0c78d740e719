// SPDX-License-Identifier: Apache-2.0
// AVX-512 with VNNI: vpdpbusd multiplies four bytes by four weights for 16 output channels and adds
// all of it to s32 at once, without any 16-bit step that could saturate.
//
// Convolution: an implicit matrix product of ten pixels by 16 output channels in ten registers; one
// dword of the window is broadcast a pixel, the weights of the quad stay in a register.
#include <immintrin.h>

#include <cstdint>

#include "device/cpu/kernels/kernel_table.h"

namespace pronghorn::device::cpu {
namespace {

constexpr int kTile = 10;

[[gnu::always_inline]] inline __m512i broadcast_quad(const std::uint8_t* p) {
  std::int32_t quad;
  __builtin_memcpy(&quad, p, sizeof quad);
  return _mm512_set1_epi32(quad);
}

// Takes the sums of one pixel to its results: arith::round_clamp with its constants in registers.
struct Finish {
  __m512 m, m_res, lo, hi;
  __m512i z, z_res, byte_lo, byte_hi;
  __mmask16 mask;  // valid channels
  bool small;
};

[[gnu::always_inline]] inline Finish finish_of(const float* m, std::int32_t channels,
                                               const ConvPixels& px) {
  const Store& s = px.store;
  return {_mm512_loadu_ps(m),
          _mm512_set1_ps(px.m_res),
          _mm512_set1_ps(static_cast<float>(s.lo - s.z)),
          _mm512_set1_ps(static_cast<float>(s.hi - s.z)),
          _mm512_set1_epi32(s.z),
          _mm512_set1_epi32(px.z_res),
          _mm512_set1_epi32(s.lo),
          _mm512_set1_epi32(s.hi),
          static_cast<__mmask16>((1u << channels) - 1),
          s.small};
}

[[gnu::always_inline]] inline void finish(__m512i acc, const Finish& f, const ConvPixels& px,
                                          std::int64_t i) {
  std::uint8_t* dst = px.dst + px.dst_at[i];
  __m512 r = _mm512_cvtepi32_ps(acc);
  if (px.result == ConvResult::kBytesResidual) {
    const __m512i q = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(f.mask, px.res + px.res_at[i]));
    const __m512 second = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(q, f.z_res)), f.m_res);
    r = _mm512_fmadd_ps(r, f.m, second);
  } else {
    r = _mm512_mul_ps(r, f.m);
  }
  if (px.result == ConvResult::kFloat) {
    _mm512_mask_storeu_ps(dst, f.mask, r);
    return;
  }
  if (!f.small) r = _mm512_min_ps(_mm512_max_ps(r, f.lo), f.hi);
  __m512i v = _mm512_add_epi32(_mm512_cvtps_epi32(r), f.z);
  v = _mm512_min_epi32(_mm512_max_epi32(v, f.byte_lo), f.byte_hi);
  _mm512_mask_cvtepi32_storeu_epi8(dst, f.mask, v);
}

template <int kPixels>
[[gnu::always_inline]] inline void tile(const ConvPanel& panel, const ConvPixels& px,
                                        std::int64_t first, const Finish& f) {
  const std::uint8_t* src[kPixels];
  __m512i acc[kPixels];
  const __m512i bias = _mm512_loadu_si512(panel.bias);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    src[p] = px.src + px.src_at[first + p];
    acc[p] = bias;
  }
  const std::int8_t* weights = panel.weights;
  const std::int32_t* taps = panel.taps;
  for (std::int32_t q = 0; q < panel.quads; ++q) {
    const __m512i w = _mm512_load_si512(weights);
    const std::int64_t tap = *taps++;
    weights += kQuadBytes;
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
      acc[p] = _mm512_dpbusd_epi32(acc[p], broadcast_quad(src[p] + tap), w);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) finish(acc[p], f, px, first + p);
}

void conv(const ConvPanel* panel, const ConvPixels* px) {
  const Finish f = finish_of(panel->m, panel->channels, *px);
  std::int64_t i = 0;
  for (; i + kTile <= px->count; i += kTile) tile<kTile>(*panel, *px, i, f);
  for (; i + 2 <= px->count; i += 2) tile<2>(*panel, *px, i, f);
  for (; i < px->count; ++i) tile<1>(*panel, *px, i, f);
}

// As many sums as hide the instruction's latency, one operand a step new to none of them.
std::int64_t peak(std::int64_t rounds) {
  constexpr int kSums = 12;
  __m512i sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_epi32(i);
  __m512i a = _mm512_set1_epi32(0x7f03ff11), b = _mm512_set1_epi32(0x01fe7f80);
  const std::int64_t steps = (rounds * kPeakSteps + kSums - 1) / kSums;
  for (std::int64_t i = 0; i < steps; ++i) {
    asm volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 16
    for (int s = 0; s < kSums; ++s) sums[s] = _mm512_dpbusd_epi32(sums[s], a, b);
  }
  for (int s = 0; s < kSums; ++s) asm volatile("" ::"v"(sums[s]));
  return steps * kSums * 64;
}

}  // namespace

// Everything but the convolution is bound by memory and left to the next set of the table.
extern constexpr KernelSet kKernelsAvx512Vnni{
    .name = "avx512vnni",
    .packing = ConvPacking::kQuads,
    .conv = conv,
    .peak = peak,
};

}  // namespace pronghorn::device::cpu
