// SPDX-License-Identifier: Apache-2.0
// How fast the CPU device runs a ResNet50 v1.5 with random INT8 weights, layer by layer and whole,
// after comparing its bytes with the reference device.
//   cpu_bench [sigma] [seconds]
// `sigma` is the standard deviation of the weights (clipped to +-127); trained layers, scaled so
// that the largest weight of a channel is 127, have 30 to 45.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "base/thread_pool.h"
#include "device/cpu/cpu_device.h"
#include "device/reference/reference_device.h"

namespace {

using namespace pronghorn;
using graph::DType;
using graph::Graph;
using graph::ValueId;

class ResNet {
 public:
  explicit ResNet(double sigma) : sigma_(sigma) {
    graph_.name = "resnet50";
    ValueId x = graph_.add_value("images", DType::kU8, {224, 224, 3});
    graph_.inputs = {x};
    x = conv(x, 64, 7, 2, {124, 116, 104});
    graph::Window pool{3, 3, 2, 2, 1, 1, 1, 1};
    x = graph_.add_node(graph::Op::kMaxPool, "pool", {x}, pool, DType::kU8);
    const int depths[] = {3, 4, 6, 3};
    for (int stage = 0; stage < 4; ++stage) {
      for (int i = 0; i < depths[stage]; ++i) {
        const int width = 64 << stage;
        const int stride = i == 0 && stage > 0 ? 2 : 1;
        ValueId y = conv(x, width, 1, 1, {0});
        y = conv(y, width, 3, stride, {0});
        const ValueId shortcut = i == 0 ? conv(x, 4 * width, 1, stride, {0}) : x;
        x = conv(y, 4 * width, 1, 1, {0}, shortcut);
      }
    }
    graph::QAveragePool average{{7, 7}, 0, 0, {}, arith::kU8};
    for (int i = 1; i <= 49; ++i) average.m.push_back(1.0f / static_cast<float>(i));
    x = graph_.add_node(graph::Op::kQAveragePool, "average", {x}, average, DType::kU8);
    graph_.outputs = {conv(x, 1000, 1, 1, {0}, graph::kNoValue, DType::kF32)};
    graph::verify(graph_);
  }

  Graph take() { return std::move(graph_); }

 private:
  ValueId conv(ValueId src, int oc, int kernel, int stride, std::vector<std::int32_t> z,
               ValueId residual = graph::kNoValue, DType dst = DType::kU8) {
    const std::int64_t ic = graph_.value(src).shape.c;
    const std::int64_t size = kernel * kernel * ic;
    std::normal_distribution<double> normal(0.0, sigma_);
    std::vector<std::int8_t> weights(static_cast<std::size_t>(oc * size));
    for (auto& w : weights) {
      w = static_cast<std::int8_t>(std::clamp(std::lround(normal(random_)), -127l, 127l));
    }
    std::vector<std::int32_t> bias(static_cast<std::size_t>(oc));
    std::uniform_int_distribution<std::int32_t> any(-20000, 20000);
    for (auto& b : bias) b = any(random_);
    graph::QConv q;
    const int pad = kernel / 2;
    q.window = {kernel, kernel, stride, stride, pad, pad, pad, pad};
    q.z_src = std::move(z);
    q.m.assign(static_cast<std::size_t>(oc),
               static_cast<float>(0.6 / (std::sqrt(static_cast<double>(size)) * sigma_)));
    q.m_res = 0.5f;
    const std::string name = "conv" + std::to_string(graph_.nodes.size());
    std::vector<ValueId> inputs = {
        src,
        graph_.add_constant(name + ".weights",
                            graph::Tensor::from<std::int8_t>({oc, kernel, kernel, ic}, weights)),
        graph_.add_constant(name + ".bias", graph::Tensor::from<std::int32_t>({oc}, bias))};
    if (residual != graph::kNoValue) inputs.push_back(residual);
    return graph_.add_node(graph::Op::kQConv, name, inputs, q, dst);
  }

