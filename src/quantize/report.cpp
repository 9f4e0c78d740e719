// SPDX-License-Identifier: Apache-2.0
#include "quantize/report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "arith/requantize.h"
#include "graph/passes/passes.h"

namespace pronghorn::quantize {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::Tensor;
using graph::ValueId;

// Signal and error power of one layer, summed image after image.
struct Power {
  double signal = 0, alone = 0, accumulated = 0;
};

double decibels(double signal, double noise) {
  constexpr double kMost = 200;  // an exact layer, or an empty one
  if (!(noise > 0)) return kMost;
  return std::clamp(10.0 * std::log10(std::max(signal, 1e-300) / noise), -kMost, kMost);
}

// One measured value: its cluster runs from node `first` to node `last` of the prepared graph.
struct Layer {
  std::size_t first = 0, last = 0;
  ValueId value = graph::kNoValue;  // in the prepared graph
  bool is_float = false;            // the logits
  Scale scale;
  std::size_t float_at = 0, alone_at = 0;  // outputs of the float program
  std::size_t stored_at = 0;               // output of the quantized program
};

std::vector<float> dequantized(const QuantizedConv& q) {
  std::vector<float> weights(q.weights.size());
  const std::size_t row = weights.size() / q.bias.size();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = arith::dequantize(q.weights[i], q.weight_scale[i / row], 0);
  }
  return weights;
}

std::vector<Layer> find_layers(const Measured& m) {
  const Graph& g = m.prepared.graph;
  const Points& points = m.decisions.points;
  std::vector<Layer> layers;
  std::vector<bool> in_cluster(g.nodes.size(), false);
  std::vector<std::size_t> first_of(g.nodes.size());
  for (std::size_t n = 0; n < g.nodes.size(); ++n) first_of[n] = n;
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    if (g.nodes[n].op == Op::kConv) first_of[cluster_end(g, points, n)] = n;
  }
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    const Node& node = g.nodes[n];
    const ValueId source = points.source[static_cast<std::size_t>(node.output)];
    const bool logits = source == graph::kNoValue && node.op == Op::kConv && first_of[n] == n &&
                        cluster_end(g, points, n) == n;
    if (source != node.output && !logits) continue;
    Layer layer;
    layer.first = first_of[n];
    layer.last = n;
    layer.value = node.output;
    layer.is_float = logits;
    if (!logits) layer.scale = m.decisions.scales.at(source);
    layers.push_back(layer);
  }
  return layers;
}

// The float graph, and beside it each convolution's cluster again with rounded weights, fed by the
// float tensors.
std::shared_ptr<const Graph> side_by_side(const Measured& m, std::vector<Layer>& layers) {
  auto g = std::make_shared<Graph>(m.prepared.graph);
  g->outputs.clear();
  for (Layer& layer : layers) {
    layer.float_at = layer.alone_at = g->outputs.size();
    g->outputs.push_back(layer.value);
    if (m.prepared.graph.nodes[layer.first].op != Op::kConv) continue;
    const QuantizedConv& q = m.decisions.convs.at(layer.first);
    std::vector<float> bias(q.bias.size());
    for (std::size_t i = 0; i < bias.size(); ++i) {
      bias[i] = arith::dequantize(q.bias[i], q.bias_scale[i], 0);
    }
    const Node conv = g->nodes[layer.first];
    ValueId before = conv.output;
    ValueId now =
        g->add_node(Op::kConv, conv.name + "_rounded",
                    {conv.inputs[0],
                     g->add_constant(conv.name + "_rounded_weights",
                                     Tensor::from(g->value(conv.inputs[1]).dims, dequantized(q))),
                     g->add_constant(conv.name + "_rounded_bias",
                                     Tensor::from(g->value(conv.inputs[2]).dims, std::move(bias)))},
                    conv.attributes);
    for (std::size_t n = layer.first; n != layer.last;) {
      n = m.decisions.points.consumers[static_cast<std::size_t>(before)].at(0);
      Node next = m.prepared.graph.nodes[n];
      std::replace(next.inputs.begin(), next.inputs.end(), before, now);
      before = next.output;
      now = g->add_node(next.op, next.name + "_rounded", next.inputs, next.attributes);
    }
    layer.alone_at = g->outputs.size();
    g->outputs.push_back(now);
  }
  return g;
}

std::shared_ptr<const Graph> lowered_with_taps(const Measured& m, std::vector<Layer>& layers) {
  Graph qdq = m.emitted.graph;
  for (Layer& layer : layers) {
    if (layer.is_float) {  // its float value kept its name
      const std::string& name = m.prepared.graph.value(layer.value).name;
      const auto found = std::find_if(qdq.values.begin(), qdq.values.end(),
                                      [&](const graph::Value& v) { return v.name == name; });
      const auto id = static_cast<ValueId>(found - qdq.values.begin());
      const auto output = std::find(qdq.outputs.begin(), qdq.outputs.end(), id);
      layer.stored_at = static_cast<std::size_t>(output - qdq.outputs.begin());
      if (output == qdq.outputs.end()) qdq.outputs.push_back(id);
    } else {
      layer.stored_at = qdq.outputs.size();
      qdq.outputs.push_back(m.emitted.quantized.at(layer.value));
    }
  }
  return std::make_shared<Graph>(graph::passes::lower_quantized(qdq));
}

