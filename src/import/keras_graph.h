// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "graph/graph.h"
#include "import/keras_model.h"
#include "import/keras_weights.h"

namespace pronghorn::import::keras {

// The model with its weights as a graph, folded and verified. Inputs that no output needs are
// refused, layers that no output needs are left out. `preprocess` follows from Rescaling and
// Normalization behind the input.
graph::Graph make_graph(const Model& model, const Weights& weights, const std::string& file);

}  // namespace pronghorn::import::keras
