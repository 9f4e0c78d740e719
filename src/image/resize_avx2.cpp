// SPDX-License-Identifier: Apache-2.0
// Idea: vpmaddwd multiplies sixteen 16-bit numbers and adds neighbours, so two taps of a channel
// sit side by side in one 32-bit lane. A 22-bit weight does not fit 16 bits; its low 15 and high 7
// bits are multiplied apart and joined, exactly, once at the end. Horizontal: a 128-bit half holds
// the three channels of one output pixel, the two halves two rows. Vertical: two source rows are
// interleaved bytewise; the high parts go through vpmaddubsw, whose 16-bit sums cannot saturate
// because the high parts of one output add up to at most 128.
#include <immintrin.h>

#include <cstdint>

#include "image/resize_kernels.h"

namespace pronghorn::image {
namespace {

inline __m256i two_rows(const std::uint8_t* a, const std::uint8_t* b) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

inline __m256i broadcast(const std::int16_t* two) {
  std::int32_t value;
  __builtin_memcpy(&value, two, sizeof value);
  return _mm256_set1_epi32(value);
}

inline __m256i joined(__m256i low, __m256i high) {
  const __m256i half = _mm256_set1_epi32(1 << (kWeightBits - 1));
  const __m256i sum =
      _mm256_add_epi32(_mm256_add_epi32(low, half), _mm256_slli_epi32(high, kLowBits));
  return _mm256_srai_epi32(sum, kWeightBits);
}

inline void store_pixel(std::uint8_t* dst, __m128i value) {
  const std::int32_t pixel = _mm_cvtsi128_si32(value);
  __builtin_memcpy(dst, &pixel, sizeof pixel);
}

// Four taps of one 16-byte load: the first and the second pair.
inline __m256i first_pair() {
  return _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
}
inline __m256i second_pair() {
  return _mm256_broadcastsi128_si256(
      _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
}

void four_rows(const Axis& axis, const std::uint8_t* const* src, std::uint8_t* const* dst) {
  const __m256i pick0 = first_pair();
  const __m256i pick1 = second_pair();
  const std::int16_t* parts = axis.parts;
  for (int i = 0; i < axis.count; ++i) {
    const std::int64_t start = 3 * static_cast<std::int64_t>(axis.first[i]);
    __m256i low0 = _mm256_setzero_si256();
    __m256i high0 = low0;
    __m256i low1 = low0;
    __m256i high1 = low0;
    int t = 0;
    for (; t + 4 <= axis.taps; t += 4, parts += 8) {
      const std::int64_t at = start + 3 * t;
      const __m256i in0 = two_rows(src[0] + at, src[1] + at);
      const __m256i in1 = two_rows(src[2] + at, src[3] + at);
      __m256i weights = broadcast(parts);
      const __m256i a0 = _mm256_shuffle_epi8(in0, pick0);
      const __m256i a1 = _mm256_shuffle_epi8(in1, pick0);
      low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(a0, weights));
      low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(a1, weights));
      weights = broadcast(parts + 2);
      high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(a0, weights));
      high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(a1, weights));
      const __m256i b0 = _mm256_shuffle_epi8(in0, pick1);
      const __m256i b1 = _mm256_shuffle_epi8(in1, pick1);
      weights = broadcast(parts + 4);
      low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(b0, weights));
      low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(b1, weights));
      weights = broadcast(parts + 6);
      high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(b0, weights));
      high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(b1, weights));
    }
    if (t < axis.taps) {
      const std::int64_t at = start + 3 * t;
      const __m256i a0 = _mm256_shuffle_epi8(two_rows(src[0] + at, src[1] + at), pick0);
      const __m256i a1 = _mm256_shuffle_epi8(two_rows(src[2] + at, src[3] + at), pick0);
      __m256i weights = broadcast(parts);
      low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(a0, weights));
      low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(a1, weights));
      weights = broadcast(parts + 2);
      high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(a0, weights));
      high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(a1, weights));
      parts += 4;
    }
    // Row 0 and 2 in the low half, 1 and 3 in the high half: 4 bytes each after the two packs.
    const __m256i words = _mm256_packs_epi32(joined(low0, high0), joined(low1, high1));
    const __m256i bytes = _mm256_packus_epi16(words, words);
    const __m128i even = _mm256_castsi256_si128(bytes);
    const __m128i odd = _mm256_extracti128_si256(bytes, 1);
    store_pixel(dst[0] + 3 * i, even);
    store_pixel(dst[1] + 3 * i, odd);
    store_pixel(dst[2] + 3 * i, _mm_srli_si128(even, 4));
    store_pixel(dst[3] + 3 * i, _mm_srli_si128(odd, 4));
  }
}

