// SPDX-License-Identifier: Apache-2.0
// The law's last step for device code: from an exact sum to what is stored. Equal to src/arith bit
// for bit: each operation names its rounding, so that no compiler flag can merge two of them.
#pragma once

#include <cstdint>

namespace pronghorn::device::cuda {

// A result's constants, ready for use: bounds of r before the zero point is added.
struct Finish {
  float lo, hi;  // lo - z_dst, hi - z_dst
  std::int32_t z_dst;
  std::int32_t z_res;
  float m_res;
};

// clamp(rne(r) + z, lo, hi). Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, since
// the clamped |r| is at most 255 + 255; the integer is then in the low bits.
__device__ __forceinline__ std::uint32_t round_clamp(float r, const Finish& f) {
  const float clamped = fminf(fmaxf(r, f.lo), f.hi);
  return static_cast<std::uint32_t>(__float_as_int(__fadd_rn(clamped, 12582912.0f)) + f.z_dst) &
         0xffu;
}

__device__ __forceinline__ std::uint32_t finish(std::int32_t acc, float m, const Finish& f) {
  return round_clamp(__fmul_rn(__int2float_rn(acc), m), f);
}

__device__ __forceinline__ std::uint32_t finish_residual(std::int32_t acc, float m,
                                                         std::uint32_t res, const Finish& f) {
  const float term = __fmul_rn(__int2float_rn(static_cast<std::int32_t>(res) - f.z_res), f.m_res);
  return round_clamp(__fmaf_rn(__int2float_rn(acc), m, term), f);
}

__device__ __forceinline__ float finish_float(std::int32_t acc, float m) {
  return __fmul_rn(__int2float_rn(acc), m);
}

inline Finish make_finish(std::int32_t z_dst, std::int32_t lo, std::int32_t hi,
                          std::int32_t z_res = 0, float m_res = 0) {
  return {static_cast<float>(lo - z_dst), static_cast<float>(hi - z_dst), z_dst, z_res, m_res};
}

}  // namespace pronghorn::device::cuda
