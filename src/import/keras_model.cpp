// SPDX-License-Identifier: Apache-2.0
// The JSON of Functional and Sequential models, as Keras 2 and Keras 3 write it.
#include "import/keras_model.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "base/error.h"

namespace pronghorn::import::keras {
namespace {

using base::fail;
using base::Status;
using Json = nlohmann::json;

constexpr int kMostNesting = 8;
constexpr std::size_t kMostLayers = 20000;

std::string text_of(const Json& json, const char* key, const std::string& what) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_string()) {
    fail(Status::kCorrupt, "{}: {} is missing or no string", what, key);
  }
  return json[key].get<std::string>();
}

// ["conv1", 0, 0], perhaps followed by keyword arguments.
bool is_ref(const Json& json) {
  return json.is_array() && json.size() >= 3 && json[0].is_string() &&
         json[1].is_number_integer() && json[2].is_number_integer();
}

Ref read_ref(const Json& json, const std::string& what) {
  const auto call = json[1].get<std::int64_t>();
  const auto tensor = json[2].get<std::int64_t>();
  if (call < 0 || call > 100000 || tensor < 0 || tensor > 1000) {
    fail(Status::kCorrupt, "{}: a wire names call {}, tensor {}", what, call, tensor);
  }
  return {json[0].get<std::string>(), static_cast<int>(call), static_cast<int>(tensor)};
}

void refuse_training(const Json& kwargs, const std::string& what) {
  if (kwargs.is_object() && kwargs.contains("training") && kwargs["training"] == Json(true)) {
    fail(Status::kUnsupported, "{}: is called with training=True; inference is supported", what);
  }
}

constexpr const char* kAccepted =
    "tensors of layers are supported, and + - * / with a number or one for each channel";

// Wires of Keras 2: [ref, ref, ...], nested lists, or a lone ref. Of Keras 3: tensors by their
// keras_history, in lists.
void collect_refs(const Json& json, const std::string& what, int depth, std::vector<Ref>& refs) {
  if (depth > 6) fail(Status::kCorrupt, "{}: inputs nested too deep", what);
  if (is_ref(json)) {
    if (json.size() > 3) refuse_training(json[3], what);
    refs.push_back(read_ref(json, what));
  } else if (json.is_array()) {
    for (const Json& part : json) collect_refs(part, what, depth + 1, refs);
  } else if (json.is_object() && json.contains("class_name")) {
    const Json& name = json["class_name"];
    if (name == "__tensor__" || name == "__numpy__" || name == "__ellipsis__" ||
        name == "__slice__") {
      fail(Status::kUnsupported, "{}: an input is a constant or a slice; {}", what, kAccepted);
    }
    const Json* config = json.contains("config") ? &json["config"] : nullptr;
    if (json["class_name"] != "__keras_tensor__" || config == nullptr || !config->is_object() ||
        !config->contains("keras_history") || !is_ref((*config)["keras_history"])) {
      fail(Status::kCorrupt, "{}: an input is no tensor of a layer", what);
    }
    refs.push_back(read_ref((*config)["keras_history"], what));
  } else if (json.is_object()) {
    for (const auto& [key, part] : json.items()) collect_refs(part, what, depth + 1, refs);
  } else if (!json.is_null()) {
    fail(Status::kUnsupported, "{}: an input is a constant; {}", what, kAccepted);
  }
}

// Keras 3 writes training=True for these unless told otherwise, and leaves it out in inference.
bool trains_by_default(const std::string& class_name) {
  return class_name.starts_with("Random") || class_name == "Resizing" || class_name == "CenterCrop";
}

// Keyword arguments of a Keras 3 call may carry tensors (masks), which no supported layer takes.
void refuse_tensors(const Json& kwargs, const std::string& class_name, const std::string& what) {
  if (!trains_by_default(class_name)) refuse_training(kwargs, what);
  if (!kwargs.is_object()) return;
  for (const auto& [key, value] : kwargs.items()) {
    if (value.is_object() && value.contains("class_name")) {
      fail(Status::kUnsupported, "{}: argument {} is a tensor; not supported", what, key);
    }
  }
}

std::vector<std::vector<Ref>> read_calls(const Json& nodes, const std::string& class_name,
                                         const std::string& what) {
  if (!nodes.is_array()) fail(Status::kCorrupt, "{}: inbound_nodes must be a list", what);
  std::vector<std::vector<Ref>> calls;
  for (const Json& node : nodes) {
    std::vector<Ref> refs;
    if (node.is_object() && node.contains("args")) {
      collect_refs(node["args"], what, 0, refs);
      if (node.contains("kwargs")) refuse_tensors(node["kwargs"], class_name, what);
    } else {
      collect_refs(node, what, 0, refs);
    }
    calls.push_back(std::move(refs));
  }
  return calls;
}

