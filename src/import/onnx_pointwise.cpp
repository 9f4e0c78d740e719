// SPDX-License-Identifier: Apache-2.0
// Ops that work element by element: activations, sums, scales, and those that change nothing.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "import/onnx_importer.h"

namespace pronghorn::import {
namespace {

using graph::Op;
using graph::ValueId;
using onnx::NodeProto;
using onnx::TensorProto;

void identity(Importer& in, const NodeProto& node) { in.bind(node, in.input(node, 0)); }

void dropout(Importer& in, const NodeProto& node) {
  if (node.output_size() > 1 && !node.output(1).empty()) {
    unsupported(node, "its second output (mask) is not supported");
  }
  if (in.has_input(node, 2) && in.integers(node, 2) != std::vector<std::int64_t>{0}) {
    unsupported(node, "training mode is not supported");
  }
  identity(in, node);
}

void cast(Importer& in, const NodeProto& node) {
  const Operand& src = in.input(node, 0);
  const auto to = static_cast<int>(int_attribute(node, "to", 0));
  const bool to_float =
      to == TensorProto::FLOAT || to == TensorProto::FLOAT16 || to == TensorProto::DOUBLE;
  if (src.is_activation() || src.quant) {
    const bool is_float = src.quant || in.graph.value(src.value).dtype == graph::DType::kF32;
    if (!to_float || !is_float) {
      unsupported(node, "a cast to {}; only from one floating-point type to another",
                  type_name(to));
    }
    return identity(in, node);
  }
  if (src.constant->is_float() == to_float) return identity(in, node);
  if (to == TensorProto::INT64 || to == TensorProto::INT32) {
    std::vector<std::int64_t> values;
    for (const float v : to_floats(*src.constant)) {
      if (!(std::fabs(v) < 2147483648.0f)) corrupt(node, "{} does not fit an integer", v);
      values.push_back(static_cast<std::int64_t>(v));
    }
    return in.bind_constant(node, make_integers(src.constant->dims, values));
  }
  if (!to_float) unsupported(node, "a cast to {}", type_name(to));
  const auto integers = to_integers(*src.constant);
  if (std::count(integers.begin(), integers.end(), kBatch) > 0) {
    unsupported(node, "the batch size as a floating-point number");
  }
  in.bind_constant(node, make_floats(src.constant->dims, {integers.begin(), integers.end()}));
}

void relu(Importer& in, const NodeProto& node) {
  const Operand& src = in.activation(node, 0);
  in.bind(node, {in.add(Op::kRelu, node, {src.value}), src.layout});
}

float scalar(const Importer& in, const NodeProto& node, int index, float absent) {
  if (!in.has_input(node, index)) return absent;
  const auto values = in.floats(node, index);
  if (values.size() != 1) corrupt(node, "input {} must be one number", node.input(index));
  return values[0];
}

void clip(Importer& in, const NodeProto& node) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const Operand& src = in.activation(node, 0);
  float lo = -kLargest, hi = kLargest;
  if (in.file.opset < 11) {
    lo = float_attribute(node, "min", lo);
    hi = float_attribute(node, "max", hi);
  } else {
    lo = scalar(in, node, 1, lo);
    hi = scalar(in, node, 2, hi);
  }
  if (!(lo <= hi)) corrupt(node, "limits {} and {} are not in order", lo, hi);
  lo = std::clamp(lo, -kLargest, kLargest);
  hi = std::clamp(hi, -kLargest, kLargest);
  if (lo == -kLargest && hi == kLargest) return identity(in, node);
  const bool is_relu = lo == 0 && hi == kLargest;
  const ValueId dst = is_relu ? in.add(Op::kRelu, node, {src.value})
                              : in.add(Op::kClip, node, {src.value}, graph::Clip{lo, hi});
  in.bind(node, {dst, src.layout});
}

void softmax(Importer& in, const NodeProto& node) {
  const Operand& src = in.activation(node, 0);
  const graph::Shape& s = in.shape(src);
  const bool coerces = in.file.opset < 13;  // over all dimensions from the axis on
  const std::size_t rank = in.dims(src).size() + 1;
  const int axis = normal_axis(node, int_attribute(node, "axis", coerces ? 1 : -1), rank);
  const int channel = src.layout == Layout::kNhwc ? 3 : 1;
  const bool one_pixel = s.h * s.w == 1;
  const bool flat = src.layout == Layout::kFlatChw || src.layout == Layout::kFlatHwc;
  if (axis != channel || (!one_pixel && (flat || (coerces && src.layout == Layout::kNchw)))) {
    unsupported(node, "axis {}; only a softmax over the channels is supported", axis);
  }
  in.bind(node, {in.add(Op::kSoftmax, node, {src.value}), src.layout});
}

void batch_normalization(Importer& in, const NodeProto& node) {
  const Operand& src = in.activation(node, 0);
  if (int_attribute(node, "training_mode", 0) != 0) {
    unsupported(node, "training mode is not supported");
  }
  if (int_attribute(node, "spatial", 1) != 1) unsupported(node, "spatial 0 is not supported");
  for (int i = 1; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) unsupported(node, "only its first output is supported");
  }
  const graph::Shape& s = in.shape(src);
  const bool by_channel =
      src.layout == Layout::kNchw || (src.layout == Layout::kFlatChw && s.h * s.w == 1);
  if (!by_channel) unsupported(node, "its input is neither [N, C, H, W] nor [N, C]");
  const auto channels = static_cast<std::size_t>(s.c);
  const auto gamma = in.floats(node, 1), beta = in.floats(node, 2);
  const auto mean = in.floats(node, 3), variance = in.floats(node, 4);
  if (gamma.size() != channels || beta.size() != channels || mean.size() != channels ||
      variance.size() != channels) {
    corrupt(node, "its parameters must have {} values, one for each channel", channels);
  }
  const double epsilon = float_attribute(node, "epsilon", 1e-5f);
  std::vector<float> scale(channels), shift(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const double spread = static_cast<double>(variance[c]) + epsilon;
    if (!(spread > 0)) corrupt(node, "variance {} of channel {} is not positive", variance[c], c);
    const double factor = gamma[c] / std::sqrt(spread);
    scale[c] = static_cast<float>(factor);
    shift[c] = static_cast<float>(beta[c] - mean[c] * factor);
  }
  const ValueId a = in.add_constant(node.input(1), make_floats({s.c}, scale));
  const ValueId b = in.add_constant(node.input(2), make_floats({s.c}, shift));
  in.bind(node, {in.add(Op::kBatchNorm, node, {src.value, a, b}), src.layout});
}

