// SPDX-License-Identifier: Apache-2.0
// AVX-512 with VNNI: vpdpbusd multiplies four bytes by four weights for 16 output channels and adds
// all of it to s32 at once, without any 16-bit step that could saturate.
//
// Convolution: an implicit matrix product of up to 14 pixels by two panels of 16 output channels,
// in 28 of the 32 registers: each dword of a window that is broadcast serves two products, each
// register of weights 14. The pixels of a tile are a constant distance apart, so that their
// addresses need four general registers and none of them is reloaded; the 14 divides the rows of
// the usual networks. A panel without a partner passes alone.
#include <immintrin.h>

#include <cstdint>

#include "device/cpu/kernels/kernel_table.h"

namespace pronghorn::device::cpu {
namespace {

[[gnu::always_inline]] inline __m512i broadcast_quad(const std::uint8_t* p) {
  std::int32_t quad;
  __builtin_memcpy(&quad, p, sizeof quad);
  return _mm512_set1_epi32(quad);
}

// Takes the sums of one pixel to its results: arith::round_clamp with its constants in registers.
struct Finish {
  __m512 m[2];  // by panel
  __m512 m_res, lo, hi;
  __m512i z, z_res, byte_lo, byte_hi;
  __m512i order;   // of dwords: undoes that packing works in quarters of a register
  __mmask16 mask;  // valid channels of the last panel
  bool small;
};

[[gnu::always_inline]] inline Finish finish_of(const ConvPanel* panel, int panels,
                                               const ConvPixels& px) {
  const Store& s = px.store;
  return {{_mm512_loadu_ps(panel[0].m), _mm512_loadu_ps(panel[panels - 1].m)},
          _mm512_set1_ps(px.m_res),
          _mm512_set1_ps(static_cast<float>(s.lo - s.z)),
          _mm512_set1_ps(static_cast<float>(s.hi - s.z)),
          _mm512_set1_epi16(static_cast<short>(s.z)),
          _mm512_set1_epi32(px.z_res),
          _mm512_set1_epi8(static_cast<char>(s.lo)),
          _mm512_set1_epi8(static_cast<char>(s.hi)),
          _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
          static_cast<__mmask16>((1u << panel[panels - 1].channels) - 1),
          s.small};
}

template <ConvResult kMode>
[[gnu::always_inline]] inline __m512 scaled(__m512i acc, __m512 m, __m128i res, const Finish& f) {
  const __m512 r = _mm512_cvtepi32_ps(acc);
  if constexpr (kMode == ConvResult::kBytesResidual) {
    const __m512i q = _mm512_sub_epi32(_mm512_cvtepu8_epi32(res), f.z_res);
    return _mm512_fmadd_ps(r, m, _mm512_mul_ps(_mm512_cvtepi32_ps(q), f.m_res));
  } else {
    return _mm512_mul_ps(r, m);
  }
}

template <ConvResult kMode>
[[gnu::always_inline]] inline __m512i rounded(__m512i acc, __m512 m, __m128i res, const Finish& f) {
  __m512 r = scaled<kMode>(acc, m, res, f);
  if (!f.small) r = _mm512_min_ps(_mm512_max_ps(r, f.lo), f.hi);
  return _mm512_cvtps_epi32(r);
}

// 32 channels of a pixel in 16 bits, in quarters of a register. Saturating to 16 bits and later to
// 8 changes nothing: every bound that may be asked for lies within these.
template <ConvResult kMode>
[[gnu::always_inline]] inline __m512i words_of(__m512i lo, __m512i hi, const Finish& f,
                                               const ConvPixels& px, std::int64_t i) {
  __m128i res_lo = _mm_setzero_si128();
  __m128i res_hi = res_lo;
  if constexpr (kMode == ConvResult::kBytesResidual) {
    const std::uint8_t* at = px.res + px.res_at[i];
    res_lo = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    res_hi = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 16));
  }
  const __m512i words = _mm512_packs_epi32(rounded<kMode>(lo, f.m[0], res_lo, f),
                                           rounded<kMode>(hi, f.m[1], res_hi, f));
  return _mm512_adds_epi16(words, f.z);
}

// 32 channels of two pixels, or of one.
template <ConvResult kMode>
[[gnu::always_inline]] inline void finish_two(__m512i lo0, __m512i hi0, __m512i lo1, __m512i hi1,
                                              const Finish& f, const ConvPixels& px, std::int64_t i,
                                              int count) {
  __m512i bytes = _mm512_packus_epi16(words_of<kMode>(lo0, hi0, f, px, i),
                                      words_of<kMode>(lo1, hi1, f, px, i + count - 1));
  bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, f.byte_lo), f.byte_hi);
  bytes = _mm512_permutexvar_epi32(f.order, bytes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(px.dst + px.dst_at[i]),
                      _mm512_castsi512_si256(bytes));
  if (count == 2) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(px.dst + px.dst_at[i + 1]),
                        _mm512_extracti64x4_epi64(bytes, 1));
  }
}

// 16 channels of a pixel, or as many as `mask` says.
template <ConvResult kMode>
[[gnu::always_inline]] inline void finish_one(__m512i acc, __m512 m, __mmask16 mask,
                                              const Finish& f, const ConvPixels& px, std::int64_t i,
                                              std::int64_t panel) {
  std::uint8_t* dst = px.dst + px.dst_at[i];
  if constexpr (kMode == ConvResult::kFloat) {
    _mm512_mask_storeu_ps(dst + panel * 64, mask, scaled<kMode>(acc, m, __m128i(), f));
  } else {
    __m128i res = _mm_setzero_si128();
    if constexpr (kMode == ConvResult::kBytesResidual) {
      res = _mm_maskz_loadu_epi8(mask, px.res + px.res_at[i] + panel * 16);
    }
    const __m512i v = rounded<kMode>(acc, m, res, f);
    __m512i bytes = _mm512_adds_epi16(_mm512_packs_epi32(v, v), f.z);
    bytes = _mm512_packus_epi16(bytes, bytes);
    bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, f.byte_lo), f.byte_hi);
    _mm_mask_storeu_epi8(dst + panel * 16, mask,
                         _mm512_castsi512_si128(_mm512_permutexvar_epi32(f.order, bytes)));
  }
}

