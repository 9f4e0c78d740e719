// SPDX-License-Identifier: Apache-2.0
// Golden vectors of the law: text files in tests/vectors that kernels, the CUDA code and the RTL
// are tested with, on machines where this header is not at hand. emit_vectors writes them; the unit
// test makes them again and compares bytes, so that the law cannot change unseen.
//
// One case a line, decimal integers, binary32 values as eight hexadecimal digits of their bits.
// Lines that start with # name the columns.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>

#include "arith/requantize.h"

namespace pronghorn::arith::vectors {

inline std::string hex(float x) { return fmt::format("{:08x}", std::bit_cast<std::uint32_t>(x)); }

// Sources of cases. Only the raw bits of the engine are used: they are the same everywhere.
class Cases {
 public:
  explicit Cases(std::uint64_t seed) : random_(seed) {}

  std::int32_t between(std::int32_t lo, std::int32_t hi) {
    const auto span = static_cast<std::uint64_t>(std::int64_t{hi} - lo) + 1;
    return static_cast<std::int32_t>(lo + static_cast<std::int64_t>(random_() % span));
  }

  // Every magnitude of s32, both signs.
  std::int32_t acc() {
    const auto bits = static_cast<std::uint32_t>(random_());
    const auto v = static_cast<std::int32_t>(bits >> between(1, 31));
    return (random_() & 1) != 0 ? v : -v;
  }

  // 1 in 4 a power of two, which makes ties frequent; else any significand.
  float m(int least_exponent, int largest_exponent) {
    const auto exponent =
        static_cast<std::uint32_t>(127 + between(least_exponent, largest_exponent));
    const auto significand = static_cast<std::uint32_t>(random_()) & 0x7fffffu;
    return std::bit_cast<float>(exponent << 23 | ((random_() & 3) == 0 ? 0 : significand));
  }

  Range range() {
    const Range full = (random_() & 1) != 0 ? kU8 : kS8;
    if ((random_() & 3) != 0) return full;
    const std::int32_t a = between(full.lo, full.hi);
    const std::int32_t b = between(full.lo, full.hi);
    return {std::min(a, b), std::max(a, b)};
  }

  std::int32_t zero_point() {
    switch (random_() & 3) {
      case 0:
        return 0;
      case 1:
        return 128;
      default:
        return between(-128, 255);
    }
  }

