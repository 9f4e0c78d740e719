// SPDX-License-Identifier: Apache-2.0
#include "bench/handover.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace pronghorn::bench {
namespace {

TEST(Handover, TakesNanosecondsBetweenProcessors) {
  cpu_set_t before, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  const double ns = handover_ns(2);
  if (CPU_COUNT(&before) < 2) {
    EXPECT_EQ(ns, 0);
  } else {
    EXPECT_GT(ns, 1);     // a store and a load of the same core take less
    EXPECT_LT(ns, 5000);  // a system call or a switch of threads takes more
  }
  ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));  // the caller's thread stays free
}

TEST(Handover, NeedsTwo) {
  EXPECT_EQ(handover_ns(1), 0);
  EXPECT_EQ(handover_ns(0), 0);
  double ns = -1;
  std::thread([&] {
    cpu_set_t all, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &all)) {
        CPU_SET(i, &one);
        break;
      }
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    ns = handover_ns(8);
  }).join();
  EXPECT_EQ(ns, 0);
}

TEST(Handover, PlacementsAreToldApart) {
  EXPECT_TRUE(same_placement(48, 58));
  EXPECT_FALSE(same_placement(24, 48));
  EXPECT_FALSE(same_placement(250, 50));
  EXPECT_TRUE(same_placement(0, 50));  // not known
}

TEST(Handover, FarProcessorsOfOneCacheAreAProblem) {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / ("handover-" + std::to_string(getpid()));
  const auto write = [&](bool one_cache) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      const fs::path folder =
          root / "sys/devices/system/cpu" / ("cpu" + std::to_string(i)) / "cache/index3";
      fs::create_directories(folder);
      std::ofstream(folder / "shared_cpu_list")
          << (one_cache ? "0-1023" : std::to_string(i)) << "\n";
    }
  };
  EXPECT_EQ(placement_problem(250, root.string()), "");  // nothing is said of caches
  write(true);
  EXPECT_EQ(placement_problem(50, root.string()), "");
  EXPECT_NE(placement_problem(250, root.string()).find("250 ns"), std::string::npos);
  write(false);
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  if (CPU_COUNT(&set) > 1) {
    EXPECT_EQ(placement_problem(250, root.string()), "");
  }
  fs::remove_all(root);
}

}  // namespace
}  // namespace pronghorn::bench