// kPixels windows `step` bytes apart from `src` on.
template <ConvResult kMode, int kPixels, int kPanels>
void tile(const ConvPanel* panel, const ConvPixels& px, std::int64_t first, std::int64_t step) {
  __m512i lo[kPixels];  // of the first panel
  __m512i hi[kPixels];  // of the second one
  const __m512i bias_lo = _mm512_loadu_si512(panel[0].bias);
  const __m512i bias_hi = _mm512_loadu_si512(panel[kPanels - 1].bias);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    lo[p] = bias_lo;
    if constexpr (kPanels == 2) hi[p] = bias_hi;
  }
  const std::uint8_t* src = px.src + px.src_at[first];
  const std::int8_t* weights = panel[0].weights;
  const std::int64_t second = panel[kPanels - 1].weights - weights;
  const std::int32_t* taps = panel[0].taps;
  const std::int32_t* end = taps + panel[0].quads;
  const std::int64_t step3 = 3 * step;
  for (; taps != end; ++taps, weights += kQuadBytes) {
    const __m512i w_lo = _mm512_load_si512(weights);
    const __m512i w_hi = _mm512_load_si512(weights + second);
    const std::uint8_t* four = src + *taps;  // the first of every four pixels
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
      if (p % 4 == 0 && p > 0) {
        four += 4 * step;
        asm("" : "+r"(four));  // else the compiler keeps a pointer for each pixel, on the stack
      }
      const __m512i x = broadcast_quad(p % 4 == 3 ? four + step3 : four + p % 4 * step);
      lo[p] = _mm512_dpbusd_epi32(lo[p], x, w_lo);
      if constexpr (kPanels == 2) hi[p] = _mm512_dpbusd_epi32(hi[p], x, w_hi);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    // Sums are in registers here; else the compiler stores them in each step of the loop.
    asm volatile("" : "+v"(lo[p]));
    if constexpr (kPanels == 2) asm volatile("" : "+v"(hi[p]));
  }
  const Finish f = finish_of(panel, kPanels, px);
  constexpr __mmask16 kAll = 0xffff;
  if constexpr (kPanels == 2 && kMode != ConvResult::kFloat) {
    if (f.mask == kAll) {
      constexpr int kPairs = kPixels / 2;
#pragma GCC unroll 16
      for (int p = 0; p < kPairs; ++p) {
        finish_two<kMode>(lo[2 * p], hi[2 * p], lo[2 * p + 1], hi[2 * p + 1], f, px, first + 2 * p,
                          2);
      }
      if constexpr (kPixels % 2 != 0) {
        constexpr int kLast = kPixels - 1;
        finish_two<kMode>(lo[kLast], hi[kLast], lo[kLast], hi[kLast], f, px, first + kLast, 1);
      }
      return;
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    finish_one<kMode>(lo[p], f.m[0], kPanels == 2 ? kAll : f.mask, f, px, first + p, 0);
    if constexpr (kPanels == 2) finish_one<kMode>(hi[p], f.m[1], f.mask, f, px, first + p, 1);
  }
}

template <ConvResult kMode, int kPanels>
void run(const ConvPanel* panel, const ConvPixels& px) {
  // Offsets grow by the same distance until a row ends.
  const auto even = [&](std::int64_t i, std::int64_t count) {
    return i + count <= px.count &&
           px.src_at[i + count - 1] - px.src_at[i] == (count - 1) * px.step;
  };
  for (std::int64_t i = 0; i < px.count;) {
    if (even(i, 14)) {
      tile<kMode, 14, kPanels>(panel, px, i, px.step);
      i += 14;
    } else if (even(i, 10)) {
      tile<kMode, 10, kPanels>(panel, px, i, px.step);
      i += 10;
    } else if (even(i, 7)) {
      tile<kMode, 7, kPanels>(panel, px, i, px.step);
      i += 7;
    } else if (even(i, 4)) {
      tile<kMode, 4, kPanels>(panel, px, i, px.step);
      i += 4;
    } else if (i + 2 <= px.count) {  // any two are a distance apart
      tile<kMode, 2, kPanels>(panel, px, i, px.src_at[i + 1] - px.src_at[i]);
      i += 2;
    } else {
      tile<kMode, 1, kPanels>(panel, px, i, 0);
      ++i;
    }
  }
}

template <int kPanels>
void run(const ConvPanel* panel, const ConvPixels& px) {
  switch (px.result) {
    case ConvResult::kBytes:
      return run<ConvResult::kBytes, kPanels>(panel, px);
    case ConvResult::kBytesResidual:
      return run<ConvResult::kBytesResidual, kPanels>(panel, px);
    case ConvResult::kFloat:
      return run<ConvResult::kFloat, kPanels>(panel, px);
  }
}

void conv(const ConvPanel* panel, const ConvPixels* px) { run<1>(panel, *px); }

void conv_pair(const ConvPanel* panels, const ConvPixels* px) { run<2>(panels, *px); }

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
    .conv_pair = conv_pair,
    .conv_tile = 14,
    .peak = peak,
};

}  // namespace pronghorn::device::cpu
