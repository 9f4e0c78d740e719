// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "device/device.h"
#include "device/fpga/plan.h"
#include "device/fpga/port.h"

namespace pronghorn::device::fpga {

// A graph on a port. Two plans, one for the largest batch that fits the chip and one for a single
// image, share the weights on chip: a submission runs as many large batches as it holds and the
// rest one by one.
class FpgaProgram final : public Program {
 public:
  FpgaProgram(std::vector<Plan> plans, std::unique_ptr<Port> port);

  const graph::Graph& graph() const override { return *plans_[0].graph; }
  std::unique_ptr<Completion> submit(const Submission& submission) override;
  std::int64_t memory_bytes() const override;
  void set_profiling(bool on) override;
  std::vector<NodeTime> profile() const override;
  std::string details() const override;
  std::string listing() const override;

 private:
  struct Loaded {
    Plan plan;
    std::vector<std::uint64_t> words;
    std::vector<std::byte> input, output;
    RunReport counted;        // by the formulas
    std::int64_t cycles = 0;  // of the last run, by the port
  };
  void run(Loaded& loaded, const Submission& submission, int first, int images);

  std::vector<Plan> plans_;  // largest batch first
  std::vector<Loaded> loaded_;
  std::unique_ptr<Port> port_;
  mutable std::mutex mutex_;
  bool profiling_ = false;
  std::vector<NodeTime> times_;  // by node
};

}  // namespace pronghorn::device::fpga