 private:
  std::mt19937_64 random_;
};

inline constexpr std::int32_t kEdges[] = {
    0,         1,         -1,         127,        128,         -128,      255,      -255,
    8355711,   16777215,  16777216,   16777217,   16777219,    -16777217, 33554431, 33554433,
    -33554435, 100000001, -100000001, 2147483647, -2147483647, INT32_MIN};

inline std::string requantize_file() {
  std::string text = "# acc m z lo hi -> q = clamp(rne(fp32(acc) * m) + z)\n";
  Cases cases(1);
  const auto line = [&](std::int32_t acc, float m, std::int32_t z, Range r) {
    text +=
        fmt::format("{} {} {} {} {} {}\n", acc, hex(m), z, r.lo, r.hi, requantize(acc, m, z, r));
  };
  for (const std::int32_t acc : kEdges) {
    for (const float m :
         {1.0f, 0.5f, 1.5f, 0x1p-17f, 0x1.fffffep-18f, 0x1p-126f, 0x1p-149f, 0x1.fffffep127f}) {
      line(acc, m, 0, kU8);
      line(acc, m, 7, kS8);
    }
  }
  for (std::int32_t acc = -20; acc <= 20; ++acc)
    line(acc, 0.5f, 3, kS8);  // a tie every second time
  for (int i = 0; i < 900; ++i) {
    const std::int32_t acc = cases.acc();
    line(acc, cases.m(-26, 2), cases.zero_point(), cases.range());
  }
  return text;
}

inline std::string requantize_residual_file() {
  std::string text =
      "# acc m q_res z_res m_res z lo hi -> q = clamp(rne(fma(fp32(acc), m, fp32(q_res - z_res) * "
      "m_res)) + z)\n";
  Cases cases(2);
  for (int i = 0; i < 900; ++i) {
    const std::int32_t acc = cases.acc();
    const float m = cases.m(-24, 0);
    const Range of_res = (i & 1) != 0 ? kU8 : kS8;
    const std::int32_t q_res = cases.between(of_res.lo, of_res.hi);
    const std::int32_t z_res = cases.between(of_res.lo, of_res.hi);
    const float m_res = cases.m(-5, 2);
    const std::int32_t z = cases.zero_point();
    const Range r = cases.range();
    text += fmt::format("{} {} {} {} {} {} {} {} {}\n", acc, hex(m), q_res, z_res, hex(m_res), z,
                        r.lo, r.hi, requantize_residual(acc, m, q_res, z_res, m_res, z, r));
  }
  return text;
}

inline std::string add_file() {
  std::string text =
      "# a z_a m_a b z_b m_b z lo hi -> q = clamp(rne(fma(fp32(a - z_a), m_a, fp32(b - z_b) * "
      "m_b)) "
      "+ z)\n";
  Cases cases(3);
  for (int i = 0; i < 700; ++i) {
    const Range of_a = (i & 1) != 0 ? kU8 : kS8;
    const Range of_b = (i & 2) != 0 ? kU8 : kS8;
    const std::int32_t a = cases.between(of_a.lo, of_a.hi);
    const std::int32_t z_a = cases.between(of_a.lo, of_a.hi);
    const float m_a = cases.m(-5, 2);
    const std::int32_t b = cases.between(of_b.lo, of_b.hi);
    const std::int32_t z_b = cases.between(of_b.lo, of_b.hi);
    const float m_b = cases.m(-5, 2);
    const std::int32_t z = cases.zero_point();
    const Range r = cases.range();
    text += fmt::format("{} {} {} {} {} {} {} {} {} {}\n", a, z_a, hex(m_a), b, z_b, hex(m_b), z,
                        r.lo, r.hi, add(a, z_a, m_a, b, z_b, m_b, z, r));
  }
  return text;
}

inline std::string quantize_file() {
  std::string text = "# x s z lo hi -> q = clamp(rne(x / s) + z)\n";
  Cases cases(4);
  const auto line = [&](float x, float s, std::int32_t z, Range r) {
    text += fmt::format("{} {} {} {} {} {}\n", hex(x), hex(s), z, r.lo, r.hi, quantize(x, s, z, r));
  };
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float x : {0.0f, -0.0f, infinity, -infinity, std::numeric_limits<float>::quiet_NaN(),
                        0x1.fffffep127f, -0x1.fffffep127f, 0x1p-149f}) {
    line(x, 1.0f, 0, kU8);
    line(x, 0x1p-20f, 128, kU8);
    line(x, 0.1f, -5, kS8);
  }
  for (int i = -40; i <= 40; ++i) line(static_cast<float>(i) * 0.25f, 0.5f, 0, kS8);
  for (int i = 0; i < 500; ++i) {
    const float x = cases.m(-8, 4) * ((i & 1) != 0 ? 1.0f : -1.0f);
    line(x, cases.m(-10, -1), cases.zero_point(), cases.range());
  }
  return text;
}

inline std::string dequantize_file() {
  std::string text = "# q s z -> x = fp32(q - z) * s; also the logits: q = acc, s = m, z = 0\n";
  Cases cases(5);
  for (int i = 0; i < 200; ++i) {
    const std::int32_t q = (i & 1) != 0 ? cases.acc() : cases.between(-128, 255);
    const std::int32_t z = (i & 1) != 0 ? 0 : cases.between(-128, 255);
    const float s = cases.m(-20, 2);
    text += fmt::format("{} {} {} {}\n", q, hex(s), z, hex(dequantize(q, s, z)));
  }
  return text;
}

// Content by file name.
inline std::map<std::string, std::string> files() {
  return {{"requantize.txt", requantize_file()},
          {"requantize_residual.txt", requantize_residual_file()},
          {"add.txt", add_file()},
          {"quantize.txt", quantize_file()},
          {"dequantize.txt", dequantize_file()}};
}

}  // namespace pronghorn::arith::vectors
