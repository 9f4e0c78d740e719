// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/cuda_program.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "arith/softmax.h"
#include "base/error.h"
#include "device/cuda/kernels/top_k.h"
#include "device/cuda/tuning.h"

namespace pronghorn::device::cuda {
namespace {

constexpr int kMostChunk = 256;                       // images of one launch
constexpr std::size_t kMostContexts = 4;              // of a GPU
constexpr std::int64_t kContextBudget = 700ll << 20;  // of all but a GPU's first
constexpr std::size_t kMostGraphs = 16;               // of a context
constexpr std::int64_t kCopyPiece = 1 << 20;          // a thread's share of a large input
constexpr std::int64_t kCopyGroup = 8 << 20;          // copied on while the next is read

}  // namespace

struct CudaProgram::Context {
  StreamHandle stream;
  EventHandle done;
  Memory arena;
  Memory host_in, host_out;  // pinned
  Memory ranked;             // device memory: the best of a batch
  std::vector<std::byte*> slots;
  std::map<int, GraphHandle> graphs;  // by images
  std::map<int, int> seen;
  // When profiling: before the first step and after each, then before and after the copy in, after
  // the copy out.
  std::vector<cudaEvent_t> marks;
  std::shared_ptr<const Schedule> profiled;  // null: not

  ~Context() {
    for (const cudaEvent_t mark : marks) cudaEventDestroy(mark);
  }
};

struct CudaProgram::Gpu {
  int id = 0;
  Memory constants;

  std::mutex mutex;  // guards what follows
  std::vector<std::unique_ptr<Context>> idle;
  std::deque<std::shared_ptr<Chunk>> busy;  // oldest first
  std::size_t contexts = 0;
  std::size_t most_contexts = kMostContexts;
  std::int64_t context_bytes = 0;
};

// Part of a submission under way.
struct CudaProgram::Chunk {
  struct Copy {
    const std::byte* from;  // null: the result is already where it belongs
    std::byte* to;
    std::int64_t bytes;
    HostSoftmax softmax;
  };
  Gpu* gpu = nullptr;
  int images = 0;
  std::int64_t first = 0;
  int best = 0;  // as in Submission
  std::vector<void*> outputs;
  std::vector<Copy> copies;

  std::mutex mutex;  // guards what follows: whoever comes first finishes
  std::unique_ptr<Context> context;
  std::exception_ptr error;
};

class CudaProgram::Batch final : public Completion {
 public:
  Batch(CudaProgram& program, std::vector<std::shared_ptr<Chunk>> chunks)
      : program_(program), chunks_(std::move(chunks)) {}
  ~Batch() override {
    for (const auto& chunk : chunks_) program_.finish(*chunk);
  }
  void wait() override {
    for (const auto& chunk : chunks_) program_.finish(*chunk);
    for (const auto& chunk : chunks_) {
      if (chunk->error) std::rethrow_exception(chunk->error);
    }
  }

 private:
  CudaProgram& program_;
  std::vector<std::shared_ptr<Chunk>> chunks_;
};

CudaProgram::CudaProgram(std::shared_ptr<const Plan> plan, const std::vector<int>& gpus,
                         int threads)
    : plan_(std::move(plan)), pool_(std::clamp(threads, 1, 8)), tuning_(tuning_wanted()) {
  const std::vector<std::byte>& constants = plan_->constants.bytes();
  for (const int id : gpus) {
    const Current current(id);
    for (std::int32_t i = 0; i < kConvKernelCount; ++i) {
      const bool used =
          std::any_of(plan_->steps.begin(), plan_->steps.end(), [&](const Step& step) {
            return step.conv != nullptr && step.conv->kernel == kConvKernels[i];
          });
      if (used) check(kConvKernels[i]->prepare(), kConvKernels[i]->name);
    }
    auto gpu = std::make_unique<Gpu>();
    gpu->id = id;
    gpu->constants = Memory(constants.size() + kAlignment, Where::kDevice);
    upload(gpu->constants, constants.data(), constants.size());
    gpus_.push_back(std::move(gpu));
  }
  for (const Step& step : plan_->steps) times_.push_back({step.node, step.kernel, 0, 0});
  times_.push_back({"copy to the device", "copy", 0, 0});
  times_.push_back({"copy from the device", "copy", 0, 0});
}

CudaProgram::~CudaProgram() {
  for (const auto& gpu : gpus_) {
    const Current current(gpu->id);
    gpu->idle.clear();
    gpu->constants = Memory();
  }
}

std::int64_t CudaProgram::memory_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& gpu : gpus_) {
    const std::lock_guard lock(gpu->mutex);
    bytes += static_cast<std::int64_t>(gpu->constants.size()) + gpu->context_bytes;
  }
  return bytes;
}

