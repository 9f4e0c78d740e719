// SPDX-License-Identifier: Apache-2.0
#include "graph/quantized_constant.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <utility>
#include <vector>

namespace pronghorn::graph {
namespace {

// Calls body(index, index into `quant`) for every element.
template <typename Body>
void for_elements(const Tensor& constant, const Quant& quant, const Body& body) {
  const auto size = static_cast<std::size_t>(constant.size());
  const std::size_t per_channel = quant.per_channel() ? size / quant.scale.size() : size;
  for (std::size_t i = 0; i < size; ++i) body(i, quant.per_channel() ? i / per_channel : 0);
}

template <typename T>
Tensor dequantize_values(const Tensor& constant, const Quant& quant) {
  const auto stored = constant.values<T>();
  std::vector<float> real(stored.size());
  for_elements(constant, quant, [&](std::size_t i, std::size_t c) {
    real[i] = arith::dequantize(stored[i], quant.scale[c], quant.zero_point[c]);
  });
  return Tensor::from(constant.dims(), std::move(real));
}

template <typename T>
Tensor quantize_values(const Tensor& constant, const Quant& quant, arith::Range range) {
  const auto real = constant.values<float>();
  std::vector<T> stored(real.size());
  for_elements(constant, quant, [&](std::size_t i, std::size_t c) {
    stored[i] =
        static_cast<T>(arith::quantize(real[i], quant.scale[c], quant.zero_point[c], range));
  });
  return Tensor::from(constant.dims(), std::move(stored));
}

}  // namespace

Tensor dequantize_constant(const Tensor& constant, const Quant& quant) {
  switch (constant.dtype()) {
    case DType::kU8:
      return dequantize_values<std::uint8_t>(constant, quant);
    case DType::kS8:
      return dequantize_values<std::int8_t>(constant, quant);
    case DType::kS32:
      return dequantize_values<std::int32_t>(constant, quant);
    case DType::kF32:
      break;
  }
  base::fail(base::Status::kInternal, "a {} constant cannot be dequantized",
             name_of(constant.dtype()));
}

Tensor quantize_constant(const Tensor& constant, const Quant& quant, DType dtype) {
  if (dtype == DType::kU8) return quantize_values<std::uint8_t>(constant, quant, arith::kU8);
  return quantize_values<std::int8_t>(constant, quant, arith::kS8);
}

void fold_quantized_constants(Graph& graph) {
  std::erase_if(graph.nodes, [&](const Node& node) {
    const Value& src = graph.value(node.inputs[0]);
    if (node.op != Op::kQuantize || !src.constant) return false;
    Value& dst = graph.value(node.output);
    dst.constant = quantize_constant(*src.constant, node.as<Quant>(), dst.dtype);
    dst.dims = dst.constant->dims();
    return true;
  });
}

std::int64_t first_inexact_channel(DType src, std::span<const std::int32_t> z_src,
                                   std::span<const std::int8_t> weights,
                                   std::span<const std::int32_t> bias) {
  const arith::Range full = src == DType::kU8 ? arith::kU8 : arith::kS8;
  std::int64_t largest = 0;
  for (const std::int32_t z : z_src) {
    largest = std::max<std::int64_t>({largest, full.hi - z, z - full.lo});
  }
  const std::size_t per_channel = weights.size() / bias.size();
  for (std::size_t oc = 0; oc < bias.size(); ++oc) {
    std::int64_t sum = 0;
    for (const std::int8_t w : weights.subspan(oc * per_channel, per_channel)) sum += std::abs(w);
    if (sum * largest + std::abs(std::int64_t{bias[oc]}) > INT32_MAX) {
      return static_cast<std::int64_t>(oc);
    }
  }
  return -1;
}

}  // namespace pronghorn::graph
