// SPDX-License-Identifier: Apache-2.0
// The Verilated overlay with a memory behind its AXI4 port that stalls every channel at random, and
// a host that talks to its registers.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "Vpronghorn.h"
#include "bench.h"
#include "fpga_configurations.h"

namespace bench {

class System {
 public:
  // stall: how often each channel is not ready, 0 to 1.
  System(const pronghorn::device::fpga::Configuration& c, std::size_t memory_bytes, double stall,
         std::uint64_t seed)
      : memory(memory_bytes), c_(c), stall_(stall), random_(seed) {
    top.ap_rst_n = 0;
    for (int i = 0; i < 8; ++i) cycle();
    top.ap_rst_n = 1;
    cycle();
  }

  void write(unsigned offset, std::uint32_t value) {
    top.s_axi_control_awvalid = 1;
    top.s_axi_control_awaddr = static_cast<unsigned char>(offset);
    top.s_axi_control_wvalid = 1;
    top.s_axi_control_wdata = value;
    top.s_axi_control_wstrb = 15;
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

  // Verilator writes __SYM__interrupt for the port `interrupt`, which it takes for a word of C.
  // Runs the program at `address`; false if it does not end within `limit` cycles.
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

  Vpronghorn top;
  std::vector<std::uint8_t> memory;
  bool read_error = false;  // answer reads, writes with SLVERR
  bool write_error = false;

  void cycle() {
    const std::size_t beat = static_cast<std::size_t>(c_.axi_bytes);
    // What the memory offers was settled before the edge; what is taken is known at the edge.
    top.eval();
    const bool ar = top.m_axi_gmem_arvalid && top.m_axi_gmem_arready;
    const bool r = top.m_axi_gmem_rvalid && top.m_axi_gmem_rready;
    const bool aw = top.m_axi_gmem_awvalid && top.m_axi_gmem_awready;
    const bool w = top.m_axi_gmem_wvalid && top.m_axi_gmem_wready;
    const bool b = top.m_axi_gmem_bvalid && top.m_axi_gmem_bready;
    if (ar) reads_.push_back({top.m_axi_gmem_araddr, top.m_axi_gmem_arlen + 1, time + kLatency});
    if (aw) writes_.push_back({top.m_axi_gmem_awaddr, top.m_axi_gmem_awlen + 1, time});
    if (r) {
      offered_ = false;
      reads_.front().address += beat;
      if (--reads_.front().beats == 0) reads_.pop_front();
    }
    if (w) {
      check(!writes_.empty(), "data before its address");
      if (!writes_.empty()) {
        Burst& burst = writes_.front();
        check(burst.address + beat <= memory.size(), "a write past the memory");
        get_bytes(top.m_axi_gmem_wdata, 0, &memory[burst.address], beat);
        burst.address += beat;
        check((--burst.beats == 0) == (top.m_axi_gmem_wlast != 0), "wlast in the wrong place");
        if (burst.beats == 0) {
          writes_.pop_front();
          ++answers_;
        }
      }
    }
    if (b) {
      --answers_;
      answering_ = false;
    }
    top.ap_clk = 1;
    top.clk2x_i = 1;
    top.eval();
    top.clk2x_i = 0;
    top.eval();
    top.m_axi_gmem_arready = !chance();
    top.m_axi_gmem_awready = !chance();
    top.m_axi_gmem_wready = !chance();
    if (!offered_ && !reads_.empty() && reads_.front().ready <= time && !chance()) {
      offered_ = true;
      check(reads_.front().address + beat <= memory.size(), "a read past the memory");
      put_bytes(top.m_axi_gmem_rdata, 0, &memory[reads_.front().address], beat);
      top.m_axi_gmem_rlast = reads_.front().beats == 1;
    }
    top.m_axi_gmem_rvalid = offered_;
    top.m_axi_gmem_rresp = read_error ? 2 : 0;
    if (!answering_ && answers_ > 0 && !chance()) answering_ = true;
    top.m_axi_gmem_bvalid = answering_;
    top.m_axi_gmem_bresp = write_error ? 2 : 0;
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
  struct Burst {
    std::uint64_t address;
    int beats;
    std::uint64_t ready;  // time of the first beat
  };
  // From a read's address to its first beat, in cycles; bursts follow each other without a gap.
  static constexpr std::uint64_t kLatency = 21;
  bool chance() { return stall_ > 0 && static_cast<double>(random_() >> 11) * 0x1p-53 < stall_; }

  const pronghorn::device::fpga::Configuration& c_;
  double stall_;
  std::mt19937_64 random_;
  std::deque<Burst> reads_, writes_;
  int answers_ = 0;
  bool offered_ = false, answering_ = false;
};

}  // namespace bench
