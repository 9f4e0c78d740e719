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
  CpuProgram(std::shared_ptr<const graph::Graph> graph, const KernelSet& kernels, int threads,
             Hint hint);

  const graph::Graph& graph() const override { return *plan_.graph; }
  std::unique_ptr<Completion> submit(const Submission& submission) override;
  std::int64_t memory_bytes() const override;
  void set_profiling(bool on) override;
  std::vector<NodeTime> profile() const override;

 private:
  // What one thread works in: buffers of the nodes that take images one by one, of one image, and
  // of the others, of a group.
  struct Context {
    base::Buffer memory;
    std::vector<std::vector<std::byte*>> slots;  // by image
    std::int64_t images = 0;
  };
  struct Timer {
    std::atomic<std::int64_t> nanoseconds{0};
    std::atomic<std::int64_t> calls{0};
  };
  class Lease;

  void run_images(const Submission& submission, std::int64_t first, std::int64_t count,
                  bool parallel);
  void run_step(std::size_t index, Slots slots);
  void run_together(std::size_t first, std::size_t last, Slots slots);
  void run_group(std::size_t index, const Lease& lease, std::int64_t images);
  using Clock = std::chrono::steady_clock;
  void add_time(std::size_t index, Clock::time_point start, std::int64_t images);
  void place_slots();

  std::int64_t context_bytes(std::int64_t images) const;
  std::unique_ptr<Context> make_context(std::int64_t images) const;

  Hint hint_;
  base::ThreadPool pool_;
  base::Barrier barrier_;  // of one image's threads, between its steps
  Plan plan_;
  std::vector<Step> steps_;
  std::size_t split_ = 0;  // steps before it take images one by one
  // By slot, in the memory of one image; -1: none there. Slots of the second kind have their
  // offsets multiplied by the images of a context.
  std::vector<std::int64_t> alone_, together_;
  std::int64_t alone_bytes_ = 0, together_bytes_ = 0;  // of one image
  std::int64_t slack_bytes_ = 0;                       // read behind the last buffer
  std::int64_t weight_bytes_ = 0;

  mutable std::mutex mutex_;  // guards the two below
  std::vector<std::unique_ptr<Context>> idle_;
  std::int64_t contexts_bytes_ = 0;  // held by all contexts together

  std::atomic<bool> profiling_{false};
  std::vector<Timer> timers_;  // by step
};

}  // namespace pronghorn::device::cpu
