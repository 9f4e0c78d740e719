// SPDX-License-Identifier: Apache-2.0
// Two pixels at a time and 32 output channels: eight sums in registers, one weight vector loaded
// for two multiplications. The pair of source channels is broadcast to every lane.
#include <immintrin.h>

#include <cstdint>

#include "device/fpga/kernels/sums.h"

namespace pronghorn::device::fpga {
namespace {

template <int kPixels, int kVectors>
inline void block(const std::int16_t* src, const std::int16_t* weights, int ic, int oc,
                  std::int32_t* sums) {
  __m256i acc[kPixels][kVectors];
  for (int p = 0; p < kPixels; ++p) {
    for (int v = 0; v < kVectors; ++v) {
      acc[p][v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + p * oc + 8 * v));
    }
  }
  for (int i = 0; i < ic; i += 2) {
    __m256i pair[kPixels];
    for (int p = 0; p < kPixels; ++p) {
      std::int32_t both;
      __builtin_memcpy(&both, src + p * ic + i, 4);
      pair[p] = _mm256_set1_epi32(both);
    }
    for (int v = 0; v < kVectors; ++v) {
      const __m256i w =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights + i * oc + 16 * v));
      for (int p = 0; p < kPixels; ++p) {
        acc[p][v] = _mm256_add_epi32(acc[p][v], _mm256_madd_epi16(pair[p], w));
      }
    }
  }
  for (int p = 0; p < kPixels; ++p) {
    for (int v = 0; v < kVectors; ++v) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + p * oc + 8 * v), acc[p][v]);
    }
  }
}

template <int kVectors>
inline void columns(const std::int16_t* src, const std::int16_t* weights, int pixels, int ic,
                    int oc, std::int32_t* sums) {
  int p = 0;
  for (; p + 2 <= pixels; p += 2) {
    block<2, kVectors>(src + p * ic, weights, ic, oc, sums + p * oc);
  }
  if (p < pixels) block<1, kVectors>(src + p * ic, weights, ic, oc, sums + p * oc);
}

void add(const std::int16_t* src, const std::int16_t* weights, int pixels, int ic, int oc,
         std::int32_t* sums) {
  int o = 0;
  for (; o + 32 <= oc; o += 32) columns<4>(src, weights + 2 * o, pixels, ic, oc, sums + o);
  for (; o < oc; o += 8) columns<1>(src, weights + 2 * o, pixels, ic, oc, sums + o);
}

}  // namespace

const SumsKernel kSumsAvx2{"avx2", add};

}  // namespace pronghorn::device::fpga
