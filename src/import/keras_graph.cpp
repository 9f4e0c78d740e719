// SPDX-License-Identifier: Apache-2.0
#include "import/keras_graph.h"

#include <map>
#include <set>

#include "base/error.h"
#include "graph/passes/passes.h"
#include "import/keras_layers.h"

namespace pronghorn::import::keras {
namespace {

using base::fail;
using base::Status;

// Models used as layers may be called many times, each call repeating their layers.
constexpr std::size_t kMostNodes = 100000;

class Emitter {
 public:
  Emitter(Build& build, const Model& model, const Weights& weights, std::string prefix,
          std::size_t& nodes)
      : build_(build), model_(model), weights_(weights), prefix_(std::move(prefix)), nodes_(nodes) {
    for (const Layer& layer : model.layers) {
      layers_[layer.name] = &layer;
      for (const auto& call : layer.calls) {
        for (const Ref& ref : call) ++readers_[ref];
      }
    }
    for (const Ref& ref : model.outputs) ++readers_[ref];
  }

  // Gives the model's input tensors their values: those of the outer model, or new graph inputs.
  void bind_inputs(const std::vector<Feature>& inputs) {
    if (inputs.size() != model_.inputs.size()) {
      fail(Status::kCorrupt, "{}: model {} takes {} inputs, is given {}", build_.file, model_.name,
           model_.inputs.size(), inputs.size());
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Feature feature = inputs[i];
      feature.raw = feature.raw && readers_[model_.inputs[i]] == 1;
      made_[model_.inputs[i]] = feature;
    }
  }
  void make_inputs() {
    for (const Ref& ref : model_.inputs) {
      const Layer& layer = at(ref);
      if (layer.class_name != "InputLayer") {
        fail(Status::kCorrupt, "{}: input {} is a {}, must be an InputLayer", build_.file,
             layer.name, layer.class_name);
      }
      Feature feature = add_input(build_, layer);
      feature.raw = model_.inputs.size() == 1 && readers_[ref] == 1;
      made_[ref] = feature;
    }
  }

  std::vector<Feature> outputs() {
    std::vector<Feature> out;
    for (const Ref& ref : model_.outputs) out.push_back(make(ref));
    return out;
  }

 private:
  const Layer& at(const Ref& ref) const {
    const auto found = layers_.find(ref.layer);
    if (found == layers_.end()) {
      fail(Status::kCorrupt, "{}: model {}: there is no layer {}", build_.file, model_.name,
           ref.layer);
    }
    return *found->second;
  }

  const std::vector<Ref>& inputs_of(const Ref& ref) const {
    const Layer& layer = at(ref);
    if (static_cast<std::size_t>(ref.call) >= layer.calls.size()) {
      fail(Status::kCorrupt, "{}: layer {} is called {} times, call {} is used", build_.file,
           layer.name, layer.calls.size(), ref.call);
    }
    return layer.calls[static_cast<std::size_t>(ref.call)];
  }

  // Depth first from `wanted` to what it needs, with a stack of our own: models are deep.
  Feature make(const Ref& wanted) {
    std::vector<Ref> stack{wanted};
    std::set<std::pair<std::string, int>> open;
    while (!stack.empty()) {
      const Ref ref = stack.back();
      if (made_.contains(ref)) {
        stack.pop_back();
        continue;
      }
      const std::vector<Ref>& inputs = inputs_of(ref);
      bool ready = true;
      for (const Ref& input : inputs) {
        if (made_.contains(input)) continue;
        ready = false;
        stack.push_back(input);
      }
      const std::pair<std::string, int> key{ref.layer, ref.call};
      if (ready) {
        open.erase(key);
        call(ref, inputs);
        stack.pop_back();
      } else if (!open.insert(key).second) {
        fail(Status::kCorrupt, "{}: model {}: layer {} needs its own output", build_.file,
             model_.name, ref.layer);
      }
    }
    return made_.at(wanted);
  }

  void call(const Ref& ref, const std::vector<Ref>& input_refs) {
    const Layer& layer = at(ref);
    if (++nodes_ > kMostNodes) {
      fail(Status::kUnsupported, "{}: more than {} layers", build_.file, kMostNodes);
    }
    std::vector<Feature> inputs;
    for (const Ref& input : input_refs) inputs.push_back(made_.at(input));
    std::string name = prefix_ + layer.name;
    if (ref.call > 0) name += fmt::format("_call{}", ref.call);
    if (layer.model) {
      if (inputs.size() == 1) inputs[0].raw = inputs[0].raw && readers_[ref] == 1;
      const Weights inner_weights = weights_.inside(layer);
      Emitter inner(build_, *layer.model, inner_weights, name + "/", nodes_);
      inner.bind_inputs(inputs);
      const std::vector<Feature> outputs = inner.outputs();
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        Feature feature = outputs[i];
        const Ref out{ref.layer, ref.call, static_cast<int>(i)};
        feature.raw = feature.raw && readers_[out] == 1;
        made_[out] = feature;
      }
    } else {
      LayerWeights weights = weights_.of(layer);
      made_[{ref.layer, ref.call, 0}] =
          add_layer(build_, layer, name, weights, inputs, readers_[ref] == 1);
    }
    if (!made_.contains(ref)) {
      fail(Status::kCorrupt, "{}: layer {} has no output {}", build_.file, layer.name, ref.tensor);
    }
  }

  Build& build_;
  const Model& model_;
  const Weights& weights_;
  std::string prefix_;
  std::size_t& nodes_;
  std::map<std::string, const Layer*, std::less<>> layers_;
  std::map<Ref, int> readers_;
  std::map<Ref, Feature> made_;
};

}  // namespace

graph::Graph make_graph(const Model& model, const Weights& weights, const std::string& file) {
  require_supported(model, file);
  Build build;
  build.file = file;
  build.graph.name = model.name;
  build.graph.format = "keras";
  std::size_t nodes = 0;
  Emitter emitter(build, model, weights, "", nodes);
  try {
    emitter.make_inputs();
    for (const Feature& output : emitter.outputs()) build.graph.outputs.push_back(output.id);
    graph::Graph& graph = build.graph;
    if (graph.nodes.empty()) fail(Status::kCorrupt, "{}: the model has no layers", file);
    if (build.scaled) {
      graph::Preprocess p;
      for (std::size_t i = 0; i < 3; ++i) {
        p.mean[i] = static_cast<float>(-build.shift[i] / build.scale[i]);
        p.std[i] = static_cast<float>(1 / build.scale[i]);
      }
      graph.preprocess = p;
    }
    graph::verify(graph);
    graph::passes::fold(graph);
    graph::verify(graph);
    return std::move(graph);
  } catch (const base::Error& e) {
    // The graph's own checks know nodes but not the file.
    const std::string message = e.what();
    if (message.find(file) != std::string::npos) throw;
    fail(e.status(), "{}: {}", file, message);
  }
}

}  // namespace pronghorn::import::keras
