// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include <cstdint>

#include "device/cpu/learn/kernels/learn_table.h"

namespace pronghorn::device::cpu {
namespace {

struct F64 {
  using T = double;
  using V = __m512d;
  static constexpr int kLanes = 8;
  static __mmask8 first(std::int64_t n) { return static_cast<__mmask8>((1u << n) - 1); }
  static V load(const double* p) { return _mm512_loadu_pd(p); }
  static V load_part(const double* p, std::int64_t n) { return _mm512_maskz_loadu_pd(first(n), p); }
  static void store(double* p, V v) { _mm512_storeu_pd(p, v); }
  static void store_part(double* p, V v, std::int64_t n) { _mm512_mask_storeu_pd(p, first(n), v); }
  static V set1(double x) { return _mm512_set1_pd(x); }
  static V fma(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }
  static V fnma(V a, V b, V c) { return _mm512_fnmadd_pd(a, b, c); }
  static V min(V a, V b) { return _mm512_min_pd(a, b); }
  static V max(V a, V b) { return _mm512_max_pd(a, b); }
  static V select_lt(V a, V b, V x, V y) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ), y, x);
  }
  static V select_eq(V a, V b, V x, V y) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ), y, x);
  }
  static V round(V a) {
    return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static V pow2(V n) {  // n whole, -1022 .. 1023
    const __m512i biased = _mm512_add_epi64(_mm512_cvtpd_epi64(n), _mm512_set1_epi64(1023));
    return _mm512_castsi512_pd(_mm512_slli_epi64(biased, 52));
  }
  static double sum(V a) { return _mm512_reduce_add_pd(a); }
  static double least(V a) { return _mm512_reduce_min_pd(a); }
};

struct F32 {
  using T = float;
  using V = __m512;
  static constexpr int kLanes = 16;
  static __mmask16 first(std::int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
  static V load(const float* p) { return _mm512_loadu_ps(p); }
  static V load_part(const float* p, std::int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, V v) { _mm512_storeu_ps(p, v); }
  static void store_part(float* p, V v, std::int64_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
  static V set1(float x) { return _mm512_set1_ps(x); }
  static V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
  static V fnma(V a, V b, V c) { return _mm512_fnmadd_ps(a, b, c); }
  static V min(V a, V b) { return _mm512_min_ps(a, b); }
  static V max(V a, V b) { return _mm512_max_ps(a, b); }
  static V select_lt(V a, V b, V x, V y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
  }
  static V select_eq(V a, V b, V x, V y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ), y, x);
  }
  static V round(V a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static V pow2(V n) {  // n whole, -126 .. 127
    const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
  }
  static float sum(V a) { return _mm512_reduce_add_ps(a); }
  static float least(V a) { return _mm512_reduce_min_ps(a); }
};

// F64::kLanes values as doubles.
__m512d load_wide(const double* p) { return _mm512_loadu_pd(p); }
__m512d load_wide(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
__m512d load_wide_part(const double* p, std::int64_t n) { return F64::load_part(p, n); }
__m512d load_wide_part(const float* p, std::int64_t n) {
  return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(F64::first(n), p));
}

// Sums of groups that are doubles in vectors of half the width: one store a cycle, where a whole
// vector takes two on some processors. Sums that are floats leave time for that.
struct Sums64 {
  using V = __m256d;
  static constexpr int kLanes = 4;
  static __mmask8 first(std::int64_t n) { return static_cast<__mmask8>((1u << n) - 1); }
  static V load(const double* p) { return _mm256_loadu_pd(p); }
  static V load_part(const double* p, std::int64_t n) { return _mm256_maskz_loadu_pd(first(n), p); }
  static V wide(const double* p) { return load(p); }
  static V wide(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  static V wide_part(const double* p, std::int64_t n) { return load_part(p, n); }
  static V wide_part(const float* p, std::int64_t n) {
    return _mm256_cvtps_pd(_mm_maskz_loadu_ps(first(n), p));
  }
  static void store(double* p, V v) { _mm256_storeu_pd(p, v); }
  static void store_part(double* p, V v, std::int64_t n) { _mm256_mask_storeu_pd(p, first(n), v); }
  static V set1(double x) { return _mm256_set1_pd(x); }
  static V fma(V a, V b, V c) { return _mm256_fmadd_pd(a, b, c); }
};

using Sums32 = F32;

constexpr int kMaxNv = 4;
constexpr int kAccumulators = 24;

#include "device/cpu/learn/kernels/learn_body.h"

}  // namespace

extern const LearnKernels kLearnAvx512 = {"avx512", loops<F32>(), loops<F64>(), short_moments,
                                          gauss};

}  // namespace pronghorn::device::cpu