std::vector<NodeTime> CudaProgram::profile() const {
  const std::lock_guard lock(times_mutex_);
  return times_;
}

std::shared_ptr<const Schedule> CudaProgram::schedule_for(int images) {
  const std::lock_guard lock(schedules_mutex_);
  auto& schedule = schedules_[images];
  if (schedule == nullptr) {
    schedule = std::make_shared<const Schedule>(tuning_ ? tuned_schedule(images)
                                                        : make_schedule(*plan_, images));
  }
  return schedule;
}

std::string CudaProgram::details() const {
  const std::lock_guard lock(schedules_mutex_);
  return tuning_ ? fmt::format("{{\"autotune\": [{}]}}", tuned_) : std::string();
}

// Called under schedules_mutex_: others wait until it is measured.
Schedule CudaProgram::tuned_schedule(int images) {
  Gpu& gpu = *gpus_[0];
  const Current current(gpu.id);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, gpu.id), "the GPU's properties");
  const TuningFile file = tuning_file(*plan_, images, properties.name);
  std::string note;
  std::vector<int> variants = read_tuning(file, *plan_, images, note);
  const bool found = !variants.empty();
  if (!found) {
    variants = measure(gpu, images);
    const std::string unwritten = write_tuning(file, variants);
    if (!unwritten.empty()) note += (note.empty() ? "" : "; ") + unwritten;
  }
  const auto quoted = [](const std::string& text) {
    std::string safe;
    for (const char c : text) {
      if (c == '"' || c == '\\') safe += '\\';
      safe += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return "\"" + safe + "\"";
  };
  tuned_ += fmt::format("{}{{\"images\": {}, \"from\": \"{}\", \"path\": {}, \"note\": {}}}",
                        tuned_.empty() ? "" : ", ", images, found ? "file" : "measurement",
                        quoted(file.path.string()), quoted(note));
  return make_schedule(*plan_, images, std::move(variants));
}

// Runs the network with one choice of variants after another, every step timed in place, then the
// cost model's and the fastest ones as whole graphs in turn: the faster of the two is kept.
std::vector<int> CudaProgram::measure(Gpu& gpu, int images) {
  constexpr int kRuns = 4;
  constexpr int kTurns = 5;
  constexpr int kLaunches = 10;
  Context context;
  const cudaStream_t stream = context.stream.get();
  const auto prepare = [&](const Schedule& schedule) {
    if (context.arena.size() < static_cast<std::size_t>(schedule.size)) {
      context.arena = Memory();
      context.arena = Memory(static_cast<std::size_t>(schedule.size), Where::kDevice);
    }
    context.slots.clear();
    for (const std::int64_t offset : schedule.offset) {
      context.slots.push_back(offset < 0 ? nullptr : context.arena.data() + offset);
    }
    // Noise; where inputs are floats, of moderate size.
    for (const Slot slot : plan_->inputs) {
      const graph::Value& input = plan_->graph->values[slot];
      std::vector<std::uint8_t> noise(
          static_cast<std::size_t>(plan_->slot_bytes[slot] * schedule.images));
      std::uint32_t state = 1;
      for (std::uint8_t& byte : noise) {
        state = state * 1664525u + 1013904223u;
        const std::uint32_t random = state >> 24;
        byte = static_cast<std::uint8_t>(input.dtype == graph::DType::kF32 ? 0x3c + random % 4
                                                                           : random);
      }
      check(cudaMemcpyAsync(context.slots[slot], noise.data(), noise.size(), cudaMemcpyHostToDevice,
                            stream),
            "copy of the input");
      check(cudaStreamSynchronize(stream), "copy of the input");
    }
  };
  const std::vector<std::vector<int>> all = choices(*plan_, images);
  std::vector<std::vector<double>> times;
  for (const std::vector<int>& choice : all) {
    const Schedule schedule = make_schedule(*plan_, images, choice);
    prepare(schedule);
    context.profiled = std::make_shared<const Schedule>(schedule);
    std::vector<double>& least = times.emplace_back(plan_->steps.size(), 1e30);
    for (int r = 0; r < kRuns; ++r) {
      run_steps(gpu, context, schedule);
      check(cudaStreamSynchronize(stream), "the network");
      for (std::size_t i = 0; i < least.size(); ++i) {
        float milliseconds = 0;
        check(cudaEventElapsedTime(&milliseconds, context.marks[i], context.marks[i + 1]),
              "a timer");
        least[i] = std::min(least[i], 1e-3 * static_cast<double>(milliseconds));
      }
    }
  }
  context.profiled = nullptr;
  std::vector<int> candidates[] = {make_schedule(*plan_, images).variants,
                                   fastest(*plan_, all, times)};
  double least[] = {1e30, 1e30};
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int c = 0; c < 2; ++c) {
      const Schedule schedule = make_schedule(*plan_, images, candidates[c]);
      prepare(schedule);
      const GraphHandle graph = capture(gpu, context, schedule);
      check(cudaGraphLaunch(graph.get(), stream), "launch of a graph");
      check(cudaEventRecord(context.marks[0], stream), "an event");
      for (int i = 0; i < kLaunches; ++i) {
        check(cudaGraphLaunch(graph.get(), stream), "launch of a graph");
      }
      check(cudaEventRecord(context.marks[1], stream), "an event");
      check(cudaStreamSynchronize(stream), "the network");
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, context.marks[0], context.marks[1]), "a timer");
      least[c] = std::min(least[c], static_cast<double>(milliseconds));
    }
  }
  return candidates[least[1] < least[0] ? 1 : 0];
}

