// SPDX-License-Identifier: Apache-2.0
#include "bench/power.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace pronghorn::bench {
namespace {

namespace fs = std::filesystem;

// A tree like /sys/class/powercap of a machine with two packages, one with memory.
class Rapl : public ::testing::Test {
 protected:
  Rapl() : sys_(fs::temp_directory_path() / ("rapl-" + std::to_string(getpid()))) {
    fs::remove_all(sys_);
    fs::create_directories(sys_);
  }
  ~Rapl() override { fs::remove_all(sys_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((sys_ / name).parent_path());
    std::ofstream(sys_ / name) << text << "\n";
  }
  void zone(const std::string& place, const std::string& name, long long energy_uj) const {
    const std::string folder = "class/powercap/intel-rapl:" + place;
    write(folder + "/name", name);
    write(folder + "/energy_uj", std::to_string(energy_uj));
    write(folder + "/max_energy_range_uj", "262143328850");
  }
  fs::path sys_;
};

TEST_F(Rapl, CountsPackagesAndMemoryOnceEach) {
  zone("0", "package-0", 5'000'000);
  zone("0:0", "core", 3'000'000);  // a part of the package
  zone("0:1", "dram", 1'000'000);
  zone("1", "package-1", 100);
  const Meters meters = open_rapl(sys_.string());
  ASSERT_EQ(meters.meters.size(), 3u);
  EXPECT_TRUE(meters.missing.empty());
  EXPECT_EQ(meters.meters[0]->name(), "cpu package-0 (0)");
  EXPECT_EQ(meters.meters[1]->name(), "cpu dram (0:1)");
  EXPECT_EQ(meters.meters[0]->source(), "RAPL, powercap");
  zone("0", "package-0", 7'500'000);
  EXPECT_DOUBLE_EQ(meters.meters[0]->joules(), 2.5);
  zone("0", "package-0", 8'000'000);
  EXPECT_DOUBLE_EQ(meters.meters[0]->joules(), 3.0);
  EXPECT_DOUBLE_EQ(meters.meters[1]->joules(), 0);
}

TEST_F(Rapl, TakesCareOfWrapAround) {
  zone("0", "package-0", 262'143'000'000);
  const Meters meters = open_rapl(sys_.string());
  zone("0", "package-0", 671'150);
  EXPECT_DOUBLE_EQ(meters.meters.at(0)->joules(), 1.0);
}

TEST_F(Rapl, SaysWhyThereIsNoFigure) {
  const Meters none = open_rapl(sys_.string());
  EXPECT_TRUE(none.meters.empty());
  ASSERT_EQ(none.missing.size(), 1u);
  EXPECT_NE(none.missing[0].find("class/powercap: No such file"), std::string::npos)
      << none.missing[0];
  EXPECT_NE(none.missing[0].find("no power events"), std::string::npos);
  EXPECT_NE(none.missing[0].find("virtual machines hide it"), std::string::npos);
}

// While it lives, files are opened as nobody would: root may read everything.
class AsNobody {
 public:
  AsNobody() : was_(geteuid()) {
    if (was_ == 0) changed_ = seteuid(65534) == 0;
  }
  ~AsNobody() {
    if (changed_ && seteuid(was_) != 0) std::abort();
  }

 private:
  uid_t was_;
  bool changed_ = false;
};

TEST_F(Rapl, SaysWhatToDoWithoutPermission) {
  zone("0", "package-0", 1);
  fs::permissions(sys_ / "class/powercap/intel-rapl:0/energy_uj", fs::perms::none);
  Meters meters;
  {
    const AsNobody nobody;
    meters = open_rapl(sys_.string());
  }
  EXPECT_TRUE(meters.meters.empty());
  EXPECT_NE(meters.missing.at(0).find("no permission to read it"), std::string::npos)
      << meters.missing[0];
  EXPECT_NE(meters.missing.at(0).find("sudo chmod a+r"), std::string::npos);
}

TEST_F(Rapl, ReadsPerfEventsScaled) {
  // The processor's clock event of every kernel stands for a counter of energy: nanoseconds, so
  // with this scale "joules" are the seconds that pass.
  write("bus/event_source/devices/power/type", "1");
  write("bus/event_source/devices/power/cpumask", "0");
  write("bus/event_source/devices/power/events/energy-pkg", "event=0x00");
  write("bus/event_source/devices/power/events/energy-pkg.scale", "1e-9");
  Meters meters = open_rapl(sys_.string());
  if (meters.meters.empty()) GTEST_SKIP() << meters.missing.at(0);  // the kernel forbids it
  ASSERT_EQ(meters.meters.size(), 1u);
  EXPECT_EQ(meters.meters[0]->source(), "RAPL, perf");
  const double before = meters.meters[0]->joules();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const double joules = meters.meters[0]->joules() - before;
  EXPECT_GT(joules, 0.04);
  EXPECT_LT(joules, 5);
}

TEST_F(Rapl, RefusesACounterThatIsNone) {
  zone("0", "package-0", 1);
  write("class/powercap/intel-rapl:0/energy_uj", "many");
  EXPECT_NE(open_rapl(sys_.string()).missing.at(0).find("holds no counter"), std::string::npos);
}

TEST_F(Rapl, PerfEventsWithoutAKernelForThemAreAnError) {
  write("bus/event_source/devices/power/type", "4000000");  // no such kind
  write("bus/event_source/devices/power/cpumask", "0");
  write("bus/event_source/devices/power/events/energy-pkg", "event=0x02");
  write("bus/event_source/devices/power/events/energy-pkg.scale", "2.3283064365386962890625e-10");
  const Meters meters = open_rapl(sys_.string());
  EXPECT_TRUE(meters.meters.empty());
  EXPECT_NE(meters.missing.at(0).find("perf event energy-pkg: "), std::string::npos)
      << meters.missing[0];
}

TEST(DeviceMeter, NamesItsSource) {
  const auto meter = device_meter("cuda:0", [] { return 12.5; });
  EXPECT_EQ(meter->source(), "NVML");
  EXPECT_EQ(meter->name(), "cuda:0");
  EXPECT_EQ(meter->joules(), 12.5);
  EXPECT_EQ(device_meter("fpga:xrt", [] { return 0.0; })->source(), "XRT");
}

}  // namespace
}  // namespace pronghorn::bench
