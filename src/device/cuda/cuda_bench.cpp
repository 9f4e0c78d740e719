// SPDX-License-Identifier: Apache-2.0
// Times the CUDA device on a model: every variant of every kernel for each of its convolutions,
// each step in place, and whole batches from host and device memory. Prints one JSON object.
//   cuda_bench MODEL.onnx [--precision fp16] [--layers B,B,...] [--batches B,B,...] [--seconds S]
// With --scaling cuda:0,1 instead: those GPUs against each of them alone, in turns, with a batch of
// B images a GPU (from pinned memory, which all of them read). With --table: rows of
// kernels/wgmma_choices.cpp for those batch sizes.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "device/cuda/cuda_device.h"
#include "device/cuda/cuda_program.h"
#include "device/cuda/driver.h"
#include "device/cuda/plan.h"
#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "import/import.h"

namespace pronghorn::device::cuda {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<int> numbers(const std::string& text) {
  std::vector<int> list;
  std::stringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) list.push_back(std::stoi(item));
  return list;
}

std::string text_of(const ConvProblem& p) {
  const char* result = p.result == ConvResult::kFloat           ? " f32"
                       : p.result == ConvResult::kBytesResidual ? " res"
                                                                : "";
  return fmt::format("ic{} ih{} oc{} k{} s{}{}{}", p.half() ? p.ic / 2 : p.ic, p.ih, p.oc, p.kh,
                     p.sh, result, p.half() ? " f16" : "");
}

double macs_of(const ConvProblem& p) {
  return static_cast<double>(p.pixels()) * p.oc * p.window() / (p.half() ? 2 : 1);
}

double median(std::vector<double> list) {
  std::sort(list.begin(), list.end());
  return list[list.size() / 2];
}

Memory random_bytes(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  std::mt19937 random(1);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random() >> 8);
  Memory memory(size + kAlignment, Where::kDevice);
  upload(memory, bytes.data(), size);
  return memory;
}

// Seconds of one launch: the median of several runs of a few.
double time_launch(const std::function<int()>& launch, cudaStream_t stream) {
  constexpr int kRuns = 5;
  constexpr int kLaunches = 5;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  check(cudaEventCreate(&begin), "an event");
  check(cudaEventCreate(&end), "an event");
  check(launch(), "a launch");
  std::vector<double> times;
  for (int run = 0; run < kRuns; ++run) {
    check(cudaEventRecord(begin, stream), "an event");
    for (int i = 0; i < kLaunches; ++i) check(launch(), "a launch");
    check(cudaEventRecord(end, stream), "an event");
    check(cudaEventSynchronize(end), "a launch");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin, end), "a timer");
    times.push_back(1e-3 * static_cast<double>(milliseconds) / kLaunches);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return median(times);
}

