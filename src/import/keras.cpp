// SPDX-License-Identifier: Apache-2.0
// The two doors for Keras files: .h5 of every kind, and .keras.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "import/hdf5.h"
#include "import/import.h"
#include "import/keras_graph.h"
#include "import/keras_model.h"
#include "import/keras_preprocess.h"
#include "import/keras_resnet.h"
#include "import/keras_weights.h"
#include "import/zip.h"

namespace pronghorn::import {
namespace {

using base::fail;
using base::Status;
using keras::Model;
using keras::Naming;
using keras::Weights;

constexpr std::uint64_t kMostConfig = std::uint64_t{256} << 20;
constexpr std::uint64_t kMostWeights = std::uint64_t{16} << 30;

// Images are resized straight to the input, as keras.utils.load_img does.
void set_resize(graph::Graph& graph) {
  if (graph.inputs.size() != 1) return;
  const graph::Shape& s = graph.value(graph.inputs[0]).shape;
  if (s.c == 3 && s.h == s.w && s.h > 1) graph.resize = fmt::format("direct:{}", s.h);
}

graph::Graph import_whole(const nlohmann::json& config, hdf5::File& file, Naming naming,
                          const hdf5::Object& group, const std::string& name) {
  const Model model = keras::read_model(config, name);
  const Weights weights(file, naming, group, model);
  graph::Graph graph = keras::make_graph(model, weights, name);
  if (graph.preprocess) {
    graph.metadata[kPreprocessInside] = "1";
  } else {
    graph.preprocess = keras::applications_preprocess(model);
  }
  set_resize(graph);
  return graph;
}

graph::Graph import_resnet(keras::ResNet resnet, hdf5::File& file, Naming naming,
                           const std::string& name) {
  const Model model = keras::make_resnet(resnet);
  const Weights weights(file, naming, file.root(), model);
  graph::Graph graph = keras::make_graph(model, weights, name);
  graph.preprocess = keras::kCaffe;
  set_resize(graph);
  return graph;
}

// The classes of a classifier's kernel (features, classes).
std::int64_t classes_of(hdf5::File& file, const hdf5::Object& kernel) {
  const auto dims = file.dims(kernel);
  if (dims.size() != 2 || dims[1] < 1 || dims[1] > 1 << 20) {
    fail(Status::kCorrupt, "{}: {} must be a matrix of (features, classes), is ({})", file.name(),
         kernel.path, fmt::join(dims, ", "));
  }
  return dims[1];
}

graph::Graph import_named_weights(hdf5::File& file, const std::vector<std::string>& layer_names,
                                  const std::string& name) {
  keras::ResNet resnet = keras::find_resnet(layer_names, name);
  const std::string head = keras::classifier(resnet);
  if (std::find(layer_names.begin(), layer_names.end(), head) != layer_names.end()) {
    const hdf5::Object group = file.at(file.root(), head);
    for (const std::string& weight :
         keras::split_strings(file, group, "weight_names").value_or(std::vector<std::string>{})) {
      if (keras::weight_key(head, weight) == "kernel") {
        resnet.classes = classes_of(file, file.at(group, weight));
      }
    }
    if (resnet.classes == 0) fail(Status::kCorrupt, "{}: layer {} has no kernel", name, head);
  }
  return import_resnet(resnet, file, Naming::kNamed, name);
}

// The number of groups called base, base_1, ... under `layers` that hold weights.
std::size_t count_layers(hdf5::File& file, const hdf5::Object& layers, const std::string& base) {
  for (std::size_t n = 0;; ++n) {
    const std::string group = n == 0 ? base : fmt::format("{}_{}", base, n);
    if (!file.find(layers, group + "/vars/0")) return n;
  }
}

graph::Graph import_numbered_weights(hdf5::File& file, const hdf5::Object& layers,
                                     const std::string& name) {
  const std::size_t denses = count_layers(file, layers, "dense");
  keras::ResNet resnet =
      keras::find_resnet(count_layers(file, layers, "conv2d"),
                         count_layers(file, layers, "batch_normalization"), denses, name);
  if (denses == 1) resnet.classes = classes_of(file, file.at(layers, "dense/vars/0"));
  return import_resnet(resnet, file, Naming::kNumbered, name);
}

graph::Graph import_h5(base::Bytes bytes, std::shared_ptr<const void> owner,
                       const std::string& name) {
  hdf5::File file(bytes, std::move(owner), name);
  const hdf5::Object root = file.root();
  if (const auto config = file.string(root, "model_config")) {
    return import_whole(keras::parse_json(*config, name + ": model_config"), file, Naming::kNamed,
                        file.at(root, "model_weights"), name);
  }
  if (const auto layer_names = keras::split_strings(file, root, "layer_names")) {
    return import_named_weights(file, *layer_names, name);
  }
  if (const auto layers = file.find(root, "layers")) {
    return import_numbered_weights(file, *layers, name);
  }
  fail(Status::kUnsupported,
       "{}: an HDF5 file, but not of Keras: no model_config, layer_names or group layers", name);
}

graph::Graph import_zip(base::Bytes bytes, std::shared_ptr<const void> owner,
                        const std::string& name) {
  const zip::Archive archive(bytes, std::move(owner), name);
  if (!archive.contains("config.json")) {
    fail(Status::kUnsupported, "{}: a ZIP archive, but not of Keras: no config.json", name);
  }
  const zip::Member config = archive.read("config.json", kMostConfig);
  const std::string_view text(reinterpret_cast<const char*>(config.bytes.data()),
                              config.bytes.size());
  const nlohmann::json json = keras::parse_json(text, name + ": config.json");
  const zip::Member weights = archive.read("model.weights.h5", kMostWeights);
  hdf5::File file(weights.bytes, weights.owner, name);
  return import_whole(json, file, Naming::kNumbered, file.root(), name);
}

// Whatever a library below us throws on hostile bytes leaves as an Error naming the file.
template <typename Import>
graph::Graph guarded(const std::string& name, Import import) {
  try {
    return import();
  } catch (const nlohmann::json::exception& e) {
    fail(Status::kCorrupt, "{}: its JSON is not as Keras writes it: {}", name, e.what());
  } catch (const std::bad_alloc&) {
    fail(Status::kOutOfMemory, "{}: not enough memory to import it", name);
  }
}

}  // namespace

graph::Graph import_keras_h5(base::Bytes bytes, std::shared_ptr<const void> owner,
                             const std::string& name) {
  return guarded(name, [&] { return import_h5(bytes, std::move(owner), name); });
}

graph::Graph import_keras_zip(base::Bytes bytes, std::shared_ptr<const void> owner,
                              const std::string& name) {
  return guarded(name, [&] { return import_zip(bytes, std::move(owner), name); });
}

}  // namespace pronghorn::import
