// SPDX-License-Identifier: Apache-2.0
// Whole networks through the compiler of src/device/fpga and the RTL: output bytes equal to the
// reference device's, byte for byte, cycles of every command and of the whole batch beside the
// cycle model's.
//   network_tb residual COUNT           random small residual networks (tests/exact), AXI stalls
//   network_tb layers PART              every PARTth layer shape of ResNet50, no stalls
//   network_tb model FILE IMAGES [JSON]  a quantized ONNX file, random images, no stalls
#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "device/fpga/plan.h"
#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "import/import.h"
#include "problem.h"
#include "residual_network.h"
#include "verilated_port.h"

namespace fpga = pronghorn::device::fpga;
namespace graph = pronghorn::graph;

namespace {

const fpga::Configuration& configuration() {
  for (const auto& c : fpga::kConfigurations)
    if (c.name == BENCH_CONFIG) return c;
  std::abort();
}

using Bytes = std::vector<std::vector<std::byte>>;  // by input

std::vector<std::byte> reference(const std::shared_ptr<const graph::Graph>& g, const Bytes& inputs,
                                 std::size_t bytes) {
  const auto device = pronghorn::device::reference::make_device();
  const auto program = pronghorn::device::compile_or_throw(*device, g);
  std::vector<std::byte> output(bytes);
  std::vector<const void*> src;
  for (const auto& input : inputs) src.push_back(input.data());
  void* dst = output.data();
  if (auto done = program->submit({src, {&dst, 1}, 1})) done->wait();
  return output;
}

// Of short commands a few cycles are more than 1 %; more where a command waits for a load, whose
// cycles the model only estimates.
constexpr std::int64_t kFewCycles = 4, kLoadCycles = 24;

// One COMPUTE command: from the completion of the one before to its own.
struct Layer {
  std::string node, op;
  std::int64_t rtl = 0, model = 0;
  double difference() const {
    return std::abs(static_cast<double>(rtl - model)) / static_cast<double>(model);
  }
  std::int64_t few = kFewCycles;
  bool agrees() const { return difference() <= 0.01 || std::abs(rtl - model) <= few; }
};

std::vector<Layer> compare(const fpga::Plan& plan, const std::vector<std::int64_t>& rtl) {
  const fpga::RunReport model = fpga::count_cycles(*plan.configuration, plan.commands);
  std::vector<Layer> layers;
  std::int64_t rtl_before = 0, model_before = 0, loads = 0;
  for (std::size_t c = 0; c < plan.commands.size(); ++c) {
    const fpga::Command& command = plan.commands[c];
    if (command.opcode > fpga::Opcode::kMaxPool) continue;
    const std::int64_t end = rtl.at(layers.size());
    layers.push_back({plan.names.at(static_cast<std::size_t>(command.tag)),
                      std::string(fpga::name_of(command.opcode)), end - rtl_before,
                      model.completed[c] - model_before,
                      command.wait.load > loads ? kLoadCycles : kFewCycles});
    loads = command.wait.load;
    rtl_before = end;
    model_before = model.completed[c];
  }
  return layers;
}

struct Outcome {
  std::int64_t cycles = 0, model_cycles = 0, steps = 0;
  double seconds = 0;
  bool equal = false;
  std::vector<Layer> layers;
};

// A smooth picture with noise: activations as varied as those of photographs.
Bytes picture(const graph::Graph& g, std::mt19937_64& random) {
  const graph::Shape& shape = g.value(g.inputs[0]).shape;
  std::vector<std::byte> pixels(static_cast<std::size_t>(shape.size()));
  const auto width = static_cast<std::size_t>(shape.w * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::size_t x = i % width / 3, y = i / width;
    pixels[i] = static_cast<std::byte>((x * 3 + y * 2 + random() % 64 + 40 * (i % 3)) & 255);
  }
  return {pixels};
}

Outcome run_image(const fpga::Plan& plan, bench::VerilatedPort& port, const Bytes& inputs) {
  const graph::Graph& g = *plan.graph;
  const graph::Value& output = g.value(g.outputs[0]);
  std::vector<std::byte> input(static_cast<std::size_t>(plan.input_bytes));
  std::vector<std::byte> memory(static_cast<std::size_t>(plan.output_bytes));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    fpga::pack_input(plan, i, inputs[i].data(), 1, input.data());
  const auto begin = std::chrono::steady_clock::now();
  const fpga::RunReport report = port.run(fpga::encode(plan.commands), {plan.model, input, memory});
  Outcome outcome;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::size_t bytes =
      static_cast<std::size_t>(output.shape.size()) * graph::size_of(output.dtype);
  std::vector<std::byte> got(bytes);
  fpga::unpack_output(plan, 0, memory.data(), 1, got.data());
  outcome.equal = got == reference(plan.graph, inputs, bytes);
  outcome.cycles = report.cycles;
  outcome.steps = report.steps;
  outcome.model_cycles = fpga::count_cycles(*plan.configuration, plan.commands).cycles;
  outcome.layers = compare(plan, port.computes_done);
  return outcome;
}

void check_layers(const std::vector<Layer>& layers) {
  const bool print = std::getenv("PRONGHORN_LAYERS") != nullptr;
  for (const Layer& layer : layers) {
    bench::check(layer.agrees(), "%s: %lld cycles, the model counts %lld", layer.node.c_str(),
                 static_cast<long long>(layer.rtl), static_cast<long long>(layer.model));
    if (print)
      std::printf("  %-8s %-40s %8lld %8lld\n", layer.op.c_str(), layer.node.c_str(),
                  static_cast<long long>(layer.rtl), static_cast<long long>(layer.model));
  }
}

fpga::Plan plan_of(std::shared_ptr<const graph::Graph> g) {
  auto made = fpga::make_plan(std::move(g), configuration(), 1);
  if (const auto* refusal = std::get_if<pronghorn::device::Refusal>(&made)) {
    std::printf("refused: %s\n", refusal->message().c_str());
    std::exit(1);
  }
  return std::move(std::get<fpga::Plan>(made));
}

void residual_networks(std::mt19937_64& random, int count) {
  for (int n = 0; n < count; ++n) {
    const auto seed = static_cast<std::uint32_t>(random());
    const fpga::Plan plan =
        plan_of(std::make_shared<const graph::Graph>(pronghorn::exact::residual_network(seed)));
    const double stall = n % 2 == 0 ? 0.0 : 0.5;
    bench::VerilatedPort port(configuration(), stall, random());
    port.run(fpga::encode(plan.setup), {plan.model, {}, {}});
    for (int image = 0; image < 2; ++image) {
      const Outcome outcome = run_image(plan, port, picture(*plan.graph, random));
      bench::check(outcome.equal, "network %u: the output differs from the reference's", seed);
      if (stall == 0.0) check_layers(outcome.layers);
      std::printf("network %u: %lld cycles, model %lld, stalls %.1f\n", seed,
                  static_cast<long long>(outcome.cycles),
                  static_cast<long long>(outcome.model_cycles), stall);
    }
  }
}

// Every shape of ResNet50's layers with all its channels; in full where the rows of `tiny` hold it
// and 100,000 cycles do it, else fewer rows of full width.
constexpr const char* kLayers[] = {
    "conv ic3 ih32 iw224 oc64 k7 s2 p3 zin=1 relu=1",  // 224 rows
    "max_pool ic64 ih28 iw112 k3 s2 p1",               // 112
    "conv ic64 ih56 oc64 k1 relu=1",                   // whole
    "conv ic64 ih14 iw56 oc64 k3 p1 relu=1",           // 56
    "conv ic64 ih14 iw56 oc256 k1 res=s8 relu=1",      // 56
    "conv ic64 ih14 iw56 oc256 k1 dst=s8",             // 56
    "conv ic256 ih14 iw56 oc64 k1 relu=1",             // 56
    "conv ic256 ih7 iw56 oc128 k1 relu=1",             // 56
    "conv ic128 ih14 iw56 oc128 k3 s2 p1 relu=1",      // 56
    "conv ic256 ih14 iw56 oc512 k1 s2 dst=s8",         // 56
    "conv ic128 ih7 iw28 oc128 k3 p1 relu=1",          // 28
    "conv ic128 ih14 iw28 oc512 k1 res=u8 relu=1",     // 28
    "conv ic512 ih14 iw28 oc128 k1 relu=1",            // 28
    "conv ic256 ih8 iw28 oc256 k3 s2 p1 relu=1",       // 28
    "conv ic512 ih8 iw28 oc1024 k1 s2 dst=s8",         // 28
    "conv ic256 ih4 iw14 oc256 k3 p1 relu=1",          // 14
    "conv ic256 ih7 iw14 oc1024 k1 res=u8 relu=1",     // 14
    "conv ic1024 ih7 iw14 oc256 k1 relu=1",            // 14
    "conv ic512 ih4 iw14 oc512 k3 s2 p1 relu=1",       // 14
    "conv ic1024 ih4 iw14 oc2048 k1 s2 dst=s8",        // 14
    "conv ic512 ih3 iw7 oc512 k3 p1 relu=1",           // 7
    "conv ic512 ih7 oc2048 k1 res=u8 relu=1",          // whole
    "conv ic2048 ih7 oc512 k1 relu=1",                 // whole
    "average_pool ic2048 ih7 k7",                      // whole
    "conv ic2048 ih1 oc1000 dst=f32",                  // whole
    "add ic256 ih14 iw56 src=s8",                      // whole layers of imported networks
};

// Every `part`th of them, beginning with a random one.
void layers(std::mt19937_64& random, std::size_t part) {
  namespace exact = pronghorn::exact;
  for (std::size_t i = random() % part; i < std::size(kLayers); i += part) {
    exact::Problem problem = exact::parse(kLayers[i]);
    problem.seed = static_cast<std::uint32_t>(random());
    const fpga::Plan plan = plan_of(std::make_shared<const graph::Graph>(exact::build(problem)));
    bench::VerilatedPort port(configuration(), 0.0, random());
    port.run(fpga::encode(plan.setup), {plan.model, {}, {}});
    const Outcome outcome =
        run_image(plan, port, exact::make_inputs(*plan.graph, 1, problem.fill, problem.seed));
    bench::check(outcome.equal, "%s: the output differs from the reference's",
                 exact::to_string(problem).c_str());
    check_layers(outcome.layers);
    std::printf("%-50s %s, %lld cycles, model %lld\n", kLayers[i],
                outcome.equal ? "equal" : "DIFFERENT", static_cast<long long>(outcome.cycles),
                static_cast<long long>(outcome.model_cycles));
    std::fflush(stdout);
  }
}

void whole_model(std::mt19937_64& random, const std::string& file, int images, const char* json) {
  const fpga::Plan plan = plan_of(std::make_shared<const graph::Graph>(
      graph::passes::lower_quantized(pronghorn::import::import_model(file))));
  const auto& c = configuration();
  bench::VerilatedPort port(c, 0.0, random());
  port.run(fpga::encode(plan.setup), {plan.model, {}, {}});
  nlohmann::ordered_json root;
  root["schema"] = 1;
  root["what"] = "whole images through the RTL in Verilator, compared with the reference device";
  root["configuration"] = std::string(c.name);
  root["model"] = file.substr(file.rfind('/') + 1);
  for (int i = 0; i < images; ++i) {
    const Outcome outcome = run_image(plan, port, picture(*plan.graph, random));
    bench::check(outcome.equal, "image %d: the output differs from the reference's", i);
    check_layers(outcome.layers);
    const double busy = static_cast<double>(graph::macs(*plan.graph)) /
                        (static_cast<double>(outcome.cycles) * c.oc * c.ic * c.px);
    std::printf("image %d: %s, %lld cycles, model %lld, multipliers busy %.1f %%, %.1f s\n", i,
                outcome.equal ? "equal" : "DIFFERENT", static_cast<long long>(outcome.cycles),
                static_cast<long long>(outcome.model_cycles), 100 * busy, outcome.seconds);
    std::fflush(stdout);
    root["images"].push_back(
        {{"equal", outcome.equal},
         {"rtl_cycles", outcome.cycles},
         {"model_cycles", outcome.model_cycles},
         {"utilisation", busy},
         {"array_busy", static_cast<double>(outcome.steps) / static_cast<double>(outcome.cycles)},
         {"simulation_seconds", outcome.seconds}});
    if (i == 0) {
      // Cycles do not depend on the pixels.
      for (const Layer& layer : outcome.layers)
        root["layers"].push_back({{"op", layer.op},
                                  {"node", layer.node},
                                  {"rtl_cycles", layer.rtl},
                                  {"model_cycles", layer.model}});
    }
    if (json != nullptr) std::ofstream(json) << root.dump(2) << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  std::mt19937_64 random = bench::random_engine("network");
  if (mode == "residual" && argc == 3) {
    residual_networks(random, std::atoi(argv[2]));
  } else if (mode == "layers" && argc == 3 && std::atoi(argv[2]) > 0) {
    layers(random, static_cast<std::size_t>(std::atoi(argv[2])));
  } else if (mode == "model" && (argc == 4 || argc == 5)) {
    whole_model(random, argv[2], std::atoi(argv[3]), argc == 5 ? argv[4] : nullptr);
  } else {
    std::fprintf(stderr,
                 "usage: network_tb residual COUNT | layers PART | model FILE IMAGES [JSON]\n");
    return 2;
  }
  return bench::finish("network");
}