CudaProgram::Gpu& CudaProgram::least_busy() {
  Gpu* best = gpus_[0].get();
  std::size_t fewest = ~std::size_t{0};
  for (const auto& gpu : gpus_) {
    const std::lock_guard lock(gpu->mutex);
    if (gpu->busy.size() >= fewest) continue;
    fewest = gpu->busy.size();
    best = gpu.get();
  }
  return *best;
}

std::unique_ptr<Completion> CudaProgram::submit(const Submission& submission) {
  const graph::Graph& graph = *plan_->graph;
  if (submission.inputs.size() != graph.inputs.size() ||
      submission.outputs.size() != graph.outputs.size() || submission.batch < 1) {
    base::fail(base::Status::kInvalidArgument,
               "graph {} takes {} inputs, {} outputs and a batch of at least 1; got {}, {} and {}",
               graph.name, graph.inputs.size(), graph.outputs.size(), submission.inputs.size(),
               submission.outputs.size(), submission.batch);
  }
  if (submission.best != 0) check_best(submission.best);
  // Chunks of equal size, at least one for each GPU.
  const int most = std::min(kMostChunk, plan_->most_images);
  const int gpus = static_cast<int>(gpus_.size());
  const int wanted =
      std::max((submission.batch + most - 1) / most, std::min(gpus, submission.batch));
  const int chunk = (submission.batch + wanted - 1) / wanted;
  std::vector<std::shared_ptr<Chunk>> chunks;
  try {
    for (int first = 0; first < submission.batch; first += chunk) {
      chunks.push_back(start(submission, first, std::min(chunk, submission.batch - first)));
    }
  } catch (...) {
    // The caller's memory must be left alone before it hears of the error.
    for (const auto& started : chunks) finish(*started);
    throw;
  }
  return std::make_unique<Batch>(*this, std::move(chunks));
}

bool CudaProgram::ranks() const {
  const graph::Graph& graph = *plan_->graph;
  return graph.value(graph.outputs[0]).dtype == graph::DType::kF32 &&
         !plan_->outputs[0].softmax.wanted;
}

void CudaProgram::check_best(int best) const {
  const auto scores = plan_->outputs[0].bytes / std::int64_t{sizeof(float)};
  if (!ranks()) {
    base::fail(base::Status::kUnsupported, "graph {} has no scores that the device ranks",
               plan_->graph->name);
  }
  if (best < 1 || best > scores) {
    base::fail(base::Status::kInvalidArgument, "the best {} of {} scores; 1 to {}", best, scores,
               scores);
  }
}

