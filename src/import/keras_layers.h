// SPDX-License-Identifier: Apache-2.0
// Keras layers to graph nodes.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "import/keras_model.h"
#include "import/keras_weights.h"

namespace pronghorn::import::keras {

// A tensor on its way through the model. The graph does not tell {1, 1, c} of rank 4 from a vector
// of rank 2; Keras does.
struct Feature {
  graph::ValueId id = graph::kNoValue;
  int rank = 4;      // 4: (n, h, w, c); 2: (n, c)
  bool raw = false;  // the image itself, used by this layer alone: scaling becomes preprocessing
};

// What is built: the graph, and the scaling found between its input and its first real layer,
// y[c] = x[c] * scale[c] + shift[c].
struct Build {
  std::string file;
  graph::Graph graph;
  bool scaled = false;
  std::array<double, 3> scale{1, 1, 1};
  std::array<double, 3> shift{0, 0, 0};
};

// Throws Error(kUnsupported) naming every layer whose class is not supported, inner models
// included, and what is.
void require_supported(const Model& model, const std::string& file);

// Adds one call of `layer` under the node name `name`. `only_reader`: nothing else reads the
// result. Throws Error (kUnsupported, kCorrupt) naming the layer and its class.
Feature add_layer(Build& build, const Layer& layer, const std::string& name, LayerWeights& weights,
                  const std::vector<Feature>& inputs, bool only_reader);

// InputLayer: its shape as the graph sees it. Error(kUnsupported) unless it is (n, h, w, c) or
// (n, c) of fixed sizes.
Feature add_input(Build& build, const Layer& layer);

}  // namespace pronghorn::import::keras
