// SPDX-License-Identifier: Apache-2.0
#include "bench/statistics.h"

#include <gtest/gtest.h>

namespace pronghorn::bench {
namespace {

TEST(Quantile, IsTheNearestRank) {
  std::vector<double> samples;
  for (int i = 1000; i >= 1; --i) samples.push_back(i);
  EXPECT_EQ(quantile(samples, 0), 1);
  EXPECT_EQ(quantile(samples, 0.5), 500);
  EXPECT_EQ(quantile(samples, 0.9), 900);
  EXPECT_EQ(quantile(samples, 0.999), 999);
  EXPECT_EQ(quantile(samples, 1), 1000);
}

TEST(Quantile, OfFewSamples) {
  EXPECT_EQ(quantile({}, 0.5), 0);
  EXPECT_EQ(quantile({7}, 0.5), 7);
  EXPECT_EQ(quantile({3, 1}, 0.5), 1);
  EXPECT_EQ(quantile({3, 1}, 0.999), 3);
}

TEST(Summarize, CountsAndConvertsToMilliseconds) {
  const Latency latency = summarize({0.002, 0.001, 0.003});
  EXPECT_EQ(latency.samples, 3u);
  EXPECT_DOUBLE_EQ(latency.min, 1);
  EXPECT_DOUBLE_EQ(latency.p50, 2);
  EXPECT_DOUBLE_EQ(latency.p999, 3);
}

}  // namespace
}  // namespace pronghorn::bench
