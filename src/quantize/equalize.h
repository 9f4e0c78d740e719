// SPDX-License-Identifier: Apache-2.0
// Cross-layer equalisation: where one convolution feeds only the next, through nothing or a Relu,
// channel i may be divided by any positive s_i in the first and multiplied by it in the second
// without changing the function (M. Nagel et al., "Data-Free Quantization Through Weight
// Equalization and Bias Correction", 2019). Weights here have a scale for each output channel, so
// the first convolution does not care; what is gained is a tensor between them whose channels fill
// one common 8-bit range, what is paid are rows of the second that become less even.
#pragma once

#include <vector>

#include "graph/graph.h"
#include "quantize/calibrate.h"

namespace pronghorn::quantize {

// A pair of convolutions and the tensor between them.
struct Chain {
  std::size_t first = 0, second = 0;  // node indices
  graph::ValueId between = graph::kNoValue;
};

// Pairs with a depthwise convolution: between dense ones it gained nothing measurable on ResNet50.
// A Clip between them is not positively homogeneous, so such pairs are none.
std::vector<Chain> find_chains(const graph::Graph& graph);

// The factors s for one chain: those of a few rules that give the second convolution's result the
// least expected error power, or empty when none halves it.
// `statistics` is that of `between`.
std::vector<float> equalizing_factors(const graph::Graph& graph, const Chain& chain,
                                      const TensorStatistics& statistics);

// Divides and multiplies the weights. The statistics are brought to the new scale too, except the
// histogram.
void apply_factors(graph::Graph& graph, const Chain& chain, const std::vector<float>& factors);

}  // namespace pronghorn::quantize
