// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "import/import.h"
#include "import/onnx.h"
#include "import/onnx_constant.h"

namespace pronghorn::import {
namespace {

using base::Status;
using graph::DType;
using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;
using onnx::AttributeProto;
using onnx::NodeProto;
using onnx::TensorProto;

constexpr int kIrVersion = 7;  // of opset 13
constexpr int kOpset = 13;

// How a value stands in the file.
enum class View { kNchw, kNhwc, kFlat };

int type_of(DType dtype) {
  switch (dtype) {
    case DType::kU8:
      return TensorProto::UINT8;
    case DType::kS8:
      return TensorProto::INT8;
    case DType::kS32:
      return TensorProto::INT32;
    default:
      return TensorProto::FLOAT;
  }
}

Constant constant_of(const graph::Tensor& tensor) {
  return {type_of(tensor.dtype()), tensor.dims(), tensor.bytes(), nullptr};
}

bool is_flat(const graph::Shape& s) { return s.h == 1 && s.w == 1; }

void set_attribute(NodeProto* node, const char* name, std::int64_t value) {
  AttributeProto* a = node->add_attribute();
  a->set_name(name);
  a->set_type(AttributeProto::INT);
  a->set_i(value);
}

void set_attribute(NodeProto* node, const char* name, const std::vector<std::int64_t>& values) {
  AttributeProto* a = node->add_attribute();
  a->set_name(name);
  a->set_type(AttributeProto::INTS);
  for (const std::int64_t v : values) a->add_ints(v);
}

class Exporter {
 public:
  explicit Exporter(const Graph& source) : graph_(source) {
    model_.set_ir_version(kIrVersion);
    model_.set_producer_name("pronghorn");
    model_.add_opset_import()->set_version(kOpset);
    out_ = model_.mutable_graph();
    out_->set_name(source.name.empty() ? "model" : source.name);
    names_.resize(source.values.size());
    views_.resize(source.values.size(), View::kNchw);
    for (const Node& node : source.nodes) {
      if (node.op == Op::kDequantize && graph_.value(node.inputs[0]).constant) {
        dequantized_[node.output] = &node;
      }
    }
    // Outputs keep their names, whatever else is called so.
    for (const ValueId id : source.outputs) taken_.insert(graph_.value(id).name);
  }

  std::string run() {
    for (const ValueId id : graph_.inputs) add_input(id);
    for (const Node& node : graph_.nodes) {
      if (!dequantized_.contains(node.output)) add(node);
    }
    add_outputs();
    add_metadata();
    return serialize();
  }

 private:
  const graph::Value& value(ValueId id) const { return graph_.value(id); }

  std::string unique(const std::string& name) {
    std::string candidate = name;
    for (int i = 1; !taken_.insert(candidate).second; ++i) {
      candidate = fmt::format("{}_{}", name, i);
    }
    return candidate;
  }

  bool is_output(ValueId id) const {
    return std::count(graph_.outputs.begin(), graph_.outputs.end(), id) > 0;
  }

  NodeProto* add_node(const char* op, const std::string& name,
                      const std::vector<std::string>& inputs, const std::string& output) {
    NodeProto* node = out_->add_node();
    node->set_op_type(op);
    node->set_name(name);
    for (const std::string& input : inputs) node->add_input(input);
    node->add_output(output);
    return node;
  }

  // Names the result of `node`. An output of one pixel that still has four dimensions gets its
  // name from the Flatten that follows at the end.
  std::string result(const Node& node, View view) {
    const ValueId id = node.output;
    views_[index(id)] = view;
    const std::string& name = value(id).name;
    if (!is_output(id)) {
      names_[index(id)] = unique(name);
    } else if (view == View::kFlat || !is_flat(value(id).shape)) {
      names_[index(id)] = name;
    } else {
      names_[index(id)] = unique(name + "/pixel");
    }
    return names_[index(id)];
  }

  static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

  std::string add_constant(const std::string& name, const Constant& c) {
    const std::string given = unique(name);
    TensorProto* tensor = out_->add_initializer();
    tensor->set_name(given);
    tensor->set_data_type(c.type);
    for (const std::int64_t d : c.dims) tensor->add_dims(d);
    tensor->set_raw_data(c.bytes.data(), c.bytes.size());
    return given;
  }

