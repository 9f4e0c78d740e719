// SPDX-License-Identifier: Apache-2.0
// Greedy by size: the largest value is placed first, each at the lowest address that is free for
// its whole life. On convolutional networks this comes within a few percent of the lower bound
// (the largest sum of values alive together).
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "graph/passes/passes.h"
#include "graph/passes/uses.h"

namespace pronghorn::graph::passes {
namespace {

constexpr std::int64_t kAlignment = 64;

// Alive from node `first` to node `last`, both included: a node's inputs and its output never
// share.
struct Life {
  std::size_t value = 0;
  std::int64_t bytes = 0;
  int first = 0;
  int last = 0;
  std::int64_t offset = 0;
};

std::int64_t lowest_free(const std::vector<Life>& placed, const Life& life) {
  std::int64_t offset = 0;
  for (const Life& other : placed) {  // in order of offset
    if (other.last < life.first || life.last < other.first) continue;
    if (offset + life.bytes <= other.offset) break;
    offset = std::max(offset, other.offset + other.bytes);
  }
  return offset;
}

}  // namespace

MemoryPlan plan_memory(const Graph& graph, const std::vector<std::int64_t>& bytes_of) {
  const Uses uses(graph);
  std::vector<bool> is_input(graph.values.size(), false);
  for (const ValueId id : graph.inputs) is_input[static_cast<std::size_t>(id)] = true;

  std::vector<Life> lives;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    if (uses.producer[v] < 0 || is_input[v] || uses.is_output[v]) continue;
    if (!graph.values[v].dims.empty() || bytes_of[v] <= 0) continue;
    Life life{v, (bytes_of[v] + kAlignment - 1) / kAlignment * kAlignment, uses.producer[v],
              uses.producer[v], 0};
    for (const int node : uses.consumers[v]) life.last = std::max(life.last, node);
    lives.push_back(life);
  }
  std::stable_sort(lives.begin(), lives.end(),
                   [](const Life& a, const Life& b) { return a.bytes > b.bytes; });

  MemoryPlan plan{std::vector<std::int64_t>(graph.values.size(), -1), 0};
  std::vector<Life> placed;
  for (Life& life : lives) {
    life.offset = lowest_free(placed, life);
    plan.offset[life.value] = life.offset;
    plan.size = std::max(plan.size, life.offset + life.bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), life,
                         [](const Life& a, const Life& b) { return a.offset < b.offset; }),
        life);
  }
  return plan;
}

}  // namespace pronghorn::graph::passes
