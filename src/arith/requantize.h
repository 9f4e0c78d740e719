// SPDX-License-Identifier: Apache-2.0
// The integer law: how a quantized graph is executed, on every device, to the last bit.
// docs/arithmetic.md says the same in prose. Nothing here depends on a device, a tensor or a graph.
//
// Conventions: `q` is a stored 8-bit integer, `z` its zero point, `s` its binary32 scale, so that
// the real value is (q - z) * s. `acc` is an exact s32 sum. All binary32 arithmetic is IEEE-754,
// round to nearest even, no fused multiply-add unless written as fma. Build with -ffp-contract=off.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace pronghorn::arith {

// Weights are symmetric; our quantizer never emits -128, imported graphs may hold it.
inline constexpr std::int32_t kWeightMin = -127;
inline constexpr std::int32_t kWeightMax = 127;

// What a stored integer may be. u8 is {0, 255}, s8 is {-128, 127}; a fused ReLU or Clip narrows it.
struct Range {
  std::int32_t lo;
  std::int32_t hi;
};
inline constexpr Range kU8{0, 255};
inline constexpr Range kS8{-128, 127};

// Rounds to the nearest integer, ties to even. |r| < 2^31.
inline std::int32_t round_even(float r) { return static_cast<std::int32_t>(std::nearbyintf(r)); }

// clamp(rne(r) + z) into `range`, for any finite or infinite r. Because the bounds are integers,
// clamping before rounding gives the same integer and never overflows.
inline std::int32_t round_clamp(float r, std::int32_t z, Range range) {
  const float lo = static_cast<float>(range.lo - z);
  const float hi = static_cast<float>(range.hi - z);
  return round_even(std::min(std::max(r, lo), hi)) + z;
}

// The binary32 constant that takes an accumulator at scale s_src * s_weight to scale s_dst.
// Fixed once, when a graph is lowered; afterwards part of the graph.
inline float multiplier(float s_src, float s_weight, float s_dst) {
  return static_cast<float>(static_cast<double>(s_src) * static_cast<double>(s_weight) /
                            static_cast<double>(s_dst));
}

// Convolution, classifier, pooling: q = clamp(rne(fp32(acc) * m) + z).
inline std::int32_t requantize(std::int32_t acc, float m, std::int32_t z, Range range) {
  return round_clamp(static_cast<float>(acc) * m, z, range);
}

// Convolution with a fused residual, at the scale of the sum:
// q = clamp(rne(fma(fp32(acc), m, fp32(q_res - z_res) * m_res)) + z).
inline std::int32_t requantize_residual(std::int32_t acc, float m, std::int32_t q_res,
                                        std::int32_t z_res, float m_res, std::int32_t z,
                                        Range range) {
  const float residual = static_cast<float>(q_res - z_res) * m_res;
  return round_clamp(std::fmaf(static_cast<float>(acc), m, residual), z, range);
}

// Addition of two quantized tensors: q = clamp(rne(fma(fp32(a - z_a), m_a, fp32(b - z_b) * m_b)) +
// z).
inline std::int32_t add(std::int32_t a, std::int32_t z_a, float m_a, std::int32_t b,
                        std::int32_t z_b, float m_b, std::int32_t z, Range range) {
  const float second = static_cast<float>(b - z_b) * m_b;
  return round_clamp(std::fmaf(static_cast<float>(a - z_a), m_a, second), z, range);
}

// QuantizeLinear: q = clamp(rne(x / s) + z). NaN becomes the value nearest to z.
inline std::int32_t quantize(float x, float s, std::int32_t z, Range range) {
  const float r = x / s;
  return round_clamp(std::isnan(r) ? 0.0f : r, z, range);
}

// DequantizeLinear: fp32(q - z) * s. Also the logits: fp32(acc) * m and nothing else.
inline float dequantize(std::int32_t q, float s, std::int32_t z) {
  return static_cast<float>(q - z) * s;
}

}  // namespace pronghorn::arith