// A constant operand of an element-wise op as one value a channel.
std::vector<float> by_channel(Importer& in, const NodeProto& node, int index, const Operand& src) {
  const Constant c = in.constant(node, index);
  auto values = in.floats(node, index);
  const auto channels = static_cast<std::size_t>(in.shape(src).c);
  if (values.size() == 1 && c.dims.size() <= in.dims(src).size() + 1) {
    values.resize(channels, values[0]);
    return values;
  }
  // Aligned to the right, as broadcasting does: all but the channel must be 1.
  const std::size_t from_right = src.layout == Layout::kNchw ? 3 : 1;
  const bool flat = src.layout == Layout::kFlatChw || src.layout == Layout::kFlatHwc;
  const std::size_t rank = in.dims(src).size() + 1;
  const bool fits = c.dims.size() >= from_right && c.dims.size() <= rank &&
                    values.size() == channels &&
                    c.dims[c.dims.size() - from_right] == in.shape(src).c &&
                    (!flat || in.shape(src).h * in.shape(src).w == 1);
  if (!fits) {
    unsupported(node,
                "constant {} is neither one number nor one for each of {} channels; other "
                "broadcasts are not supported",
                node.input(index), channels);
  }
  return values;
}

void integer_arithmetic(Importer& in, const NodeProto& node) {
  const auto& a_dims = in.input(node, 0).constant->dims;
  const auto& b_dims = in.input(node, 1).constant->dims;
  auto a = in.integers(node, 0);
  auto b = in.integers(node, 1);
  if (a.size() != b.size() && a.size() != 1 && b.size() != 1) {
    unsupported(node, "constants of {} and {} elements", a.size(), b.size());
  }
  const std::size_t size = a.empty() || b.empty() ? 0 : std::max(a.size(), b.size());
  std::vector<std::int64_t> result(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::int64_t x = a[a.size() == 1 ? 0 : i];
    const std::int64_t y = b[b.size() == 1 ? 0 : i];
    const bool is_scale = node.op_type() == "Mul" || node.op_type() == "Div";
    if (x == kBatch && y == 1 && is_scale) {
      result[i] = kBatch;
    } else if (y == kBatch && x == 1 && node.op_type() == "Mul") {
      result[i] = kBatch;
    } else if (std::abs(static_cast<double>(x)) > 2147483647.0 ||
               std::abs(static_cast<double>(y)) > 2147483647.0) {
      unsupported(node, "arithmetic with the batch size or with numbers beyond 32 bits");
    } else if (node.op_type() == "Add") {
      result[i] = x + y;
    } else if (node.op_type() == "Sub") {
      result[i] = x - y;
    } else if (node.op_type() == "Mul") {
      result[i] = x * y;
    } else {
      if (y == 0) corrupt(node, "division by zero");
      result[i] = x / y;
    }
  }
  in.bind_constant(
      node, make_integers(a.size() >= b.size() && a_dims.size() >= b_dims.size() ? a_dims : b_dims,
                          result));
}