  // The value as [N, C, H, W] or as [N, features], converted once.
  std::string as(View view, ValueId id) {
    const View have = views_[index(id)];
    if (have == view) return names_[index(id)];
    auto [known, fresh] = converted_.try_emplace({id, view});
    if (!fresh) return known->second;
    const std::string& name = names_[index(id)];
    if (have == View::kFlat) {
      const std::string dst = unique(name + "/nchw");
      const std::string shape =
          add_constant(name + "/shape", make_integers({4}, {0, value(id).shape.c, 1, 1}));
      add_node("Reshape", dst, {name, shape}, dst);
      return converted_[{id, view}] = dst;
    }
    if (have == View::kNhwc) {
      const std::string dst = unique(name + "/nchw");
      set_attribute(add_node("Transpose", dst, {name}, dst), "perm", {0, 3, 1, 2});
      converted_[{id, View::kNchw}] = dst;
      if (view == View::kNchw) return dst;
    }
    const std::string src = have == View::kNhwc ? converted_[{id, View::kNchw}] : name;
    const std::string dst = unique(name + "/flat");
    set_attribute(add_node("Flatten", dst, {src}, dst), "axis", 1);
    return converted_[{id, view}] = dst;
  }

  // For ops that work on any dimensions: as it stands, [N, H, W, C] apart.
  View settled(ValueId id) const {
    return views_[index(id)] == View::kFlat ? View::kFlat : View::kNchw;
  }

  void set_value_info(onnx::ValueInfoProto* info, const std::string& name, ValueId id, View view) {
    const graph::Shape& s = value(id).shape;
    info->set_name(name);
    auto* tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type_of(value(id).dtype));
    auto* shape = tensor->mutable_shape();
    shape->add_dim()->set_dim_param("batch");
    std::vector<std::int64_t> dims{s.size()};
    if (view == View::kNchw) dims = {s.c, s.h, s.w};
    if (view == View::kNhwc) dims = {s.h, s.w, s.c};
    for (const std::int64_t d : dims) shape->add_dim()->set_dim_value(d);
  }

  void add_input(ValueId id) {
    const graph::Value& v = value(id);
    View view = v.dtype == DType::kF32 ? View::kNchw : View::kNhwc;
    if (is_flat(v.shape)) view = View::kFlat;
    views_[index(id)] = view;
    names_[index(id)] = is_output(id) ? unique(v.name + "/input") : unique(v.name);
    set_value_info(out_->add_input(), names_[index(id)], id, view);
  }

  // Scale and zero point as initializers, scalars when there is one.
  std::vector<std::string> quant_inputs(const std::string& name, const graph::Quant& quant,
                                        DType dtype) {
    std::vector<std::int64_t> dims;
    if (quant.per_channel()) dims.push_back(static_cast<std::int64_t>(quant.scale.size()));
    Constant zero;
    if (dtype == DType::kS32) {
      zero = {TensorProto::INT32, dims,
              std::as_bytes(std::span(quant.zero_point.data(), quant.zero_point.size())), nullptr};
    } else {
      zero = make_bytes(dims, type_of(dtype), {quant.zero_point.begin(), quant.zero_point.end()});
    }
    return {add_constant(name + "/scale", make_floats(dims, quant.scale)),
            add_constant(name + "/zero_point", zero)};
  }

  // A constant, rearranged for its user, dequantized when it is integers.
  template <typename Arrange>
  std::string add_parameter(ValueId id, const Arrange& arrange) {
    const auto found = dequantized_.find(id);
    if (found == dequantized_.end()) {
      return add_constant(value(id).name, arrange(constant_of(graph_.constant(id))));
    }
    const Node& node = *found->second;
    const graph::Value& integers = value(node.inputs[0]);
    const std::string src = add_constant(integers.name, arrange(constant_of(*integers.constant)));
    const auto& quant = node.as<graph::Quant>();
    const auto parameters = quant_inputs(node.name, quant, integers.dtype);
    const std::string dst = unique(value(id).name);
    NodeProto* out =
        add_node("DequantizeLinear", node.name, {src, parameters[0], parameters[1]}, dst);
    if (quant.per_channel()) set_attribute(out, "axis", 0);
    return dst;
  }

  static void set_window(NodeProto* node, const graph::Window& w) {
    set_attribute(node, "kernel_shape", {w.kh, w.kw});
    set_attribute(node, "strides", {w.sh, w.sw});
    set_attribute(node, "pads", {w.pad_top, w.pad_left, w.pad_bottom, w.pad_right});
  }

  static bool covers(const graph::Shape& src, const graph::Window& w) {
    return w.kh == src.h && w.kw == src.w && w.sh == 1 && w.sw == 1 && w.pad_top == 0 &&
           w.pad_left == 0 && w.pad_bottom == 0 && w.pad_right == 0;
  }

