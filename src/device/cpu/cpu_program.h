// SPDX-License-Identifier: Apache-2.0
// A graph compiled for the CPU: packed weights, shared by every submission, and a pool of contexts,
// each the memory of one image under way.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "device/cpu/step.h"
#include "device/device.h"

namespace pronghorn::device::cpu {

class CpuProgram final : public Program {
 public:
  CpuProgram(std::shared_ptr<const graph::Graph> graph, const KernelSet& kernels, int threads);

  const graph::Graph& graph() const override { return *plan_.graph; }
  std::unique_ptr<Completion> submit(const Submission& submission) override;
  std::int64_t memory_bytes() const override;
  void set_profiling(bool on) override;
  std::vector<NodeTime> profile() const override;

 private:
  struct Context {
    base::Buffer memory;
    std::vector<std::byte*> slots;
  };
  struct Timer {
    std::atomic<std::int64_t> nanoseconds{0};
    std::atomic<std::int64_t> calls{0};
  };
  class Lease;

  void run_image(const Submission& submission, std::int64_t image, bool parallel);
  void run_step(std::size_t index, Slots slots, bool parallel);
  void place_slots();

  base::ThreadPool pool_;
  Plan plan_;
  std::vector<Step> steps_;
  std::vector<std::int64_t> offsets_;  // by slot, of a context's memory; -1: not an activation
  std::int64_t context_bytes_ = 0;
  std::int64_t weight_bytes_ = 0;

  mutable std::mutex mutex_;  // guards the two below
  std::vector<std::unique_ptr<Context>> idle_;
  std::int64_t contexts_ = 0;

  std::atomic<bool> profiling_{false};
  std::vector<Timer> timers_;  // by step
};

}  // namespace pronghorn::device::cpu
