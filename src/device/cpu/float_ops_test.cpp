// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/float_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>
#include <vector>

#include "base/buffer.h"

namespace pronghorn::device::cpu {
namespace {

std::vector<float> noise(std::mt19937& random, std::int64_t size) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(size));
  for (float& v : values) v = normal(random);
  return values;
}

struct Problem {
  graph::Shape src;
  std::int64_t oc;
  graph::Window window;
  graph::Clip clip = kNoClip;
};

graph::Shape dst_shape(const Problem& p) {
  const graph::Window& w = p.window;
  return {graph::window_out(p.src.h, w.kh, w.sh, w.pad_top, w.pad_bottom),
          graph::window_out(p.src.w, w.kw, w.sw, w.pad_left, w.pad_right), p.oc};
}

// The definition, summed in binary64.
std::vector<double> plain_conv(const Problem& p, const std::vector<float>& src,
                               const std::vector<float>& weights, const std::vector<float>& bias) {
  const graph::Window& w = p.window;
  const graph::Shape dst = dst_shape(p);
  const std::int64_t ic = p.src.c / w.groups;
  std::vector<double> out;
  for (std::int64_t y = 0; y < dst.h; ++y) {
    for (std::int64_t x = 0; x < dst.w; ++x) {
      for (std::int64_t o = 0; o < p.oc; ++o) {
        double sum = bias.empty() ? 0.0 : bias[static_cast<std::size_t>(o)];
        const std::int64_t group = o / (p.oc / w.groups);
        for (int r = 0; r < w.kh; ++r) {
          for (int k = 0; k < w.kw; ++k) {
            const std::int64_t iy = y * w.sh - w.pad_top + r, ix = x * w.sw - w.pad_left + k;
            if (iy < 0 || ix < 0 || iy >= p.src.h || ix >= p.src.w) continue;
            for (std::int64_t i = 0; i < ic; ++i) {
              sum += static_cast<double>(src[static_cast<std::size_t>(
                         (iy * p.src.w + ix) * p.src.c + group * ic + i)]) *
                     weights[static_cast<std::size_t>(((o * w.kh + r) * w.kw + k) * ic + i)];
            }
          }
        }
        out.push_back(std::min(std::max(sum, static_cast<double>(p.clip.lo)),
                               static_cast<double>(p.clip.hi)));
      }
    }
  }
  return out;
}

TEST(FloatConv, EqualsTheDefinition) {
  const unsigned seed = 20;
  std::mt19937 random(seed);
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  const graph::Clip six{0.0f, 6.0f};
  const std::vector<Problem> problems{
      {{14, 14, 3}, 16, {7, 7, 2, 2, 3, 3, 3, 3}, kRelu},
      {{9, 9, 32}, 48, {1, 1, 1, 1}, kRelu},
      {{9, 9, 32}, 64, {1, 1, 2, 2}},
      {{7, 7, 40}, 24, {3, 3, 1, 1, 1, 1, 1, 1}},
      {{8, 10, 16}, 16, {3, 3, 2, 2, 0, 0, 1, 1, 16}, six},  // depthwise, asymmetric
      {{8, 10, 12}, 24, {3, 3, 1, 1, 1, 1, 1, 1, 12}},       // two outputs an input
      {{8, 10, 12}, 20, {3, 3, 1, 1, 1, 1, 1, 1, 4}},        // groups of 3 -> 5
      {{7, 7, 5}, 11, {7, 7, 1, 1}},                         // fully connected
      {{1, 1, 2048}, 200, {1, 1, 1, 1}},
      {{6, 5, 7}, 3, {2, 3, 1, 2, 1, 0, 0, 2}},
  };
  for (const Problem& p : problems) {
    const graph::Window& w = p.window;
    const std::int64_t ic = p.src.c / w.groups;
    const std::vector<float> src = noise(random, 2 * p.src.size());
    const std::vector<float> weights = noise(random, p.oc * w.kh * w.kw * ic);
    const std::vector<float> bias = p.oc % 3 ? noise(random, p.oc) : std::vector<float>{};
    const FloatConv conv(p.src, w, weights, bias, p.clip);
    SCOPED_TRACE(conv.kernel());
    base::Buffer scratch(conv.scratch_bytes());
    const std::int64_t size = dst_shape(p).size();
    std::vector<float> dst(static_cast<std::size_t>(2 * size));
    conv.run(src.data(), dst.data(), 2, scratch.data());
    const std::vector<float> second(src.begin() + p.src.size(), src.end());
    const std::vector<double> want = plain_conv(p, second, weights, bias);
    const double tolerance = 4e-7 * static_cast<double>(ic * w.kh * w.kw) + 1e-5;
    for (std::int64_t i = 0; i < size; ++i) {
      ASSERT_NEAR(dst[static_cast<std::size_t>(size + i)], want[static_cast<std::size_t>(i)],
                  tolerance);
    }
    EXPECT_GE(conv.memory_bytes(), static_cast<std::int64_t>(4 * weights.size()));
    EXPECT_EQ(std::string(conv.kernel()).find("ref"), std::string::npos) << conv.kernel();
  }
}

