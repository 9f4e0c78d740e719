// SPDX-License-Identifier: Apache-2.0
#include "graph/passes/integer_conv.h"

#include <cmath>
#include <cstddef>
#include <utility>

#include "graph/quantized_constant.h"

namespace pronghorn::graph::passes {
namespace {

// The node that dequantizes a constant into `id`, if that is what `id` is.
const Node* dequantizer_of_constant(const Graph& graph, const Uses& uses, ValueId id) {
  const int producer = uses.producer[static_cast<std::size_t>(id)];
  if (producer < 0) return nullptr;
  const Node& node = graph.nodes[static_cast<std::size_t>(producer)];
  return node.op == Op::kDequantize && graph.value(node.inputs[0]).constant ? &node : nullptr;
}

template <typename T>
T entry(const std::vector<T>& values, std::size_t c) {
  return values[values.size() == 1 ? 0 : c];
}

// Weights with their zero points taken away.
template <typename T>
std::optional<Tensor> symmetric(const Tensor& stored, const Quant& quant) {
  const auto values = stored.values<T>();
  const std::size_t channels = static_cast<std::size_t>(stored.dims()[0]);
  const std::size_t per_channel = values.size() / channels;
  std::vector<std::int8_t> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int32_t w = values[i] - entry(quant.zero_point, i / per_channel);
    if (w < arith::kS8.lo || w > arith::kS8.hi) return std::nullopt;
    result[i] = static_cast<std::int8_t>(w);
  }
  return Tensor::from(stored.dims(), std::move(result));
}

std::optional<Tensor> symmetric_weights(const Tensor& stored, const Quant& quant) {
  if (stored.dtype() == DType::kU8) return symmetric<std::uint8_t>(stored, quant);
  if (stored.dtype() != DType::kS8) return std::nullopt;
  for (const std::int32_t z : quant.zero_point) {
    if (z != 0) return symmetric<std::int8_t>(stored, quant);
  }
  return stored;
}

// The bias at scale s_src * s_weights[oc]. A bias that is stored at exactly that scale is taken as
// it is; any other is rounded to it, ties to even.
std::optional<Tensor> bias_at(const Graph& graph, const Uses& uses, const Node& conv, float s_src,
                              const std::vector<float>& s_weights) {
  std::vector<std::int32_t> bias(s_weights.size(), 0);
  const auto dims = std::vector<std::int64_t>{static_cast<std::int64_t>(bias.size())};
  if (conv.inputs.size() < 3) return Tensor::from(dims, std::move(bias));

  const Node* dequantizer = dequantizer_of_constant(graph, uses, conv.inputs[2]);
  const Value& value = graph.value(conv.inputs[2]);
  if (dequantizer == nullptr && !value.constant) return std::nullopt;
  const Tensor* stored = dequantizer ? &graph.constant(dequantizer->inputs[0]) : nullptr;
  const bool is_s32 = stored != nullptr && stored->dtype() == DType::kS32;
  const Tensor real = is_s32              ? Tensor()
                      : stored != nullptr ? dequantize_constant(*stored, dequantizer->as<Quant>())
                                          : *value.constant;
  for (std::size_t c = 0; c < bias.size(); ++c) {
    const double scale = static_cast<double>(s_src) * static_cast<double>(s_weights[c]);
    double q = 0;
    if (is_s32) {
      const auto& quant = dequantizer->as<Quant>();
      q = stored->values<std::int32_t>()[c];
      const float s_bias = entry(quant.scale, c);
      if (s_bias != static_cast<float>(scale)) q = std::nearbyint(q * s_bias / scale);
    } else {
      q = std::nearbyint(static_cast<double>(real.values<float>()[c]) / scale);
    }
    if (!(std::abs(q) < 2147483648.0)) return std::nullopt;
    bias[c] = static_cast<std::int32_t>(q);
  }
  return Tensor::from(dims, std::move(bias));
}

}  // namespace

std::optional<IntegerConv> integer_conv(const Graph& graph, const Uses& uses, const Node& conv,
                                        DType src, float s_src,
                                        const std::vector<std::int32_t>& z_src) {
  const Node* dequantizer = dequantizer_of_constant(graph, uses, conv.inputs[1]);
  if (dequantizer == nullptr) return std::nullopt;
  const auto& quant = dequantizer->as<Quant>();
  auto weights = symmetric_weights(graph.constant(dequantizer->inputs[0]), quant);
  if (!weights) return std::nullopt;

  std::vector<float> scales(static_cast<std::size_t>(weights->dims()[0]));
  for (std::size_t c = 0; c < scales.size(); ++c) scales[c] = entry(quant.scale, c);
  auto bias = bias_at(graph, uses, conv, s_src, scales);
  if (!bias || first_inexact_channel(src, z_src, weights->values<std::int8_t>(),
                                     bias->values<std::int32_t>()) >= 0) {
    return std::nullopt;
  }
  return IntegerConv{*std::move(weights), *std::move(bias), std::move(scales)};
}

}  // namespace pronghorn::graph::passes
