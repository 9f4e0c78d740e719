// SPDX-License-Identifier: Apache-2.0
// The models inside the library (models/ in the source tree; models/README.md is their card).
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::runtime {

// "tin200": ResNet50 v1.5 INT8 trained on the 200 classes of Tiny ImageNet.
// Throws Error(kNotFound) naming what there is.
graph::Graph embedded_model(const std::string& name);

}  // namespace pronghorn::runtime
