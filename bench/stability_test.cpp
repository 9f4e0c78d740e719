// SPDX-License-Identifier: Apache-2.0
#include "bench/stability.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace pronghorn::bench {
namespace {

Counters at(double seconds) {
  Counters counters;
  counters.monotonic = counters.boot = seconds;
  counters.real = 1.7e9 + seconds;
  counters.total = 2 * seconds;
  counters.own = 2 * seconds;
  return counters;
}

TEST(Disturbance, OfAQuietMachineIsNone) {
  Stability stability;
  judge(between(at(5), at(15)), stability);
  EXPECT_TRUE(stability.stable);
  EXPECT_TRUE(stability.reasons.empty());
}

TEST(Disturbance, NamesEachReason) {
  Counters after = at(15);
  after.steal = 1;     // of 20 s of processor time
  after.own -= 1 + 4;  // the rest went to others
  after.throttled = 0.5;
  const Disturbance disturbance = between(at(5), after);
  EXPECT_DOUBLE_EQ(disturbance.steal_share, 0.05);
  EXPECT_DOUBLE_EQ(disturbance.other_share, 0.2);
  Stability stability;
  judge(disturbance, stability);
  EXPECT_FALSE(stability.stable);
  ASSERT_EQ(stability.reasons.size(), 3u);
  EXPECT_EQ(stability.reasons[0], "the host took 5.0 % of the processor time away (steal)");
  EXPECT_EQ(stability.reasons[1], "other programs used 20 % of the processors");
}

TEST(Disturbance, SeesClocksThatJump) {
  Counters asleep = at(15);
  asleep.boot += 3;
  asleep.real += 3;
  EXPECT_NE(between(at(5), asleep).clock_problem.find("suspended for 3.00 s"), std::string::npos);
  Counters stepped = at(15);
  stepped.real -= 7;
  EXPECT_NE(between(at(5), stepped).clock_problem.find("jumped by -7.00 s"), std::string::npos);
  EXPECT_EQ(between(at(5), at(15)).clock_problem, "");
}

TEST(Counters, AreReadFromTheKernelsFiles) {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / ("counters-" + std::to_string(getpid()));
  fs::create_directories(root / "proc");
  fs::create_directories(root / "sys/fs/cgroup");
  std::ofstream(root / "proc/stat") << "cpu  100 0 50 800 30 5 5 10 0 0\ncpu0 1 2 3\n";
  std::ofstream(root / "sys/fs/cgroup/cpu.stat") << "usage_usec 5\nthrottled_usec 2500000\n";
  const Counters counters = read_counters(root.string());
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  EXPECT_DOUBLE_EQ(counters.total, 1000 * tick);
  EXPECT_DOUBLE_EQ(counters.idle, 830 * tick);
  EXPECT_DOUBLE_EQ(counters.steal, 10 * tick);
  EXPECT_DOUBLE_EQ(counters.throttled, 2.5);
  EXPECT_GT(counters.monotonic, 0);
  fs::remove_all(root);
}

}  // namespace
}  // namespace pronghorn::bench
