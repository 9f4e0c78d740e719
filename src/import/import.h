// SPDX-License-Identifier: Apache-2.0
// Model files to graphs and back. Every importer ends with graph::passes::fold and graph::verify.
// Malformed files throw Error(kCorrupt), ops outside the list in docs/model_formats.md
// Error(kUnsupported), both naming the file and the node. Hostile bytes never do anything else.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "graph/graph.h"

namespace pronghorn::import {

// The metadata key, value "1", of a graph whose preprocess was layers of the file it was read from.
inline constexpr const char* kPreprocessInside = "pronghorn.preprocess_inside";

// Recognises the format by content: ONNX, Keras .h5 (weights only in the keras.applications layout,
// or a whole model), .keras, .weights.h5. Constants may alias the mapped file.
graph::Graph import_model(const std::filesystem::path& path);
// The same from memory. `owner` keeps `bytes` alive for as long as the graph; `name` stands for the
// file in messages.
graph::Graph import_model(base::Bytes bytes, std::shared_ptr<const void> owner,
                          const std::string& name);

// `name` stands for the file in messages. `owner` keeps `bytes` alive for as long as the graph.
graph::Graph import_onnx(base::Bytes bytes, std::shared_ptr<const void> owner,
                         const std::string& name);
graph::Graph import_keras_h5(base::Bytes bytes, std::shared_ptr<const void> owner,
                             const std::string& name);
graph::Graph import_keras_zip(base::Bytes bytes, std::shared_ptr<const void> owner,
                              const std::string& name);

// A standard ONNX model (opset 13, NCHW as the format has it) of a float or QDQ graph. A u8 image
// input stays NHWC: DequantizeLinear(axis 3), Transpose. Deterministic: same graph, same bytes.
// Preprocess, resize, labels and metadata travel in metadata_props (docs/model_formats.md).
std::string export_onnx(const graph::Graph& graph);

}  // namespace pronghorn::import