TEST(FloatConv, SameBytesFromManyThreadsAndAnyBatch) {
  std::mt19937 random(21);
  const Problem p{{14, 14, 64}, 64, {3, 3, 1, 1, 1, 1, 1, 1}, kRelu};
  const std::vector<float> src = noise(random, 4 * p.src.size());
  const FloatConv conv(p.src, p.window, noise(random, 64 * 9 * 64), {}, p.clip);
  const auto size = static_cast<std::size_t>(dst_shape(p).size());
  std::vector<float> all(4 * size), single(4 * size);
  base::Buffer scratch(conv.scratch_bytes());
  conv.run(src.data(), all.data(), 4, scratch.data());
  std::vector<std::thread> threads;
  for (std::size_t n = 0; n < 4; ++n) {
    threads.emplace_back([&, n] {
      base::Buffer own(conv.scratch_bytes());
      conv.run(src.data() + static_cast<std::int64_t>(n) * p.src.size(), single.data() + n * size,
               1, own.data());
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(all, single);
  EXPECT_NE(all[0], all[size]);
}

TEST(FloatConv, TwoThreadsRepeatThemselves) {
  std::mt19937 random(22);
  const Problem p{{28, 28, 32}, 32, {3, 3, 1, 1, 1, 1, 1, 1}};
  const std::vector<float> src = noise(random, p.src.size());
  const FloatConv conv(p.src, p.window, noise(random, 32 * 9 * 32), {}, p.clip, 2);
  std::vector<float> first(static_cast<std::size_t>(dst_shape(p).size())), again(first);
  base::Buffer scratch(conv.scratch_bytes());
  conv.run(src.data(), first.data(), 1, scratch.data());
  conv.run(src.data(), again.data(), 1, scratch.data());
  EXPECT_EQ(first, again);
}

TEST(FloatOps, ElementwiseByHand) {
  const std::vector<float> a{-2, -0.5f, 0, 1, 7, 9};
  std::vector<float> dst(6);
  clip(a.data(), dst.data(), 6, kRelu);
  EXPECT_EQ(dst, (std::vector<float>{0, 0, 0, 1, 7, 9}));
  clip(a.data(), dst.data(), 6, {0, 6});
  EXPECT_EQ(dst, (std::vector<float>{0, 0, 0, 1, 6, 6}));
  add(a.data(), a.data(), dst.data(), 6);
  EXPECT_EQ(dst, (std::vector<float>{-4, -1, 0, 2, 14, 18}));
  const std::vector<float> scale{2, 3}, shift{1, -1};
  batch_norm(a.data(), scale.data(), shift.data(), dst.data(), 3, 2);
  EXPECT_EQ(dst, (std::vector<float>{-3, -2.5f, 1, 2, 15, 26}));
  const float nan = std::nanf("");
  float kept = 0;
  clip(&nan, &kept, 1, kRelu);
  EXPECT_TRUE(std::isnan(kept));
}

TEST(FloatOps, PoolsByHand) {
  const std::vector<float> src{1, 2, 3, 4, -5, 6, 7, 8, -9};  // 3x3x1
  const graph::Window w{2, 2, 2, 2, 1, 1, 0, 0};
  std::vector<float> dst(4);
  average_pool(src.data(), {3, 3, 1}, w, dst.data());
  EXPECT_EQ(dst, (std::vector<float>{1, 2.5f, 5.5f, 0}));
  graph::Window counted = w;
  counted.count_include_pad = true;
  average_pool(src.data(), {3, 3, 1}, counted, dst.data());
  EXPECT_EQ(dst, (std::vector<float>{0.25f, 1.25f, 2.75f, 0}));
  max_pool(src.data(), {3, 3, 1}, w, dst.data());
  EXPECT_EQ(dst, (std::vector<float>{1, 3, 7, 8}));
  // Padding is below every value, and a window that hangs over the padded edge is not counted
  // there.
  const std::vector<float> low{-3, -4};
  max_pool(low.data(), {1, 2, 1}, {1, 3, 1, 2, 0, 1, 0, 1}, dst.data());
  EXPECT_EQ(dst[0], -3);
}

TEST(FloatOps, ConcatPadSoftmaxByHand) {
  const std::vector<float> a{1, 2, 3, 4}, b{5, 6};  // two pixels of 2 and 1 channels
  std::vector<float> dst(6);
  const float* srcs[] = {a.data(), b.data()};
  const std::int64_t channels[] = {2, 1};
  concat(srcs, channels, dst.data(), 2);
  EXPECT_EQ(dst, (std::vector<float>{1, 2, 5, 3, 4, 6}));

  std::vector<float> bordered(12);
  pad(a.data(), {2, 2, 1}, {1, 0, 0, 2, 9}, bordered.data());
  EXPECT_EQ(bordered, (std::vector<float>{9, 9, 9, 9, 1, 2, 9, 9, 3, 4, 9, 9}));

  const std::vector<float> scores{1000, 1000, -1000, 0, 0, std::log(2.0f)};
  std::vector<float> shares(6);
  softmax(scores.data(), shares.data(), 2, 3);
  EXPECT_EQ(shares[0], 0.5f);
  EXPECT_EQ(shares[1], 0.5f);
  EXPECT_EQ(shares[2], 0.0f);
  EXPECT_NEAR(shares[5], 0.5, 1e-7);
}

}  // namespace
}  // namespace pronghorn::device::cpu