void sweep(const Plan& plan, const std::vector<int>& batches) {
  const StreamHandle stream;
  const Memory constants = random_bytes(plan.constants.bytes().size());
  upload(constants, plan.constants.bytes().data(), plan.constants.bytes().size());
  for (std::int32_t i = 0; i < kConvKernelCount; ++i) {
    if (kConvKernels[i]->supports(ConvProblem{}, plan.capability)) {
      check(kConvKernels[i]->prepare(), kConvKernels[i]->name);
    }
  }
  std::map<std::string, bool> seen;
  const char* comma = "";
  for (const Step& step : plan.steps) {
    if (step.conv == nullptr || seen[text_of(step.conv->problem)]) continue;
    seen[text_of(step.conv->problem)] = true;
    for (const int batch : batches) {
      const ConvStep& conv = *step.conv;
      const ConvProblem p = conv.problem_for(batch);
      const auto out = static_cast<std::size_t>(p.pixels() * p.oc * p.result_bytes());
      const Memory src =
          random_bytes(static_cast<std::size_t>(std::int64_t{batch} * p.ih * p.iw * p.ic));
      const Memory res = random_bytes(out);
      const Memory dst(out + kAlignment, Where::kDevice);
      std::vector<std::byte*> slots(plan.slot_bytes.size(), nullptr);
      slots[conv.src] = src.data();
      slots[conv.dst] = dst.data();
      if (p.result == ConvResult::kBytesResidual) slots[conv.res] = res.data();
      std::vector<std::pair<double, std::string>> results;
      const int chosen = conv.kernel->choose(p, plan.multiprocessors);
      double chosen_time = 0;
      for (int v = 0; v < conv.kernel->variants; ++v) {
        if (!conv.kernel->takes(p, v)) continue;
        const Memory workspace(
            static_cast<std::size_t>(conv.kernel->workspace_bytes(p, v)) + kAlignment,
            Where::kDevice);
        const Launch launch{batch, slots.data(), constants.data(), workspace.data(), stream.get(),
                            v};
        const double t = time_launch([&] { return step.run(launch); }, stream.get());
        if (v == chosen) chosen_time = t;
        results.emplace_back(t, conv.kernel->variant_name(v));
      }
      std::sort(results.begin(), results.end());
      const double macs = macs_of(p);
      std::string all;
      for (std::size_t i = 0; i < std::min<std::size_t>(results.size(), 5); ++i) {
        all += fmt::format("{}\"{}\": {:.2f}", i == 0 ? "" : ", ", results[i].second,
                           results[i].first * 1e6);
      }
      fmt::print(
          "{}\n  {{\"problem\": \"{}\", \"batch\": {}, \"best_us\": {:.2f}, \"tops\": {:.0f}, "
          "\"chosen\": \"{}\", \"chosen_us\": {:.2f}, \"us\": {{{}}}}}",
          comma, text_of(p), batch, results[0].first * 1e6, 2e-12 * macs / results[0].first,
          conv.kernel->variant_name(chosen), chosen_time * 1e6, all);
      comma = ",";
      std::fflush(stdout);
    }
  }
}

struct Buffers {
  std::vector<Memory> memory;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
};

Buffers make_buffers(const graph::Graph& graph, int batch, Where where) {
  Buffers b;
  const auto add = [&](graph::ValueId id) {
    const graph::Value& v = graph.value(id);
    const auto size = static_cast<std::size_t>(v.shape.size() * batch) * graph::size_of(v.dtype);
    if (where == Where::kDevice) {
      b.memory.push_back(random_bytes(size));
    } else {
      b.memory.emplace_back(size, where);
      std::mt19937 random(2);
      for (std::size_t i = 0; i < size; ++i) {
        b.memory.back().data()[i] = static_cast<std::byte>(random() >> 8);
      }
    }
    return static_cast<void*>(b.memory.back().data());
  };
  for (const graph::ValueId id : graph.inputs) b.inputs.push_back(add(id));
  for (const graph::ValueId id : graph.outputs) b.outputs.push_back(add(id));
  return b;
}

