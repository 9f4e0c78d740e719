// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "graph/graph.h"
#include "graph/passes/uses.h"

namespace pronghorn::graph::passes {

// The constants of a QDQ convolution in the form that the integer law takes.
struct IntegerConv {
  Tensor weights;             // s8, symmetric
  Tensor bias;                // s32 at scale s_src * s_weights[oc]
  std::vector<float> scales;  // of the weights, one for each output channel
};

// `conv` is a kConv of `graph` whose source is (q - z_src) * s_src, q of type `src`. Nothing when
// its weights are not dequantized 8-bit constants, do not fit s8 after their zero point is taken
// away, or when bias or sums would leave s32.
std::optional<IntegerConv> integer_conv(const Graph& graph, const Uses& uses, const Node& conv,
                                        DType src, float s_src,
                                        const std::vector<std::int32_t>& z_src);

}  // namespace pronghorn::graph::passes
