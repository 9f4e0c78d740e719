// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/cpu_program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <utility>

#include "graph/passes/passes.h"

namespace pronghorn::device::cpu {
namespace {

std::int64_t aligned(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

// Where groups start, and where the last one ends: of at most `most` images, and smaller towards
// the end, so that threads of unequal speed end together.
std::vector<std::int64_t> group_starts(std::int64_t images, std::int64_t most, int threads) {
  std::vector<std::int64_t> starts = {0};
  while (starts.back() < images) {
    const std::int64_t left = images - starts.back();
    const std::int64_t share = (left + threads - 1) / threads;
    // Alone there is nobody to wait for: groups of equal size.
    const std::int64_t rounds = threads == 1 ? (left + most - 1) / most : 1;
    starts.push_back(starts.back() + std::min({(share + rounds - 1) / rounds, most, left}));
  }
  return starts;
}

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
        program.contexts_bytes_ -= program.context_bytes(idle.back()->images);
        idle.pop_back();
      }
      program.contexts_bytes_ += program.context_bytes(images);
    }
    context_ = program.make_context(images);
  }
  ~Lease() {
    const std::lock_guard lock(program_.mutex_);
    program_.idle_.push_back(std::move(context_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Slots slots(std::int64_t image) const { return context_->slots[static_cast<std::size_t>(image)]; }

 private:
  CpuProgram& program_;
  std::unique_ptr<Context> context_;
};

CpuProgram::CpuProgram(std::shared_ptr<const graph::Graph> graph, const KernelSet& kernels,
                       int threads, Hint hint)
    : hint_(hint),
      pool_(threads, hint != Hint::kAuto),
      barrier_(threads),
      plan_(make_plan(std::move(graph), kernels, pool_)) {
  steps_ = make_steps(plan_, split_);
  for (const Step& step : steps_) weight_bytes_ += step.memory_bytes;
  timers_ = std::vector<Timer>(steps_.size());
  place_slots();
}

// Which slots are touched by steps of both kinds, or of the second, is a matter of nodes: a value
// that only nodes before the split produce and read has one image's buffer.
void CpuProgram::place_slots() {
  const graph::Graph& graph = *plan_.graph;
  const std::size_t values = graph.values.size();
  const std::size_t split = plan_.schedule.split;
  std::vector<bool> whole(values, false);  // needed for a whole group
  for (std::size_t i = split; i < graph.nodes.size(); ++i) {
    whole[plan_.slot_of(graph.nodes[i].output)] = true;
    for (const graph::ValueId id : graph.nodes[i].inputs) whole[plan_.slot_of(id)] = true;
  }
  for (const graph::ValueId id : graph.outputs) whole[plan_.slot_of(id)] = true;

  // A result may lie where its residual lay, where both have memory of one kind.
  std::vector<graph::ValueId> same_as(values, -1);
  for (const Step& step : steps_) {
    const auto place = place_for(plan_, step);
    const bool output = std::any_of(graph.outputs.begin(), graph.outputs.end(),
                                    [&](auto id) { return plan_.slot_of(id) == step.dst; });
    if (place && *place < step.dst && !output && whole[*place] == whole[step.dst]) {
      same_as[step.dst] = static_cast<graph::ValueId>(*place);
    }
  }
  std::vector<std::int64_t> bytes[2];
  for (std::size_t v = 0; v < values; ++v) {
    const std::int64_t size = graph.values[v].dims.empty() ? plan_.layouts[v].bytes() : 0;
    bytes[0].push_back(whole[v] ? 0 : size);
    bytes[1].push_back(whole[v] ? size : 0);
    slack_bytes_ = std::max(slack_bytes_, 32 * plan_.layouts[v].pixel() + 64);
  }
  std::vector<std::int64_t>* offsets[] = {&alone_, &together_};
  std::int64_t* total[] = {&alone_bytes_, &together_bytes_};
  for (int kind = 0; kind < 2; ++kind) {
    const graph::passes::MemoryPlan memory =
        graph::passes::plan_memory(graph, bytes[kind], same_as);
    *offsets[kind] = memory.offset;
    *total[kind] = aligned(memory.size);
  }
  const auto place = [&](int kind, std::int64_t size) {
    const std::int64_t offset = *total[kind];
    *total[kind] += aligned(size);
    return offset;
  };
  // Inputs, outputs, copies and the scratch space have places of their own behind the others.
  for (const auto* ids : {&graph.inputs, &graph.outputs}) {
    for (const graph::ValueId id : *ids) {
      const std::size_t slot = plan_.slot_of(id);
      const int kind = whole[slot] ? 1 : 0;
      std::int64_t& offset = (*offsets[kind])[slot];
      if (offset < 0) offset = place(kind, plan_.layouts[slot].bytes());
    }
  }
  for (const auto& [node, slot] : plan_.copies) {
    const int kind = node < split ? 0 : 1;
    for (auto* of_kind : offsets) of_kind->resize(plan_.layouts.size(), -1);
    (*offsets[kind])[slot] = place(kind, plan_.layouts[slot].bytes());
    slack_bytes_ = std::max(slack_bytes_, 32 * plan_.layouts[slot].pixel() + 64);
  }
  std::size_t scratch = 0;
  for (const Step& step : steps_) scratch = std::max(scratch, step.scratch_bytes);
  alone_.push_back(place(0, static_cast<std::int64_t>(scratch)));
  together_.push_back(-1);
}

std::int64_t CpuProgram::context_bytes(std::int64_t images) const {
  return alone_bytes_ + images * together_bytes_ + slack_bytes_;
}

std::unique_ptr<CpuProgram::Context> CpuProgram::make_context(std::int64_t images) const {
  auto context = std::make_unique<Context>();
  context->images = images;
  context->memory = base::Buffer(static_cast<std::size_t>(context_bytes(images)));
  std::byte* memory = context->memory.data();
  std::memset(memory, 0, context->memory.size());
  for (std::int64_t image = 0; image < images; ++image) {
    std::vector<std::byte*> slots;
    for (std::size_t slot = 0; slot < alone_.size(); ++slot) {
      std::byte* at = nullptr;
      if (alone_[slot] >= 0) {
        at = memory + alone_[slot];
      } else if (together_[slot] >= 0) {
        at =
            memory + alone_bytes_ + together_[slot] * images + image * plan_.layouts[slot].stride();
      }
      slots.push_back(at);
    }
    context->slots.push_back(std::move(slots));
  }
  return context;
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
  std::int64_t whole = submission.batch / threads * threads;
  if (hint_ == Hint::kThroughput || threads == 1) whole = submission.batch;
  if (hint_ == Hint::kLatency && threads > 1) whole = 0;
  const std::vector<std::int64_t> starts = group_starts(whole, plan_.schedule.images, threads);
  const auto run = [&](std::int64_t g, int) {
    const auto at = static_cast<std::size_t>(g);
    run_images(submission, starts[at], starts[at + 1] - starts[at], false);
  };
  const auto groups = static_cast<std::int64_t>(starts.size()) - 1;
  if (threads == 1) {
    for (std::int64_t g = 0; g < groups; ++g) run(g, 0);
  } else {
    pool_.parallel_for(groups, run);
  }
  for (std::int64_t i = whole; i < submission.batch; ++i) run_images(submission, i, 1, true);
  return nullptr;
}

void CpuProgram::run_images(const Submission& submission, std::int64_t first, std::int64_t count,
                            bool parallel) {
  const graph::Graph& graph = *plan_.graph;
  const Lease lease(*this, count);
  const auto bytes = [](const Layout& layout) { return layout.shape.h * layout.row(); };
  for (std::int64_t image = 0; image < count; ++image) {
    const Slots slots = lease.slots(image);
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
      const Layout& layout = plan_.layout_of(graph.inputs[i]);
      copy_in(layout,
              static_cast<const std::byte*>(submission.inputs[i]) + (first + image) * bytes(layout),
              slots[plan_.slot_of(graph.inputs[i])]);
    }
    if (parallel) {
      run_together(0, split_, slots);
    } else {
      for (std::size_t s = 0; s < split_; ++s) run_step(s, slots);
    }
  }
  if (parallel) {
    for (std::int64_t i = 0; i < count; ++i) run_together(split_, steps_.size(), lease.slots(i));
  }
  for (std::size_t s = split_; s < steps_.size() && !parallel; ++s) {
    if (steps_[s].run_group) {
      run_group(s, lease, count);
    } else {
      for (std::int64_t image = 0; image < count; ++image) run_step(s, lease.slots(image));
    }
  }
  for (std::int64_t image = 0; image < count; ++image) {
    const Slots slots = lease.slots(image);
    for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
      const Layout& layout = plan_.layout_of(graph.outputs[i]);
      copy_out(layout, slots[plan_.slot_of(graph.outputs[i])],
               static_cast<std::byte*>(submission.outputs[i]) + (first + image) * bytes(layout));
    }
  }
}

