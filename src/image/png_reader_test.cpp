// SPDX-License-Identifier: Apache-2.0
#include "image/png_reader.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "image/encode_for_test.h"

namespace pronghorn::image {
namespace {

using testing::picture;

// A 2 x 1 picture of one packed row.
std::vector<std::uint8_t> two(int depth, int color, std::vector<std::uint8_t> row) {
  const std::size_t pitch = row.size();
  return decode_png(testing::png(2, 1, depth, color, false, row, pitch), "test", {}).pixels;
}

using Pixels = std::vector<std::uint8_t>;

TEST(Png, GrayOfEveryDepth) {
  EXPECT_EQ(two(1, PNG_COLOR_TYPE_GRAY, {0x40}), (Pixels{0, 0, 0, 255, 255, 255}));
  EXPECT_EQ(two(2, PNG_COLOR_TYPE_GRAY, {0x60}), (Pixels{85, 85, 85, 170, 170, 170}));
  EXPECT_EQ(two(4, PNG_COLOR_TYPE_GRAY, {0x3f}), (Pixels{51, 51, 51, 255, 255, 255}));
  EXPECT_EQ(two(8, PNG_COLOR_TYPE_GRAY, {7, 200}), (Pixels{7, 7, 7, 200, 200, 200}));
  // Clipped, as Pillow does.
  EXPECT_EQ(two(16, PNG_COLOR_TYPE_GRAY, {0, 9, 1, 3}), (Pixels{9, 9, 9, 255, 255, 255}));
}

TEST(Png, DeepColorKeepsTheHighByte) {
  EXPECT_EQ(two(16, PNG_COLOR_TYPE_RGB, {1, 255, 2, 255, 3, 255, 4, 0, 5, 0, 6, 0}),
            (Pixels{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(two(16, PNG_COLOR_TYPE_GRAY_ALPHA, {1, 255, 0, 0, 2, 0, 9, 9}),
            (Pixels{1, 1, 1, 2, 2, 2}));
}

TEST(Png, AlphaIsDroppedNotBlended) {
  EXPECT_EQ(two(8, PNG_COLOR_TYPE_RGB_ALPHA, {10, 20, 30, 0, 40, 50, 60, 128}),
            (Pixels{10, 20, 30, 40, 50, 60}));
  EXPECT_EQ(two(8, PNG_COLOR_TYPE_GRAY_ALPHA, {10, 0, 40, 255}), (Pixels{10, 10, 10, 40, 40, 40}));
}

TEST(Png, Palette) {
  EXPECT_EQ(two(4, PNG_COLOR_TYPE_PALETTE, {0x1f}), (Pixels{7, 254, 1, 105, 240, 15}));
  EXPECT_EQ(two(8, PNG_COLOR_TYPE_PALETTE, {2, 30}), (Pixels{14, 253, 2, 210, 225, 30}));
}

TEST(Png, InterlacedEqualsPlain) {
  const Image src = picture(37, 23);
  EXPECT_EQ(decode_png(testing::png(src, true), "test", {}).pixels, src.pixels);
  EXPECT_EQ(decode_png(testing::png(src, false), "test", {}).pixels, src.pixels);
}

TEST(Png, DamagedDataIsCorrupt) {
  testing::ByteVector bytes = testing::png(picture(37, 23));
  bytes[60] ^= std::byte{0x55};
  try {
    decode_png(bytes, "broken.png", {});
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.status(), base::Status::kCorrupt);
    EXPECT_NE(std::string(error.what()).find("broken.png"), std::string::npos);
  }
}

}  // namespace
}  // namespace pronghorn::image
