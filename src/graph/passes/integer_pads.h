// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "graph/graph.h"

namespace pronghorn::graph::passes {

// Integer graphs: a border that holds the zero point becomes padding of the convolution that reads
// it; a border that holds the smallest possible value, padding of the max pool that reads it.
void fold_integer_pads(Graph& graph);

}  // namespace pronghorn::graph::passes
