// SPDX-License-Identifier: Apache-2.0
// Energy counters. What a machine does not show is said, never guessed. All are `component` figures
// (a processor package, a card): the power supply, fans and the rest of the machine are not in
// them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pronghorn::bench {

class EnergyMeter {
 public:
  virtual ~EnergyMeter() = default;
  virtual std::string name() const = 0;    // "cpu package 0"
  virtual std::string source() const = 0;  // "RAPL, powercap"
  virtual double joules() = 0;             // since some fixed moment; wrap-around is taken care of
};

struct Meters {
  std::vector<std::unique_ptr<EnergyMeter>> meters;
  std::vector<std::string> missing;  // what has no figure, and why
};

// The processor's packages and memory by RAPL, from the powercap tree under `sys` ("/sys"), else
// from the kernel's power events (perf). Both are tried; `missing` says why neither works.
Meters open_rapl(const std::string& sys = "/sys");

// A counter that a device of ours reports: NVML for NVIDIA cards, XRT's sensors for Alveo cards.
// `read` may be called at any time from one thread.
std::unique_ptr<EnergyMeter> device_meter(const std::string& device, std::function<double()> read);

}  // namespace pronghorn::bench