  double sigma_;
  std::mt19937 random_{7};
  Graph graph_;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Speed {
  double least = 1e9;
  double median = 0;
};

Speed measure(device::Program& program, int batch, int threads, double seconds) {
  const Graph& graph = program.graph();
  const auto in_size = static_cast<std::size_t>(graph.value(graph.inputs[0]).shape.size());
  const auto out_size = static_cast<std::size_t>(graph.value(graph.outputs[0]).shape.size());
  std::vector<std::uint8_t> image(in_size * static_cast<std::size_t>(batch));
  std::mt19937 random(5);
  for (auto& x : image) x = static_cast<std::uint8_t>(random());
  std::vector<float> logits(out_size * static_cast<std::size_t>(batch));
  const void* inputs[] = {image.data()};
  void* outputs[] = {logits.data()};
  std::vector<double> times;
  for (const double end = now() + seconds; now() < end || times.empty();) {
    const double start = now();
    program.submit({inputs, outputs, batch, threads});
    times.push_back((now() - start) / batch);
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

void verify(device::Program& program, device::Program& judge) {
  const Graph& graph = program.graph();
  std::mt19937 random(11);
  std::vector<std::uint8_t> image(
      static_cast<std::size_t>(graph.value(graph.inputs[0]).shape.size()));
  for (auto& x : image) x = static_cast<std::uint8_t>(random());
  const auto classes = static_cast<std::size_t>(graph.value(graph.outputs[0]).shape.size());
  std::vector<float> got(classes), want(classes);
  const void* inputs[] = {image.data()};
  void* got_outputs[] = {got.data()};
  void* want_outputs[] = {want.data()};
  judge.submit({inputs, want_outputs});
  // Images of a group, too.
  constexpr int kGroup = 3;
  std::vector<std::uint8_t> images;
  for (int i = 0; i < kGroup; ++i) images.insert(images.end(), image.begin(), image.end());
  std::vector<float> together(kGroup * classes);
  const void* group_inputs[] = {images.data()};
  void* group_outputs[] = {together.data()};
  program.submit({group_inputs, group_outputs, kGroup, 1});
  program.submit({inputs, got_outputs});
  for (int i = 0; i < kGroup; ++i) {
    if (std::memcmp(&together[static_cast<std::size_t>(i) * classes], got.data(),
                    classes * sizeof(float)) != 0) {
      std::printf("WRONG: image %d of a group differs\n", i);
      std::exit(1);
    }
  }
  if (std::memcmp(got.data(), want.data(), classes * sizeof(float)) != 0) {
    std::printf("WRONG: the logits differ from the reference device\n");
    std::exit(1);
  }
}

// The fastest of many runs of each layer alone: other work on the machine only adds time.
void print_layers(device::Program& program, const Graph& graph, int batch, double seconds) {
  std::vector<device::NodeTime> times;
  for (const double end = now() + seconds; now() < end || times.empty();) {
    program.set_profiling(true);
    measure(program, batch, 1, 0);
    program.set_profiling(false);
    const auto once = program.profile();
    if (times.empty()) times = once;
    for (std::size_t i = 0; i < once.size(); ++i) {
      const double s = once[i].seconds / static_cast<double>(once[i].calls);
      times[i].seconds = times[i].calls == 0 ? std::min(times[i].seconds, s) : s;
      times[i].calls = 0;
    }
  }
  std::size_t step = 0;
  double total = 0;
  for (const graph::Node& node : graph.nodes) {
    while (times[step].node != node.name) ++step;
    double s = 0;  // of the node with the copies that it needs
    for (; step < times.size() && times[step].node == node.name; ++step) s += times[step].seconds;
    const char* kernel = times[step - 1].kernel.c_str();
    total += s;
    const auto& shape = graph.value(node.output).shape;
    std::printf("%-8s %-16s -> %3ldx%3ldx%4ld  %7.3f ms  %6.1f GMAC/s\n", node.name.c_str(), kernel,
                static_cast<long>(shape.h), static_cast<long>(shape.w), static_cast<long>(shape.c),
                1e3 * s, 1e-9 * static_cast<double>(graph::macs(graph, node)) / s);
  }
  std::printf("batch %d, sum of the fastest: %.2f ms, %.1f images/s, %.1f GMAC/s\n", batch,
              1e3 * total, 1 / total, 1e-9 * static_cast<double>(graph::macs(graph)) / total);
}

}  // namespace

int main(int argc, char** argv) {
  const double sigma = argc > 1 ? std::atof(argv[1]) : 35.0;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 3.0;
  const auto graph = std::make_shared<const Graph>(ResNet(sigma).take());
  const auto cpu = device::cpu::make_device();
  const int cores = base::available_cores();
  const double start = now();
  const auto program = device::compile_or_throw(*cpu, graph, {cores});
  const double compiled = now();
  const auto reference = device::reference::make_device();
  verify(*program, *device::compile_or_throw(*reference, graph));
  std::printf("%s, %s, sigma %.0f: bytes equal the reference; compiled in %.0f ms, %.1f MB\n",
              cpu->properties().description.c_str(), cpu->properties().isa.c_str(), sigma,
              1e3 * (compiled - start), 1e-6 * static_cast<double>(program->memory_bytes()));
  for (const int batch : {1, 8}) print_layers(*program, *graph, batch, 2 * seconds);
  std::vector<int> teams;
  for (int threads = 1; threads < cores; threads *= 2) teams.push_back(threads);
  teams.push_back(cores);
  for (const int threads : teams) {
    const auto team = device::compile_or_throw(*cpu, graph, {threads});
    for (const int batch : {1, 8 * threads, 32 * threads}) {
      const Speed s = measure(*team, batch, 0, seconds);
      std::printf("%2d thread%s batch %3d: best %7.1f, median %7.1f images/s, best %.1f GMAC/s\n",
                  threads, threads == 1 ? ", " : "s,", batch, 1 / s.least, 1 / s.median,
                  1e-9 * static_cast<double>(graph::macs(*graph)) / s.least);
    }
  }
  return 0;
}
