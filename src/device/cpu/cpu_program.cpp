// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/cpu_program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "graph/passes/passes.h"

namespace pronghorn::device::cpu {
namespace {

std::int64_t aligned(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

// A context for the time of one image.
class CpuProgram::Lease {
 public:
  explicit Lease(CpuProgram& program) : program_(program) {
    {
      const std::lock_guard lock(program.mutex_);
      if (!program.idle_.empty()) {
        context_ = std::move(program.idle_.back());
        program.idle_.pop_back();
        return;
      }
      ++program.contexts_;
    }
    context_ = std::make_unique<Context>();
    context_->memory = base::Buffer(static_cast<std::size_t>(program.context_bytes_));
    std::byte* memory = context_->memory.data();
    std::memset(memory, 0, context_->memory.size());
    for (const std::int64_t offset : program.offsets_) {
      context_->slots.push_back(offset < 0 ? nullptr : memory + offset);
    }
  }
  ~Lease() {
    const std::lock_guard lock(program_.mutex_);
    program_.idle_.push_back(std::move(context_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Slots slots() const { return context_->slots; }

 private:
  CpuProgram& program_;
  std::unique_ptr<Context> context_;
};

CpuProgram::CpuProgram(std::shared_ptr<const graph::Graph> graph, const KernelSet& kernels,
                       int threads)
    : pool_(threads), plan_(make_plan(std::move(graph), kernels, pool_)) {
  steps_ = make_steps(plan_);
  for (const Step& step : steps_) weight_bytes_ += step.memory_bytes;
  timers_ = std::vector<Timer>(steps_.size());
  place_slots();
}

// Activations share an arena; inputs, outputs, copies and the scratch space have places of their
// own behind it.
void CpuProgram::place_slots() {
  const graph::Graph& graph = *plan_.graph;
  std::vector<std::int64_t> bytes;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    bytes.push_back(graph.values[v].dims.empty() ? plan_.layouts[v].bytes() : 0);
  }
  const graph::passes::MemoryPlan memory = graph::passes::plan_memory(graph, bytes);
  offsets_ = memory.offset;
  context_bytes_ = aligned(memory.size);
  const auto place = [&](std::int64_t size) {
    const std::int64_t offset = context_bytes_;
    context_bytes_ += aligned(size);
    return offset;
  };
  for (const auto* ids : {&graph.inputs, &graph.outputs}) {
    for (const graph::ValueId id : *ids) {
      std::int64_t& offset = offsets_[plan_.slot_of(id)];
      if (offset < 0) offset = place(plan_.layout_of(id).bytes());
    }
  }
  for (std::size_t slot = graph.values.size(); slot < plan_.layouts.size(); ++slot) {
    offsets_.push_back(place(plan_.layouts[slot].bytes()));
  }
  std::size_t scratch = 0;
  for (const Step& step : steps_) scratch = std::max(scratch, step.scratch_bytes);
  offsets_.push_back(place(static_cast<std::int64_t>(scratch)));
}

std::unique_ptr<Completion> CpuProgram::submit(const Submission& submission) {
  const graph::Graph& graph = *plan_.graph;
  if (submission.inputs.size() != graph.inputs.size() ||
      submission.outputs.size() != graph.outputs.size() || submission.batch < 1) {
    base::fail(base::Status::kInvalidArgument,
               "graph {} takes {} inputs, {} outputs and a batch of at least 1; got {}, {} and {}",
               graph.name, graph.inputs.size(), graph.outputs.size(), submission.inputs.size(),
               submission.outputs.size(), submission.batch);
  }
  const int threads = submission.threads == 1 ? 1 : pool_.size();
  // Whole images for each thread as far as they go round, the rest with all threads on each image.
  const std::int64_t whole = threads == 1 ? submission.batch : submission.batch / threads * threads;
  if (threads == 1) {
    for (std::int64_t i = 0; i < whole; ++i) run_image(submission, i, false);
  } else {
    pool_.parallel_for(whole, [&](std::int64_t i, int) { run_image(submission, i, false); });
  }
  for (std::int64_t i = whole; i < submission.batch; ++i) run_image(submission, i, true);
  return nullptr;
}

void CpuProgram::run_image(const Submission& submission, std::int64_t image, bool parallel) {
  const graph::Graph& graph = *plan_.graph;
  const Lease lease(*this);
  const Slots slots = lease.slots();
  const auto bytes = [&](const Layout& layout) { return layout.shape.h * layout.row(); };
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const Layout& layout = plan_.layout_of(graph.inputs[i]);
    copy_in(layout, static_cast<const std::byte*>(submission.inputs[i]) + image * bytes(layout),
            slots[plan_.slot_of(graph.inputs[i])]);
  }
  for (std::size_t s = 0; s < steps_.size(); ++s) run_step(s, slots, parallel);
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const Layout& layout = plan_.layout_of(graph.outputs[i]);
    copy_out(layout, slots[plan_.slot_of(graph.outputs[i])],
             static_cast<std::byte*>(submission.outputs[i]) + image * bytes(layout));
  }
}

void CpuProgram::run_step(std::size_t index, Slots slots, bool parallel) {
  using Clock = std::chrono::steady_clock;
  const Step& step = steps_[index];
  const bool timed = profiling_.load(std::memory_order_relaxed);
  const auto start = timed ? Clock::now() : Clock::time_point();
  fill_border(plan_.layouts[step.dst], slots[step.dst]);
  if (parallel && step.items > 1) {
    pool_.parallel_for(step.items, [&](std::int64_t item, int) { step.run(slots, item); });
  } else {
    for (std::int64_t item = 0; item < step.items; ++item) step.run(slots, item);
  }
  if (!timed) return;
  const auto spent = std::chrono::nanoseconds(Clock::now() - start).count();
  timers_[index].nanoseconds.fetch_add(spent, std::memory_order_relaxed);
  timers_[index].calls.fetch_add(1, std::memory_order_relaxed);
}

std::int64_t CpuProgram::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  return weight_bytes_ + contexts_ * context_bytes_;
}

void CpuProgram::set_profiling(bool on) {
  if (on && !profiling_.load()) {
    for (Timer& timer : timers_) {
      timer.nanoseconds = 0;
      timer.calls = 0;
    }
  }
  profiling_ = on;
}

std::vector<NodeTime> CpuProgram::profile() const {
  std::vector<NodeTime> times;
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    times.push_back({steps_[s].node, steps_[s].kernel,
                     1e-9 * static_cast<double>(timers_[s].nanoseconds.load()),
                     timers_[s].calls.load()});
  }
  return times;
}

}  // namespace pronghorn::device::cpu