// Batches one after another, `depth` under way at a time.
void time_batches(const Device& device, Program& program, int batch, Where where, std::size_t depth,
                  double seconds) {
  std::vector<Buffers> buffers;
  for (std::size_t i = 0; i < depth; ++i) {
    buffers.push_back(make_buffers(program.graph(), batch, where));
  }
  std::vector<std::unique_ptr<Completion>> under_way(depth);
  std::vector<double> latencies;
  std::vector<Clock::time_point> started(depth);
  double joules_each = 0;
  const auto submit = [&](std::size_t i) {
    started[i] = Clock::now();
    under_way[i] = program.submit({buffers[i].inputs, buffers[i].outputs, batch, 0});
  };
  const auto pass = [&](double limit) {
    latencies.clear();
    const auto begin = Clock::now();
    const std::optional<double> joules = device.energy_joules();
    std::size_t images = 0;
    for (std::size_t i = 0; i < depth; ++i) submit(i);
    while (seconds_since(begin) < limit) {
      for (std::size_t i = 0; i < depth; ++i) {
        under_way[i]->wait();
        latencies.push_back(seconds_since(started[i]));
        images += static_cast<std::size_t>(batch);
        submit(i);
      }
    }
    for (auto& completion : under_way) completion->wait();
    images += depth * static_cast<std::size_t>(batch);
    const double rate = static_cast<double>(images) / seconds_since(begin);
    joules_each = joules ? (*device.energy_joules() - *joules) / static_cast<double>(images) : 0;
    return rate;
  };
  pass(0.3 * seconds);
  const double rate = pass(seconds);
  std::sort(latencies.begin(), latencies.end());
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "memory");
  fmt::print(
      "\n  {{\"batch\": {}, \"memory\": \"{}\", \"under_way\": {}, \"images_per_second\": "
      "{:.0f}, \"p50_ms\": {:.3f}, \"p99_ms\": {:.3f}, \"min_ms\": {:.3f}, "
      "\"millijoules_per_image\": {:.2f}, \"device_memory_mib\": {}}}",
      batch, where == Where::kDevice ? "device" : "pinned", depth, rate,
      latencies[latencies.size() / 2] * 1e3, latencies[latencies.size() * 99 / 100] * 1e3,
      latencies[0] * 1e3, joules_each * 1e3, (total - free) >> 20);
  std::fflush(stdout);
}

// Images a second of batches one after another, `depth` under way at a time.
double rate_of(Program& program, std::vector<Buffers>& buffers, int batch, std::size_t depth,
               double seconds) {
  std::vector<std::unique_ptr<Completion>> under_way(depth);
  const auto submit = [&](std::size_t i) {
    under_way[i] = program.submit({buffers[i].inputs, buffers[i].outputs, batch, 0});
  };
  for (int warm = 0; warm < 3; ++warm) {  // the third finds the graph of launches made
    for (std::size_t i = 0; i < depth; ++i) submit(i);
    for (auto& completion : under_way) completion->wait();
  }
  const auto begin = Clock::now();
  std::int64_t images = 0;
  for (std::size_t i = 0; i < depth; ++i) submit(i);
  while (seconds_since(begin) < seconds) {
    for (std::size_t i = 0; i < depth; ++i) {
      under_way[i]->wait();
      images += batch;
      submit(i);
    }
  }
  for (auto& completion : under_way) completion->wait();
  images += static_cast<std::int64_t>(depth) * batch;
  return static_cast<double>(images) / seconds_since(begin);
}

