// SPDX-License-Identifier: Apache-2.0
#include "image/jpeg_structure.h"

#include <gtest/gtest.h>

#include "image/encode_for_test.h"

namespace pronghorn::image {
namespace {

using testing::ByteVector;
using testing::jpeg;
using testing::picture;

bool plain(const ByteVector& bytes) { return is_plain_baseline(base::Bytes(bytes)); }

std::size_t start_of_scan(const ByteVector& bytes) {
  std::size_t at = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    if (bytes[i] == std::byte{0xff} && bytes[i + 1] == std::byte{0xda}) at = i;
  }
  return at;
}

TEST(JpegStructure, KindsOfJpeg) {
  EXPECT_TRUE(plain(jpeg(picture(64, 48))));
  EXPECT_TRUE(plain(jpeg(picture(64, 48), {.h_samples = 1, .v_samples = 1})));
  EXPECT_TRUE(plain(jpeg(picture(64, 48), {.gray = true})));
  EXPECT_TRUE(plain(jpeg(picture(64, 48), {.orientation = 6})));
  EXPECT_FALSE(plain(jpeg(picture(64, 48), {.progressive = true})));
  EXPECT_FALSE(plain(testing::png(picture(64, 48))));
  EXPECT_FALSE(plain({}));
}

TEST(JpegStructure, CutAnywhere) {
  const ByteVector whole = jpeg(picture(64, 48));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(plain({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)})) << size;
  }
}

TEST(JpegStructure, ForeignMarkersInTheData) {
  const ByteVector whole = jpeg(picture(64, 48));
  const std::size_t middle = (start_of_scan(whole) + whole.size()) / 2;
  for (const int code : {0xc4, 0xd0, 0xd8, 0xda, 0xe1}) {
    ByteVector bytes = whole;
    bytes[middle] = std::byte{0xff};
    bytes[middle + 1] = static_cast<std::byte>(code);
    EXPECT_FALSE(plain(bytes)) << code;
  }
  ByteVector longer = whole;
  longer.insert(longer.end(), 100, std::byte{0x55});
  EXPECT_TRUE(plain(longer));  // what follows the EOI is nobody's
}

}  // namespace
}  // namespace pronghorn::image
