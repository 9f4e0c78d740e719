// SPDX-License-Identifier: Apache-2.0
// Writes the QDQ graph once every scale is known.
#pragma once

#include <map>
#include <vector>

#include "graph/graph.h"
#include "quantize/histogram.h"
#include "quantize/points.h"
#include "quantize/prepare.h"
#include "quantize/weights.h"

namespace pronghorn::quantize {

struct Decisions {
  Points points;                               // of the prepared graph
  std::map<graph::ValueId, Scale> scales;      // of every kOwn point except an input of pixels
  std::map<std::size_t, QuantizedConv> convs;  // by node index
};

struct Emitted {
  graph::Graph graph;
  // The kQuantize output of each quantized value of the prepared graph.
  std::map<graph::ValueId, graph::ValueId> quantized;
};

// Every point gets a kQuantize and a kDequantize; weights and biases become integer constants with
// a kDequantize each; the input becomes the raw u8 image, or stays float and is quantized first.
// Names of values stay.
Emitted emit(const Prepared& prepared, const Decisions& decisions);

}  // namespace pronghorn::quantize
