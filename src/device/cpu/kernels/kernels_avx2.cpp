// SPDX-License-Identifier: Apache-2.0
// AVX2 with FMA, for processors without a dot-product instruction.
//
// Convolution: an implicit matrix product of four pixels by 16 output channels, held in eight
// registers of eight s32. One dword of the window (a quad) is broadcast and vpmaddubsw multiplies
// it by the weights of eight channels, adding neighbours in 16 bits; quads of one group are added
// up in 16 bits as well (the packer promises that nothing saturates or wraps), and only then does
// vpmaddwd by ones widen them to s32. A group of n quads costs n + 1 multiplications instead of 2n,
// and multiplications are what limits this loop as long as loads do not: two pixels at a time share
// what is loaded of the weights, and their 16-bit sums fill the other registers.
#include <immintrin.h>

#include <cstdint>

#include "device/cpu/kernels/kernel_table.h"

namespace pronghorn::device::cpu {
namespace {

constexpr int kTile = 4;  // pixels

using I = __m256i;
using F = __m256;

[[gnu::always_inline]] inline I load(const void* p) {
  return _mm256_loadu_si256(static_cast<const I*>(p));
}
[[gnu::always_inline]] inline __m128i load16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

[[gnu::always_inline]] inline I broadcast_quad(const std::uint8_t* p) {
  std::int32_t quad;
  __builtin_memcpy(&quad, p, sizeof quad);
  return _mm256_set1_epi32(quad);
}

[[gnu::always_inline]] inline void put_bytes(std::uint8_t* dst, __m128i bytes, std::int32_t count) {
  if (count == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), bytes);
    return;
  }
  alignas(16) std::uint8_t all[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
  for (std::int32_t i = 0; i < count; ++i) dst[i] = all[i];
}

// Store with its constants in registers.
struct Rounding {
  F lo, hi;  // before rounding, for results that may leave the range of s32
  I z;
  __m128i byte_lo, byte_hi;
  bool small;
};

[[gnu::always_inline]] inline Rounding rounding(const Store& s) {
  return {_mm256_set1_ps(static_cast<float>(s.lo - s.z)),
          _mm256_set1_ps(static_cast<float>(s.hi - s.z)),
          _mm256_set1_epi16(static_cast<std::int16_t>(s.z)),
          _mm_set1_epi8(static_cast<char>(s.lo)),
          _mm_set1_epi8(static_cast<char>(s.hi)),
          s.small};
}

// 16 results in order. The saturating steps are monotone and wider than the final clamp.
[[gnu::always_inline]] inline __m128i round16(F r0, F r1, const Rounding& k) {
  if (!k.small) {
    r0 = _mm256_min_ps(_mm256_max_ps(r0, k.lo), k.hi);
    r1 = _mm256_min_ps(_mm256_max_ps(r1, k.lo), k.hi);
  }
  I v = _mm256_packs_epi32(_mm256_cvtps_epi32(r0), _mm256_cvtps_epi32(r1));
  v = _mm256_adds_epi16(v, k.z);
  v = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(v, v),
                                  _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
  return _mm_min_epu8(_mm_max_epu8(_mm256_castsi256_si128(v), k.byte_lo), k.byte_hi);
}

[[gnu::always_inline]] inline F widen8(const std::uint8_t* p, I zero) {
  const I q = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(q, zero));
}

// Takes the sums of one pixel to its results.
struct Finish {
  F m0, m1;
  F m_res;
  I z_res;
  Rounding k;
};

[[gnu::always_inline]] inline Finish finish_of(const float* m, const ConvPixels& px) {
  return {_mm256_loadu_ps(m), _mm256_loadu_ps(m + 8), _mm256_set1_ps(px.m_res),
          _mm256_set1_epi32(px.z_res), rounding(px.store)};
}

