// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/schedule.h"

#include <gtest/gtest.h>

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kKiB = 1 << 10;
constexpr std::int64_t kCache = 2048 * kKiB;

// Weights that stay in the cache by themselves: nothing is gained by holding images back.
TEST(Schedule, SmallModelsTakeImagesOneByOne) {
  const std::vector<NodeBytes> nodes(10, {50 * kKiB, 400 * kKiB});
  const Schedule schedule = choose_schedule(nodes, kCache);
  EXPECT_EQ(schedule.split, nodes.size());
  EXPECT_EQ(schedule.images, 1);
}

// Large activations first, large weights last, as in every classifier: the split lies between.
TEST(Schedule, SplitsWhereWeightsOutgrowActivations) {
  std::vector<NodeBytes> nodes(8, {60 * kKiB, 1200 * kKiB});
  nodes.insert(nodes.end(), 12, {1024 * kKiB, 100 * kKiB});
  const Schedule schedule = choose_schedule(nodes, kCache);
  EXPECT_EQ(schedule.split, 8u);
  EXPECT_EQ(schedule.images, 8);
}

// Activations of a group that would not fit keep groups small. The first node's weights alone stay
// in half the cache, so it passes images one by one.
TEST(Schedule, GroupsStayInTheCache) {
  const std::vector<NodeBytes> nodes(12, {600 * kKiB, 700 * kKiB});
  const Schedule schedule = choose_schedule(nodes, kCache);
  EXPECT_EQ(schedule.split, 1u);
  EXPECT_EQ(schedule.images, 2);
}

TEST(Schedule, TheSecondCacheHasASize) { EXPECT_GE(second_cache_bytes(), 64 * kKiB); }

}  // namespace
}  // namespace pronghorn::device::cpu
