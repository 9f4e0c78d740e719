// SPDX-License-Identifier: Apache-2.0
// A convolution of the blocks with the block weights is the convolution of the image: the sums are
// compared with the plain definition.
#include "device/cpu/space_to_depth.h"

#include <gtest/gtest.h>

#include <random>

namespace pronghorn::device::cpu {
namespace {

std::int32_t plain_sum(const graph::Window& w, const Layout& src, const std::vector<int>& outside,
                       const std::vector<std::uint8_t>& image,
                       const std::vector<std::int8_t>& weights, std::int64_t y, std::int64_t x) {
  const std::int64_t ic = src.shape.c;
  std::int32_t sum = 0;
  for (std::int64_t ky = 0; ky < w.kh; ++ky) {
    for (std::int64_t kx = 0; kx < w.kw; ++kx) {
      const std::int64_t iy = y * w.sh + ky - w.pad_top;
      const std::int64_t ix = x * w.sw + kx - w.pad_left;
      const bool inside = iy >= 0 && iy < src.shape.h && ix >= 0 && ix < src.shape.w;
      for (std::int64_t c = 0; c < ic; ++c) {
        const int value = inside ? image[static_cast<std::size_t>(iy * src.pitch() + ix * ic + c)]
                                 : outside[static_cast<std::size_t>(c)];
        sum += value * weights[static_cast<std::size_t>((ky * w.kw + kx) * ic + c)];
      }
    }
  }
  return sum;
}

TEST(SpaceToDepth, KeepsEverySum) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto pick = [&](int lo, int hi) {
    return std::uniform_int_distribution<int>(lo, hi)(random);
  };
  for (int trial = 0; trial < 40; ++trial) {
    const std::int64_t ic = pick(1, 4);
    graph::Window w{pick(1, 7), pick(1, 7), pick(1, 3), 2};
    w.pad_top = pick(0, w.kh - 1);
    w.pad_left = pick(0, w.kw - 1);
    w.pad_bottom = w.pad_top;
    w.pad_right = w.pad_left;
    const Layout src{graph::DType::kU8, {pick(7, 12), pick(7, 12), ic}, {}};
    const graph::Shape dst{graph::window_out(src.shape.h, w.kh, w.sh, w.pad_top, w.pad_bottom),
                           graph::window_out(src.shape.w, w.kw, w.sw, w.pad_left, w.pad_right), 1};
    ASSERT_TRUE(suits_space_to_depth(w, ic));
    std::vector<std::int32_t> outside;
    for (std::int64_t c = 0; c < ic; ++c) outside.push_back(pick(0, 255));
    std::vector<std::uint8_t> image(static_cast<std::size_t>(src.bytes()));
    for (auto& x : image) x = static_cast<std::uint8_t>(random());
    std::vector<std::int8_t> weights(static_cast<std::size_t>(w.kh * w.kw * ic));
    for (auto& x : weights) x = static_cast<std::int8_t>(random());

    const SpaceToDepth blocks = make_space_to_depth(w, dst, ic, outside);
    std::vector<std::uint8_t> cut(static_cast<std::size_t>(blocks.layout.bytes()), 0xA5);
    to_blocks(blocks, src, image.data(), cut.data(), 0, blocks.layout.shape.h);
    const std::vector<std::int8_t> wide = block_weights(blocks, ic, weights);
    const std::int64_t row = blocks.window.kw * blocks.layout.pixel();
    for (std::int64_t y = 0; y < dst.h; ++y) {
      for (std::int64_t x = 0; x < dst.w; ++x) {
        std::int32_t sum = 0;
        for (std::int64_t by = 0; by < blocks.window.kh; ++by) {
          for (std::int64_t i = 0; i < row; ++i) {
            sum += cut[static_cast<std::size_t>((y + by) * blocks.layout.pitch() +
                                                x * blocks.layout.pixel() + i)] *
                   wide[static_cast<std::size_t>(by * row + i)];
          }
        }
        ASSERT_EQ(sum, plain_sum(w, src, outside, image, weights, y, x)) << y << ", " << x;
      }
    }
  }
}

}  // namespace
}  // namespace pronghorn::device::cpu