std::shared_ptr<CudaProgram::Chunk> CudaProgram::start(const Submission& submission,
                                                       std::int64_t first, int images) {
  Gpu& gpu = least_busy();
  const Current current(gpu.id);
  const auto schedule = schedule_for(images);
  auto chunk = std::make_shared<Chunk>();
  chunk->gpu = &gpu;
  chunk->images = images;
  chunk->first = first;
  chunk->best = submission.best;
  chunk->outputs.assign(submission.outputs.begin(), submission.outputs.end());
  auto context = lease(gpu, *schedule);
  context->profiled = profiling_ ? schedule : nullptr;
  const std::size_t steps = plan_->steps.size();
  try {
    mark(*context, steps + 1);
    copy_in(*context, *schedule, submission, first);
    mark(*context, steps + 2);
    enqueue(gpu, *context, schedule);
    copy_out(*context, *schedule, *chunk);
    mark(*context, steps + 3);
    check(cudaEventRecord(context->done.get(), context->stream.get()), "an event");
  } catch (...) {
    cudaStreamSynchronize(context->stream.get());
    const std::lock_guard lock(gpu.mutex);
    --gpu.contexts;
    gpu.context_bytes -= static_cast<std::int64_t>(context->arena.size());
    throw;
  }
  chunk->context = std::move(context);
  const std::lock_guard lock(gpu.mutex);
  gpu.busy.push_back(chunk);
  return chunk;
}

// An idle context, a new one, or the one whose work is the oldest, once that is finished.
std::unique_ptr<CudaProgram::Context> CudaProgram::lease(Gpu& gpu, const Schedule& schedule) {
  for (;;) {
    std::unique_ptr<Context> context;
    std::shared_ptr<Chunk> oldest;
    {
      const std::lock_guard lock(gpu.mutex);
      if (!gpu.idle.empty()) {
        context = std::move(gpu.idle.back());
        gpu.idle.pop_back();
      } else if (gpu.contexts == 0 || (gpu.contexts < gpu.most_contexts &&
                                       gpu.context_bytes + schedule.size <= kContextBudget)) {
        ++gpu.contexts;
        context = std::make_unique<Context>();
      } else if (!gpu.busy.empty()) {
        oldest = gpu.busy.front();
      }
    }
    if (oldest != nullptr) {
      finish(*oldest);
    } else if (context == nullptr) {
      std::this_thread::yield();  // others are about to submit
    } else if (grow(gpu, *context, schedule.size)) {
      return context;
    }
  }
}

// Makes the arena large enough; false when memory is short but other contexts will be free.
bool CudaProgram::grow(Gpu& gpu, Context& context, std::int64_t size) {
  if (static_cast<std::int64_t>(context.arena.size()) >= size) return true;
  const auto before = static_cast<std::int64_t>(context.arena.size());
  context.graphs.clear();
  context.arena = Memory();
  try {
    context.arena = Memory(static_cast<std::size_t>(size), Where::kDevice);
  } catch (const base::Error& error) {
    const std::lock_guard lock(gpu.mutex);
    gpu.context_bytes -= before;
    --gpu.contexts;
    if (error.status() != base::Status::kOutOfMemory || gpu.contexts == 0) throw;
    gpu.most_contexts = gpu.contexts;
    return false;
  }
  const std::lock_guard lock(gpu.mutex);
  gpu.context_bytes += size - before;
  return true;
}

