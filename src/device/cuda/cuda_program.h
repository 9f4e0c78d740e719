// SPDX-License-Identifier: Apache-2.0
// A plan on one or more GPUs. Each GPU holds the constants once and a few contexts: a stream with
// the memory for one batch under way, so that one context's copies overlap another's kernels.
// A submission is cut into chunks, which go to the GPU with the least to do.
//
// A batch size seen for the second time is captured as a CUDA graph: one launch instead of one a
// layer. Pageable memory of the caller goes through pinned memory; what the GPU reaches itself (its
// own memory, or pinned) is copied from where it is.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/thread_pool.h"
#include "device/cuda/driver.h"
#include "device/cuda/plan.h"
#include "device/device.h"

namespace pronghorn::device::cuda {

class CudaProgram final : public Program {
 public:
  CudaProgram(std::shared_ptr<const Plan> plan, const std::vector<int>& gpus, int threads);
  ~CudaProgram() override;

  const graph::Graph& graph() const override { return *plan_->graph; }
  std::unique_ptr<Completion> submit(const Submission& submission) override;
  // Where the first output is scores; those of a softmax on the host are made there.
  bool ranks() const override;
  std::int64_t memory_bytes() const override;
  const Plan& plan() const { return *plan_; }
  // By step: how a batch of so many images runs.
  std::vector<int> variants(int images) { return schedule_for(images)->variants; }
  // With autotuning, a JSON object: `autotune`, a list of the batch sizes that were tuned, each
  // with `images`, `from` ("file" or "measurement"), `path`, `note`.
  std::string details() const override;
  void set_profiling(bool on) override { profiling_ = on; }
  std::vector<NodeTime> profile() const override;

 private:
  struct Context;
  struct Chunk;
  struct Gpu;
  class Batch;

  std::shared_ptr<const Schedule> schedule_for(int images);
  Schedule tuned_schedule(int images);
  std::vector<int> measure(Gpu& gpu, int images);
  GraphHandle capture(Gpu& gpu, Context& context, const Schedule& schedule);
  std::shared_ptr<Chunk> start(const Submission& submission, std::int64_t first, int images);
  std::unique_ptr<Context> lease(Gpu& gpu, const Schedule& schedule);
  bool grow(Gpu& gpu, Context& context, std::int64_t size);
  Gpu& least_busy();
  void check_best(int best) const;
  void copy_in(Context& context, const Schedule& schedule, const Submission& submission,
               std::int64_t first);
  void copy_out(Context& context, const Schedule& schedule, Chunk& chunk);
  void enqueue(Gpu& gpu, Context& context, const std::shared_ptr<const Schedule>& shared);
  void run_steps(Gpu& gpu, Context& context, const Schedule& schedule);
  void mark(Context& context, std::size_t index);  // of Context::marks, when profiling
  void finish(Chunk& chunk);
  void add_times(const Context& context);

  std::shared_ptr<const Plan> plan_;
  std::vector<std::unique_ptr<Gpu>> gpus_;
  base::ThreadPool pool_;  // copies large inputs

  const bool tuning_;
  std::string tuned_;  // details(): objects, with commas

  mutable std::mutex schedules_mutex_;  // tuned_ and what follows
  std::map<int, std::shared_ptr<const Schedule>> schedules_;

  std::atomic<bool> profiling_{false};
  mutable std::mutex times_mutex_;
  std::vector<NodeTime> times_;  // by step, then of the copies in and out
};

}  // namespace pronghorn::device::cuda
