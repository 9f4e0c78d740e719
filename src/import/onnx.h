// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "graph/graph.h"

namespace pronghorn::import {

// The graph as the file has it, nothing folded: import_onnx before passes::fold.
graph::Graph read_onnx(base::Bytes bytes, const std::shared_ptr<const void>& owner,
                       const std::string& name);

// Keys of metadata_props (docs/model_formats.md).
inline constexpr const char* kPreprocessKey = "pronghorn.preprocess";
inline constexpr const char* kResizeKey = "pronghorn.resize";
inline constexpr const char* kLabelsKey = "pronghorn.labels";
inline constexpr const char* kLabelIdsKey = "pronghorn.label_ids";

}  // namespace pronghorn::import
