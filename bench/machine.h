// SPDX-License-Identifier: Apache-2.0
// What a measurement was made on. Unknown texts are "", unknown numbers 0.
#pragma once

#include <cstdint>
#include <string>

namespace pronghorn::bench {

struct Machine {
  std::string cpu;       // model name
  int cores = 0;         // that this process may use
  int logical_cpus = 0;  // of the machine
  double mhz = 0;        // of the first core when asked
  std::string governor;  // frequency governor
  std::string hypervisor;
  std::int64_t memory_bytes = 0;
  std::int64_t l2_bytes = 0, l3_bytes = 0;
  std::string os;
  std::string kernel;
  double load_average = 0;  // one minute, when asked: other work disturbs a measurement
  std::string version;      // of Pronghorn
  std::string commit;       // "" when built outside a git tree; "-dirty" with local changes
  std::string compiler;
  std::string time;  // UTC, ISO 8601
};
Machine this_machine();

std::int64_t peak_rss_bytes();  // of this process
double seconds_since_start();   // of this process, by the kernel's clock; 0 when unknown

}  // namespace pronghorn::bench