// `name`: a list of GPUs. Whole batches of theirs equal one GPU's byte for byte, and `graph` on one
// image for each equals the reference, or nothing is timed.
void print_scaling(const std::string& name, const std::shared_ptr<const graph::Graph>& graph,
                   Precision precision, const std::vector<int>& batches, double seconds) {
  constexpr int kRounds = 7;
  std::vector<std::string> names;
  for (const int gpu : numbers_of(name)) names.push_back(fmt::format("cuda:{}", gpu));
  const int gpus = static_cast<int>(names.size());
  names.push_back(name);
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<std::unique_ptr<Program>> programs;
  for (const std::string& each : names) {
    devices.push_back(make_device(each));
    programs.push_back(compile_or_throw(*devices.back(), graph, {.precision = precision}));
  }
  const auto judge_device = reference::make_device();
  const auto judge = compile_or_throw(*judge_device, graph);
  const graph::Value& scores = graph->value(graph->outputs[0]);
  const auto differs = [&](Program& one, Program& other, int batch) {
    Buffers a = make_buffers(*graph, batch, Where::kPinned);
    Buffers b = make_buffers(*graph, batch, Where::kPinned);
    if (auto completion = one.submit({a.inputs, a.outputs, batch, 0})) completion->wait();
    if (auto completion = other.submit({b.inputs, b.outputs, batch, 0})) completion->wait();
    return std::memcmp(a.outputs[0], b.outputs[0],
                       static_cast<std::size_t>(scores.shape.size() * batch) *
                           graph::size_of(scores.dtype)) != 0;
  };
  if (precision == Precision::kModel && differs(*programs.back(), *judge, gpus)) {
    base::fail(base::Status::kInternal, "{} differs from the reference; nothing was timed", name);
  }
  for (const int batch : batches) {
    for (std::size_t i = 1; i < programs.size(); ++i) {
      if (!differs(*programs[0], *programs[i], batch * gpus)) continue;
      base::fail(base::Status::kInternal, "{} differs from {} on {} images; nothing was timed",
                 names[i], names[0], batch * gpus);
    }
  }
  fmt::print("\"gpus\": {}, \"scaling\": [", gpus);
  const char* comma = "";
  for (const int batch : batches) {
    for (const std::size_t depth : {1, 2, 3}) {
      std::vector<Buffers> small, large;
      for (std::size_t i = 0; i < depth; ++i) {
        small.push_back(make_buffers(*graph, batch, Where::kPinned));
        large.push_back(make_buffers(*graph, batch * gpus, Where::kPinned));
      }
      std::vector<std::vector<double>> rates(programs.size());
      std::vector<double> ratios;
      for (int round = 0; round < kRounds; ++round) {
        double sum = 0;
        for (std::size_t i = 0; i < programs.size(); ++i) {
          const bool all = i + 1 == programs.size();
          rates[i].push_back(rate_of(*programs[i], all ? large : small, all ? batch * gpus : batch,
                                     depth, seconds));
          if (!all) sum += rates[i].back();
        }
        ratios.push_back(rates.back().back() / (sum / gpus));
      }
      fmt::print("{}\n  {{\"batch_per_gpu\": {}, \"under_way\": {}", comma, batch, depth);
      for (std::size_t i = 0; i < programs.size(); ++i) {
        fmt::print(", \"{}\": {:.0f}", names[i], median(rates[i]));
      }
      const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
      fmt::print(
          ", \"times_one\": {:.3f}, \"times_one_least\": {:.3f}, \"times_one_most\": {:.3f}}}",
          median(ratios), *least, *most);
      std::fflush(stdout);
      comma = ",";
    }
  }
  fmt::print("]");
}

// Rows of kernels/wgmma_choices.cpp: of every kind of layer the variant that most of them have,
// where it is not the cost model's.
void print_table(CudaProgram& program, const std::vector<int>& batches) {
  for (const int batch : batches) {
    std::map<std::string, std::map<std::string, int>> counts;
    std::map<std::string, std::string> models;
    const std::vector<int> variants = program.variants(batch);
    for (std::size_t i = 0; i < variants.size(); ++i) {
      const ConvStep* conv = program.plan().steps[i].conv.get();
      if (conv == nullptr || variants[i] < 0) continue;
      const ConvProblem p = conv->problem_for(batch);
      const std::string layer = fmt::format("{}, {}, {}, {}, {}, {}, {}", batch, p.ih, p.ic, p.oc,
                                            p.kh, p.sh, p.result == ConvResult::kBytesResidual);
      ++counts[layer][conv->kernel->variant_name(variants[i])];
      models[layer] =
          conv->kernel->variant_name(conv->kernel->choose(p, program.plan().multiprocessors));
    }
    for (const auto& [layer, names] : counts) {
      const auto most =
          std::max_element(names.begin(), names.end(),
                           [](const auto& a, const auto& b) { return a.second < b.second; });
      if (most->first != models[layer]) fmt::print("    {{{}, \"{}\"}},\n", layer, most->first);
    }
  }
}