double squared_distance(std::span<const float> x, const auto& other) {
  double total = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = static_cast<double>(x[i]) - static_cast<double>(other(i));
    total += error * error;
  }
  return total;
}

Power power_of(const Layer& layer, std::span<const float> x, const float* alone,
               const base::Buffer& stored) {
  const Scale s = layer.scale;
  Power power;
  power.signal = squared_distance(x, [](std::size_t) { return 0.0f; });
  if (layer.is_float) {
    const float* y = stored.as<float>();
    power.alone = squared_distance(x, [&](std::size_t i) { return alone[i]; });
    power.accumulated = squared_distance(x, [&](std::size_t i) { return y[i]; });
    return power;
  }
  const std::uint8_t* q = stored.as<std::uint8_t>();
  power.alone = squared_distance(x, [&](std::size_t i) {
    return arith::dequantize(arith::quantize(alone[i], s.scale, s.zero_point, arith::kU8), s.scale,
                             s.zero_point);
  });
  power.accumulated = squared_distance(
      x, [&](std::size_t i) { return arith::dequantize(q[i], s.scale, s.zero_point); });
  return power;
}

std::vector<Power> measure_power(const Measured& m, std::vector<Layer>& layers,
                                 const Calibration& calibration, int threads,
                                 device::Device& device, const std::function<void()>& one_done) {
  const auto float_graph = side_by_side(m, layers);
  const auto integer_graph = lowered_with_taps(m, layers);
  const auto float_program = device::compile_or_throw(device, float_graph, {threads});
  const auto integer_program = device::compile_or_throw(device, integer_graph, {threads});
  std::vector<std::vector<Power>> of_thread(static_cast<std::size_t>(threads));
  std::vector<Power> total(layers.size());
  run_images(
      {float_program.get(), integer_program.get()}, m.prepared, calibration,
      std::min(calibration.count, kReportImages), threads,
      [&](const Outputs& out) {
        auto& mine = of_thread[static_cast<std::size_t>(out.thread)];
        mine.clear();
        for (const Layer& layer : layers) {
          const auto size =
              static_cast<std::size_t>(m.prepared.graph.value(layer.value).shape.size());
          mine.push_back(power_of(layer, {out.buffers[0][layer.float_at].as<float>(), size},
                                  out.buffers[0][layer.alone_at].as<float>(),
                                  out.buffers[1][layer.stored_at]));
        }
      },
      [&](const Outputs& out) {
        const auto& mine = of_thread[static_cast<std::size_t>(out.thread)];
        for (std::size_t i = 0; i < total.size(); ++i) {
          total[i].signal += mine[i].signal;
          total[i].alone += mine[i].alone;
          total[i].accumulated += mine[i].accumulated;
        }
        one_done();
      });
  return total;
}

double measure_agreement(const Measured& m, const Calibration& calibration, int threads,
                         device::Device& device, const std::function<void()>& one_done) {
  const auto integer_graph =
      std::make_shared<Graph>(graph::passes::lower_quantized(m.emitted.graph));
  const auto program = device::compile_or_throw(device, integer_graph, {threads});
  std::int64_t equal = 0;
  const auto best = [](const float* x, std::size_t n) { return std::max_element(x, x + n) - x; };
  run_images(
      {program.get()}, m.prepared, calibration, calibration.count, threads, [](const Outputs&) {},
      [&](const Outputs& out) {
        const std::vector<float>& want = m.logits[static_cast<std::size_t>(out.image)];
        equal += best(out.buffers[0][0].as<float>(), want.size()) == best(want.data(), want.size());
        one_done();
      });
  return static_cast<double>(equal) / static_cast<double>(calibration.count);
}

}  // namespace

Report measure(const Measured& m, const Calibration& calibration, int threads,
               device::Device& device, const std::function<void()>& one_done) {
  std::vector<Layer> layers = find_layers(m);
  const std::vector<Power> power = measure_power(m, layers, calibration, threads, device, one_done);
  Report report;
  report.images = calibration.count;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    LayerReport row;
    row.node = m.prepared.graph.nodes[layer.first].name;
    row.op = name_of(m.prepared.graph.nodes[layer.first].op);
    for (std::size_t n = layer.first; n != layer.last;) {
      const ValueId output = m.prepared.graph.nodes[n].output;
      n = m.decisions.points.consumers[static_cast<std::size_t>(output)].at(0);
      row.op += fmt::format("+{}", name_of(m.prepared.graph.nodes[n].op));
    }
    row.dtype = layer.is_float ? "float32" : "uint8";
    if (!layer.is_float) {
      row.scale = layer.scale.scale;
      row.zero_point = layer.scale.zero_point;
      row.clipped = clipped_fraction(*m.histograms.at(layer.value), layer.scale);
    }
    row.sqnr_alone_db = decibels(power[i].signal, power[i].alone);
    row.sqnr_accumulated_db = decibels(power[i].signal, power[i].accumulated);
    report.layers.push_back(std::move(row));
  }
  report.top1_agreement = measure_agreement(m, calibration, threads, device, one_done);
  return report;
}

}  // namespace pronghorn::quantize