// The numbers of a constant operand: of one, or of an array of which only the last axis is longer
// than 1. Empty when `json` is anything else.
std::vector<double> constant_operand(const Json& json) {
  if (json.is_number()) return {json.get<double>()};
  if (!json.is_object() || !json.contains("config") || !json["config"].is_object() ||
      (json.value("class_name", Json()) != "__tensor__" &&
       json.value("class_name", Json()) != "__numpy__")) {
    return {};
  }
  if (!json["config"].contains("value")) return {};
  const Json* value = &json["config"]["value"];
  while (value->is_array() && value->size() == 1 && (*value)[0].is_array()) value = &(*value)[0];
  if (value->is_number()) return {value->get<double>()};
  std::vector<double> numbers;
  if (!value->is_array()) return {};
  for (const Json& number : *value) {
    if (!number.is_number()) return {};
    numbers.push_back(number.get<double>());
  }
  return numbers;
}

// Arithmetic of a tensor and a constant, as `preprocess_input(inputs)` writes it, is a Rescaling.
// False when `json` is no such thing.
bool read_arithmetic(const Json& json, const std::string& what, Layer& layer) {
  if (json.value("module", Json()) != "keras.src.ops.numpy" || !json.contains("inbound_nodes")) {
    return false;
  }
  const Json& nodes = json["inbound_nodes"];
  if (!nodes.is_array() || nodes.size() != 1 || !nodes[0].is_object() ||
      !nodes[0].contains("args") || !nodes[0]["args"].is_array() || nodes[0]["args"].size() != 2) {
    return false;
  }
  const Json& args = nodes[0]["args"];
  const bool constant_first = !constant_operand(args[0]).empty();
  std::vector<double> scale = constant_operand(args[constant_first ? 0 : 1]);
  if (scale.empty()) return false;
  std::vector<double> offset = {0};
  const std::string op = layer.class_name;
  if ((op == "TrueDivide" || op == "Divide") && !constant_first) {
    for (double& s : scale) s = 1 / s;
  } else if (op == "Add" || op == "Subtract") {
    offset = std::move(scale);
    scale = {op == "Subtract" && constant_first ? -1.0 : 1.0};
    if (op == "Subtract" && !constant_first) {
      for (double& o : offset) o = -o;
    }
  } else if (op != "Multiply") {
    return false;
  }
  std::vector<Ref> refs;
  collect_refs(args[constant_first ? 1 : 0], what, 0, refs);
  if (refs.size() != 1) return false;
  layer.class_name = "Rescaling";
  layer.config = {{"name", layer.name}, {"scale", scale}, {"offset", offset}};
  layer.calls = {refs};
  return true;
}

bool is_model_class(const std::string& name) {
  return name == "Functional" || name == "Model" || name == "Sequential";
}

Model read_any(const Json& json, const std::string& file, int depth);

Layer read_layer(const Json& json, const std::string& file, int depth) {
  Layer layer;
  layer.class_name = text_of(json, "class_name", file + ": a layer");
  if (!json.contains("config")) {
    fail(Status::kCorrupt, "{}: a layer of class {} has no config", file, layer.class_name);
  }
  layer.config = json["config"];
  if (is_model_class(layer.class_name)) {
    layer.model = std::make_shared<const Model>(read_any(json, file, depth + 1));
    layer.name = layer.model->name;
    layer.config = Json::object();
  } else {
    layer.name = text_of(layer.config, "name", fmt::format("{}: a {}", file, layer.class_name));
  }
  if (json.contains("name") && json["name"].is_string()) {
    layer.name = json["name"].get<std::string>();
  }
  return layer;
}

void require_distinct(const Model& model, const std::string& file) {
  std::set<std::string_view> seen;
  for (const Layer& layer : model.layers) {
    if (!seen.insert(layer.name).second) {
      fail(Status::kCorrupt, "{}: two layers are called {}", file, layer.name);
    }
  }
}

// Keras 2 counts the calls of an inner model from 1: 0 is the one that made it, which is in no
// file. Every call leads to an output, so the smallest number in use tells where the count starts.
void count_calls_from_zero(Model& model) {
  std::map<std::string, int, std::less<>> first;
  for (const Layer& layer : model.layers) {
    if (layer.model) first[layer.name] = std::numeric_limits<int>::max();
  }
  const auto for_all_refs = [&](auto&& action) {
    const auto one = [&](Ref& ref) {
      const auto found = first.find(ref.layer);
      if (found != first.end()) action(ref, found->second);
    };
    for (Layer& layer : model.layers) {
      for (auto& call : layer.calls) std::for_each(call.begin(), call.end(), one);
    }
    std::for_each(model.outputs.begin(), model.outputs.end(), one);
  };
  for_all_refs([](const Ref& ref, int& least) { least = std::min(least, ref.call); });
  for_all_refs([](Ref& ref, int& least) { ref.call -= least; });
}

