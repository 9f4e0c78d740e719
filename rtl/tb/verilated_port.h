// SPDX-License-Identifier: Apache-2.0
// The RTL as a port of src/device/fpga: programs run on the Verilated overlay, through its
// registers and its AXI4 port.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string>

#include "Vpronghorn.h"
#include "Vpronghorn___024root.h"
#include "base/error.h"
#include "device/fpga/port.h"
#include "system.h"

namespace bench {

class VerilatedPort : public pronghorn::device::fpga::Port {
 public:
  VerilatedPort(const pronghorn::device::fpga::Configuration& c, double stall, std::uint64_t seed)
      : system_(c, 4096, stall, seed) {}

  std::string name() const override { return "verilator"; }
  bool is_card() const override { return false; }

  // Not in the report: completed counts commands of all engines in the order of their completion.
  pronghorn::device::fpga::RunReport run(std::span<const std::uint64_t> program,
                                         const pronghorn::device::fpga::Memory& memory) override {
    const auto page = [](std::size_t n) { return (n + 8191) / 4096 * 4096; };
    std::uint64_t base[3];
    base[0] = page(program.size_bytes());
    base[1] = base[0] + page(memory.model.size());
    base[2] = base[1] + page(memory.input.size());
    system_.axi.memory.assign(base[2] + page(memory.output.size()), 0);
    std::memcpy(system_.axi.memory.data(), program.data(), program.size_bytes());
    std::copy_n(reinterpret_cast<const std::uint8_t*>(memory.model.data()), memory.model.size(),
                &system_.axi.memory[base[0]]);
    std::copy_n(reinterpret_cast<const std::uint8_t*>(memory.input.data()), memory.input.size(),
                &system_.axi.memory[base[1]]);
    computes_done.clear();
    std::uint64_t fetched = system_.time;
    system_.on_cycle = [&, this] {
      const auto& root = *system_.top.rootp;
      if (root.pronghorn__DOT__u_core__DOT__fetching != 0) fetched = system_.time;
      if ((root.pronghorn__DOT__u_core__DOT__command_done_o & 2) != 0)
        computes_done.push_back(static_cast<std::int64_t>(system_.time - fetched));
    };
    const bool ended = system_.run(0, static_cast<std::uint32_t>(program.size()), base, kLimit);
    system_.on_cycle = nullptr;
    const std::uint32_t error = system_.read(0x4c);
    if (!ended || error != 0) {
      throw pronghorn::base::Error(
          pronghorn::base::Status::kUnavailable,
          ended ? "the RTL reports error " + std::to_string(error) : "the RTL does not end");
    }
    std::copy_n(&system_.axi.memory[base[2]], memory.output.size(),
                reinterpret_cast<std::uint8_t*>(memory.output.data()));
    pronghorn::device::fpga::RunReport report;
    report.cycles = static_cast<std::int64_t>(system_.cycles());
    report.steps = system_.read(0x50);
    return report;
  }

  // When each COMPUTE command of the last run was complete, in cycles after the program was
  // fetched.
  std::vector<std::int64_t> computes_done;

 private:
  static constexpr std::int64_t kLimit = 200'000'000;
  System<Vpronghorn> system_;
};

}  // namespace bench
