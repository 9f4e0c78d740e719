// SPDX-License-Identifier: Apache-2.0
#include "bench/stability.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

namespace pronghorn::bench {
namespace {

double seconds_of(clockid_t clock) {
  timespec now{};
  return clock_gettime(clock, &now) == 0
             ? static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec)
             : 0;
}

}  // namespace

Counters read_counters(const std::string& root) {
  Counters counters;
  counters.monotonic = seconds_of(CLOCK_MONOTONIC);
  counters.boot = seconds_of(CLOCK_BOOTTIME);
  counters.real = seconds_of(CLOCK_REALTIME);
  counters.own = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  std::ifstream stat(root + "/proc/stat");
  std::string word;
  if (stat >> word && word == "cpu") {
    // user nice system idle iowait irq softirq steal; guest time is inside user.
    const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
    double field = 0;
    for (int i = 0; i < 8 && stat >> field; ++i) {
      counters.total += field * tick;
      if (i == 3 || i == 4) counters.idle += field * tick;
      if (i == 7) counters.steal = field * tick;
    }
  }
  std::ifstream group(root + "/sys/fs/cgroup/cpu.stat");
  double value = 0;
  while (group >> word >> value) {
    if (word == "throttled_usec") counters.throttled = 1e-6 * value;
  }
  return counters;
}

Disturbance between(const Counters& before, const Counters& after) {
  Disturbance result;
  result.seconds = after.monotonic - before.monotonic;
  const double total = after.total - before.total;
  result.processor_seconds = total;
  // The kernel counts in ticks of 10 ms: a few of them say nothing.
  if (total > 0.2) {
    result.steal_share = std::clamp((after.steal - before.steal) / total, 0.0, 1.0);
    const double busy = total - (after.idle - before.idle) - (after.steal - before.steal);
    result.other_share = std::clamp((busy - (after.own - before.own)) / total, 0.0, 1.0);
  }
  result.throttled_seconds = after.throttled - before.throttled;
  const double asleep = (after.boot - before.boot) - result.seconds;
  const double stepped = (after.real - before.real) - result.seconds;
  // Clocks are slewed by up to 500 parts in a million; more is a jump.
  const double allowed = 0.02 + 1e-3 * result.seconds;
  if (std::abs(asleep) > allowed) {
    result.clock_problem =
        fmt::format("the machine was suspended for {:.2f} s while it was measured", asleep);
  } else if (std::abs(stepped) > allowed) {
    result.clock_problem = fmt::format(
        "the wall clock jumped by {:.2f} s while it was measured "
        "(durations are by the monotonic clock)",
        stepped);
  }
  return result;
}

void judge(const Disturbance& disturbance, Stability& stability) {
  const auto unstable = [&](std::string reason) {
    stability.stable = false;
    stability.reasons.push_back(std::move(reason));
  };
  if (disturbance.steal_share > 0.01) {
    unstable(fmt::format("the host took {:.1f} % of the processor time away (steal)",
                         100 * disturbance.steal_share));
  }
  if (disturbance.other_share > 0.1) {
    unstable(fmt::format("other programs used {:.0f} % of the processors",
                         100 * disturbance.other_share));
  }
  if (disturbance.throttled_seconds > 0.01 * disturbance.seconds) {
    unstable(fmt::format("the control group's quota held the process back for {:.2f} s",
                         disturbance.throttled_seconds));
  }
  if (!disturbance.clock_problem.empty()) unstable(disturbance.clock_problem);
}

double processor_speed(int threads) {
  // Eight independent chains keep the multipliers busy, so that a neighbour's use of them shows.
  const auto pieces_a_second = [] {
    double best = 0;
    for (int attempt = 0; attempt < 3; ++attempt) {
      std::array<std::uint64_t, 8> x = {1, 2, 3, 4, 5, 6, 7, 8};
      const double start = seconds_of(CLOCK_MONOTONIC);
      for (int i = 0; i < 50000; ++i) {
        for (std::uint64_t& value : x) value = value * 6364136223846793005u + 1442695040888963407u;
      }
      std::uint64_t sum = 0;
      for (const std::uint64_t value : x) sum ^= value;
      // The sum decides nothing, but the compiler cannot know that.
      const double seconds = seconds_of(CLOCK_MONOTONIC) - start + (sum == 0 ? 1e-12 : 0);
      best = std::max(best, 1 / std::max(seconds, 1e-9));
    }
    return best;
  };
  std::vector<double> speeds(static_cast<std::size_t>(std::max(1, threads)));
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < speeds.size(); ++i) {
      others.emplace_back([&, i] { speeds[i] = pieces_a_second(); });
    }
    speeds[0] = pieces_a_second();
  }
  return *std::min_element(speeds.begin(), speeds.end());
}

double cpu_mhz() {
  std::ifstream file("/proc/cpuinfo");
  double sum = 0;
  int count = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("cpu MHz", 0) != 0) continue;
    sum += std::strtod(line.c_str() + line.find(':') + 1, nullptr);
    ++count;
  }
  return count == 0 ? 0 : sum / count;
}

}  // namespace pronghorn::bench
