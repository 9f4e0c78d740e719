// SPDX-License-Identifier: Apache-2.0
#include "import/onnx.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "graph/passes/passes.h"
#include "import/import.h"
#include "import/onnx_importer.h"

namespace pronghorn::import {
namespace {

using base::Error;
using base::Status;
using onnx::NodeProto;
using onnx::TensorProto;

const std::unordered_map<std::string_view, Handler>& handlers() {
  static const auto table = [] {
    std::unordered_map<std::string_view, Handler> all;
    for (const auto& rows :
         {window_handlers(), pointwise_handlers(), shape_handlers(), quant_handlers()}) {
      for (const HandlerRow& row : rows) all.emplace(row.op, row.handler);
    }
    return all;
  }();
  return table;
}

std::string supported_ops() {
  std::set<std::string_view> names;
  for (const auto& [name, handler] : handlers()) names.insert(name);
  std::string out;
  for (const auto name : names) out += fmt::format("{}{}", out.empty() ? "" : ", ", name);
  return out;
}

bool is_standard(const NodeProto& node) {
  return node.domain().empty() || node.domain() == "ai.onnx";
}

// An image input is [N, C, H, W] unless the first op that cares is a Transpose from [N, H, W, C].
bool is_nhwc_input(const OnnxFile& file, const std::string& input) {
  static const std::set<std::string_view> kIndifferent{
      "QuantizeLinear", "DequantizeLinear", "Identity", "Cast", "Add", "Sub", "Mul", "Div", "Relu",
      "Clip",           "Dropout",          "Pad"};
  std::set<std::string> same_layout{input};
  for (const NodeProto* node : file.nodes) {  // sorted: makers before users
    const bool touches = std::any_of(node->input().begin(), node->input().end(),
                                     [&](const auto& name) { return same_layout.contains(name); });
    if (!touches) continue;
    if (node->op_type() == "Transpose") {
      return ints_attribute(*node, "perm") == std::vector<std::int64_t>{0, 3, 1, 2};
    }
    if (kIndifferent.contains(node->op_type())) {
      same_layout.insert(node->output().begin(), node->output().end());
    }
  }
  return false;
}

graph::DType input_type(const OnnxFile& file, const std::string& name, int type) {
  switch (type) {
    case TensorProto::FLOAT:
    case TensorProto::FLOAT16:
    case TensorProto::DOUBLE:
      return graph::DType::kF32;
    case TensorProto::UINT8:
      return graph::DType::kU8;
    case TensorProto::INT8:
      return graph::DType::kS8;
    default:
      base::fail(Status::kUnsupported,
                 "{}: input {}: type {} is not one of float32, float16, "
                 "double, uint8, int8",
                 file.name, name, type_name(type));
  }
}

void add_input(Importer& in, const onnx::ValueInfoProto& info) {
  const std::string& file = in.file.name;
  const std::string& name = info.name();
  if (!info.type().has_tensor_type() || !info.type().tensor_type().has_shape()) {
    base::fail(Status::kUnsupported, "{}: input {}: no tensor shape; [N, C, H, W] is expected",
               file, name);
  }
  const auto& tensor = info.type().tensor_type();
  const auto& dims = tensor.shape().dim();
  if (dims.size() != 4 && dims.size() != 2) {
    base::fail(
        Status::kUnsupported,
        "{}: input {}: {} dimensions; [N, C, H, W], [N, H, W, C] or [N, features] is expected",
        file, name, dims.size());
  }
  std::vector<std::int64_t> sizes;
  std::int64_t total = 1;
  for (int i = 0; i < dims.size(); ++i) {
    const auto& dim = dims.Get(i);
    if (i == 0 && !dim.has_dim_value()) continue;
    if (!dim.has_dim_value()) {
      base::fail(Status::kUnsupported,
                 "{}: input {}: size {} is open ({}); only the batch may be, fix the others "
                 "before exporting",
                 file, name, i, dim.has_dim_param() ? dim.dim_param() : "unknown");
    }
    const std::int64_t size = dim.dim_value();
    // Some writers put 0 or -1 for an open batch.
    if (i == 0 && (size == 0 || size == -1)) continue;
    if (size < 1 || size > kMaxElements || total * size > kMaxElements) {
      base::fail(Status::kCorrupt, "{}: input {}: size {} is {}", file, name, i, size);
    }
    if (i == 0) {
      if (in.batch && *in.batch != size) {
        base::fail(Status::kUnsupported, "{}: input {}: batch {}, another input has {}", file, name,
                   size, *in.batch);
      }
      in.batch = size;
    } else {
      sizes.push_back(size);
      total *= size;
    }
  }
  Operand operand;
  graph::Shape shape;
  if (dims.size() == 2) {
    shape.c = sizes[0];
    operand.layout = Layout::kFlatChw;
  } else if (is_nhwc_input(in.file, name)) {
    shape = {sizes[0], sizes[1], sizes[2]};
    operand.layout = Layout::kNhwc;
  } else {
    shape = {sizes[1], sizes[2], sizes[0]};
  }
  operand.value =
      in.graph.add_value(in.unique(name), input_type(in.file, name, tensor.elem_type()), shape);
  in.graph.inputs.push_back(operand.value);
  in.operands[name] = std::move(operand);
}

// Runs the handlers; gathers every refusal, so that one message tells all.
void add_nodes(Importer& in) {
  std::vector<std::string> refusals;
  std::set<std::string> lost;  // outputs of refused nodes
  bool unknown_op = false;
  for (const NodeProto* node : in.file.nodes) {
    const auto handler = is_standard(*node) ? handlers().find(node->op_type()) : handlers().end();
    const bool runs = std::none_of(node->input().begin(), node->input().end(),
                                   [&](const auto& name) { return lost.contains(name); });
    if (handler == handlers().end()) {
      unknown_op = true;
      refusals.push_back(fmt::format("node {} ({}{}{}): this op is not supported", name_of(*node),
                                     node->domain(),
                                     node->domain().empty() ? "" : "::", node->op_type()));
    } else if (runs) {
      try {
        handler->second(in, *node);
        for (int i = 1; i < node->output_size(); ++i) {
          if (!node->output(i).empty()) lost.insert(node->output(i));  // nothing makes them
        }
        continue;
      } catch (const Error& error) {
        if (error.status() != Status::kUnsupported) throw;
        refusals.push_back(error.what());
      }
    }
    lost.insert(node->output().begin(), node->output().end());
  }
  if (refusals.empty()) return;
  std::string message = fmt::format("{} node(s) cannot be imported:", refusals.size());
  for (const std::string& refusal : refusals) message += "\n  " + refusal;
  if (unknown_op) message += "\nsupported ops: " + supported_ops();
  throw Error(Status::kUnsupported, message);
}

void add_outputs(Importer& in) {
  for (const auto& output : in.file.model->graph().output()) {
    const auto found = in.operands.find(output.name());
    if (found == in.operands.end() || !found->second.is_activation()) {
      base::fail(Status::kUnsupported, "output {} is not computed from the graph's input",
                 output.name());
    }
    const Operand& operand = found->second;
    const graph::Shape& s = in.shape(operand);
    graph::ValueId value = operand.value;
    if (operand.layout == Layout::kFlatHwc && s.h * s.w > 1) {
      value = in.graph.add_node(graph::Op::kFlatten, in.unique(output.name()), {value}, {},
                                in.graph.value(value).dtype);
    } else if (operand.layout == Layout::kFlatChw && s.h * s.w > 1 && s.c > 1) {
      base::fail(Status::kUnsupported,
                 "output {} is flattened from [N, C, H, W]; leave out its last Flatten or Reshape",
                 output.name());
    }
    const bool is_input = std::count(in.graph.inputs.begin(), in.graph.inputs.end(), value) > 0;
    const bool again = std::count(in.graph.outputs.begin(), in.graph.outputs.end(), value) > 0;
    if (!is_input && !again) in.graph.value(value).name = output.name();
    in.graph.outputs.push_back(value);
  }
}

std::vector<std::string> read_list(const std::string& text, const std::string& key) {
  std::vector<std::string> list;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) base::fail(Status::kCorrupt, "metadata {}: must be a JSON list", key);
  for (const auto& entry : json) {
    if (!entry.is_string()) base::fail(Status::kCorrupt, "metadata {}: holds no strings", key);
    list.push_back(entry.get<std::string>());
  }
  return list;
}

graph::Preprocess read_preprocess(const std::string& text) {
  graph::Preprocess p;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto triple = [&](const char* key, std::array<float, 3>* values) {
    const auto found = json.find(key);
    bool good = found != json.end() && found->is_array() && found->size() == 3;
    for (std::size_t i = 0; good && i < 3; ++i) {
      good = (*found)[i].is_number();
      if (good) (*values)[i] = (*found)[i].get<float>();
      good = good && std::isfinite((*values)[i]);
    }
    if (!good)
      base::fail(Status::kCorrupt, "metadata {}: {} must be 3 numbers", kPreprocessKey, key);
  };
  if (!json.is_object()) {
    base::fail(Status::kCorrupt, "metadata {}: must be a JSON object", kPreprocessKey);
  }
  triple("mean", &p.mean);
  triple("std", &p.std);
  for (const float s : p.std) {
    if (!(s > 0)) base::fail(Status::kCorrupt, "metadata {}: std must be positive", kPreprocessKey);
  }
  const auto bgr = json.find("bgr");
  if (bgr != json.end() && !bgr->is_boolean()) {
    base::fail(Status::kCorrupt, "metadata {}: bgr must be true or false", kPreprocessKey);
  }
  p.bgr = bgr != json.end() && bgr->get<bool>();
  return p;
}

void read_metadata(Importer& in) {
  graph::Graph& graph = in.graph;
  const onnx::ModelProto& model = *in.file.model;
  graph.name = model.graph().name();
  for (const auto& entry : model.metadata_props()) {
    if (entry.key() == kPreprocessKey) {
      graph.preprocess = read_preprocess(entry.value());
    } else if (entry.key() == kResizeKey) {
      graph.resize = entry.value();
    } else if (entry.key() == kLabelsKey) {
      graph.labels = read_list(entry.value(), entry.key());
    } else if (entry.key() == kLabelIdsKey) {
      graph.label_ids = read_list(entry.value(), entry.key());
    } else {
      graph.metadata[entry.key()] = entry.value();
    }
  }
  const graph::Value& input = graph.value(graph.inputs.at(0));
  const bool image = input.dtype == graph::DType::kF32 && input.shape.c == 3 && input.shape.h > 1 &&
                     graph.inputs.size() == 1;
  if (!graph.preprocess && image) {  // what most ONNX files of photographs were trained with
    graph.preprocess = graph::Preprocess{{123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}};
  }
}

// Runs `step` so that its errors name the file once.
template <typename Step>
void name_file(const std::string& name, const Step& step) {
  try {
    step();
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with(name + ":")) throw;
    throw Error(error.status(), fmt::format("{}: {}", name, error.what()));
  }
}

}  // namespace

graph::Graph read_onnx(base::Bytes bytes, const std::shared_ptr<const void>& owner,
                       const std::string& name) {
  const OnnxFile file = open_onnx(bytes, owner, name);
  Importer in(file);
  in.graph.format = "onnx";
  name_file(name, [&] {
    for (const auto& [constant_name, constant] : file.initializers) {
      Operand operand;
      operand.constant = constant;
      operand.name = constant_name;
      in.operands.emplace(constant_name, std::move(operand));
    }
    for (const auto& info : file.model->graph().input()) {
      if (!file.initializers.contains(info.name())) add_input(in, info);
    }
    if (in.graph.inputs.empty()) base::fail(Status::kCorrupt, "the graph has no input");
    add_nodes(in);
    add_outputs(in);
    read_metadata(in);
  });
  return std::move(in.graph);
}

graph::Graph import_onnx(base::Bytes bytes, std::shared_ptr<const void> owner,
                         const std::string& name) {
  graph::Graph graph = read_onnx(bytes, owner, name);
  name_file(name, [&] {
    graph::passes::fold(graph);
    graph::verify(graph);
  });
  return graph;
}

}  // namespace pronghorn::import
