// SPDX-License-Identifier: Apache-2.0
#include "import/onnx_importer.h"

#include <cmath>
#include <utility>

#include "arith/requantize.h"

namespace pronghorn::import {

using onnx::AttributeProto;
using onnx::NodeProto;

bool Importer::has_input(const NodeProto& node, int index) const {
  return index < node.input_size() && !node.input(index).empty();
}

const Operand& Importer::input(const NodeProto& node, int index) const {
  if (!has_input(node, index)) corrupt(node, "needs input {}", index);
  return operands.at(node.input(index));
}

const Operand& Importer::activation(const NodeProto& node, int index) const {
  const Operand& operand = input(node, index);
  if (!operand.is_activation()) {
    unsupported(node, "input {} is a constant; an activation is expected", node.input(index));
  }
  return operand;
}

Constant Importer::constant(const NodeProto& node, int index) const {
  const Operand& operand = input(node, index);
  if (operand.is_activation()) {
    unsupported(node, "input {} is computed from the graph's input; only a constant is supported",
                node.input(index));
  }
  return operand.quant ? dequantized(operand) : *operand.constant;
}

std::vector<std::int64_t> Importer::integers(const NodeProto& node, int index) const {
  const Constant c = constant(node, index);
  if (!c.is_integer()) {
    corrupt(node, "input {} is {}, must be integers", node.input(index), type_name(c.type));
  }
  return to_integers(c);
}

std::vector<float> Importer::floats(const NodeProto& node, int index) const {
  const Constant c = constant(node, index);
  if (!c.is_float()) {
    corrupt(node, "input {} is {}, must be floating point", node.input(index), type_name(c.type));
  }
  return to_floats(c);
}

std::vector<std::int64_t> Importer::dims(const Operand& operand) const {
  const graph::Shape& s = shape(operand);
  switch (operand.layout) {
    case Layout::kNchw:
      return {s.c, s.h, s.w};
    case Layout::kNhwc:
      return {s.h, s.w, s.c};
    default:
      return {s.size()};
  }
}

void Importer::bind(const NodeProto& node, Operand operand) {
  if (node.output_size() == 0 || node.output(0).empty()) corrupt(node, "has no output");
  // A value takes the name that the file gives it, if this node made it.
  if (operand.is_activation() && made_by_ == &node && made_ == operand.value) {
    graph.value(made_).name = node.output(0);
  }
  operands[node.output(0)] = std::move(operand);
}

void Importer::bind_constant(const NodeProto& node, Constant constant) {
  Operand operand;
  operand.constant = std::move(constant);
  operand.name = node.output_size() > 0 ? node.output(0) : name_of(node);
  bind(node, std::move(operand));
}

graph::ValueId Importer::add(graph::Op op, const NodeProto& node,
                             std::vector<graph::ValueId> inputs, graph::Attributes attributes,
                             std::string_view suffix, graph::DType dst) {
  const graph::ValueId id = graph.add_node(op, unique(name_of(node) + std::string(suffix)),
                                           std::move(inputs), std::move(attributes), dst);
  const graph::Shape& s = graph.value(id).shape;
  if (s.h > kMaxElements || s.w > kMaxElements || s.c > kMaxElements || s.h * s.w > kMaxElements ||
      s.h * s.w * s.c > kMaxElements) {
    corrupt(node, "its result of {}x{}x{} is too large", s.h, s.w, s.c);
  }
  made_by_ = &node;
  made_ = id;
  return id;
}

graph::ValueId Importer::add_constant(const std::string& name, const Constant& constant) {
  return graph.add_constant(unique(name), to_tensor(constant));
}

std::string Importer::unique(const std::string& name) {
  std::string candidate = name;
  for (int i = 1; !names_.insert(candidate).second; ++i) candidate = fmt::format("{}_{}", name, i);
  return candidate;
}

Constant dequantized(const Operand& operand) {
  const Constant& c = *operand.constant;
  const graph::Quant& quant = *operand.quant;
  const auto values = to_integers(c);
  std::vector<float> result(values.size());
  std::size_t inner = 1;  // elements that share a scale and lie side by side
  if (quant.per_channel()) {
    for (std::size_t d = static_cast<std::size_t>(operand.quant_axis) + 1; d < c.dims.size(); ++d) {
      inner *= static_cast<std::size_t>(c.dims[d]);
    }
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t k = quant.per_channel() ? i / inner % quant.scale.size() : 0;
    // The law: the exact difference, rounded to binary32, times the scale.
    const std::int64_t q = values[i] - quant.zero_point[k];
    result[i] = static_cast<float>(q) * quant.scale[k];
  }
  return make_floats(c.dims, result);
}

const AttributeProto* find_attribute(const NodeProto& node, std::string_view name) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

namespace {

const AttributeProto* typed(const NodeProto& node, std::string_view name, int type) {
  const AttributeProto* attribute = find_attribute(node, name);
  if (attribute != nullptr && attribute->type() != type &&
      attribute->type() != AttributeProto::UNDEFINED) {
    corrupt(node, "attribute {} is of type {}, must be {}", name,
            static_cast<int>(attribute->type()), type);
  }
  return attribute;
}

}  // namespace

std::int64_t int_attribute(const NodeProto& node, std::string_view name, std::int64_t absent) {
  const AttributeProto* attribute = typed(node, name, AttributeProto::INT);
  return attribute != nullptr ? attribute->i() : absent;
}

float float_attribute(const NodeProto& node, std::string_view name, float absent) {
  const AttributeProto* attribute = typed(node, name, AttributeProto::FLOAT);
  return attribute != nullptr ? attribute->f() : absent;
}

std::string string_attribute(const NodeProto& node, std::string_view name,
                             std::string_view absent) {
  const AttributeProto* attribute = typed(node, name, AttributeProto::STRING);
  return attribute != nullptr ? attribute->s() : std::string(absent);
}

std::vector<std::int64_t> ints_attribute(const NodeProto& node, std::string_view name,
                                         std::vector<std::int64_t> absent) {
  const AttributeProto* attribute = typed(node, name, AttributeProto::INTS);
  if (attribute == nullptr) return absent;
  return {attribute->ints().begin(), attribute->ints().end()};
}

int normal_axis(const NodeProto& node, std::int64_t axis, std::size_t rank) {
  const auto r = static_cast<std::int64_t>(rank);
  if (axis < -r || axis >= r) corrupt(node, "axis {} is outside its {} dimensions", axis, r);
  return static_cast<int>(axis < 0 ? axis + r : axis);
}

}  // namespace pronghorn::import
