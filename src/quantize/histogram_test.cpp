// SPDX-License-Identifier: Apache-2.0
#include "quantize/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace pronghorn::quantize {
namespace {

Histogram of(const std::vector<float>& values) {
  Histogram h;
  EXPECT_TRUE(h.add(values));
  return h;
}

TEST(Histogram, BinsByHand) {
  // The largest magnitude, 3, needs bins of 3 / 4096 rounded up to a power of two: 2^-10.
  const Histogram h = of({0, 0.5f, -0.5f, 3, -3});
  EXPECT_EQ(h.width(), 0x1p-10);
  EXPECT_EQ(h.min(), -3);
  EXPECT_EQ(h.max(), 3);
  EXPECT_EQ(h.count(), 5u);
  EXPECT_EQ(h.bins()[4096], 1u);
  EXPECT_EQ(h.bins()[4096 + 512], 1u);
  EXPECT_EQ(h.bins()[4096 - 512], 1u);
  EXPECT_EQ(h.bins()[4096 + 3072], 1u);
  EXPECT_EQ(h.bins()[4096 - 3072], 1u);
  EXPECT_EQ(of({-4.0f}).width(), 0x1p-10);  // -4096 is the first bin, 4096 past the last
  EXPECT_EQ(of({4.0f}).width(), 0x1p-9);
}

TEST(Histogram, OrderAndMergingDoNotShow) {
  const unsigned seed = 30;
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(5001);
  for (float& v : values) v = std::exp(3 * normal(random)) * (normal(random) < 0.5f ? -1.0f : 1.0f);
  const Histogram all = of(values);
  std::vector<float> sorted = values;
  std::sort(sorted.begin(), sorted.end(),
            [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  Histogram piecewise;
  for (std::size_t i = 0; i < sorted.size(); i += 3) {
    EXPECT_TRUE(piecewise.add({sorted.data() + i, 3}));
  }
  EXPECT_EQ(all, piecewise);
  Histogram first = of({values.begin(), values.begin() + 100});
  const Histogram second = of({values.begin() + 100, values.end()});
  Histogram other = second;
  other.merge(first);
  first.merge(second);
  EXPECT_EQ(first, all);
  EXPECT_EQ(other, all);
  Histogram nothing;
  nothing.merge(all);
  EXPECT_EQ(nothing, all);
  nothing.merge(Histogram{});
  EXPECT_EQ(nothing, all);
}

TEST(Histogram, RefusesWhatIsNotFinite) {
  Histogram h = of({1, 2});
  const Histogram before = h;
  EXPECT_FALSE(h.add(std::vector<float>{1, std::nanf(""), 2}));
  EXPECT_FALSE(h.add(std::vector<float>{std::nanf("")}));
  EXPECT_FALSE(h.add(std::vector<float>{-std::numeric_limits<float>::infinity()}));
  EXPECT_EQ(h, before);
  EXPECT_TRUE(h.add({}));
  EXPECT_TRUE(h.add(std::vector<float>{std::numeric_limits<float>::max()}));
  EXPECT_TRUE(h.add(std::vector<float>{std::numeric_limits<float>::denorm_min()}));
  EXPECT_EQ(h.count(), 4u);
}

TEST(ChooseScale, MinMaxByHand) {
  const Scale relu = choose_scale(of({0, 1, 51}), true, Method::kMinMax, 0);
  EXPECT_EQ(relu.scale, 0.2f);
  EXPECT_EQ(relu.zero_point, 0);
  const Scale signed_scale = choose_scale(of({-1, 0, 4.1f}), false, Method::kMinMax, 0);
  EXPECT_FLOAT_EQ(signed_scale.scale, 0.02f);
  EXPECT_EQ(signed_scale.zero_point, 50);
  // Zero is always inside, and an empty range has a scale that is not zero.
  EXPECT_EQ(choose_scale(of({51, 50}), false, Method::kMinMax, 0).zero_point, 0);
  EXPECT_EQ(choose_scale(of({-51, -50}), false, Method::kMinMax, 0).zero_point, 255);
  EXPECT_GT(choose_scale(of({0, 0}), true, Method::kMinMax, 0).scale, 0);
  EXPECT_GT(choose_scale(Histogram{}, false, Method::kMse, 0).scale, 0);
}

TEST(ChooseScale, PercentileLeavesOutTheTail) {
  std::vector<float> values(999, 1.0f);
  values.push_back(100.0f);
  const Histogram h = of(values);
  const Scale all = choose_scale(h, true, Method::kPercentile, 100);
  EXPECT_FLOAT_EQ(all.scale, 100.0f / 255);
  const Scale most = choose_scale(h, true, Method::kPercentile, 99.9);
  EXPECT_NEAR(most.scale, 1.0 / 255, 1.01 * h.width() / 255);
  EXPECT_DOUBLE_EQ(clipped_fraction(h, most), 0.001);
  EXPECT_EQ(clipped_fraction(h, all), 0.0);
}

TEST(ChooseScale, LeastErrorClipsAnOutlierAndIsBestOnItsGrid) {
  std::mt19937 random(31);
  std::normal_distribution<float> normal;
  std::vector<float> values(200000);
  for (float& v : values) v = normal(random);
  const Histogram some = of(values);
  Histogram h = of({40});  // one outlier among four million
  for (int i = 0; i < 20; ++i) h.merge(some);
  const Scale least = choose_scale(h, false, Method::kMse, 0);
  const double error = squared_error(h, least);
  EXPECT_LT(error, 0.2 * squared_error(h, choose_scale(h, false, Method::kMinMax, 0)));
  // About +-4 standard deviations is best for 8 bits and a normal distribution.
  EXPECT_NEAR(255.0 * least.scale / 2, 4.3, 0.7);
  for (const double bound : {2.0, 3.0, 6.0, 8.0, 20.0}) {
    EXPECT_GT(squared_error(h, scale_of_range(-bound, bound, false)), error) << bound;
  }
  // The error of a uniform tensor is step^2 / 12.
  std::vector<float> uniform;
  for (int i = 0; i < 100000; ++i) uniform.push_back(static_cast<float>(i) * 1e-5f);
  const Scale s = choose_scale(of(uniform), true, Method::kMse, 0);
  EXPECT_NEAR(squared_error(of(uniform), s), 1.0 / (255.0 * 255.0 * 12.0),
              0.1 / (255.0 * 255 * 12));
}

}  // namespace
}  // namespace pronghorn::quantize
