// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace pronghorn::exact {

// A small random QDQ network such as quantizers write: a u8 image input with per-channel zero
// points, residual blocks (with and without a quantization before the sum), depthwise separable
// blocks, concatenations of branches with different scales, pools, pads, a classifier. With
// `every_value`, each quantized value is an output of the graph too.
graph::Graph random_network(std::uint32_t seed, bool every_value = false);

}  // namespace pronghorn::exact
