// SPDX-License-Identifier: Apache-2.0
// Watches the machine once a second while something is measured: clock, power, neighbours.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "bench/power.h"
#include "bench/stability.h"

namespace pronghorn::bench {

struct Moment {
  double seconds = 0;  // from the monitor's start
  double mhz = 0;
  double steal_share = 0, other_share = 0;  // since the last moment
  std::vector<double> joules;               // of each meter
};

class Monitor {
 public:
  // `meters` outlives this; while a monitor lives, only its thread reads them.
  explicit Monitor(Meters& meters, double period_seconds = 1);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  // Ends it; the first and the last moment are those of the constructor and of this call.
  std::vector<Moment> stop();

 private:
  void watch();
  Moment look();
  Meters& meters_;
  std::chrono::duration<double> period_;
  Counters first_, last_;
  std::vector<Moment> moments_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

// Watts of each meter while nothing runs, over `seconds`.
std::vector<double> idle_watts(Meters& meters, double seconds);

// Energy of `images` images: joules an image and images a second a watt, of each meter and their
// sum, with idle power in it and subtracted; and the power series. null when there is no meter.
nlohmann::ordered_json energy_json(const Meters& meters, const std::vector<Moment>& moments,
                                   const std::vector<double>& idle, double images);

}  // namespace pronghorn::bench
