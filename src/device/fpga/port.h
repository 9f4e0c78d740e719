// SPDX-License-Identifier: Apache-2.0
// A port is one piece of hardware, real or not, that holds a configuration and runs programs:
// `model` computes the bytes in C++ and counts cycles by the formulas of docs/fpga.md, `verilator`
// runs the RTL itself, `xrt` a card. What is on chip (weights, constants, activations) stays from
// run to run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/fpga/command.h"
#include "fpga_configurations.h"

namespace pronghorn::device::fpga {

// What the three base registers point to. Sizes are multiples of the configuration's axi_bytes.
struct Memory {
  std::span<const std::byte> model, input;
  std::span<std::byte> output;
};

struct RunReport {
  std::int64_t cycles = 0;  // of the logic clock, from start to done
  std::int64_t steps = 0;   // in which the array worked
  // By command: the cycle after which it was complete. Empty when the port cannot tell.
  std::vector<std::int64_t> completed;
};

class Port {
 public:
  virtual ~Port() = default;
  virtual std::string name() const = 0;  // "model", "verilator", "xrt"
  // Whether cycles come from hardware or from formulas and simulation.
  virtual bool is_card() const = 0;
  // Runs an encoded program to its END. One run at a time. Throws Error: kCorrupt when the program
  // breaks the format or reaches beyond a memory, kUnavailable when a card fails.
  virtual RunReport run(std::span<const std::uint64_t> program, const Memory& memory) = 0;
  virtual std::optional<double> watts() const { return std::nullopt; }
  virtual std::optional<double> celsius() const { return std::nullopt; }
};

// `threads` host threads compute the bytes.
std::unique_ptr<Port> make_model_port(const Configuration& c, int threads);

// A real card: `bitstream` is an .xclbin whose manifest lies beside it (docs/fpga.md). Throws
// Error(kUnavailable) without XRT, a card or a bitstream, Error(kInvalidArgument) when bitstream
// and configuration do not match, naming both.
std::unique_ptr<Port> make_xrt_port(const Configuration& c, const std::string& bitstream);

// The RTL, simulated; in builds with PRONGHORN_RTL_SIMULATOR only. Throws Error(kUnavailable) when
// they were built for another configuration.
std::unique_ptr<Port> make_verilator_port(const Configuration& c);

// The formulas alone. Throws Error(kCorrupt) when a command waits for one that never completes.
RunReport count_cycles(const Configuration& c, std::span<const Command> commands);

}  // namespace pronghorn::device::fpga
