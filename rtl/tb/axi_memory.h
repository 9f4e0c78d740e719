// SPDX-License-Identifier: Apache-2.0
// A memory behind the AXI4 port (m_axi_gmem_*) of a Verilated module, which stalls every channel at
// random and checks the order and the bounds of what it is asked.
#pragma once

#include <deque>
#include <vector>

#include "bench.h"

namespace bench {

template <typename Top>
class AxiMemory {
 public:
  // beat: bytes of the port. stall: how often each channel is not ready, 0 to 1.
  AxiMemory(Top& top, int beat, std::size_t bytes, double stall, std::uint64_t seed)
      : memory(bytes),
        top_(top),
        beat_(static_cast<std::size_t>(beat)),
        stall_(stall),
        random_(seed) {}

  std::vector<std::uint8_t> memory;
  bool read_error = false;  // answer reads, writes with SLVERR
  bool write_error = false;

  bool chance() { return stall_ > 0 && static_cast<double>(random_() >> 11) * 0x1p-53 < stall_; }
  bool quiet() const { return reads_.empty() && writes_.empty() && answers_ == 0 && !offered_; }

  // Before the clock's edge, on settled ports: what is taken at it.
  void take() {
    const bool ar = top_.m_axi_gmem_arvalid && top_.m_axi_gmem_arready;
    const bool r = top_.m_axi_gmem_rvalid && top_.m_axi_gmem_rready;
    const bool aw = top_.m_axi_gmem_awvalid && top_.m_axi_gmem_awready;
    const bool w = top_.m_axi_gmem_wvalid && top_.m_axi_gmem_wready;
    const bool b = top_.m_axi_gmem_bvalid && top_.m_axi_gmem_bready;
    if (ar) reads_.push_back({top_.m_axi_gmem_araddr, top_.m_axi_gmem_arlen + 1, time_ + kLatency});
    if (aw) writes_.push_back({top_.m_axi_gmem_awaddr, top_.m_axi_gmem_awlen + 1, time_});
    if (r) {
      offered_ = false;
      reads_.front().address += beat_;
      if (--reads_.front().beats == 0) reads_.pop_front();
    }
    if (w) write();
    if (b) {
      --answers_;
      answering_ = false;
    }
  }

  // After it: what is offered next.
  void drive() {
    top_.m_axi_gmem_arready = !chance();
    top_.m_axi_gmem_awready = !chance();
    top_.m_axi_gmem_wready = !chance();
    if (!offered_ && !reads_.empty() && reads_.front().ready <= time_ && !chance()) {
      offered_ = true;
      check(reads_.front().address + beat_ <= memory.size(), "a read past the memory");
      put_bytes(top_.m_axi_gmem_rdata, 0, &memory[reads_.front().address], beat_);
      top_.m_axi_gmem_rlast = reads_.front().beats == 1;
    }
    top_.m_axi_gmem_rvalid = offered_;
    top_.m_axi_gmem_rresp = read_error ? 2 : 0;
    if (!answering_ && answers_ > 0 && !chance()) answering_ = true;
    top_.m_axi_gmem_bvalid = answering_;
    top_.m_axi_gmem_bresp = write_error ? 2 : 0;
    ++time_;
  }

 private:
  struct Burst {
    std::uint64_t address;
    int beats;
    std::uint64_t ready;  // time of the first beat
  };
  // From a read's address to its first beat, in cycles; bursts follow each other without a gap.
  static constexpr std::uint64_t kLatency = 21;

  void write() {
    check(!writes_.empty(), "data before its address");
    if (writes_.empty()) return;
    Burst& burst = writes_.front();
    check(burst.address + beat_ <= memory.size(), "a write past the memory");
    get_bytes(top_.m_axi_gmem_wdata, 0, &memory[burst.address], beat_);
    burst.address += beat_;
    check((--burst.beats == 0) == (top_.m_axi_gmem_wlast != 0), "wlast in the wrong place");
    if (burst.beats == 0) {
      writes_.pop_front();
      ++answers_;
    }
  }

  Top& top_;
  std::size_t beat_;
  double stall_;
  std::mt19937_64 random_;
  std::deque<Burst> reads_, writes_;
  std::uint64_t time_ = 0;
  int answers_ = 0;
  bool offered_ = false, answering_ = false;
};

}  // namespace bench
