// SPDX-License-Identifier: Apache-2.0
// ONNX bytes to a graph. The seeds are written as protobuf text.
#include <google/protobuf/text_format.h>
#include <onnx/onnx_pb.h>

#include <string>

#include "fuzz.h"
#include "import/import.h"

namespace pronghorn::fuzz {
namespace {

Input model(const std::string& inputs, const std::string& nodes, const std::string& initializers) {
  const std::string text = R"(ir_version: 8 opset_import { version: 13 } producer_name: "seed"
    graph { name: "g" )" + inputs +
                           R"( output { name: "y" type { tensor_type { elem_type: 1
      shape { dim { dim_param: "n" } dim { dim_value: 4 } } } } } )" +
                           nodes + initializers + "}";
  onnx::ModelProto proto;
  google::protobuf::TextFormat::ParseFromString(text, &proto);
  const std::string bytes = proto.SerializeAsString();
  return Input(bytes.begin(), bytes.end());
}

std::string image_input(int channels, int size) {
  return R"(input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "n" }
    dim { dim_value: )" +
         std::to_string(channels) + "} dim { dim_value: " + std::to_string(size) +
         "} dim { dim_value: " + std::to_string(size) + "} } } } }";
}

std::string node(const std::string& op, const std::string& inputs, const std::string& output,
                 const std::string& attributes = "") {
  std::string text = "node { op_type: \"" + op + "\" name: \"" + output + "\" ";
  std::size_t at = 0;
  while (at < inputs.size()) {
    const std::size_t end = std::min(inputs.find(' ', at), inputs.size());
    text += "input: \"" + inputs.substr(at, end - at) + "\" ";
    at = end + 1;
  }
  return text + "output: \"" + output + "\" " + attributes + "} ";
}

std::string ints(const std::string& name, const std::string& values) {
  std::string text = "attribute { name: \"" + name + "\" type: INTS ";
  std::size_t at = 0;
  while (at < values.size()) {
    const std::size_t end = std::min(values.find(' ', at), values.size());
    text += "ints: " + values.substr(at, end - at) + " ";
    at = end + 1;
  }
  return text + "} ";
}

std::string one_int(const std::string& name, int value) {
  return "attribute { name: \"" + name + "\" type: INT i: " + std::to_string(value) + " } ";
}

// `kind` is the field that holds the values, `type` ONNX's number of it.
std::string tensor(const std::string& name, const std::vector<int>& dims, int type,
                   const std::string& kind, const std::string& value) {
  std::string text =
      "initializer { name: \"" + name + "\" data_type: " + std::to_string(type) + " ";
  int size = 1;
  for (const int dim : dims) {
    text += "dims: " + std::to_string(dim) + " ";
    size *= dim;
  }
  for (int i = 0; i < size; ++i) text += kind + ": " + value + " ";
  return text + "} ";
}

std::string floats(const std::string& name, const std::vector<int>& dims) {
  return tensor(name, dims, 1, "float_data", "0.25");
}

Input residual_net() {
  return model(
      image_input(3, 8),
      node("Conv", "x w b", "c1",
           ints("kernel_shape", "3 3") + ints("pads", "1 1 1 1") + ints("strides", "1 1")) +
          node("BatchNormalization", "c1 s b m v", "bn") + node("Relu", "bn", "r") +
          node("MaxPool", "r", "p", ints("kernel_shape", "2 2") + ints("strides", "2 2")) +
          node("Conv", "p dw", "d", one_int("group", 4) + ints("pads", "1 1 1 1")) +
          node("Clip", "d lo hi", "k") + node("Add", "k p", "a") + node("Pad", "a pads", "pad") +
          node("GlobalAveragePool", "pad", "g") + node("Flatten", "g", "f", one_int("axis", 1)) +
          node("Gemm", "f fw b", "l", one_int("transB", 1)) + node("Softmax", "l", "y"),
      floats("w", {4, 3, 3, 3}) + floats("b", {4}) + floats("s", {4}) + floats("m", {4}) +
          floats("v", {4}) + floats("dw", {4, 1, 3, 3}) + floats("lo", {}) + floats("hi", {}) +
          floats("fw", {4, 4}) + tensor("pads", {8}, 7, "int64_data", "0"));
}

Input concat_net() {
  return model(
      image_input(2, 4),
      node("Identity", "x", "i") + node("Dropout", "i", "o") +
          node("AveragePool", "o", "p",
               ints("kernel_shape", "3 3") + ints("pads", "1 1 1 1") +
                   one_int("count_include_pad", 1)) +
          node("Concat", "o p", "c", one_int("axis", 1)) + node("GlobalAveragePool", "c", "g") +
          node("Reshape", "g shape", "f") + node("MatMul", "f w", "l") + node("Add", "l b", "y"),
      tensor("shape", {2}, 7, "int64_data", "-1") + floats("w", {4, 4}) + floats("b", {4}));
}

Input quantized_net() {
  return model(image_input(3, 6),
               node("QuantizeLinear", "x s z", "q") + node("DequantizeLinear", "q s z", "d") +
                   node("DequantizeLinear", "w ws wz", "dw", one_int("axis", 0)) +
                   node("DequantizeLinear", "b bs", "db") +
                   node("Conv", "d dw db", "c", ints("kernel_shape", "3 3")) +
                   node("Relu", "c", "r") + node("QuantizeLinear", "r s z", "q2") +
                   node("DequantizeLinear", "q2 s z", "d2") + node("GlobalAveragePool", "d2", "g") +
                   node("Flatten", "g", "y"),
               floats("s", {}) + tensor("z", {}, 2, "int32_data", "128") +
                   tensor("w", {4, 3, 3, 3}, 3, "int32_data", "5") + floats("ws", {4}) +
                   tensor("wz", {4}, 3, "int32_data", "0") +
                   tensor("b", {4}, 6, "int32_data", "9") + floats("bs", {}));
}

}  // namespace

std::vector<Input> seeds() { return {residual_net(), concat_net(), quantized_net()}; }

void repair(Input&) {}  // nothing in the format hides the rest

void test_one(const Input& input) {
  expect_value_or_refusal([&] { import::import_onnx(as_bytes(input), nullptr, "input"); });
}

}  // namespace pronghorn::fuzz
