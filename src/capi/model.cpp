// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "capi/guard.h"
#include "capi/objects.h"
#include "graph/passes/passes.h"
#include "image/image.h"
#include "import/import.h"
#include "runtime/embedded_model.h"

using namespace pronghorn;

namespace {

constexpr graph::Preprocess kTorch{{123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}, false};
constexpr graph::Preprocess kCaffe{{103.939f, 116.779f, 123.68f}, {1, 1, 1}, true};
constexpr graph::Preprocess kTf{{127.5f, 127.5f, 127.5f}, {127.5f, 127.5f, 127.5f}, false};

const char* name_of(const graph::Graph& graph) {
  if (!graph.preprocess) return "none";
  if (*graph.preprocess == kTorch) return "torch";
  if (*graph.preprocess == kCaffe) return "caffe";
  return *graph.preprocess == kTf ? "tf" : "custom";
}

graph::Preprocess preset(const std::string& name) {
  if (name == "torch") return kTorch;
  if (name == "caffe") return kCaffe;
  if (name == "tf") return kTf;
  base::fail(base::Status::kInvalidArgument, "preprocess \"{}\"; torch, caffe or tf", name);
}

std::int64_t parameter_bytes(const graph::Graph& graph) {
  std::int64_t bytes = 0;
  for (const graph::Value& v : graph.values) {
    if (v.constant) bytes += static_cast<std::int64_t>(v.constant->bytes().size());
  }
  return bytes;
}

ph_model* new_model(graph::Graph graph) {
  return new ph_model{std::make_shared<const graph::Graph>(std::move(graph))};
}

const char* entry(const ph_model* model, const std::vector<std::string>& list, int64_t index) {
  const std::int64_t classes = model->graph->value(model->graph->outputs[0]).shape.size();
  if (index < 0 || index >= classes) return nullptr;
  const auto i = static_cast<std::size_t>(index);
  return i < list.size() ? list[i].c_str() : "";
}

}  // namespace

ph_status ph_model_load(const char* path, ph_model** model) {
  return capi::guard([&] {
    capi::require(path, "path");
    capi::require(model, "model");
    *model = new_model(import::import_model(path));
  });
}

ph_status ph_model_embedded(const char* name, ph_model** model) {
  return capi::guard([&] {
    capi::require(name, "name");
    capi::require(model, "model");
    graph::Graph graph = runtime::embedded_model(name);
    graph.format = "embedded";
    *model = new_model(std::move(graph));
  });
}

ph_status ph_model_from_bytes(const void* data, size_t size, const char* name, ph_model** model) {
  return capi::guard([&] {
    capi::require(data, "data");
    capi::require(model, "model");
    const auto* bytes = static_cast<const std::byte*>(data);
    const auto copy = std::make_shared<const std::vector<std::byte>>(bytes, bytes + size);
    *model =
        new_model(import::import_model(base::Bytes(*copy), copy, name == nullptr ? "model" : name));
  });
}

void ph_model_free(ph_model* model) { delete model; }

ph_status ph_model_save(const ph_model* model, const char* path) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(path, "path");
    base::write_file(path, import::export_onnx(*model->graph));
  });
}

ph_status ph_model_to_bytes(const ph_model* model, void** data, size_t* size) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(data, "data");
    capi::require(size, "size");
    const std::string bytes = import::export_onnx(*model->graph);
    void* copy = std::malloc(bytes.size());
    if (copy == nullptr) throw std::bad_alloc();
    std::memcpy(copy, bytes.data(), bytes.size());
    *data = copy;
    *size = bytes.size();
  });
}

void ph_bytes_free(void* data) { std::free(data); }

ph_status ph_model_get_info(const ph_model* model, ph_model_info* info) {
  return capi::guard([&] {
    capi::require(model, "model");
    const graph::Graph& g = *model->graph;
    const graph::Value& input = g.value(g.inputs[0]);
    ph_model_info filled{};
    filled.name = g.name.c_str();
    filled.quantized = graph::is_quantized(g);
    filled.input_height = static_cast<int32_t>(input.shape.h);
    filled.input_width = static_cast<int32_t>(input.shape.w);
    filled.input_channels = static_cast<int32_t>(input.shape.c);
    filled.input_is_u8 = input.dtype == graph::DType::kU8;
    filled.classes = g.value(g.outputs[0]).shape.size();
    filled.macs = graph::macs(g);
    filled.parameter_bytes = parameter_bytes(g);
    filled.nodes = static_cast<int32_t>(g.nodes.size());
    filled.resize = g.resize.c_str();
    filled.preprocess = filled.input_is_u8 ? "none" : name_of(g);
    filled.format = g.format.c_str();
    if (g.preprocess && !filled.input_is_u8) {
      std::copy(g.preprocess->mean.begin(), g.preprocess->mean.end(), filled.preprocess_mean);
      std::copy(g.preprocess->std.begin(), g.preprocess->std.end(), filled.preprocess_std);
      filled.preprocess_bgr = g.preprocess->bgr;
      filled.preprocess_inside = g.metadata.count(import::kPreprocessInside) != 0;
    }
    capi::write_struct(filled, info, "info");
  });
}

int32_t ph_model_output_count(const ph_model* model) {
  return model == nullptr ? 0 : static_cast<int32_t>(model->graph->outputs.size());
}

