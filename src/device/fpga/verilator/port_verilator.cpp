// SPDX-License-Identifier: Apache-2.0
// The RTL itself, in Verilator: built with -DPRONGHORN_RTL_SIMULATOR=CONFIGURATION (rtl/tb has the
// memory and the host's side that it runs between).
#include <fmt/format.h>

#include "verilated_port.h"

namespace pronghorn::device::fpga {
namespace {

class VerilatorPort final : public bench::VerilatedPort {
 public:
  explicit VerilatorPort(const Configuration& c) : bench::VerilatedPort(c, 0.0, 1) {}

  RunReport run(std::span<const std::uint64_t> program, const Memory& memory) override {
    const std::uint64_t before = bench::failures;
    RunReport report = bench::VerilatedPort::run(program, memory);
    if (bench::failures != before) {
      base::fail(base::Status::kInternal, "the RTL broke a rule of its AXI4 port");
    }
    return report;
  }
};

}  // namespace

std::unique_ptr<Port> make_verilator_port(const Configuration& c) {
  if (c.name != PRONGHORN_RTL_SIMULATOR) {
    base::fail(base::Status::kUnavailable,
               "FPGA port verilator: this build simulates configuration {}, not {}; configure with "
               "-DPRONGHORN_RTL_SIMULATOR={}, or name the device fpga:verilator:{}",
               PRONGHORN_RTL_SIMULATOR, c.name, c.name, PRONGHORN_RTL_SIMULATOR);
  }
  return std::make_unique<VerilatorPort>(c);
}

}  // namespace pronghorn::device::fpga
