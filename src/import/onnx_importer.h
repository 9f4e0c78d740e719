// SPDX-License-Identifier: Apache-2.0
// What the op handlers of the ONNX importer share: the graph being built and what each name of the
// file stands for in it. A handler reads one node of the file and binds its outputs.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "graph/graph.h"
#include "import/onnx_constant.h"
#include "import/onnx_file.h"

namespace pronghorn::import {

// How the dimensions of an activation in the file follow from {h, w, c} of its value.
enum class Layout {
  kNchw,     // [N, c, h, w]
  kNhwc,     // [N, h, w, c]
  kFlatChw,  // [N, c * h * w]: flattened from NCHW; the value keeps its shape
  kFlatHwc,  // [N, h * w * c]: flattened from NHWC
};

// What a name of the file stands for: an activation, a constant, or integer constants together with
// the scales that dequantize them (weights and biases of QDQ graphs).
struct Operand {
  graph::ValueId value = graph::kNoValue;  // activation
  Layout layout = Layout::kNchw;           // activation
  std::optional<Constant> constant;
  std::optional<graph::Quant> quant;  // with constant
  int quant_axis = 0;                 // with a quant of more than one entry
  std::string name;                   // constants: of the integers
  std::string quant_name;             // of the DequantizeLinear

  bool is_activation() const { return value != graph::kNoValue; }
};

class Importer {
 public:
  explicit Importer(const OnnxFile& onnx_file) : file(onnx_file) {}

  // The operand of input `index`; throws when it is left out.
  const Operand& input(const onnx::NodeProto& node, int index) const;
  bool has_input(const onnx::NodeProto& node, int index) const;
  // Input `index` as an activation, or as a plain constant (dequantized if need be); throws
  // Error(kUnsupported) when it is the other.
  const Operand& activation(const onnx::NodeProto& node, int index) const;
  Constant constant(const onnx::NodeProto& node, int index) const;
  std::vector<std::int64_t> integers(const onnx::NodeProto& node, int index) const;
  std::vector<float> floats(const onnx::NodeProto& node, int index) const;

  // Dimensions in the file, without the batch.
  std::vector<std::int64_t> dims(const Operand& activation) const;
  // A copy: adding to the graph moves its values.
  graph::Shape shape(const Operand& activation) const {
    return graph.value(activation.value).shape;
  }

  // Binds output 0.
  void bind(const onnx::NodeProto& node, Operand operand);
  void bind_constant(const onnx::NodeProto& node, Constant constant);
  // Appends a node to the graph; `suffix` tells apart the nodes that one node of the file becomes.
  graph::ValueId add(graph::Op op, const onnx::NodeProto& node, std::vector<graph::ValueId> inputs,
                     graph::Attributes attributes = {}, std::string_view suffix = "",
                     graph::DType dst = graph::DType::kF32);
  graph::ValueId add_constant(const std::string& name, const Constant& constant);
  std::string unique(const std::string& name);

  const OnnxFile& file;
  graph::Graph graph;
  std::optional<std::int64_t> batch;  // when the file fixes it
  std::unordered_map<std::string, Operand> operands;

 private:
  std::set<std::string> names_;
  const onnx::NodeProto* made_by_ = nullptr;  // the last value and the node of the file it is for
  graph::ValueId made_ = graph::kNoValue;
};

// dequantized values of a constant with scales
Constant dequantized(const Operand& operand);

// Attributes, with the type checked; the default when absent.
std::int64_t int_attribute(const onnx::NodeProto& node, std::string_view name, std::int64_t absent);
float float_attribute(const onnx::NodeProto& node, std::string_view name, float absent);
std::string string_attribute(const onnx::NodeProto& node, std::string_view name,
                             std::string_view absent);
std::vector<std::int64_t> ints_attribute(const onnx::NodeProto& node, std::string_view name,
                                         std::vector<std::int64_t> absent = {});
const onnx::AttributeProto* find_attribute(const onnx::NodeProto& node, std::string_view name);

// An axis counted from the end if negative; throws when outside [0, rank).
int normal_axis(const onnx::NodeProto& node, std::int64_t axis, std::size_t rank);

template <typename... Args>
[[noreturn]] void unsupported(const onnx::NodeProto& node, fmt::format_string<Args...> format,
                              Args&&... args) {
  base::fail(base::Status::kUnsupported, "node {} ({}): {}", name_of(node), node.op_type(),
             fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
[[noreturn]] void corrupt(const onnx::NodeProto& node, fmt::format_string<Args...> format,
                          Args&&... args) {
  base::fail(base::Status::kCorrupt, "node {} ({}): {}", name_of(node), node.op_type(),
             fmt::format(format, std::forward<Args>(args)...));
}

using Handler = void (*)(Importer&, const onnx::NodeProto&);
struct HandlerRow {
  std::string_view op;
  Handler handler;
};
// One table a file: layers with weights or windows, element by element, changes of shape,
// quantization.
std::vector<HandlerRow> window_handlers();
std::vector<HandlerRow> pointwise_handlers();
std::vector<HandlerRow> shape_handlers();
std::vector<HandlerRow> quant_handlers();

}  // namespace pronghorn::import