ph_status ph_model_output(const ph_model* model, int32_t index, ph_output_info* info) {
  return capi::guard([&] {
    capi::require(model, "model");
    const graph::Graph& g = *model->graph;
    if (index < 0 || index >= static_cast<int32_t>(g.outputs.size())) {
      base::fail(base::Status::kInvalidArgument, "output {}; 0 to {}", index, g.outputs.size() - 1);
    }
    const graph::Value& output = g.value(g.outputs[static_cast<std::size_t>(index)]);
    ph_output_info filled{};
    filled.name = output.name.c_str();
    filled.height = static_cast<int32_t>(output.shape.h);
    filled.width = static_cast<int32_t>(output.shape.w);
    filled.channels = static_cast<int32_t>(output.shape.c);
    capi::write_struct(filled, info, "info");
  });
}

ph_status ph_model_describe(const ph_model* model, char** text) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(text, "text");
    *text = capi::new_string(graph::to_string(*model->graph));
  });
}

ph_status ph_model_node(const ph_model* model, int32_t index, ph_node_info* info) {
  return capi::guard([&] {
    capi::require(model, "model");
    const graph::Graph& g = *model->graph;
    if (index < 0 || index >= static_cast<int32_t>(g.nodes.size())) {
      base::fail(base::Status::kInvalidArgument, "node {}; 0 to {}", index, g.nodes.size() - 1);
    }
    const graph::Node& node = g.nodes[static_cast<std::size_t>(index)];
    const graph::Value& output = g.value(node.output);
    ph_node_info filled{};
    filled.name = node.name.c_str();
    filled.op = graph::name_of(node.op).data();
    filled.dtype = graph::name_of(output.dtype).data();
    filled.height = static_cast<int32_t>(output.shape.h);
    filled.width = static_cast<int32_t>(output.shape.w);
    filled.channels = static_cast<int32_t>(output.shape.c);
    filled.macs = graph::macs(g, node);
    for (const graph::ValueId id : node.inputs) {
      const graph::Value& v = g.value(id);
      if (v.constant) {
        filled.parameter_bytes += static_cast<std::int64_t>(v.constant->bytes().size());
      }
    }
    capi::write_struct(filled, info, "info");
  });
}

const char* ph_model_label(const ph_model* model, int64_t index) {
  return model == nullptr ? nullptr : entry(model, model->graph->labels, index);
}

const char* ph_model_label_id(const ph_model* model, int64_t index) {
  return model == nullptr ? nullptr : entry(model, model->graph->label_ids, index);
}

ph_status ph_model_with_labels(const ph_model* model, const char* const* names,
                               const char* const* ids, int64_t count, ph_model** changed) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(names, "names");
    capi::require(changed, "changed");
    graph::Graph copy = *model->graph;
    const std::int64_t classes = copy.value(copy.outputs[0]).shape.size();
    if (count != classes) {
      base::fail(base::Status::kInvalidArgument, "{} labels for a model of {} classes", count,
                 classes);
    }
    copy.labels.assign(names, names + count);
    copy.label_ids.clear();
    if (ids != nullptr) copy.label_ids.assign(ids, ids + count);
    *changed = new_model(std::move(copy));
  });
}

ph_status ph_model_with_preprocess(const ph_model* model, const char* preset_name,
                                   ph_model** changed) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(preset_name, "preset");
    capi::require(changed, "changed");
    graph::Graph copy = *model->graph;
    if (copy.value(copy.inputs[0]).dtype != graph::DType::kF32) {
      base::fail(base::Status::kUnsupported,
                 "model {} takes raw pixels; its preprocess is part of its first convolution",
                 copy.name);
    }
    copy.preprocess = preset(preset_name);
    copy.metadata.erase(import::kPreprocessInside);
    *changed = new_model(std::move(copy));
  });
}

ph_status ph_model_with_output(const ph_model* model, int32_t node, ph_model** changed) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(changed, "changed");
    graph::Graph copy = *model->graph;
    if (node < 0 || node >= static_cast<int32_t>(copy.nodes.size())) {
      base::fail(base::Status::kInvalidArgument, "node {}; 0 to {}", node, copy.nodes.size() - 1);
    }
    graph::ValueId end = copy.nodes[static_cast<std::size_t>(node)].output;
    // Through the QuantizeLinear and DequantizeLinear that follow, in this order.
    for (const graph::Op op : {graph::Op::kQuantize, graph::Op::kDequantize}) {
      for (const graph::Node& next : copy.nodes) {
        if (next.op == op && next.inputs[0] == end) {
          end = next.output;
          break;
        }
      }
    }
    if (copy.value(end).dtype != graph::DType::kF32) {
      base::fail(base::Status::kInvalidArgument, "node {} gives {}; an output must be float32",
                 copy.nodes[static_cast<std::size_t>(node)].name,
                 graph::name_of(copy.value(end).dtype));
    }
    copy.outputs = {end};
    graph::passes::drop_dead(copy);
    graph::verify(copy);
    copy.labels.clear();
    copy.label_ids.clear();
    *changed = new_model(std::move(copy));
  });
}

ph_status ph_model_with_resize(const ph_model* model, const char* resize, ph_model** changed) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(resize, "resize");
    capi::require(changed, "changed");
    graph::Graph copy = *model->graph;
    copy.resize = image::to_string(image::parse_resize(resize));
    *changed = new_model(std::move(copy));
  });
}