void CpuProgram::run_step(std::size_t index, Slots slots) {
  const Step& step = steps_[index];
  const bool timed = profiling_.load(std::memory_order_relaxed);
  const auto start = timed ? Clock::now() : Clock::time_point();
  fill_border(plan_.layouts[step.dst], slots[step.dst]);
  if (step.run_group) {
    step.run_group({slots, 1});
  } else {
    for (std::int64_t item = 0; item < step.items; ++item) step.run(slots, item);
  }
  if (timed) add_time(index, start, 1);
}

// Steps [first, last) on all threads, which meet after each. Every thread has the same share of a
// step's items from image to image, and neighbouring ones of neighbouring steps: so what it reads
// it has mostly written itself. Who is through with its own takes what others have not begun.
void CpuProgram::run_together(std::size_t first, std::size_t last, Slots slots) {
  if (first == last) return;
  const int threads = pool_.size();
  const bool timed = profiling_.load(std::memory_order_relaxed);
  const std::size_t steps = last - first;
  std::vector<std::atomic<std::int64_t>> begun(steps * static_cast<std::size_t>(threads));
  pool_.parallel_for(threads, [&](std::int64_t thread, int) {
    std::exception_ptr error;  // the others wait for this thread, whatever happens
    auto start = timed ? Clock::now() : Clock::time_point();
    for (std::size_t s = first; s < last; ++s) {
      const Step& step = steps_[s];
      try {
        fill_border(plan_.layouts[step.dst], slots[step.dst], thread, threads);
        if (step.items <= threads) {
          if (thread < step.items) step.run(slots, thread);
        } else {
          for (int i = 0; i < threads; ++i) {
            const std::int64_t owner = (thread + i) % threads;
            const std::int64_t end = step.items * (owner + 1) / threads;
            auto& count = begun[static_cast<std::size_t>(owner) * steps + s - first];
            for (std::int64_t item;
                 (item = step.items * owner / threads + count.fetch_add(1)) < end;) {
              step.run(slots, item);
            }
          }
        }
      } catch (...) {
        error = std::current_exception();
      }
      barrier_.wait(static_cast<int>(thread));
      if (timed && thread == 0) {
        add_time(s, start, 1);
        start = Clock::now();
      }
    }
    if (error) std::rethrow_exception(error);
  });
}

void CpuProgram::run_group(std::size_t index, const Lease& lease, std::int64_t images) {
  const Step& step = steps_[index];
  const bool timed = profiling_.load(std::memory_order_relaxed);
  const auto start = timed ? Clock::now() : Clock::time_point();
  for (std::int64_t image = 0; image < images; ++image) {
    fill_border(plan_.layouts[step.dst], lease.slots(image)[step.dst]);
  }
  step.run_group({lease.slots(0), images});
  if (timed) add_time(index, start, images);
}

void CpuProgram::add_time(std::size_t index, Clock::time_point start, std::int64_t images) {
  const auto spent = std::chrono::nanoseconds(Clock::now() - start).count();
  timers_[index].nanoseconds.fetch_add(spent, std::memory_order_relaxed);
  timers_[index].calls.fetch_add(images, std::memory_order_relaxed);
}

std::int64_t CpuProgram::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  return weight_bytes_ + contexts_bytes_;
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
                     timers_[s].calls.load(), steps_[s].macs, steps_[s].bytes});
  }
  return times;
}

}  // namespace pronghorn::device::cpu
