// SPDX-License-Identifier: Apache-2.0
// The float graph in the shape the quantizer wants: pixels in, convolutions with bias, no batch
// norm.
#pragma once

#include <array>
#include <cstdint>

#include "graph/graph.h"

namespace pronghorn::quantize {

// `graph` is float. Its input is pixel - zero_point, RGB, and it computes what the original
// computes from the preprocessed pixels (docs/quantization.md): exactly inside the
// image, and within half a grey level where a window of the first convolution hangs over the
// border.
struct Prepared {
  graph::Graph graph;
  std::array<std::int32_t, 3> zero_point{};  // the rounded means, RGB
  bool takes_pixels = true;  // false: the input is that of the original, whatever it means
};

// Throws Error(kInvalidArgument): already quantized, no preprocess. Error(kUnsupported): more than
// one input, not three channels, or an input that goes anywhere but into one convolution. Without
// `takes_pixels` the preprocess, the channels and the first node do not matter.
Prepared prepare(const graph::Graph& graph, bool takes_pixels = true);

}  // namespace pronghorn::quantize
