// SPDX-License-Identifier: Apache-2.0
#include "image/exif.h"

#include <gtest/gtest.h>

#include <random>

#include "image/encode_for_test.h"

namespace pronghorn::image {
namespace {

using testing::ByteVector;
using testing::tiff_orientation;

TEST(Exif, ReadsBothByteOrders) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    EXPECT_EQ(exif_orientation(tiff_orientation(orientation, true)), orientation);
    EXPECT_EQ(exif_orientation(tiff_orientation(orientation, false)), orientation);
  }
}

TEST(Exif, IgnoresValuesOutsideTheStandard) {
  for (const int orientation : {0, 9, 200}) {
    EXPECT_EQ(exif_orientation(tiff_orientation(orientation, true)), 1);
  }
}

TEST(Exif, EveryTruncationIsUpright) {
  const ByteVector whole = tiff_orientation(6, true);
  for (std::size_t size = 0; size < 20; ++size) {  // the value ends at byte 20
    EXPECT_EQ(exif_orientation(base::Bytes(whole).first(size)), 1) << size;
  }
  EXPECT_EQ(exif_orientation(base::Bytes(whole).first(20)), 6);
}

TEST(Exif, DirectoryFarOutsideIsUpright) {
  ByteVector bytes = tiff_orientation(6, true);
  for (int i = 4; i < 8; ++i) bytes[i] = std::byte{0xff};
  EXPECT_EQ(exif_orientation(bytes), 1);
}

TEST(Exif, RandomDamageStaysInRange) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20000; ++i) {
    ByteVector bytes = tiff_orientation(6, random() % 2 == 0);
    for (int k = 0; k < 3; ++k) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    bytes.resize(random() % (bytes.size() + 1));
    const int orientation = exif_orientation(bytes);
    EXPECT_GE(orientation, 1);
    EXPECT_LE(orientation, 8);
  }
}

}  // namespace
}  // namespace pronghorn::image