Model read_functional(const Json& config, const std::string& file, int depth) {
  Model model;
  model.name = text_of(config, "name", file + ": the model");
  const std::string what = fmt::format("{}: model {}", file, model.name);
  if (!config.contains("layers") || !config["layers"].is_array() ||
      !config.contains("input_layers") || !config.contains("output_layers")) {
    fail(Status::kCorrupt, "{}: layers, input_layers or output_layers are missing", what);
  }
  if (config["layers"].size() > kMostLayers) {
    fail(Status::kCorrupt, "{}: more than {} layers", what, kMostLayers);
  }
  for (const Json& json : config["layers"]) {
    Layer layer = read_layer(json, file, depth);
    const std::string layer_what = fmt::format("{}: layer {}", file, layer.name);
    if (!read_arithmetic(json, layer_what, layer) && json.contains("inbound_nodes")) {
      layer.calls = read_calls(json["inbound_nodes"], layer.class_name, layer_what);
    }
    model.layers.push_back(std::move(layer));
  }
  collect_refs(config["input_layers"], what, 0, model.inputs);
  collect_refs(config["output_layers"], what, 0, model.outputs);
  count_calls_from_zero(model);
  return model;
}

// The input shape of a Sequential model that does not begin with an InputLayer.
Json input_shape(const Model& model, const Json& config) {
  for (const char* key : {"batch_input_shape", "batch_shape"}) {
    if (!model.layers.empty() && model.layers[0].config.is_object() &&
        model.layers[0].config.contains(key)) {
      return model.layers[0].config[key];
    }
  }
  if (!model.layers.empty() && model.layers[0].model) {
    const Model& inner = *model.layers[0].model;
    for (const Layer& layer : inner.layers) {
      if (layer.class_name != "InputLayer") continue;
      for (const char* key : {"batch_input_shape", "batch_shape"}) {
        if (layer.config.contains(key)) return layer.config[key];
      }
    }
  }
  if (config.is_object() && config.contains("build_input_shape")) {
    return config["build_input_shape"];
  }
  return nullptr;
}

Model read_sequential(const Json& config, const std::string& file, int depth) {
  Model model;
  const bool list = config.is_array();  // Keras before 2.2.3
  model.name = list ? "sequential" : text_of(config, "name", file + ": the model");
  const Json* layers = list ? &config : config.contains("layers") ? &config["layers"] : nullptr;
  if (layers == nullptr || !layers->is_array() || layers->empty() || layers->size() > kMostLayers) {
    fail(Status::kCorrupt, "{}: model {}: layers must be a list of 1 to {}", file, model.name,
         kMostLayers);
  }
  for (const Json& json : *layers) model.layers.push_back(read_layer(json, file, depth));
  if (model.layers[0].class_name != "InputLayer") {
    Layer input;
    input.name = model.name + "_input";
    input.class_name = "InputLayer";
    input.config = {{"name", input.name}, {"batch_shape", input_shape(model, config)}};
    model.layers.insert(model.layers.begin(), std::move(input));
  }
  for (std::size_t i = 1; i < model.layers.size(); ++i) {
    model.layers[i].calls = {{Ref{model.layers[i - 1].name}}};
  }
  model.inputs = {Ref{model.layers.front().name}};
  model.outputs = {Ref{model.layers.back().name}};
  return model;
}

Model read_any(const Json& json, const std::string& file, int depth) {
  if (depth > kMostNesting) {
    fail(Status::kUnsupported, "{}: models nested more than {} deep", file, kMostNesting);
  }
  const std::string class_name = text_of(json, "class_name", file + ": the model");
  if (!is_model_class(class_name)) {
    fail(Status::kUnsupported,
         "{}: the model is a {}; Functional and Sequential models are supported (a subclassed "
         "model's file does not say how it computes)",
         file, class_name);
  }
  if (!json.contains("config")) fail(Status::kCorrupt, "{}: the model has no config", file);
  const Json& config = json["config"];
  // A Sequential model may be written as Functional's class and the other way round: the wires
  // tell.
  Model model = class_name == "Sequential" && !config.contains("input_layers")
                    ? read_sequential(config, file, depth)
                    : read_functional(config, file, depth);
  require_distinct(model, file);
  return model;
}

}  // namespace

Model read_model(const Json& json, const std::string& file) { return read_any(json, file, 0); }

}  // namespace pronghorn::import::keras
