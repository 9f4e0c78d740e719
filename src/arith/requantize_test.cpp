// SPDX-License-Identifier: Apache-2.0
#include "arith/requantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include "arith/softmax.h"
#include "arith/vectors.h"
#include "base/file.h"

namespace pronghorn::arith {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(RoundEven, TiesGoToEven) {
  EXPECT_EQ(round_even(0.5f), 0);
  EXPECT_EQ(round_even(1.5f), 2);
  EXPECT_EQ(round_even(2.5f), 2);
  EXPECT_EQ(round_even(-0.5f), 0);
  EXPECT_EQ(round_even(-1.5f), -2);
  EXPECT_EQ(round_even(-2.5f), -2);
  EXPECT_EQ(round_even(0.49999997f), 0);
  EXPECT_EQ(round_even(0.50000006f), 1);
}

TEST(RoundClamp, EndsAndInfinities) {
  EXPECT_EQ(round_clamp(255.4f, 0, kU8), 255);
  EXPECT_EQ(round_clamp(255.5f, 0, kU8), 255);
  EXPECT_EQ(round_clamp(-0.5f, 0, kU8), 0);
  EXPECT_EQ(round_clamp(-0.51f, 0, kU8), 0);
  EXPECT_EQ(round_clamp(kInfinity, 128, kU8), 255);
  EXPECT_EQ(round_clamp(-kInfinity, 128, kU8), 0);
  EXPECT_EQ(round_clamp(3e38f, -128, kS8), 127);
  EXPECT_EQ(round_clamp(-3e38f, 127, kS8), -128);
  // A fused Relu: the range starts at the zero point.
  EXPECT_EQ(round_clamp(-3.0f, 10, {10, 255}), 10);
  EXPECT_EQ(round_clamp(3.0f, 10, {10, 255}), 13);
  EXPECT_EQ(round_clamp(3.0f, 10, {12, 12}), 12);
}

// Rounding first, adding and clamping in wide integers is what the law says; clamping first is how
// it is computed. They must be the same integer for every binary32 value.
TEST(RoundClamp, ClampingFirstIsTheSame) {
  std::mt19937 random(11);
  const auto wide = [](float r, std::int32_t z, Range range) {
    const double rounded = std::nearbyint(static_cast<double>(r)) + z;  // exact up to 2^52
    return static_cast<std::int32_t>(
        std::clamp(rounded, static_cast<double>(range.lo), static_cast<double>(range.hi)));
  };
  for (int i = 0; i < 2000000; ++i) {
    float r = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (i % 2 == 0) r = static_cast<float>(static_cast<std::int32_t>(random()) >> 18) / 8;
    if (std::isnan(r)) continue;
    const Range full = random() % 2 == 0 ? kU8 : kS8;
    const auto size = static_cast<std::uint32_t>(full.hi - full.lo + 1);
    const auto any = [&] { return full.lo + static_cast<std::int32_t>(random() % size); };
    const std::int32_t z = any();
    std::int32_t lo = any();
    std::int32_t hi = any();
    if (lo > hi) std::swap(lo, hi);
    const Range range = random() % 2 == 0 ? full : Range{lo, hi};
    ASSERT_EQ(round_clamp(r, z, range), wide(r, z, range))
        << "r " << r << " z " << z << " range " << range.lo << " " << range.hi;
  }
}

TEST(Multiplier, IsRoundedOnce) {
  EXPECT_EQ(multiplier(0.5f, 0.25f, 2.0f), 0.0625f);
  // In binary32 steps the product would be rounded before the division.
  int differ = 0;
  for (int i = 1; i <= 100; ++i) {
    const float s_src = static_cast<float>(i) / 300;
    const float m = multiplier(s_src, 0.013f, 0.021f);
    EXPECT_EQ(m, static_cast<float>(s_src * static_cast<double>(0.013f) / 0.021f));
    differ += m != s_src * 0.013f / 0.021f;
  }
  EXPECT_GT(differ, 10);
}

TEST(Requantize, ByHand) {
  EXPECT_EQ(requantize(10, 0.25f, 0, kU8), 2);   // 2.5 to even
  EXPECT_EQ(requantize(14, 0.25f, 0, kU8), 4);   // 3.5 to even
  EXPECT_EQ(requantize(-10, 0.25f, 5, kU8), 3);  // -2.5 to -2
  EXPECT_EQ(requantize(1000, 1.0f, -3, kS8), 127);
  // An odd accumulator above 2^24 is rounded to even before it is multiplied: 2^24 + 1 becomes
  // 2^24.
  EXPECT_EQ(requantize(16777217, 0x1p-23f, 0, kU8), 2);
  EXPECT_EQ(requantize(INT32_MIN, 0x1p-24f, 0, kS8), -128);
  EXPECT_EQ(requantize(INT32_MAX, 0x1p-24f, 0, kS8), 127);  // 2^31 after rounding: 128, clamped
  EXPECT_EQ(requantize(INT32_MAX, 0x1.fffffep127f, 0, kS8), 127);
}

TEST(RequantizeResidual, ByHand) {
  // 2.5 + 1.5 * 2 = 5.5 to even
  EXPECT_EQ(requantize_residual(10, 0.25f, 7, 5, 1.5f, 0, kU8), 6);
  EXPECT_EQ(requantize_residual(0, 1.0f, 0, 255, 1.0f, 0, kU8), 0);
  // The sum is rounded once: with the product rounded first, 1 - 2^-24 would become a tie at 0.5.
  const float m = 0x1.000002p-1f;
  const std::int32_t acc = 16777215;
  const float fused = std::fmaf(static_cast<float>(acc), m, -8388607.0f);
  const float separate = static_cast<float>(acc) * m - 8388607.0f;
  EXPECT_NE(fused, separate);
  EXPECT_EQ(requantize_residual(acc, m, 0, 1, 8388607.0f, 0, kU8), round_even(fused));
}

TEST(Add, ByHand) {
  EXPECT_EQ(add(10, 5, 0.5f, 3, 1, 0.5f, 0, kU8), 4);  // 2.5 + 1 = 3.5 to even
  EXPECT_EQ(add(0, 128, 1.0f, 0, 128, 1.0f, 128, kU8), 0);
  EXPECT_EQ(add(255, 0, 1.0f, 255, 0, 1.0f, 0, kU8), 255);
}

TEST(Quantize, ByHand) {
  EXPECT_EQ(quantize(1.25f, 0.5f, 0, kU8), 2);
  EXPECT_EQ(quantize(-1.25f, 0.5f, 128, kU8), 126);
  EXPECT_EQ(quantize(kInfinity, 0.5f, 0, kS8), 127);
  EXPECT_EQ(quantize(-kInfinity, 0.5f, 0, kS8), -128);
  EXPECT_EQ(quantize(std::numeric_limits<float>::quiet_NaN(), 0.5f, 9, kU8), 9);
}

// Quantizing what was dequantized gives it back, for every stored value and any scale.
TEST(Quantize, UndoesDequantize) {
  std::mt19937 random(12);
  for (int i = 0; i < 3000; ++i) {
    const auto exponent = static_cast<std::uint32_t>(64 + random() % 128);
    const float s =
        std::bit_cast<float>(exponent << 23 | static_cast<std::uint32_t>(random() & 0x7fffff));
    const auto z = static_cast<std::int32_t>(random() % 256);
    for (std::int32_t q = 0; q <= 255; ++q) {
      ASSERT_EQ(quantize(dequantize(q, s, z), s, z, kU8), q) << "s " << s << " z " << z;
    }
  }
}

TEST(Dequantize, RoundsTheAccumulatorFirst) {
  EXPECT_EQ(dequantize(16777217, 1.0f, 0), 16777216.0f);
  EXPECT_EQ(dequantize(3, 0.5f, 5), -1.0f);
}

TEST(Softmax, SumsToOneAndSharesEqually) {
  const float scores[] = {1000.0f, 1000.0f, -1000.0f};
  float shares[3];
  softmax(scores, shares, 3);
  EXPECT_EQ(shares[0], 0.5f);
  EXPECT_EQ(shares[1], 0.5f);
  EXPECT_EQ(shares[2], 0.0f);
}

// A failure here means that the law changed. If that is meant, write the vectors again with
// emit_vectors and say why in docs/arithmetic.md.
TEST(Vectors, AreWhatTheLawSays) {
  std::size_t total = 0;
  for (const auto& [name, text] : vectors::files()) {
    const base::MappedFile file("tests/vectors/" + name);
    const std::string stored(reinterpret_cast<const char*>(file.bytes().data()),
                             file.bytes().size());
    EXPECT_TRUE(stored == text) << name;
    total += text.size();
  }
  EXPECT_LT(total, 200000u);
}

}  // namespace
}  // namespace pronghorn::arith