[[gnu::always_inline]] inline void finish(I acc0, I acc1, const Finish& f, const ConvPixels& px,
                                          std::int64_t i, std::int32_t channels) {
  std::uint8_t* dst = px.dst + px.dst_at[i];
  F r0 = _mm256_cvtepi32_ps(acc0);
  F r1 = _mm256_cvtepi32_ps(acc1);
  if (px.result == ConvResult::kBytesResidual) {
    const std::uint8_t* res = px.res + px.res_at[i];
    r0 = _mm256_fmadd_ps(r0, f.m0, _mm256_mul_ps(widen8(res, f.z_res), f.m_res));
    r1 = _mm256_fmadd_ps(r1, f.m1, _mm256_mul_ps(widen8(res + 8, f.z_res), f.m_res));
  } else {
    r0 = _mm256_mul_ps(r0, f.m0);
    r1 = _mm256_mul_ps(r1, f.m1);
  }
  if (px.result != ConvResult::kFloat) {
    put_bytes(dst, round16(r0, r1, f.k), channels);
    return;
  }
  alignas(32) float all[kPanel];
  _mm256_store_ps(all, r0);
  _mm256_store_ps(all + 8, r1);
  __builtin_memcpy(dst, all, static_cast<std::size_t>(channels) * sizeof(float));
}

// What most layers need: 16 channels, zero points of 0, all of u8 as the range, sums that fit.
bool is_plain(const ConvPanel& panel, const ConvPixels& px) {
  const Store& k = px.store;
  return panel.channels == kPanel && px.result != ConvResult::kFloat && k.small && k.z == 0 &&
         k.lo == 0 && k.hi == 255 && (px.result == ConvResult::kBytes || px.z_res == 0);
}

[[gnu::always_inline]] inline F plain_residual(const std::uint8_t* res, F m_res) {
  const I q = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(res)));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(q), m_res);
}

// 16 results of a pixel in 16 bits, in halves of a register.
template <ConvResult kMode>
[[gnu::always_inline]] inline I plain_words(I lo, I hi, const Finish& f, const ConvPixels& px,
                                            std::int64_t i) {
  F r0 = _mm256_cvtepi32_ps(lo);
  F r1 = _mm256_cvtepi32_ps(hi);
  if constexpr (kMode == ConvResult::kBytesResidual) {
    const std::uint8_t* res = px.res + px.res_at[i];
    r0 = _mm256_fmadd_ps(r0, f.m0, plain_residual(res, f.m_res));
    r1 = _mm256_fmadd_ps(r1, f.m1, plain_residual(res + 8, f.m_res));
  } else {
    r0 = _mm256_mul_ps(r0, f.m0);
    r1 = _mm256_mul_ps(r1, f.m1);
  }
  return _mm256_packs_epi32(_mm256_cvtps_epi32(r0), _mm256_cvtps_epi32(r1));
}

// Two pixels, or one twice, whose results are plain: saturating is all the clamping there is.
template <ConvResult kMode>
[[gnu::always_inline]] inline void finish_plain(I lo0, I hi0, I lo1, I hi1, const Finish& f,
                                                const ConvPixels& px, std::int64_t i,
                                                std::int64_t next) {
  const I bytes =
      _mm256_permutevar8x32_epi32(_mm256_packus_epi16(plain_words<kMode>(lo0, hi0, f, px, i),
                                                      plain_words<kMode>(lo1, hi1, f, px, next)),
                                  _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(px.dst + px.dst_at[i]),
                   _mm256_castsi256_si128(bytes));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(px.dst + px.dst_at[next]),
                   _mm256_extracti128_si256(bytes, 1));
}

template <int kPixels>
struct Sums {
  I lo[kPixels];  // output channels 0 to 7
  I hi[kPixels];
};

struct Stream {
  const std::int8_t* weights;
  const std::int32_t* taps;
};

// Both are in registers here, in this order of the program: else the compiler loads weights once
// for each pixel, and much ahead of their use, until sums no longer fit.
[[gnu::always_inline]] inline void keep(I& a, I& b) { asm volatile("" : "+x"(a), "+x"(b)); }

