// SPDX-License-Identifier: Apache-2.0
#include "quantize/emit.h"

#include <string>
#include <utility>

namespace pronghorn::quantize {
namespace {

using graph::DType;
using graph::Graph;
using graph::Op;
using graph::Quant;
using graph::Tensor;
using graph::ValueId;

ValueId constant_of(Graph& g, const std::string& name, Tensor tensor, std::vector<float> scale) {
  const ValueId stored = g.add_constant(name + "_quantized", std::move(tensor));
  Quant quant{std::move(scale), {}};
  quant.zero_point.assign(quant.scale.size(), 0);
  return g.add_node(Op::kDequantize, name, {stored}, std::move(quant));
}

// {weights, bias} of a convolution in `g`.
std::vector<ValueId> constants_of(Graph& g, const Graph& original, const graph::Node& conv,
                                  const QuantizedConv& q) {
  const graph::Value& weights = original.value(conv.inputs[1]);
  const graph::Value& bias = original.value(conv.inputs[2]);
  return {constant_of(g, weights.name, Tensor::from(weights.dims, q.weights), q.weight_scale),
          constant_of(g, bias.name, Tensor::from(bias.dims, q.bias), q.bias_scale)};
}

}  // namespace

Emitted emit(const Prepared& prepared, const Decisions& decisions) {
  const Graph& original = prepared.graph;
  Emitted emitted;
  Graph& g = emitted.graph;
  g.name = original.name;
  g.format = original.format;
  g.resize = original.resize;
  g.labels = original.labels;
  g.label_ids = original.label_ids;
  g.metadata = original.metadata;

  std::vector<ValueId> made(original.values.size(), graph::kNoValue);
  const auto at = [&](ValueId id) -> ValueId& { return made[static_cast<std::size_t>(id)]; };

  const graph::Value& image = original.value(original.inputs[0]);
  if (prepared.takes_pixels) {
    const ValueId pixels = g.add_value(image.name, DType::kU8, image.shape);
    g.inputs = {pixels};
    const auto& z = prepared.zero_point;
    at(original.inputs[0]) = g.add_node(Op::kDequantize, image.name + "_dequantized", {pixels},
                                        Quant{{1, 1, 1}, {z[0], z[1], z[2]}});
  } else {
    g.preprocess = original.preprocess;
    const ValueId floats = g.add_value(image.name, DType::kF32, image.shape);
    g.inputs = {floats};
    const Scale& scale = decisions.scales.at(original.inputs[0]);
    const Quant quant{{scale.scale}, {scale.zero_point}};
    const ValueId stored =
        g.add_node(Op::kQuantize, image.name + "_quantized", {floats}, quant, DType::kU8);
    at(original.inputs[0]) =
        g.add_node(Op::kDequantize, image.name + "_dequantized", {stored}, quant);
  }

  for (std::size_t n = 0; n < original.nodes.size(); ++n) {
    const graph::Node& node = original.nodes[n];
    std::vector<ValueId> inputs;
    if (node.op == Op::kConv) {
      inputs = constants_of(g, original, node, decisions.convs.at(n));
      inputs.insert(inputs.begin(), at(node.inputs[0]));
    } else {
      for (const ValueId id : node.inputs) inputs.push_back(at(id));
    }
    const std::string& name = original.value(node.output).name;
    const ValueId result = g.add_node(node.op, node.name, std::move(inputs), node.attributes);
    g.value(result).name = name;
    at(node.output) = result;
    const ValueId source = decisions.points.source[static_cast<std::size_t>(node.output)];
    if (source == graph::kNoValue) continue;
    const Scale& scale = decisions.scales.at(source);
    const Quant quant{{scale.scale}, {scale.zero_point}};
    const ValueId stored =
        g.add_node(Op::kQuantize, name + "_quantized", {result}, quant, DType::kU8);
    emitted.quantized[node.output] = stored;
    at(node.output) = g.add_node(Op::kDequantize, name + "_dequantized", {stored}, quant);
  }
  for (const ValueId id : original.outputs) {
    const ValueId result = at(id);
    const std::string& name = original.value(id).name;
    if (emitted.quantized.count(id) && g.value(result).name != name) {
      for (graph::Value& value : g.values) {
        if (value.name == name) value.name += "_float";
      }
      g.value(result).name = name;
    }
    g.outputs.push_back(result);
  }
  graph::verify(g);
  return emitted;
}

}  // namespace pronghorn::quantize
