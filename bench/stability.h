// SPDX-License-Identifier: Apache-2.0
// What disturbed a measurement: stolen time, other programs, throttling, clocks that jump.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pronghorn::bench {

// Counters of the machine and of this process at one moment; seconds. Unknown ones are 0.
struct Counters {
  double monotonic = 0, boot = 0, real = 0;  // the three clocks
  double total = 0, idle = 0, steal = 0;     // processor time of the machine, of all processors
  double own = 0;                            // processor time of this process
  double throttled = 0;                      // this process's cgroup was held back
};
// `root` stands for "/" in tests.
Counters read_counters(const std::string& root = "");

struct Disturbance {
  double seconds = 0;
  double processor_seconds = 0;  // of all processors, as the kernel's ticks count them
  double steal_share = 0;        // of all processor time, taken by the host
  double other_share = 0;        // used by other programs
  double throttled_seconds = 0;
  std::string clock_problem;  // "" when the clocks agree
};
Disturbance between(const Counters& before, const Counters& after);

struct Stability {
  bool stable = true;
  // The state that the figures were measured in: medians over them; 0: not probed.
  double processor_speed = 0, handover_ns = 0;
  std::vector<std::string> reasons;  // why not
};
// Adds what the disturbance alone says: steal over 1 %, other programs over 10 %, throttling over
// 1 %, a clock that jumped.
void judge(const Disturbance& disturbance, Stability& stability);

// Of the slowest of `threads` threads at a fixed piece of integer work that takes a millisecond or
// so: pieces a second. It falls when the clock does, or when a neighbour shares the core, which no
// counter of a virtual machine shows.
double processor_speed(int threads);

double cpu_mhz();  // mean over the processors; 0 when unknown

}  // namespace pronghorn::bench
