// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "graph/graph.h"
#include "import/keras_model.h"

namespace pronghorn::import::keras {

// keras.applications' preprocess_input of ResNet V1 and VGG: BGR, means off, nothing divided.
inline constexpr graph::Preprocess kCaffe{{103.939F, 116.779F, 123.68F}, {1, 1, 1}, true};

// keras.applications leaves the preprocessing to the caller. Which one a whole model expects, when
// its own name and the name of a layer say which of those networks it is; else nothing.
std::optional<graph::Preprocess> applications_preprocess(const Model& model);

}  // namespace pronghorn::import::keras
