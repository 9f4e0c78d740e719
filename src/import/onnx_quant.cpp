// SPDX-License-Identifier: Apache-2.0
// QuantizeLinear and DequantizeLinear.
#include <algorithm>
#include <cmath>
#include <utility>

#include "arith/requantize.h"
#include "import/onnx_importer.h"

namespace pronghorn::import {
namespace {

using graph::DType;
using graph::Op;
using graph::Quant;
using onnx::NodeProto;
using onnx::TensorProto;

void refuse_blocks(const NodeProto& node) {
  if (int_attribute(node, "block_size", 0) != 0) {
    unsupported(node, "quantization in blocks; only per tensor and per channel");
  }
}

// Scales and zero points; *type becomes the type of the zero points if there are any.
Quant read_quant(const Importer& in, const NodeProto& node, int* type) {
  Quant quant;
  if (in.constant(node, 1).dims.size() > 1) {
    unsupported(node, "scales of {} dimensions; only per tensor and per channel",
                in.constant(node, 1).dims.size());
  }
  quant.scale = in.floats(node, 1);
  if (quant.scale.empty()) corrupt(node, "no scale");
  for (const float s : quant.scale) {
    if (!(s > 0) || !std::isfinite(s)) corrupt(node, "scale {} is not positive and finite", s);
  }
  quant.zero_point.assign(quant.scale.size(), 0);
  if (!in.has_input(node, 2)) return quant;
  *type = in.constant(node, 2).type;
  const auto zero = in.integers(node, 2);
  if (zero.size() != quant.scale.size()) {
    corrupt(node, "{} scales but {} zero points", quant.scale.size(), zero.size());
  }
  for (std::size_t i = 0; i < zero.size(); ++i) {
    if (std::abs(static_cast<double>(zero[i])) > 255) {
      corrupt(node, "zero point {} does not fit 8 bits", zero[i]);
    }
    quant.zero_point[i] = static_cast<std::int32_t>(zero[i]);
  }
  return quant;
}

// The axis of scales over an activation must be its channels.
void require_channel_axis(const Importer& in, const NodeProto& node, const Operand& src,
                          const Quant& quant) {
  if (!quant.per_channel()) return;
  const std::size_t rank = in.dims(src).size() + 1;
  const int axis = normal_axis(node, int_attribute(node, "axis", 1), rank);
  const int channel = src.layout == Layout::kNhwc ? 3 : 1;
  const bool by_channel = src.layout == Layout::kNchw || src.layout == Layout::kNhwc ||
                          in.shape(src).h * in.shape(src).w == 1;
  if (axis != channel || !by_channel) {
    unsupported(node, "scales along axis {}; activations take them along channels only", axis);
  }
  if (static_cast<std::int64_t>(quant.scale.size()) != in.shape(src).c) {
    corrupt(node, "{} scales for {} channels", quant.scale.size(), in.shape(src).c);
  }
}

int constant_axis(const NodeProto& node, const Constant& c, const Quant& quant) {
  if (!quant.per_channel()) return 0;
  const int axis = normal_axis(node, int_attribute(node, "axis", 1), c.dims.size());
  if (c.dims[static_cast<std::size_t>(axis)] != static_cast<std::int64_t>(quant.scale.size())) {
    corrupt(node, "{} scales along axis {} of {} elements", quant.scale.size(), axis,
            c.dims[static_cast<std::size_t>(axis)]);
  }
  return axis;
}

Constant quantized(const NodeProto& node, const Constant& src, const Quant& quant, int type) {
  const int axis = constant_axis(node, src, quant);
  std::size_t inner = 1;
  for (std::size_t d = static_cast<std::size_t>(axis) + 1; d < src.dims.size(); ++d) {
    inner *= static_cast<std::size_t>(src.dims[d]);
  }
  const arith::Range range = type == TensorProto::UINT8 ? arith::kU8 : arith::kS8;
  const auto values = to_floats(src);
  std::vector<std::int8_t> stored(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) corrupt(node, "constant {} holds {}", node.input(0), values[i]);
    const std::size_t k = quant.per_channel() ? i / inner % quant.scale.size() : 0;
    stored[i] = static_cast<std::int8_t>(
        arith::quantize(values[i], quant.scale[k], quant.zero_point[k], range));
  }
  return make_bytes(src.dims, type, stored);
}

void quantize_linear(Importer& in, const NodeProto& node) {
  refuse_blocks(node);
  const Operand& src = in.input(node, 0);
  auto type = static_cast<int>(int_attribute(node, "output_dtype", 0));
  if (type == 0) type = TensorProto::UINT8;
  Quant quant = read_quant(in, node, &type);
  if (type != TensorProto::UINT8 && type != TensorProto::INT8) {
    unsupported(node, "to {}; only uint8 and int8", type_name(type));
  }
  if (!src.is_activation()) {
    const Constant c = in.constant(node, 0);
    if (!c.is_float()) unsupported(node, "of a constant of {}", type_name(c.type));
    return in.bind_constant(node, quantized(node, c, quant, type));
  }
  require_channel_axis(in, node, src, quant);
  const DType dtype = type == TensorProto::UINT8 ? DType::kU8 : DType::kS8;
  in.bind(node,
          {in.add(Op::kQuantize, node, {src.value}, std::move(quant), "", dtype), src.layout});
}

void dequantize_linear(Importer& in, const NodeProto& node) {
  refuse_blocks(node);
  const Operand& src = in.input(node, 0);
  int type = 0;
  Quant quant = read_quant(in, node, &type);
  if (src.is_activation()) {
    require_channel_axis(in, node, src, quant);
    in.bind(node, {in.add(Op::kDequantize, node, {src.value}, std::move(quant)), src.layout});
    return;
  }
  if (src.quant || !src.constant->is_integer() || src.constant->type == TensorProto::INT64) {
    unsupported(node, "of a constant of {}; only int8, uint8 and int32",
                src.quant ? "FLOAT" : type_name(src.constant->type));
  }
  if (type != 0 && type != src.constant->type) {
    corrupt(node, "zero points are {}, the constant is {}", type_name(type),
            type_name(src.constant->type));
  }
  Operand result = src;
  result.quant_axis = constant_axis(node, *src.constant, quant);
  result.quant = std::move(quant);
  result.quant_name = name_of(node);
  in.bind(node, std::move(result));
}

}  // namespace

std::vector<HandlerRow> quant_handlers() {
  return {{"QuantizeLinear", quantize_linear}, {"DequantizeLinear", dequantize_linear}};
}

}  // namespace pronghorn::import