// Each step alone, beside what it multiplies and moves: the floors of docs/cuda.md.
void print_profile(CudaProgram& program, int batch) {
  Buffers b = make_buffers(program.graph(), batch, Where::kDevice);
  const auto run = [&] { program.submit({b.inputs, b.outputs, batch, 0})->wait(); };
  run();
  program.set_profiling(true);
  constexpr int kRuns = 5;
  for (int i = 0; i < kRuns; ++i) run();
  program.set_profiling(false);
  const std::vector<NodeTime> times = program.profile();
  for (std::size_t i = 0; i < program.plan().steps.size(); ++i) {  // the copies are left out
    const Step& step = program.plan().steps[i];
    double macs = 0;
    double bytes = static_cast<double>(program.plan().step_bytes(step)) * batch;
    if (step.conv != nullptr) {
      const ConvProblem p = step.conv->problem_for(batch);
      macs = macs_of(p);
      bytes += static_cast<double>(p.oc) * p.window();
    }
    fmt::print(
        "{}\n  {{\"node\": \"{}\", \"kernel\": \"{}\", \"us\": {:.2f}, \"gmac\": {:.3f}, "
        "\"megabytes\": {:.2f}, \"written_megabytes\": {:.2f}}}",
        i == 0 ? "" : ",", times[i].node, times[i].kernel, 1e6 * times[i].seconds / kRuns,
        1e-9 * macs, 1e-6 * bytes,
        1e-6 * static_cast<double>(program.plan().slot_bytes[step.writes]) * batch);
  }
  std::fflush(stdout);
}

// One image on the GPU and on the reference device: the same bytes, or in half precision the same
// within rounding. Returns |difference| / |reference|.
double verify(Program& program, const std::shared_ptr<const graph::Graph>& graph, bool half) {
  const auto judge_device = reference::make_device();
  const auto judge = compile_or_throw(*judge_device, graph);
  Buffers have = make_buffers(*graph, 1, Where::kPinned);
  Buffers want = make_buffers(*graph, 1, Where::kPinned);
  program.submit({have.inputs, have.outputs, 1, 0})->wait();
  if (auto completion = judge->submit({want.inputs, want.outputs, 1, 0})) completion->wait();
  double worst = 0;
  for (std::size_t i = 0; i < graph->outputs.size(); ++i) {
    const graph::Value& v = graph->value(graph->outputs[i]);
    const auto bytes = static_cast<std::size_t>(v.shape.size()) * graph::size_of(v.dtype);
    double error = std::memcmp(have.outputs[i], want.outputs[i], bytes) == 0 ? 0 : 1;
    if (half) {
      const auto* got = static_cast<const float*>(have.outputs[i]);
      const auto* judged = static_cast<const float*>(want.outputs[i]);
      double difference = 0;
      double norm = 0;
      for (std::int64_t k = 0; k < v.shape.size(); ++k) {
        difference += std::pow(double{got[k]} - double{judged[k]}, 2);
        norm += std::pow(double{judged[k]}, 2);
      }
      error = std::sqrt(difference / norm);
    }
    if (!(error <= (half ? 5e-3 : 0))) {
      base::fail(base::Status::kInternal,
                 "output {} differs from the reference ({}); nothing was timed", v.name, error);
    }
    worst = std::max(worst, error);
  }
  return worst;
}