// Adds a group of kDepth quads to the sums of two pixels (kTwo) or of one.
template <int kDepth, bool kTwo>
[[gnu::always_inline]] inline void add_group(I& lo0, I& hi0, I& lo1, I& hi1,
                                             const std::uint8_t* src0, const std::uint8_t* src1,
                                             const std::int8_t* weights, const std::int32_t* taps,
                                             I ones) {
  I pairs[4];
#pragma GCC unroll 8
  for (int q = 0; q < kDepth; ++q) {
    I w_lo = load(weights + q * kQuadBytes);
    I w_hi = load(weights + q * kQuadBytes + 32);
    const std::int64_t tap = taps[q];
    keep(w_lo, w_hi);
    const I x = broadcast_quad(src0 + tap);
    const I a = _mm256_maddubs_epi16(x, w_lo);
    const I b = _mm256_maddubs_epi16(x, w_hi);
    pairs[0] = q == 0 ? a : _mm256_add_epi16(pairs[0], a);
    pairs[1] = q == 0 ? b : _mm256_add_epi16(pairs[1], b);
    keep(pairs[0], pairs[1]);
    if constexpr (kTwo) {
      const I y = broadcast_quad(src1 + tap);
      const I c = _mm256_maddubs_epi16(y, w_lo);
      const I d = _mm256_maddubs_epi16(y, w_hi);
      pairs[2] = q == 0 ? c : _mm256_add_epi16(pairs[2], c);
      pairs[3] = q == 0 ? d : _mm256_add_epi16(pairs[3], d);
      keep(pairs[2], pairs[3]);
    }
  }
  lo0 = _mm256_add_epi32(lo0, _mm256_madd_epi16(pairs[0], ones));
  hi0 = _mm256_add_epi32(hi0, _mm256_madd_epi16(pairs[1], ones));
  if constexpr (kTwo) {
    lo1 = _mm256_add_epi32(lo1, _mm256_madd_epi16(pairs[2], ones));
    hi1 = _mm256_add_epi32(hi1, _mm256_madd_epi16(pairs[3], ones));
  }
}

template <int kPixels, int kDepth>
[[gnu::always_inline]] inline void add_groups(Sums<kPixels>& acc,
                                              const std::uint8_t* const (&src)[kPixels], Stream& s,
                                              std::int32_t groups) {
  const I ones = _mm256_set1_epi16(1);
  const std::int8_t* weights = s.weights;
  const std::int32_t* taps = s.taps;
  for (std::int32_t g = 0; g < groups; ++g) {
    constexpr int kEven = kPixels / 2 * 2;
#pragma GCC unroll 8
    for (int p = 0; p < kEven; p += 2) {
      add_group<kDepth, true>(acc.lo[p], acc.hi[p], acc.lo[p + 1], acc.hi[p + 1], src[p],
                              src[p + 1], weights, taps, ones);
    }
    if constexpr (kEven < kPixels) {
      add_group<kDepth, false>(acc.lo[kEven], acc.hi[kEven], acc.lo[kEven], acc.hi[kEven],
                               src[kEven], src[kEven], weights, taps, ones);
    }
    weights += kDepth * kQuadBytes;
    taps += kDepth;
  }
  s = {weights, taps};
}