  void add_conv(const Node& node) {
    const auto& w = node.as<graph::Window>();
    const ValueId src = node.inputs[0];
    const bool dense = w.groups == 1 && covers(value(src).shape, w);
    const auto oihw = [](const Constant& c) { return transposed(c, {0, 3, 1, 2}); };
    const auto rows = [&](const Constant& c) {
      return reshaped(oihw(c), {c.dims[0], c.size() / c.dims[0]});
    };
    std::vector<std::string> inputs{as(dense ? View::kFlat : View::kNchw, src)};
    inputs.push_back(dense ? add_parameter(node.inputs[1], rows)
                           : add_parameter(node.inputs[1], oihw));
    if (node.inputs.size() > 2) {
      inputs.push_back(add_parameter(node.inputs[2], [](const Constant& c) { return c; }));
    }
    const std::string dst = result(node, dense ? View::kFlat : View::kNchw);
    NodeProto* out = add_node(dense ? "Gemm" : "Conv", node.name, inputs, dst);
    if (dense) {
      set_attribute(out, "transB", 1);
    } else {
      set_window(out, w);
      set_attribute(out, "group", w.groups);
    }
  }

  void add_pool(const Node& node) {
    const auto& w = node.as<graph::Window>();
    const ValueId src = node.inputs[0];
    const std::string input = as(View::kNchw, src);
    const std::string dst = result(node, View::kNchw);
    if (node.op == Op::kAveragePool && covers(value(src).shape, w)) {
      add_node("GlobalAveragePool", node.name, {input}, dst);
      return;
    }
    NodeProto* out =
        add_node(node.op == Op::kAveragePool ? "AveragePool" : "MaxPool", node.name, {input}, dst);
    set_window(out, w);
    if (w.count_include_pad) set_attribute(out, "count_include_pad", 1);
  }

  void add_batch_norm(const Node& node) {
    const View view = settled(node.inputs[0]);
    const std::string src = as(view, node.inputs[0]);
    const auto same = [](const Constant& c) { return c; };
    const auto channels = static_cast<std::size_t>(value(node.output).shape.c);
    const std::vector<std::int64_t> dims{value(node.output).shape.c};
    const std::vector<std::string> inputs{
        src, add_parameter(node.inputs[1], same), add_parameter(node.inputs[2], same),
        add_constant(node.name + "/mean", make_floats(dims, std::vector<float>(channels, 0))),
        add_constant(node.name + "/variance", make_floats(dims, std::vector<float>(channels, 1)))};
    NodeProto* out = add_node("BatchNormalization", node.name, inputs, result(node, view));
    AttributeProto* epsilon = out->add_attribute();
    epsilon->set_name("epsilon");
    epsilon->set_type(AttributeProto::FLOAT);
    epsilon->set_f(0);
  }

  void add_pad(const Node& node) {
    const auto& pad = node.as<graph::Pad>();
    const std::string src = as(View::kNchw, node.inputs[0]);
    const std::string pads =
        add_constant(node.name + "/pads",
                     make_integers({8}, {0, 0, pad.top, pad.left, 0, 0, pad.bottom, pad.right}));
    const DType dtype = value(node.output).dtype;
    const Constant border =
        dtype == DType::kF32
            ? make_floats({}, {pad.value})
            : make_bytes({}, type_of(dtype),
                         {static_cast<std::int8_t>(static_cast<std::int32_t>(pad.value))});
    const std::string border_name = add_constant(node.name + "/value", border);
    add_node("Pad", node.name, {src, pads, border_name}, result(node, View::kNchw));
  }

  void add_flatten(const Node& node) {  // NHWC order, unlike Flatten of [N, C, H, W]
    const ValueId src = node.inputs[0];
    std::string input = as(View::kNchw, src);
    if (!is_flat(value(src).shape)) {
      const std::string turned = unique(node.name + "/nhwc");
      set_attribute(add_node("Transpose", turned, {input}, turned), "perm", {0, 2, 3, 1});
      input = turned;
    }
    set_attribute(add_node("Flatten", node.name, {input}, result(node, View::kFlat)), "axis", 1);
  }

  void add_quant(const Node& node) {
    const ValueId src = node.inputs[0];
    const View view = views_[index(src)];
    const auto& quant = node.as<graph::Quant>();
    const bool quantizes = node.op == Op::kQuantize;
    const DType dtype = value(quantizes ? node.output : src).dtype;
    const auto parameters = quant_inputs(node.name, quant, dtype);
    const std::string input = names_[index(src)];
    NodeProto* out = add_node(quantizes ? "QuantizeLinear" : "DequantizeLinear", node.name,
                              {input, parameters[0], parameters[1]}, result(node, view));
    if (quant.per_channel()) set_attribute(out, "axis", view == View::kNhwc ? 3 : 1);
  }

  void add_joined(const Node& node) {  // Add, Concat: inputs of one kind
    View view = View::kFlat;
    for (const ValueId id : node.inputs) {
      if (settled(id) != View::kFlat) view = View::kNchw;
    }
    std::vector<std::string> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(as(view, id));
    NodeProto* out =
        add_node(node.op == Op::kAdd ? "Add" : "Concat", node.name, inputs, result(node, view));
    if (node.op == Op::kConcat) set_attribute(out, "axis", 1);
  }

