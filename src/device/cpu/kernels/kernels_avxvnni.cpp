// SPDX-License-Identifier: Apache-2.0
// AVX-VNNI: the 256-bit form of vpdpbusd, for processors without AVX-512.
//
// Convolution: an implicit matrix product of six pixels by 16 output channels in twelve registers
// of eight s32; one dword of the window is broadcast a pixel and multiplied by both halves of the
// panel.
#include <immintrin.h>

#include <cstdint>

#include "device/cpu/kernels/kernel_table.h"

namespace pronghorn::device::cpu {
namespace {

constexpr int kTile = 6;

[[gnu::always_inline]] inline __m256i load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

[[gnu::always_inline]] inline __m256i broadcast_quad(const std::uint8_t* p) {
  std::int32_t quad;
  __builtin_memcpy(&quad, p, sizeof quad);
  return _mm256_set1_epi32(quad);
}

[[gnu::always_inline]] inline __m256 scaled(__m256i acc, const float* m, const std::uint8_t* res,
                                            const ConvPixels& px) {
  const __m256 r = _mm256_cvtepi32_ps(acc);
  const __m256 factor = _mm256_loadu_ps(m);
  if (res == nullptr) return _mm256_mul_ps(r, factor);
  const __m256i q =
      _mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(res))),
                       _mm256_set1_epi32(px.z_res));
  return _mm256_fmadd_ps(r, factor, _mm256_mul_ps(_mm256_cvtepi32_ps(q), _mm256_set1_ps(px.m_res)));
}

// arith::round_clamp of eight results.
[[gnu::always_inline]] inline __m256i rounded(__m256 r, const Store& s) {
  r = _mm256_min_ps(_mm256_max_ps(r, _mm256_set1_ps(static_cast<float>(s.lo - s.z))),
                    _mm256_set1_ps(static_cast<float>(s.hi - s.z)));
  return _mm256_add_epi32(_mm256_cvtps_epi32(r), _mm256_set1_epi32(s.z));
}

[[gnu::always_inline]] inline void finish(__m256i lo, __m256i hi, const ConvPanel& panel,
                                          const ConvPixels& px, std::int64_t i) {
  const std::uint8_t* res =
      px.result == ConvResult::kBytesResidual ? px.res + px.res_at[i] : nullptr;
  const __m256 r0 = scaled(lo, panel.m, res, px);
  const __m256 r1 = scaled(hi, panel.m + 8, res == nullptr ? nullptr : res + 8, px);
  std::uint8_t* dst = px.dst + px.dst_at[i];
  if (px.result == ConvResult::kFloat) {
    alignas(32) float all[kPanel];
    _mm256_store_ps(all, r0);
    _mm256_store_ps(all + 8, r1);
    __builtin_memcpy(dst, all, static_cast<std::size_t>(panel.channels) * sizeof(float));
    return;
  }
  const __m256i words = _mm256_packus_epi32(rounded(r0, px.store), rounded(r1, px.store));
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words, words),
                                                    _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
  alignas(16) std::uint8_t all[kPanel];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), _mm256_castsi256_si128(bytes));
  if (panel.channels == kPanel) {
    __builtin_memcpy(dst, all, kPanel);
  } else {
    for (std::int32_t c = 0; c < panel.channels; ++c) dst[c] = all[c];
  }
}

template <int kPixels>
[[gnu::always_inline]] inline void tile(const ConvPanel& panel, const ConvPixels& px,
                                        std::int64_t first) {
  const std::uint8_t* src[kPixels];
  __m256i lo[kPixels];
  __m256i hi[kPixels];
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) {
    src[p] = px.src + px.src_at[first + p];
    lo[p] = load(panel.bias);
    hi[p] = load(panel.bias + 8);
  }
  const std::int8_t* weights = panel.weights;
  const std::int32_t* taps = panel.taps;
  for (std::int32_t q = 0; q < panel.quads; ++q) {
    const __m256i w0 = load(weights);
    const __m256i w1 = load(weights + 32);
    const std::int64_t tap = *taps++;
    weights += kQuadBytes;
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
      const __m256i x = broadcast_quad(src[p] + tap);
      lo[p] = _mm256_dpbusd_avx_epi32(lo[p], x, w0);
      hi[p] = _mm256_dpbusd_avx_epi32(hi[p], x, w1);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) finish(lo[p], hi[p], panel, px, first + p);
}

void conv(const ConvPanel* panel, const ConvPixels* px) {
  std::int64_t i = 0;
  for (; i + kTile <= px->count; i += kTile) tile<kTile>(*panel, *px, i);
  for (; i + 2 <= px->count; i += 2) tile<2>(*panel, *px, i);
  for (; i < px->count; ++i) tile<1>(*panel, *px, i);
}

// As many sums as hide the instruction's latency, one operand a step new to none of them.
std::int64_t peak(std::int64_t rounds) {
  constexpr int kSums = 12;
  __m256i sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_set1_epi32(i);
  __m256i a = _mm256_set1_epi32(0x7f03ff11), b = _mm256_set1_epi32(0x01fe7f80);
  const std::int64_t steps = (rounds * kPeakSteps + kSums - 1) / kSums;
  for (std::int64_t i = 0; i < steps; ++i) {
    asm volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 16
    for (int s = 0; s < kSums; ++s) sums[s] = _mm256_dpbusd_avx_epi32(sums[s], a, b);
  }
  for (int s = 0; s < kSums; ++s) asm volatile("" ::"x"(sums[s]));
  return steps * kSums * 32;
}

}  // namespace

// Everything but the convolution is left to the AVX2 set.
extern constexpr KernelSet kKernelsAvxVnni{
    .name = "avxvnni",
    .packing = ConvPacking::kQuads,
    .conv = conv,
    .conv_tile = kTile,
    .peak = peak,
};

}  // namespace pronghorn::device::cpu
