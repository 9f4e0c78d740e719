// SPDX-License-Identifier: Apache-2.0
// Constants of quantized graphs: their float meaning, and what the integer law needs of them.
#pragma once

#include <cstdint>
#include <span>

#include "graph/graph.h"

namespace pronghorn::graph {

// DequantizeLinear of a constant (s8, u8 or s32), along axis 0 when `quant` has several entries.
Tensor dequantize_constant(const Tensor& constant, const Quant& quant);

// QuantizeLinear of a float constant to `dtype` (u8 or s8), along axis 0 likewise.
Tensor quantize_constant(const Tensor& constant, const Quant& quant, DType dtype);

// QuantizeLinear nodes with a constant source, which some tools leave for weights, become
// constants. Values keep their numbers.
void fold_quantized_constants(Graph& graph);

// The first output channel whose sum some source could drive out of s32, or -1 when none: for each
// channel, max |src - z_src| * sum |weights| + |bias| < 2^31. `src` is u8 or s8.
std::int64_t first_inexact_channel(DType src, std::span<const std::int32_t> z_src,
                                   std::span<const std::int8_t> weights,
                                   std::span<const std::int32_t> bias);

}  // namespace pronghorn::graph
