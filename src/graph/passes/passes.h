// SPDX-License-Identifier: Apache-2.0
// Rewrites from graph to graph. Each takes a valid graph and leaves a valid graph.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::graph::passes {

// Removes nodes and values that no output needs, renumbering values.
void drop_dead(Graph& graph);

// Float graphs: folds kBatchNorm into the convolution before it (or after it, where padding
// allows), kPad with value 0 into a following convolution, kPad into a max pool over values known
// to be >= 0.
void fold(Graph& graph);

// QDQ -> integer: each cluster of DequantizeLinear, op, QuantizeLinear becomes one integer op, with
// its constants fixed (src/arith). Convolution + Add + Relu without a quantization in between
// becomes one kQConv with a residual; one with a quantization keeps it. What has no integer form
// stays as float ops between kDequantize and kQuantize. A graph without Q/DQ comes back unchanged.
Graph lower_quantized(const Graph& qdq);

// QDQ -> float: weights as the numbers that they stand for, activations neither rounded nor cut,
// but for a ReLU where only the smallest stored integer said that there is one. A quantized input
// is still dequantized.
Graph drop_quantization(const Graph& qdq);

// Something that needs `bytes` of memory from step `first` to step `last`, both included.
struct Life {
  std::int64_t bytes = 0;
  int first = 0;
  int last = 0;
  std::int64_t offset = 0;
};
// Fills the offsets, multiples of 64, so that what is alive at the same time never overlaps; the
// size of it all. Greedy by size: the largest is placed first, each at the lowest address that is
// free for its whole life. On convolutional networks this comes within a few percent of the lower
// bound (the largest sum of lives together).
std::int64_t place(std::vector<Life>& lives);

// The last use of every value and an arena offset for each activation, so that values alive at the
// same time never overlap. Sizes are bytes for one image as `bytes_of` says; offsets are multiples
// of 64. Graph inputs and outputs are not planned (offset -1). With `same_as`, value v shares the
// memory of value same_as[v] (-1: its own), which comes before it and is as large.
struct MemoryPlan {
  std::vector<std::int64_t> offset;  // by value
  std::int64_t size = 0;
};
MemoryPlan plan_memory(const Graph& graph, const std::vector<std::int64_t>& bytes_of,
                       const std::vector<ValueId>& same_as = {});

}  // namespace pronghorn::graph::passes