template <ConvResult kMode, bool kPlain, int kPixels>
void conv_tile(const ConvPanel& panel, const ConvPixels& px, std::int64_t first) {
  const std::uint8_t* src[kPixels];
  Sums<kPixels> acc;
  const I bias_lo = load(panel.bias);
  const I bias_hi = load(panel.bias + 8);
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) {
    src[p] = px.src + px.src_at[first + p];
    acc.lo[p] = bias_lo;
    acc.hi[p] = bias_hi;
  }
  Stream stream{panel.weights, panel.taps};
  add_groups<kPixels, 4>(acc, src, stream, panel.groups[0]);
  add_groups<kPixels, 3>(acc, src, stream, panel.groups[1]);
  add_groups<kPixels, 2>(acc, src, stream, panel.groups[2]);
  add_groups<kPixels, 1>(acc, src, stream, panel.groups[3]);
  const Finish f = finish_of(panel.m, px);
  if constexpr (kPlain) {
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; p += 2) {
      const int next = p + 1 < kPixels ? p + 1 : p;
      finish_plain<kMode>(acc.lo[p], acc.hi[p], acc.lo[next], acc.hi[next], f, px, first + p,
                          first + next);
    }
    return;
  }
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) {
    finish(acc.lo[p], acc.hi[p], f, px, first + p, panel.channels);
  }
}

// kMode matters to the plain way out only.
template <ConvResult kMode, bool kPlain>
void conv_all(const ConvPanel& panel, const ConvPixels& px) {
  std::int64_t i = 0;
  for (; i + kTile <= px.count; i += kTile) conv_tile<kMode, kPlain, kTile>(panel, px, i);
  switch (px.count - i) {
    case 3:
      return conv_tile<kMode, kPlain, 3>(panel, px, i);
    case 2:
      return conv_tile<kMode, kPlain, 2>(panel, px, i);
    case 1:
      return conv_tile<kMode, kPlain, 1>(panel, px, i);
    default:
      return;
  }
}

void conv(const ConvPanel* panel, const ConvPixels* px) {
  if (!is_plain(*panel, *px)) return conv_all<ConvResult::kBytes, false>(*panel, *px);
  if (px->result == ConvResult::kBytes) return conv_all<ConvResult::kBytes, true>(*panel, *px);
  conv_all<ConvResult::kBytesResidual, true>(*panel, *px);
}

// Two taps at a time: their bytes interleaved and widened are what vpmaddwd multiplies.
void depthwise(const DepthwisePanel* panel, const ConvPixels* px) {
  const Finish f = finish_of(panel->m, *px);
  for (std::int64_t i = 0; i < px->count; ++i) {
    const std::uint8_t* src = px->src + px->src_at[i];
    I lo = load(panel->bias);
    I hi = load(panel->bias + 8);
    const std::int16_t* weights = panel->weights;
    const std::int32_t* taps = panel->taps;
    for (std::int32_t pair = 0; pair < panel->pairs; ++pair) {
      const __m128i a = load16(src + taps[0]);
      const __m128i b = load16(src + taps[1]);
      const I ab_lo = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
      const I ab_hi = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
      lo = _mm256_add_epi32(lo, _mm256_madd_epi16(ab_lo, load(weights)));
      hi = _mm256_add_epi32(hi, _mm256_madd_epi16(ab_hi, load(weights + 16)));
      weights += 2 * kPanel;
      taps += 2;
    }
    finish(lo, hi, f, *px, i, panel->channels);
  }
}

void add(const AddTerms* t, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* dst,
         std::int64_t size) {
  const I z_a = _mm256_set1_epi32(t->z_a);
  const I z_b = _mm256_set1_epi32(t->z_b);
  const F m_a = _mm256_set1_ps(t->m_a);
  const F m_b = _mm256_set1_ps(t->m_b);
  const Rounding k = rounding(t->store);
  for (std::int64_t i = 0; i < size; i += 16) {
    const F b0 = _mm256_mul_ps(widen8(b + i, z_b), m_b);
    const F b1 = _mm256_mul_ps(widen8(b + i + 8, z_b), m_b);
    const F r0 = _mm256_fmadd_ps(widen8(a + i, z_a), m_a, b0);
    const F r1 = _mm256_fmadd_ps(widen8(a + i + 8, z_a), m_a, b1);
    const std::int64_t left = size - i;
    put_bytes(dst + i, round16(r0, r1, k), left < 16 ? static_cast<std::int32_t>(left) : 16);
  }
}

