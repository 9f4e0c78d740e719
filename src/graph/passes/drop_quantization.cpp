// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "graph/passes/passes.h"
#include "graph/quantized_constant.h"

namespace pronghorn::graph::passes {
namespace {

// Whether the smallest stored integer stands for 0: nothing negative comes through.
bool cuts_negatives(const Quant& quant, DType dtype) {
  const std::int32_t least = dtype == DType::kU8 ? 0 : -128;
  return std::all_of(quant.zero_point.begin(), quant.zero_point.end(),
                     [&](std::int32_t z) { return z == least; });
}

bool keeps_sign(Op op) {
  return op == Op::kMaxPool || op == Op::kAveragePool || op == Op::kFlatten;
}

bool is_input(const Graph& graph, ValueId id) {
  return std::find(graph.inputs.begin(), graph.inputs.end(), id) != graph.inputs.end();
}

constexpr Clip kEverything{std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()};

}  // namespace

Graph drop_quantization(const Graph& qdq) {
  Graph graph = qdq;
  graph.nodes.clear();
  std::set<ValueId> outputs(graph.outputs.begin(), graph.outputs.end());
  std::map<ValueId, ValueId> quantized;  // by result of a QuantizeLinear: the float it is of
  std::map<ValueId, ValueId> now;        // by result of a DequantizeLinear: that float
  std::set<ValueId> positive;            // known to be at least 0
  for (Node node : qdq.nodes) {
    for (ValueId& id : node.inputs) {
      if (const auto known = now.find(id); known != now.end()) id = known->second;
    }
    const ValueId src = node.inputs[0];
    const bool inner = outputs.count(node.output) == 0;
    if (node.op == Op::kQuantize && inner) {
      const auto& quant = node.as<Quant>();
      const bool cut = cuts_negatives(quant, qdq.value(node.output).dtype);
      ValueId made = src;
      if (cut && positive.count(src) == 0) made = graph.add_node(Op::kRelu, node.name, {src});
      if (cut) positive.insert(made);
      quantized[node.output] = made;
    } else if (node.op == Op::kDequantize && quantized.count(src) > 0) {
      ValueId made = quantized[src];
      if (!inner) {
        // Outputs are values of their own, under their own names.
        const bool taken = outputs.count(made) > 0 || is_input(graph, made);
        if (taken) made = graph.add_node(Op::kClip, node.name, {made}, kEverything);
        graph.value(made).name = qdq.value(node.output).name;
        std::replace(graph.outputs.begin(), graph.outputs.end(), node.output, made);
        outputs.insert(made);
      }
      now[node.output] = made;
    } else if (node.op == Op::kDequantize && graph.value(src).constant) {
      now[node.output] =
          graph.add_constant(graph.value(node.output).name,
                             dequantize_constant(graph.constant(src), node.as<Quant>()));
    } else {
      const bool rectified =
          node.op == Op::kRelu || (node.op == Op::kClip && node.as<Clip>().lo >= 0);
      if (rectified || (keeps_sign(node.op) && positive.count(src) > 0)) {
        positive.insert(node.output);
      }
      graph.nodes.push_back(std::move(node));
    }
  }
  drop_dead(graph);
  verify(graph);
  return graph;
}

}  // namespace pronghorn::graph::passes
