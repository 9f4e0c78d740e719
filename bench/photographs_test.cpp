// SPDX-License-Identifier: Apache-2.0
#include "bench/photographs.h"

#include <gtest/gtest.h>

namespace pronghorn::bench {
namespace {

TEST(Photographs, HaveTheSizesAndBytesOfImageNet) {
  const std::vector<Photograph> photographs = make_photographs(kDefaultSeed, 0, 64, 2);
  double bytes = 0, width = 0, height = 0;
  std::size_t least = photographs[0].jpeg.size(), most = least;
  for (const Photograph& photograph : photographs) {
    bytes += static_cast<double>(photograph.jpeg.size());
    width += photograph.width;
    height += photograph.height;
    least = std::min(least, photograph.jpeg.size());
    most = std::max(most, photograph.jpeg.size());
  }
  EXPECT_NEAR(bytes / 64, 110e3, 15e3);
  EXPECT_NEAR(width / 64, 490, 40);
  EXPECT_NEAR(height / 64, 390, 40);
  EXPECT_LT(least, 40e3);  // spread, not all alike
  EXPECT_GT(most, 180e3);
}

TEST(Photographs, DependOnTheSeedAndNotOnTheThreads) {
  const std::vector<Photograph> one = make_photographs(1, 3, 4, 1);
  const std::vector<Photograph> many = make_photographs(1, 3, 4, 4);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(one[i].jpeg, many[i].jpeg);
    EXPECT_EQ(one[i].jpeg, make_photograph(1, 3 + static_cast<int>(i)).jpeg);
  }
  EXPECT_NE(one[0].jpeg, one[1].jpeg);
  EXPECT_NE(one[0].jpeg, make_photograph(2, 3).jpeg);
}

}  // namespace
}  // namespace pronghorn::bench
