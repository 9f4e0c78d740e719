// SPDX-License-Identifier: Apache-2.0
#include "graph/graph.h"

#include <utility>

namespace pronghorn::graph {

std::string_view name_of(Op op) {
  switch (op) {
    case Op::kConv:
      return "Conv";
    case Op::kBatchNorm:
      return "BatchNorm";
    case Op::kRelu:
      return "Relu";
    case Op::kClip:
      return "Clip";
    case Op::kAdd:
      return "Add";
    case Op::kAveragePool:
      return "AveragePool";
    case Op::kSoftmax:
      return "Softmax";
    case Op::kMaxPool:
      return "MaxPool";
    case Op::kPad:
      return "Pad";
    case Op::kConcat:
      return "Concat";
    case Op::kFlatten:
      return "Flatten";
    case Op::kQuantize:
      return "QuantizeLinear";
    case Op::kDequantize:
      return "DequantizeLinear";
    case Op::kQConv:
      return "QConv";
    case Op::kQAdd:
      return "QAdd";
    case Op::kQAveragePool:
      return "QAveragePool";
    case Op::kRequantize:
      return "Requantize";
  }
  return "unknown";
}

ValueId Graph::add_value(std::string value_name, DType dtype, Shape shape) {
  values.push_back({std::move(value_name), dtype, shape, {}, std::nullopt});
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_constant(std::string value_name, Tensor tensor) {
  const DType dtype = tensor.dtype();
  std::vector<std::int64_t> dims = tensor.dims();
  values.push_back({std::move(value_name), dtype, {}, std::move(dims), std::move(tensor)});
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_node(Op op, std::string node_name, std::vector<ValueId> inputs,
                        Attributes attributes, DType dst) {
  Node node{op, std::move(node_name), std::move(inputs), kNoValue, std::move(attributes)};
  const Shape shape = infer_shape(*this, node);
  node.output = add_value(node.name, dst, shape);
  if (node.op == Op::kQuantize || node.op == Op::kDequantize)
    value(node.output).dims = value(node.inputs[0]).dims;
  nodes.push_back(std::move(node));
  return nodes.back().output;
}

std::int64_t window_out(std::int64_t size, int kernel, int stride, int pad_begin, int pad_end) {
  const std::int64_t room = size + pad_begin + pad_end - kernel;
  return room < 0 ? 0 : room / stride + 1;
}

std::int64_t macs(const Graph& graph, const Node& node) {
  if (node.op != Op::kConv && node.op != Op::kQConv) return 0;
  // Each output element takes the kh * kw * (ic / groups) weights of its output channel.
  const auto& dims = graph.value(node.inputs[1]).dims;
  return graph.value(node.output).shape.size() * dims[1] * dims[2] * dims[3];
}

std::int64_t macs(const Graph& graph) {
  std::int64_t total = 0;
  for (const Node& node : graph.nodes) total += macs(graph, node);
  return total;
}

bool is_quantized(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.op >= Op::kQuantize) return true;
  }
  return false;
}

}  // namespace pronghorn::graph