void max(const std::uint8_t* const* src, std::int64_t count, std::uint8_t* dst,
         std::int64_t channels, std::int64_t results, std::int64_t step) {
  for (std::int64_t at = 0; at < results * step; at += step, dst += channels) {
    std::int64_t c = 0;
    for (; c + 32 <= channels; c += 32) {
      I most = load(src[0] + at + c);
      for (std::int64_t i = 1; i < count; ++i) most = _mm256_max_epu8(most, load(src[i] + at + c));
      _mm256_storeu_si256(reinterpret_cast<I*>(dst + c), most);
    }
    for (; c < channels; c += 16) {
      __m128i most = load16(src[0] + at + c);
      for (std::int64_t i = 1; i < count; ++i) most = _mm_max_epu8(most, load16(src[i] + at + c));
      const std::int64_t left = channels - c;
      put_bytes(dst + c, most, left < 16 ? static_cast<std::int32_t>(left) : 16);
    }
  }
}

void average(const AverageTerms* t, const std::uint8_t* const* src, std::int64_t count,
             std::uint8_t* dst, float* dst_float, std::int64_t channels) {
  const Rounding k = rounding(t->store);
  const I zero = _mm256_set1_epi32(t->zero);
  const F m = _mm256_set1_ps(t->m);
  for (std::int64_t c = 0; c < channels; c += 16) {
    I lo = _mm256_setzero_si256();
    I hi = lo;
    for (std::int64_t i = 0; i < count;) {
      I part = _mm256_setzero_si256();  // at most 257 bytes fit 16 bits
      for (const std::int64_t end = i + 256 < count ? i + 256 : count; i < end; ++i) {
        part = _mm256_add_epi16(part, _mm256_cvtepu8_epi16(load16(src[i] + c)));
      }
      lo = _mm256_add_epi32(lo, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(part)));
      hi = _mm256_add_epi32(hi, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(part, 1)));
    }
    const F r0 = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(lo, zero)), m);
    const F r1 = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(hi, zero)), m);
    const std::int64_t left = channels - c < 16 ? channels - c : 16;
    if (dst_float == nullptr) {
      put_bytes(dst + c, round16(r0, r1, k), static_cast<std::int32_t>(left));
    } else {
      alignas(32) float all[kPanel];
      _mm256_store_ps(all, r0);
      _mm256_store_ps(all + 8, r1);
      __builtin_memcpy(dst_float + c, all, static_cast<std::size_t>(left) * sizeof(float));
    }
  }
}

// Groups of four quads, the best that packing can reach: four products of pairs, three 16-bit sums,
// one widening, one 32-bit sum.
std::int64_t peak(std::int64_t rounds) {
  constexpr int kSums = 5;
  I sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_set1_epi32(i);
  I a = _mm256_set1_epi32(0x7f03ff11), b = _mm256_set1_epi32(0x011e1f10);
  const I ones = _mm256_set1_epi16(1);
  const std::int64_t steps = (rounds * kPeakSteps + kSums - 1) / kSums;
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 8
    for (int s = 0; s < kSums; ++s) {
      asm volatile("" : "+x"(a), "+x"(b));  // four products are four instructions
      I pairs = _mm256_maddubs_epi16(a, b);
#pragma GCC unroll 8
      for (int q = 1; q < 4; ++q) {
        asm volatile("" : "+x"(a), "+x"(b));
        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(a, b));
      }
      sums[s] = _mm256_add_epi32(sums[s], _mm256_madd_epi16(pairs, ones));
    }
  }
  for (int s = 0; s < kSums; ++s) asm volatile("" ::"x"(sums[s]));
  return steps * kSums * 4 * 32;
}

}  // namespace

const KernelSet kKernelsAvx2 = {
    .name = "avx2",
    .packing = ConvPacking::kPairSums,
    .conv = conv,
    .conv_tile = kTile,
    .depthwise = depthwise,
    .add = add,
    .max = max,
    .average = average,
    .peak = peak,
};

}  // namespace pronghorn::device::cpu