int main_of(int argc, char** argv) {
  const auto process = Clock::now();
  std::string model;
  std::string scaling;
  std::vector<int> table;
  std::vector<int> layers;
  std::vector<int> batches = {1, 128};
  double seconds = 0.5;
  Precision precision = Precision::kModel;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--layers") {
      layers = numbers(argv[++i]);
    } else if (word == "--batches") {
      batches = numbers(argv[++i]);
    } else if (word == "--precision") {
      const std::string name = argv[++i];
      if (name != "fp16" && name != "model") {
        fmt::print(stderr, "cuda_bench: --precision is {}; model or fp16\n", name);
        return 2;
      }
      precision = name == "fp16" ? Precision::kFp16 : Precision::kModel;
    } else if (word == "--table") {
      table = numbers(argv[++i]);
    } else if (word == "--scaling") {
      scaling = argv[++i];
    } else if (word == "--seconds") {
      seconds = std::stod(argv[++i]);
    } else {
      model = word;
    }
  }
  if (model.empty()) {
    fmt::print(stderr,
               "usage: cuda_bench MODEL.onnx [--precision fp16] [--layers B,..] [--batches B,..] "
               "[--seconds S] [--scaling cuda:0,1] [--table B,..]\n");
    return 2;
  }
  const bool half = precision == Precision::kFp16;
  const graph::Graph imported = import::import_model(model);
  const auto graph = std::make_shared<const graph::Graph>(
      half ? graph::passes::drop_quantization(imported) : graph::passes::lower_quantized(imported));
  if (!table.empty()) {
    const auto device = make_device("cuda:0");
    const auto program = compile_or_throw(*device, graph, {.precision = precision});
    print_table(dynamic_cast<CudaProgram&>(*program), table);
    return 0;
  }
  std::string command = "cuda_bench";
  for (int i = 1; i < argc; ++i) command += fmt::format(" {}", argv[i]);
  fmt::print("{{\"command\": \"{}\", \"date\": \"{:%F}\",\n", command,
             fmt::gmtime(std::time(nullptr)));
  if (!scaling.empty()) {
    const DeviceProperties all = make_device(scaling)->properties();
    fmt::print("\"device\": \"{}\", \"isa\": \"{}\", \"precision\": \"{}\",\n", all.description,
               all.isa, half ? "fp16" : "int8");
    fmt::print("\"memory\": \"pinned\", \"verified\": \"{}\",\n",
               half ? "one GPU" : "reference, one GPU");
    print_scaling(scaling, graph, precision, batches, seconds);
    fmt::print("}}\n");
    return 0;
  }
  const auto device = make_device("cuda:0");
  const DeviceProperties properties = device->properties();
  const auto program = compile_or_throw(*device, graph, {.precision = precision});
  Buffers one = make_buffers(*graph, 1, Where::kPinned);
  program->submit({one.inputs, one.outputs, 1, 0})->wait();
  fmt::print("\"device\": \"{}\", \"isa\": \"{}\", \"first_inference_s\": {:.2f}",
             properties.description, properties.isa, seconds_since(process));
  fmt::print(
      ",\n\"precision\": \"{}\", \"verified\": \"reference\", \"error\": {:.2e}, \"throughput\": [",
      half ? "fp16" : "int8", verify(*program, graph, half));
  const char* comma = "";
  for (const int batch : batches) {
    for (const Where where : {Where::kDevice, Where::kPinned}) {
      for (const std::size_t depth : {1, 2}) {
        fmt::print("{}", comma);
        time_batches(*device, *program, batch, where, depth, seconds);
        comma = ",";
      }
    }
  }
  const std::string details = program->details();
  fmt::print("],\n\"details\": {}", details.empty() ? "{}" : details);
  fmt::print(",\n\"program_mib\": {}", program->memory_bytes() >> 20);
  fmt::print(",\n\"steps_batch\": {}, \"steps\": [", batches.back());
  print_profile(dynamic_cast<CudaProgram&>(*program), batches.back());
  fmt::print("]");
  if (!layers.empty()) {
    const auto plan =
        make_plan(graph, properties.isa.empty() ? 0 : std::stoi(properties.isa.substr(3)),
                  properties.cores, precision);
    fmt::print(",\n\"layers\": [");
    sweep(*plan, layers);
    fmt::print("]");
  }
  fmt::print("}}\n");
  return 0;
}

}  // namespace
}  // namespace pronghorn::device::cuda

int main(int argc, char** argv) {
  try {
    return pronghorn::device::cuda::main_of(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "cuda_bench: {}\n", error.what());
    return 1;
  }
}
