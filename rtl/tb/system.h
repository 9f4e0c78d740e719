// SPDX-License-Identifier: Apache-2.0
// A Verilated module with the overlay's bus ports, a memory behind its AXI4 port that stalls every
// channel at random, and a host that talks to its registers.
#pragma once

#include <functional>

#include "axi_memory.h"
#include "fpga_configurations.h"

namespace bench {

template <typename Top>
class System {
 public:
  // stall: how often each channel is not ready, 0 to 1.
  System(const pronghorn::device::fpga::Configuration& c, std::size_t memory_bytes, double stall,
         std::uint64_t seed)
      : axi(top, c.axi_bytes, memory_bytes, stall, seed) {
    top.ap_rst_n = 0;
    for (int i = 0; i < 8; ++i) cycle();
    top.ap_rst_n = 1;
    cycle();
  }

  void write(unsigned offset, std::uint32_t value, unsigned char strobes = 15) {
    top.s_axi_control_awvalid = 1;
    top.s_axi_control_awaddr = static_cast<unsigned char>(offset);
    top.s_axi_control_wvalid = 1;
    top.s_axi_control_wdata = value;
    top.s_axi_control_wstrb = strobes;
    top.s_axi_control_bready = 0;
    cycle();
    top.s_axi_control_awvalid = top.s_axi_control_wvalid = 0;
    while (chance()) cycle();
    top.s_axi_control_bready = 1;
    check(top.s_axi_control_bvalid != 0, "no answer to a register write");
    cycle();
    top.s_axi_control_bready = 0;
  }

  std::uint32_t read(unsigned offset) {
    top.s_axi_control_arvalid = 1;
    top.s_axi_control_araddr = static_cast<unsigned char>(offset);
    cycle();
    top.s_axi_control_arvalid = 0;
    while (chance()) cycle();
    check(top.s_axi_control_rvalid != 0, "no answer to a register read");
    const std::uint32_t value = top.s_axi_control_rdata;
    top.s_axi_control_rready = 1;
    cycle();
    top.s_axi_control_rready = 0;
    return value;
  }

  // Runs the program at `address`; false if it does not end within `limit` cycles.
  // Verilator writes __SYM__interrupt for the port `interrupt`, which it takes for a word of C.
  bool run(std::uint64_t address, std::uint32_t words, const std::uint64_t (&base)[3],
           std::int64_t limit) {
    write(0x10, static_cast<std::uint32_t>(address));
    write(0x14, static_cast<std::uint32_t>(address >> 32));
    for (int b = 0; b < 3; ++b) {
      write(0x18 + 8 * static_cast<unsigned>(b), static_cast<std::uint32_t>(base[b]));
      write(0x1c + 8 * static_cast<unsigned>(b), static_cast<std::uint32_t>(base[b] >> 32));
    }
    write(0x30, words);
    write(0x04, 1);
    write(0x08, 1);
    write(0x00, 1);
    for (std::int64_t i = 0; i < limit; ++i) {
      if (top.__SYM__interrupt != 0) {
        write(0x0c, 1);
        return true;
      }
      cycle();
    }
    return false;
  }

  std::uint64_t cycles() { return read(0x40) | static_cast<std::uint64_t>(read(0x44)) << 32; }

  Model<Top> top;
  AxiMemory<Top> axi;

  void cycle() {
    // What the memory offers was settled before the edge; what is taken is known at the edge.
    top.eval();
    axi.take();
    top.ap_clk = 1;
    top.clk2x_i = 1;
    top.eval();
    top.clk2x_i = 0;
    top.eval();
    axi.drive();
    top.ap_clk = 0;
    top.clk2x_i = 1;
    top.eval();
    top.clk2x_i = 0;
    ++time;
    if (on_cycle) on_cycle();
  }
  std::uint64_t time = 0;
  std::function<void()> on_cycle;

 private:
  bool chance() { return axi.chance(); }
};

}  // namespace bench
