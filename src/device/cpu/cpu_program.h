// SPDX-License-Identifier: Apache-2.0
// A graph compiled for the CPU: packed weights, shared by every submission, and a pool of contexts,
// each the memory of the images that one thread has under way: one, or a group where the kernels
// gain by it.
#pragma once

#include <atomic>
#include <chrono>
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
    std::vector<std::byte*> slots;  // of the first image
    std::int64_t images = 0;
  };
  struct Timer {
    std::atomic<std::int64_t> nanoseconds{0};
    std::atomic<std::int64_t> calls{0};
  };
  class Lease;

  void run_images(const Submission& submission, std::int64_t first, std::int64_t count,
                  bool parallel);
  void run_step(std::size_t index, Slots slots, bool parallel);
  void run_group(std::size_t index, const Group& group);
  using Clock = std::chrono::steady_clock;
  void add_time(std::size_t index, Clock::time_point start, std::int64_t images);
  void place_slots();

  base::ThreadPool pool_;
  Plan plan_;
  std::vector<Step> steps_;
  std::vector<std::int64_t> offsets_;  // by slot, of a context's memory; -1: not an activation
  std::int64_t context_bytes_ = 0;     // of one image
  std::int64_t most_images_ = 1;       // of a group
  std::int64_t weight_bytes_ = 0;

  mutable std::mutex mutex_;  // guards the two below
  std::vector<std::unique_ptr<Context>> idle_;
  std::int64_t context_images_ = 0;  // held by all contexts together

  std::atomic<bool> profiling_{false};
  std::vector<Timer> timers_;  // by step
};

}  // namespace pronghorn::device::cpu
