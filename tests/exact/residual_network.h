// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace pronghorn::exact {

// A small integer network with the structure of a residual one, v1 or v1.5: an image of `size` x
// `size` pixels (a multiple of 16), a first convolution of stride 2, a max pool, stages of
// bottleneck blocks, the first of each with a shortcut convolution, an average pool, logits.
// Widths, zero points, types and multipliers follow the seed.
graph::Graph residual_network(std::uint32_t seed, int size = 32);

}  // namespace pronghorn::exact