void horizontal(const Axis& axis, const std::uint8_t* const* src, int rows,
                std::uint8_t* const* dst) {
  int r = 0;
  for (; r + 4 <= rows; r += 4) four_rows(axis, src + r, dst + r);
  if (r == rows) return;
  // The last rows again in place of missing ones: the same bytes written twice.
  const std::uint8_t* last_src[4];
  std::uint8_t* last_dst[4];
  for (int k = 0; k < 4; ++k) {
    const int row = r + k < rows ? r + k : rows - 1;
    last_src[k] = src[row];
    last_dst[k] = dst[row];
  }
  four_rows(axis, last_src, last_dst);
}

inline __m256i load(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// 32 bytes of one output row from column x on.
inline __m256i column(const std::int16_t* parts, int taps, const std::uint8_t* const* src, int x) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i low0 = zero;
  __m256i low1 = zero;
  __m256i low2 = zero;
  __m256i low3 = zero;
  __m256i high0 = zero;
  __m256i high1 = zero;
  for (int t = 0; t < taps; t += 2, parts += 4) {
    const __m256i a = load(src[t] + x);
    const __m256i b = load(src[t + 1] + x);
    const __m256i ab0 = _mm256_unpacklo_epi8(a, b);
    const __m256i ab1 = _mm256_unpackhi_epi8(a, b);
    const __m256i low = broadcast(parts);
    low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(_mm256_unpacklo_epi8(ab0, zero), low));
    low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(_mm256_unpackhi_epi8(ab0, zero), low));
    low2 = _mm256_add_epi32(low2, _mm256_madd_epi16(_mm256_unpacklo_epi8(ab1, zero), low));
    low3 = _mm256_add_epi32(low3, _mm256_madd_epi16(_mm256_unpackhi_epi8(ab1, zero), low));
    const __m256i high = _mm256_set1_epi16(static_cast<std::int16_t>(parts[2] | parts[3] << 8));
    high0 = _mm256_add_epi16(high0, _mm256_maddubs_epi16(ab0, high));
    high1 = _mm256_add_epi16(high1, _mm256_maddubs_epi16(ab1, high));
  }
  const __m256i first = _mm256_packs_epi32(joined(low0, _mm256_unpacklo_epi16(high0, zero)),
                                           joined(low1, _mm256_unpackhi_epi16(high0, zero)));
  const __m256i second = _mm256_packs_epi32(joined(low2, _mm256_unpacklo_epi16(high1, zero)),
                                            joined(low3, _mm256_unpackhi_epi16(high1, zero)));
  return _mm256_packus_epi16(first, second);
}

void vertical(const Axis& axis, int i, const std::uint8_t* const* src, int bytes,
              std::uint8_t* dst) {
  const std::int16_t* parts = axis.parts + static_cast<std::int64_t>(i) * axis.taps * 2;
  int x = 0;
  for (; x + 32 <= bytes; x += 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + x), column(parts, axis.taps, src, x));
  }
  if (x < bytes) {
    alignas(32) std::uint8_t rest[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(rest), column(parts, axis.taps, src, x));
    __builtin_memcpy(dst + x, rest, static_cast<std::size_t>(bytes - x));
  }
}

}  // namespace

const ResizeKernels kResizeAvx2 = {"avx2", horizontal, vertical};

}  // namespace pronghorn::image