void add_two(Importer& in, const NodeProto& node) {
  const Operand& a = in.activation(node, 0);
  const Operand& b = in.activation(node, 1);
  if (a.layout != b.layout || in.shape(a) != in.shape(b)) {
    unsupported(node,
                "its inputs differ in shape; broadcasting between activations is not supported");
  }
  in.bind(node, {in.add(Op::kAdd, node, {a.value, b.value}), a.layout});
}

// Add, Sub, Mul, Div: of two activations (Add), of one with a constant (y = x * scale + shift), of
// integer constants (shapes).
void arithmetic(Importer& in, const NodeProto& node) {
  const Operand& first = in.input(node, 0);
  const Operand& second = in.input(node, 1);
  const std::string& op = node.op_type();
  if (first.is_activation() && second.is_activation()) {
    if (op != "Add") unsupported(node, "of two activations; one side must be a constant");
    return add_two(in, node);
  }
  if (!first.is_activation() && !second.is_activation()) {
    if (first.quant || second.quant || !first.constant->is_integer() ||
        !second.constant->is_integer()) {
      unsupported(node, "of two floating-point constants");
    }
    return integer_arithmetic(in, node);
  }
  const bool swapped = !first.is_activation();
  const Operand& src = swapped ? second : first;
  if (swapped && op == "Div") unsupported(node, "a constant divided by an activation");
  const auto values = by_channel(in, node, swapped ? 0 : 1, src);
  std::vector<float> scale(values.size(), 1.0f), shift(values.size(), 0.0f);
  for (std::size_t c = 0; c < values.size(); ++c) {
    if (op == "Add") {
      shift[c] = values[c];
    } else if (op == "Sub") {
      scale[c] = swapped ? -1.0f : 1.0f;
      shift[c] = swapped ? values[c] : -values[c];
    } else if (op == "Mul") {
      scale[c] = values[c];
    } else {
      if (values[c] == 0) corrupt(node, "division by zero");
      scale[c] = 1.0f / values[c];
    }
  }
  const std::int64_t channels = in.shape(src).c;
  const auto name = name_of(node);
  const ValueId a = in.add_constant(name + "/scale", make_floats({channels}, scale));
  const ValueId b = in.add_constant(name + "/shift", make_floats({channels}, shift));
  in.bind(node, {in.add(Op::kBatchNorm, node, {src.value, a, b}), src.layout});
}

}  // namespace

std::vector<HandlerRow> pointwise_handlers() {
  return {{"Identity", identity},
          {"Dropout", dropout},
          {"Cast", cast},
          {"Relu", relu},
          {"Clip", clip},
          {"Softmax", softmax},
          {"Add", arithmetic},
          {"Sub", arithmetic},
          {"Mul", arithmetic},
          {"Div", arithmetic},
          {"BatchNormalization", batch_normalization}};
}

}  // namespace pronghorn::import
