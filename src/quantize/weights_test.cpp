// SPDX-License-Identifier: Apache-2.0
#include "quantize/weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>

namespace pronghorn::quantize {
namespace {

TEST(QuantizeConv, ByHand) {
  const std::vector<float> weights{1.27f, -0.5f, 0, 0.004f, 254, 100};  // three channels of two
  const std::vector<float> bias{1, 0, -3};
  const auto q = quantize_conv(weights, bias, 1, 0.5f, {}, Method::kMinMax);
  EXPECT_EQ(q.weights, (std::vector<std::int8_t>{127, -50, 0, 127, 127, 50}));
  EXPECT_FLOAT_EQ(q.weight_scale[0], 0.01f);
  EXPECT_FLOAT_EQ(q.weight_scale[2], 2.0f);
  EXPECT_EQ(q.bias, (std::vector<std::int32_t>{200, 0, -3}));
  EXPECT_FLOAT_EQ(q.bias_scale[0], 0.005f);
}

TEST(QuantizeConv, BiasTakesBackTheMeanErrorOfRounding) {
  const std::vector<float> weights{1.27f, 0.014f};  // the second rounds to 0.01
  const InputStatistics statistics{{0, 10}, {1, 100}};
  const auto q =
      quantize_conv(weights, std::vector<float>{0}, 1, 0.001f, statistics, Method::kMinMax);
  EXPECT_EQ(q.weights, (std::vector<std::int8_t>{127, 1}));
  EXPECT_NEAR(q.bias[0] * static_cast<double>(q.bias_scale[0]), 0.04, 1e-5);
}

TEST(QuantizeConv, CorrectionFollowsTheGroups) {
  // Two groups of one input channel; only the second has a mean.
  const std::vector<float> weights{1.27f, 0.014f, 1.27f, 0.014f};  // [2][1][2][1]
  const InputStatistics statistics{{0, 10}, {1, 100}};
  const auto q =
      quantize_conv(weights, std::vector<float>{0, 0}, 2, 0.001f, statistics, Method::kMinMax);
  EXPECT_EQ(q.bias[0], 0);
  EXPECT_NEAR(q.bias[1] * static_cast<double>(q.bias_scale[1]), 0.04, 1e-5);
}

TEST(QuantizeConv, LeastErrorIsNoWorse) {
  std::mt19937 random(33);
  std::normal_distribution<float> normal;
  std::vector<float> weights(4 * 300);
  for (float& w : weights) w = normal(random);
  weights[0] = 30;
  const std::vector<float> bias(4, 0.0f);
  const auto error = [&](const QuantizedConv& q, std::size_t oc) {
    double sum = 0;
    for (std::size_t i = oc * 300; i < (oc + 1) * 300; ++i) {
      sum += std::pow(weights[i] - q.weights[i] * static_cast<double>(q.weight_scale[oc]), 2);
    }
    return sum;
  };
  const auto full = quantize_conv(weights, bias, 1, 1, {}, Method::kMinMax);
  const auto least = quantize_conv(weights, bias, 1, 1, {}, Method::kMse);
  for (std::size_t oc = 0; oc < 4; ++oc) EXPECT_LE(error(least, oc), error(full, oc) * 1.0001);
  EXPECT_NE(least.weight_scale, full.weight_scale);
}

TEST(QuantizeConv, BiasAndAccumulatorStayInsideS32) {
  // A bias of 1e6 at scale 1e-6 * (1e-3 / 127) would need 1.3e17 steps.
  const std::vector<float> weights{1e-3f, -1e-3f, 0, 0};
  const std::vector<float> bias{1e6f, -1e6f};
  const auto q = quantize_conv(weights, bias, 1, 1e-6f, {}, Method::kMse);
  for (std::size_t oc = 0; oc < 2; ++oc) {
    std::int64_t worst = std::llabs(q.bias[oc]);
    for (std::size_t i = 0; i < 2; ++i) worst += 255 * std::llabs(q.weights[2 * oc + i]);
    EXPECT_LT(worst, std::int64_t{1} << 31);
    EXPECT_NEAR(q.bias[oc] * static_cast<double>(q.bias_scale[oc]), bias[oc], 1.0);
    EXPECT_GT(std::llabs(q.bias[oc]), 1 << 20);  // and still precise
  }
  // Long rows of large weights overflow without any bias.
  const std::vector<float> many(100000, 1.0f);
  const auto long_row = quantize_conv(many, std::vector<float>{0}, 1, 1, {}, Method::kMinMax);
  EXPECT_LT(255LL * 100000 * long_row.weights[0], std::int64_t{1} << 31);
  EXPECT_GT(long_row.weights[0], 80);
}

TEST(QuantizeConv, DeviationStaysUnderItsLimit) {
  // All weights of one size: 127 steps without a limit.
  const std::vector<float> even{1, -1, 1, -1, 0.1f, 0, 0, 0};
  const std::vector<float> bias{0, 0};
  const auto free = quantize_conv(even, bias, 1, 1, {}, Method::kMinMax);
  const auto limited = quantize_conv(even, bias, 1, 1, {}, Method::kMinMax, 28);
  EXPECT_EQ(free.weights[0], 127);
  EXPECT_EQ(limited.weights[0], 28);
  EXPECT_FLOAT_EQ(limited.weight_scale[0], 1.0f / 28);
  EXPECT_EQ(limited.weights[4], 56);  // root mean square 0.05: 56 steps are twice 28
}

TEST(QuantizeConv, ChannelsOfZerosKeepTheirBias) {
  const std::vector<float> weights(6, 0.0f);
  const auto q = quantize_conv(weights, std::vector<float>{0, 0.3f, -2}, 1, 0.1f, {}, Method::kMse);
  const double want[] = {0, 0.3, -2};
  for (std::size_t oc = 0; oc < 3; ++oc) {
    EXPECT_TRUE(q.weight_scale[oc] > 0);
    EXPECT_TRUE(std::isnormal(q.bias_scale[oc]));
    EXPECT_NEAR(q.bias[oc] * static_cast<double>(q.bias_scale[oc]), want[oc], 1e-6);
  }
}

}  // namespace
}  // namespace pronghorn::quantize