  void add_pointwise(const Node& node) {
    const View view = settled(node.inputs[0]);
    std::vector<std::string> inputs{as(view, node.inputs[0])};
    if (node.op == Op::kClip) {
      const auto& clip = node.as<graph::Clip>();
      inputs.push_back(add_constant(node.name + "/min", make_floats({}, {clip.lo})));
      inputs.push_back(add_constant(node.name + "/max", make_floats({}, {clip.hi})));
    }
    const char* op = node.op == Op::kRelu ? "Relu" : node.op == Op::kClip ? "Clip" : "Softmax";
    NodeProto* out = add_node(op, node.name, inputs, result(node, view));
    if (node.op == Op::kSoftmax) set_attribute(out, "axis", 1);
  }

  void add(const Node& node) {
    switch (node.op) {
      case Op::kConv:
        return add_conv(node);
      case Op::kMaxPool:
      case Op::kAveragePool:
        return add_pool(node);
      case Op::kBatchNorm:
        return add_batch_norm(node);
      case Op::kPad:
        return add_pad(node);
      case Op::kFlatten:
        return add_flatten(node);
      case Op::kQuantize:
      case Op::kDequantize:
        return add_quant(node);
      case Op::kAdd:
      case Op::kConcat:
        return add_joined(node);
      case Op::kRelu:
      case Op::kClip:
      case Op::kSoftmax:
        return add_pointwise(node);
      default:
        base::fail(Status::kUnsupported,
                   "node {} ({}): ONNX has no such op; export the float or the QDQ graph instead",
                   node.name, graph::name_of(node.op));
    }
  }

  void add_outputs() {
    std::set<ValueId> done;
    for (const ValueId id : graph_.outputs) {
      View view = settled(id);
      std::string name = value(id).name;
      if (!done.insert(id).second) {  // the same value again
        name = unique(name);
        add_node("Identity", name, {value(id).name}, name);
      } else if (view == View::kNchw && is_flat(value(id).shape)) {
        set_attribute(add_node("Flatten", name, {as(View::kNchw, id)}, name), "axis", 1);
      } else if (const std::string src = as(view, id); src != name) {
        add_node("Identity", name, {src}, name);
      }
      if (is_flat(value(id).shape)) view = View::kFlat;
      set_value_info(out_->add_output(), name, id, view);
    }
  }

  void add_entry(const std::string& key, const std::string& text) {
    auto* entry = model_.add_metadata_props();
    entry->set_key(key);
    entry->set_value(text);
  }

  void add_metadata() {
    const auto list = [](const std::vector<std::string>& entries) {
      return nlohmann::json(entries).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    };
    if (graph_.preprocess) {
      const auto& p = *graph_.preprocess;
      // fmt writes the shortest text that reads back as the same float.
      add_entry(kPreprocessKey,
                fmt::format(R"({{"mean":[{},{},{}],"std":[{},{},{}],"bgr":{}}})", p.mean[0],
                            p.mean[1], p.mean[2], p.std[0], p.std[1], p.std[2], p.bgr));
    }
    if (!graph_.resize.empty()) add_entry(kResizeKey, graph_.resize);
    if (!graph_.labels.empty()) add_entry(kLabelsKey, list(graph_.labels));
    if (!graph_.label_ids.empty()) add_entry(kLabelIdsKey, list(graph_.label_ids));
    for (const auto& [key, text] : graph_.metadata) add_entry(key, text);
  }

  std::string serialize() const {
    if (model_.ByteSizeLong() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
      base::fail(Status::kUnsupported, "graph {}: larger than the 2 GiB that an ONNX file may have",
                 graph_.name);
    }
    std::string bytes;
    bytes.reserve(model_.ByteSizeLong());
    google::protobuf::io::StringOutputStream stream(&bytes);
    {
      google::protobuf::io::CodedOutputStream coded(&stream);
      coded.SetSerializationDeterministic(true);
      model_.SerializeToCodedStream(&coded);
    }
    return bytes;
  }

  const Graph& graph_;
  onnx::ModelProto model_;
  onnx::GraphProto* out_ = nullptr;
  std::vector<std::string> names_;              // by value
  std::vector<View> views_;                     // by value
  std::map<ValueId, const Node*> dequantized_;  // constants behind a DequantizeLinear
  std::map<std::pair<ValueId, View>, std::string> converted_;
  std::set<std::string> taken_;
};

}  // namespace

std::string export_onnx(const Graph& graph) { return Exporter(graph).run(); }

}  // namespace pronghorn::import
