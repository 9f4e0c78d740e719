// SPDX-License-Identifier: Apache-2.0
// Small ONNX models made by hand, for tests.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "device/reference/reference_device.h"
#include "graph/graph.h"
#include "graph/passes/passes.h"
#include "import/import.h"
#include "import/onnx.h"

namespace pronghorn::import::test {

using Dims = std::vector<std::int64_t>;

inline base::Bytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct Model {
  onnx::ModelProto proto;

  explicit Model(std::int64_t opset = 13) {
    proto.set_ir_version(7);
    proto.add_opset_import()->set_version(opset);
    proto.mutable_graph()->set_name("small");
  }

  // Negative sizes are open.
  Model& input(const std::string& name, const Dims& dims, int type = onnx::TensorProto::FLOAT) {
    auto* info = proto.mutable_graph()->add_input();
    info->set_name(name);
    auto* tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    for (const auto d : dims) {
      auto* dim = tensor->mutable_shape()->add_dim();
      d < 0 ? dim->set_dim_param("open") : dim->set_dim_value(d);
    }
    return *this;
  }

  Model& output(const std::string& name) {
    proto.mutable_graph()->add_output()->set_name(name);
    return *this;
  }

  template <typename T>
  onnx::TensorProto& constant(const std::string& name, int type, const Dims& dims,
                              const std::vector<T>& values) {
    auto* tensor = proto.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    for (const auto d : dims) tensor->add_dims(d);
    tensor->set_raw_data(values.data(), values.size() * sizeof(T));
    return *tensor;
  }
  onnx::TensorProto& floats(const std::string& name, const Dims& dims,
                            const std::vector<float>& values) {
    return constant(name, onnx::TensorProto::FLOAT, dims, values);
  }
  onnx::TensorProto& ints(const std::string& name, const Dims& dims, const Dims& values) {
    return constant(name, onnx::TensorProto::INT64, dims, values);
  }

  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::string& dst) {
    auto* node = proto.mutable_graph()->add_node();
    node->set_op_type(op);
    node->set_name(dst + "_node");
    for (const auto& name : inputs) node->add_input(name);
    node->add_output(dst);
    return *node;
  }

  std::string bytes() const { return proto.SerializeAsString(); }
};

inline void set(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::INT);
  a->set_i(value);
}
inline void set(onnx::NodeProto& node, const std::string& name, const Dims& values) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::INTS);
  for (const auto v : values) a->add_ints(v);
}
inline void set_float(onnx::NodeProto& node, const std::string& name, float value) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::FLOAT);
  a->set_f(value);
}
inline void set_text(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::STRING);
  a->set_s(value);
}

inline graph::Graph import_text(const std::string& bytes) {
  auto owner = std::make_shared<const std::string>(bytes);
  return import_onnx(bytes_of(*owner), owner, "small.onnx");
}
inline graph::Graph import(const Model& model) { return import_text(model.bytes()); }

inline graph::Graph read(const Model& model) {
  auto owner = std::make_shared<const std::string>(model.bytes());
  graph::Graph graph = read_onnx(bytes_of(*owner), owner, "small.onnx");
  graph::verify(graph);
  return graph;
}

// The message of the Error that importing throws; empty when it throws none.
inline std::string refusal(const Model& model, base::Status* status = nullptr) {
  try {
    import(model);
  } catch (const base::Error& error) {
    if (status != nullptr) *status = error.status();
    return error.what();
  }
  return "";
}

// The first output for one image, on the reference device. `image` is NHWC.
template <typename T>
std::vector<float> run(const graph::Graph& graph, const std::vector<T>& image) {
  auto shared = std::make_shared<graph::Graph>(
      graph::is_quantized(graph) ? graph::passes::lower_quantized(graph) : graph);
  const auto device = device::reference::make_device();
  const auto program = device::compile_or_throw(*device, shared);
  const graph::Value& out = shared->value(shared->outputs[0]);
  std::vector<float> result(static_cast<std::size_t>(out.shape.size()));
  std::vector<std::uint8_t> bytes(result.size() * graph::size_of(out.dtype));
  const void* src = image.data();
  void* dst = bytes.data();
  const auto completion = program->submit({{&src, 1}, {&dst, 1}, 1, 1});
  if (completion) completion->wait();
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (out.dtype == graph::DType::kF32) {
      std::memcpy(&result[i], &bytes[i * 4], 4);
    } else if (out.dtype == graph::DType::kU8) {
      result[i] = bytes[i];
    } else {
      result[i] = static_cast<std::int8_t>(bytes[i]);
    }
  }
  return result;
}

}  // namespace pronghorn::import::test
