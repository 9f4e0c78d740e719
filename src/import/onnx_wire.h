// SPDX-License-Identifier: Apache-2.0
// Takes the weights out of a serialized ONNX model before protobuf sees it: protobuf would copy
// each `raw_data` to the heap, while most weights can be used where they lie in the mapped file.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"

namespace pronghorn::import {

struct SlimModel {
  std::string bytes;             // the serialized model without raw_data of its initializers
  std::vector<base::Bytes> raw;  // by index in graph.initializer; views into the model
};

// Throws Error(kCorrupt) naming `name` when the bytes break the protobuf wire format.
SlimModel take_raw_data(base::Bytes model, const std::string& name);

// True when the bytes start as a serialized ONNX ModelProto does.
bool looks_like_onnx(base::Bytes bytes);

}  // namespace pronghorn::import
