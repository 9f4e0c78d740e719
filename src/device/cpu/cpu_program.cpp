// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/cpu_program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

#include "graph/passes/passes.h"

namespace pronghorn::device::cpu {
namespace {

std::int64_t aligned(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

// A context for the time of a group of images.
class CpuProgram::Lease {
 public:
  Lease(CpuProgram& program, std::int64_t images) : program_(program) {
    {
      const std::lock_guard lock(program.mutex_);
      auto& idle = program.idle_;
      const auto found = std::find_if(idle.begin(), idle.end(),
                                      [&](const auto& c) { return c->images >= images; });
      if (found != idle.end()) {
        context_ = std::move(*found);
        idle.erase(found);
        return;
      }
      if (!idle.empty()) {  // too small: replaced
        program.context_images_ -= idle.back()->images;
        idle.pop_back();
      }
      program.context_images_ += images;
    }
    context_ = std::make_unique<Context>();
    context_->images = images;
    context_->memory = base::Buffer(static_cast<std::size_t>(program.context_bytes_ * images));
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
  const bool groups =
      std::any_of(steps_.begin(), steps_.end(), [](const Step& s) { return s.together; });
  constexpr std::int64_t kReach = std::numeric_limits<std::int32_t>::max();  // of pixel offsets
  if (groups)
    most_images_ = std::clamp<std::int64_t>(kReach / context_bytes_, 1, Plan::kMostImages);
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
  const std::int64_t whole = submission.batch / threads * threads;
  const std::int64_t each = whole / threads;
  if (each > 0) {
    // Groups of equal size.
    const std::int64_t rounds = (each + most_images_ - 1) / most_images_;
    const std::int64_t group = (each + rounds - 1) / rounds;
    const auto run = [&](std::int64_t g, int) {
      run_images(submission, g * group, std::min(group, whole - g * group), false);
    };
    const std::int64_t groups = (whole + group - 1) / group;
    if (threads == 1) {
      for (std::int64_t g = 0; g < groups; ++g) run(g, 0);
    } else {
      pool_.parallel_for(groups, run);
    }
  }
  for (std::int64_t i = whole; i < submission.batch; ++i) run_images(submission, i, 1, true);
  return nullptr;
}

void CpuProgram::run_images(const Submission& submission, std::int64_t first, std::int64_t count,
                            bool parallel) {
  const graph::Graph& graph = *plan_.graph;
  const Lease lease(*this, count);
  const auto bytes = [&](const Layout& layout) { return layout.shape.h * layout.row(); };
  const auto slots_of = [&](std::int64_t image, std::vector<std::byte*>& slots) -> Slots {
    if (image == 0) return lease.slots();
    slots.assign(lease.slots().begin(), lease.slots().end());
    for (std::byte*& slot : slots) {
      if (slot != nullptr) slot += image * context_bytes_;
    }
    return slots;
  };
  std::vector<std::byte*> moved;
  for (std::int64_t image = 0; image < count; ++image) {
    const Slots slots = slots_of(image, moved);
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
      const Layout& layout = plan_.layout_of(graph.inputs[i]);
      copy_in(layout,
              static_cast<const std::byte*>(submission.inputs[i]) + (first + image) * bytes(layout),
              slots[plan_.slot_of(graph.inputs[i])]);
    }
  }
  // One image after another as long as its activations matter more than weights, then together.
  for (std::size_t s = 0; s < steps_.size();) {
    if (count > 1 && steps_[s].together) {
      run_group(s++, {lease.slots(), context_bytes_, count});
      continue;
    }
    std::size_t end = s + 1;
    while (end < steps_.size() && !(count > 1 && steps_[end].together)) ++end;
    for (std::int64_t image = 0; image < count; ++image) {
      const Slots slots = slots_of(image, moved);
      for (std::size_t i = s; i < end; ++i) run_step(i, slots, parallel);
    }
    s = end;
  }
  for (std::int64_t image = 0; image < count; ++image) {
    const Slots slots = slots_of(image, moved);
    for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
      const Layout& layout = plan_.layout_of(graph.outputs[i]);
      copy_out(layout, slots[plan_.slot_of(graph.outputs[i])],
               static_cast<std::byte*>(submission.outputs[i]) + (first + image) * bytes(layout));
    }
  }
}

void CpuProgram::run_step(std::size_t index, Slots slots, bool parallel) {
  const Step& step = steps_[index];
  const bool timed = profiling_.load(std::memory_order_relaxed);
  const auto start = timed ? Clock::now() : Clock::time_point();
  fill_border(plan_.layouts[step.dst], slots[step.dst]);
  if (!parallel && step.run_group) {
    step.run_group({slots, 0, 1});
  } else if (parallel && step.items > 1) {
    pool_.parallel_for(step.items, [&](std::int64_t item, int) { step.run(slots, item); });
  } else {
    for (std::int64_t item = 0; item < step.items; ++item) step.run(slots, item);
  }
  if (timed) add_time(index, start, 1);
}

void CpuProgram::run_group(std::size_t index, const Group& group) {
  const Step& step = steps_[index];
  const bool timed = profiling_.load(std::memory_order_relaxed);
  const auto start = timed ? Clock::now() : Clock::time_point();
  for (std::int64_t image = 0; image < group.images; ++image) {
    fill_border(plan_.layouts[step.dst], group.slots[step.dst] + image * group.stride);
  }
  step.run_group(group);
  if (timed) add_time(index, start, group.images);
}

void CpuProgram::add_time(std::size_t index, Clock::time_point start, std::int64_t images) {
  const auto spent = std::chrono::nanoseconds(Clock::now() - start).count();
  timers_[index].nanoseconds.fetch_add(spent, std::memory_order_relaxed);
  timers_[index].calls.fetch_add(images, std::memory_order_relaxed);
}

std::int64_t CpuProgram::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  return weight_bytes_ + context_images_ * context_bytes_;
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