void CudaProgram::copy_in(Context& context, const Schedule& schedule, const Submission& submission,
                          std::int64_t first) {
  const cudaStream_t stream = context.stream.get();
  std::int64_t staged = 0;
  for (const Slot slot : plan_->inputs) staged += plan_->slot_bytes[slot] * schedule.images;
  std::byte* host = nullptr;
  for (std::size_t i = 0; i < plan_->inputs.size(); ++i) {
    const Slot slot = plan_->inputs[i];
    const std::int64_t each = plan_->slot_bytes[slot];
    const std::int64_t bytes = each * schedule.images;
    const auto* from = static_cast<const std::byte*>(submission.inputs[i]) + first * each;
    std::byte* to = context.arena.data() + schedule.offset[slot];
    if (reachable(from)) {
      check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault, stream),
            "copy of the input");
      continue;
    }
    if (host == nullptr) {
      if (context.host_in.size() < static_cast<std::size_t>(staged)) {
        context.host_in = Memory(static_cast<std::size_t>(staged), Where::kPinned);
      }
      host = context.host_in.data();
    }
    for (std::int64_t at = 0; at < bytes; at += kCopyGroup) {
      const std::int64_t group = std::min(kCopyGroup, bytes - at);
      const std::int64_t pieces = (group + kCopyPiece - 1) / kCopyPiece;
      const auto copy = [&](std::int64_t piece, int) {
        const std::int64_t begin = at + piece * kCopyPiece;
        const std::int64_t size = std::min(kCopyPiece, at + group - begin);
        std::memcpy(host + begin, from + begin, static_cast<std::size_t>(size));
      };
      if (pieces == 1 || submission.threads == 1) {
        for (std::int64_t piece = 0; piece < pieces; ++piece) copy(piece, 0);
      } else {
        pool_.parallel_for(pieces, copy);
      }
      check(cudaMemcpyAsync(to + at, host + at, static_cast<std::size_t>(group),
                            cudaMemcpyHostToDevice, stream),
            "copy of the input");
    }
    host += bytes;
  }
}

void CudaProgram::enqueue(Gpu& gpu, Context& context,
                          const std::shared_ptr<const Schedule>& shared) {
  const Schedule& schedule = *shared;
  context.slots.clear();
  for (const std::int64_t offset : schedule.offset) {
    context.slots.push_back(offset < 0 ? nullptr : context.arena.data() + offset);
  }
  if (context.profiled != nullptr) return run_steps(gpu, context, schedule);
  const cudaStream_t stream = context.stream.get();
  auto found = context.graphs.find(schedule.images);
  if (found == context.graphs.end()) {
    if (++context.seen[schedule.images] < 2) return run_steps(gpu, context, schedule);
    if (context.graphs.size() >= kMostGraphs) context.graphs.clear();
    found = context.graphs.emplace(schedule.images, capture(gpu, context, schedule)).first;
  }
  check(cudaGraphLaunch(found->second.get(), stream), "launch of a graph");
}

void CudaProgram::mark(Context& context, std::size_t index) {
  if (context.profiled == nullptr) return;
  while (context.marks.size() <= index) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "an event");
    context.marks.push_back(event);
  }
  check(cudaEventRecord(context.marks[index], context.stream.get()), "an event");
}

GraphHandle CudaProgram::capture(Gpu& gpu, Context& context, const Schedule& schedule) {
  const cudaStream_t stream = context.stream.get();
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture of launches");
  cudaGraph_t captured = nullptr;
  try {
    run_steps(gpu, context, schedule);
  } catch (...) {
    cudaStreamEndCapture(stream, &captured);
    if (captured != nullptr) cudaGraphDestroy(captured);
    throw;
  }
  check(cudaStreamEndCapture(stream, &captured), "capture of launches");
  return GraphHandle(captured);
}

void CudaProgram::run_steps(Gpu& gpu, Context& context, const Schedule& schedule) {
  const cudaStream_t stream = context.stream.get();
  Launch launch{schedule.images,
                context.slots.data(),
                gpu.constants.data(),
                context.arena.data() + schedule.workspace,
                stream,
                0};
  // Other batch sizes put other things where the workspace lies.
  if (schedule.workspace_bytes > 0) {
    check(cudaMemsetAsync(launch.workspace, 0, static_cast<std::size_t>(schedule.workspace_bytes),
                          stream),
          "clearing of the workspace");
  }
  mark(context, 0);
  for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
    launch.variant = schedule.variants[i];
    const Step& step = plan_->steps[i];
    if (launch.variant == kWithNext) {
      check(run_with_next(step, plan_->steps[i + 1], launch), step.node.c_str());
    } else if (launch.variant != kWithPrevious) {
      check(step.run(launch), step.node.c_str());
    }
    mark(context, i + 1);
  }
}

