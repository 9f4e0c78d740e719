// SPDX-License-Identifier: Apache-2.0
// An ONNX file taken apart: parsed, checked for structure, its nodes in an order that works.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "import/onnx_constant.h"

namespace pronghorn::import {

struct OnnxFile {
  std::string name;  // for messages
  std::unique_ptr<onnx::ModelProto> model;
  std::int64_t opset = 0;
  std::map<std::string, Constant> initializers;
  std::vector<const onnx::NodeProto*> nodes;  // those that an output needs, inputs before users
};

// Throws Error(kCorrupt) for bytes that are no ONNX model, values made twice or never, cycles;
// Error(kUnsupported) for opsets below 7, external data, sparse or unknown tensors.
OnnxFile open_onnx(base::Bytes bytes, const std::shared_ptr<const void>& owner,
                   const std::string& name);

// The node's name, or that of its first output.
std::string name_of(const onnx::NodeProto& node);

}  // namespace pronghorn::import
