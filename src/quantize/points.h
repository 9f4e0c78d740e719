// SPDX-License-Identifier: Apache-2.0
// Where a float graph is quantized.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace pronghorn::quantize {

enum class Point {
  kNone,    // stays float: inside a fused cluster, or on the way to an output (logits, softmax)
  kOwn,     // quantized with parameters of its own
  kShared,  // the output of an op that moves values only; its input's parameters
};

// All by value id of a float graph. A cluster is convolution (+ Add) (+ Relu or Clip): one
// quantization, after its last node. The graph's input is kOwn.
struct Points {
  std::vector<Point> kind;
  std::vector<graph::ValueId> source;  // whose parameters: itself if kOwn; kNoValue if kNone
  std::vector<bool> non_negative;      // by the meaning of the ops, whatever the data
  std::vector<std::vector<std::size_t>> consumers;  // node indices
};

Points find_points(const graph::Graph& graph);

// The node that a convolution's cluster ends with.
std::size_t cluster_end(const graph::Graph& graph, const Points& points, std::size_t conv);

}  // namespace pronghorn::quantize