void CudaProgram::copy_out(Context& context, const Schedule& schedule, Chunk& chunk) {
  const cudaStream_t stream = context.stream.get();
  const auto ranked = [&](std::size_t i) { return i == 0 && chunk.best > 0; };
  const auto bytes_of = [&](std::size_t i) {
    return ranked(i) ? static_cast<std::int64_t>(sizeof(Scored)) * chunk.best
                     : plan_->outputs[i].bytes;
  };
  std::int64_t total = 0;
  for (std::size_t i = 0; i < plan_->outputs.size(); ++i) total += bytes_of(i) * chunk.images;
  if (context.host_out.size() < static_cast<std::size_t>(total)) {
    context.host_out = Memory(static_cast<std::size_t>(total), Where::kPinned);
  }
  std::byte* host = context.host_out.data();
  for (std::size_t i = 0; i < plan_->outputs.size(); ++i) {
    const Export& out = plan_->outputs[i];
    const std::int64_t bytes = bytes_of(i) * chunk.images;
    const std::byte* from = context.arena.data() + schedule.offset[out.slot];
    std::byte* to = static_cast<std::byte*>(chunk.outputs[i]) + chunk.first * bytes_of(i);
    if (ranked(i)) {
      if (context.ranked.size() < static_cast<std::size_t>(bytes)) {
        context.ranked = Memory(static_cast<std::size_t>(bytes), Where::kDevice);
      }
      check(launch_top_k(chunk.images,
                         static_cast<std::int32_t>(out.bytes / std::int64_t{sizeof(float)}),
                         chunk.best, reinterpret_cast<const float*>(from),
                         reinterpret_cast<Scored*>(context.ranked.data()), stream),
            "the best scores");
      from = context.ranked.data();
    }
    const bool direct = !out.softmax.wanted && reachable(to);
    check(cudaMemcpyAsync(direct ? to : host, from, static_cast<std::size_t>(bytes),
                          cudaMemcpyDefault, stream),
          "copy of the output");
    if (!direct) chunk.copies.push_back({host, to, bytes, out.softmax});
    host += bytes;
  }
}

void CudaProgram::finish(Chunk& chunk) {
  const std::lock_guard lock(chunk.mutex);
  if (chunk.context == nullptr) return;
  try {
    check(cudaEventSynchronize(chunk.context->done.get()), "the network");
    for (const Chunk::Copy& copy : chunk.copies) {
      if (copy.softmax.wanted) {
        const auto* src = reinterpret_cast<const float*>(copy.from);
        auto* dst = reinterpret_cast<float*>(copy.to);
        const std::int64_t rows = copy.softmax.pixels * chunk.images;
        for (std::int64_t row = 0; row < rows; ++row) {
          arith::softmax(src + row * copy.softmax.channels, dst + row * copy.softmax.channels,
                         copy.softmax.channels);
        }
      } else {
        std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
      }
    }
    if (chunk.context->profiled != nullptr) add_times(*chunk.context);
  } catch (...) {
    chunk.error = std::current_exception();
  }
  Gpu& gpu = *chunk.gpu;
  const std::lock_guard gpu_lock(gpu.mutex);
  gpu.idle.push_back(std::move(chunk.context));
  const auto self = std::find_if(gpu.busy.begin(), gpu.busy.end(),
                                 [&](const auto& other) { return other.get() == &chunk; });
  if (self != gpu.busy.end()) gpu.busy.erase(self);
}

void CudaProgram::add_times(const Context& context) {
  const std::lock_guard lock(times_mutex_);
  const std::size_t steps = plan_->steps.size();
  const auto add = [&](std::size_t row, std::size_t from, std::size_t to) {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, context.marks[from], context.marks[to]), "a timer");
    times_[row].seconds += 1e-3 * static_cast<double>(milliseconds);
    times_[row].calls += context.profiled->images;
  };
  add(steps, steps + 1, steps + 2);
  add(steps + 1, steps, steps + 3);
  for (std::size_t i = 0; i < steps; ++i) {
    add(i, i, i + 1);
    const int variant = context.profiled->variants[i];
    if (variant == kWithNext || variant == kWithPrevious) {
      times_[i].kernel =
          variant == kWithNext ? "wgmma_sm90a, with the next" : "with the one before";
    } else if (const ConvStep* conv = plan_->steps[i].conv.get()) {
      times_[i].kernel =
          fmt::format("{}/{}", conv->kernel->name, conv->kernel->variant_name(variant));
    }
  }
}

}  // namespace pronghorn::device::cuda
