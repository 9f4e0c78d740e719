// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "graph/passes/passes.h"
#include "graph/passes/uses.h"

namespace pronghorn::graph::passes {
namespace {

constexpr std::int64_t kAlignment = 64;

std::int64_t rounded_up(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// `placed` in order of offset.
std::int64_t lowest_free(const std::vector<const Life*>& placed, const Life& life) {
  std::int64_t offset = 0;
  for (const Life* other : placed) {
    if (other->last < life.first || life.last < other->first) continue;
    if (offset + life.bytes <= other->offset) break;
    offset = std::max(offset, other->offset + rounded_up(other->bytes));
  }
  return offset;
}

}  // namespace

std::int64_t place(std::vector<Life>& lives) {
  std::vector<Life*> order;
  for (Life& life : lives) order.push_back(&life);
  std::stable_sort(order.begin(), order.end(),
                   [](const Life* a, const Life* b) { return a->bytes > b->bytes; });
  std::int64_t size = 0;
  std::vector<const Life*> placed;
  for (Life* life : order) {
    life->offset = lowest_free(placed, *life);
    size = std::max(size, life->offset + rounded_up(life->bytes));
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), life,
                         [](const Life* a, const Life* b) { return a->offset < b->offset; }),
        life);
  }
  return size;
}

MemoryPlan plan_memory(const Graph& graph, const std::vector<std::int64_t>& bytes_of,
                       const std::vector<ValueId>& same_as) {
  const Uses uses(graph);
  std::vector<bool> is_input(graph.values.size(), false);
  for (const ValueId id : graph.inputs) is_input[static_cast<std::size_t>(id)] = true;

  // A node's inputs and its output never share.
  std::vector<std::size_t> values;
  std::vector<Life> lives;
  std::vector<std::size_t> life_of(graph.values.size());
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    if (uses.producer[v] < 0 || is_input[v] || uses.is_output[v]) continue;
    if (!graph.values[v].dims.empty() || bytes_of[v] <= 0) continue;
    Life life{bytes_of[v], uses.producer[v], uses.producer[v]};
    for (const int node : uses.consumers[v]) life.last = std::max(life.last, node);
    if (!same_as.empty() && same_as[v] >= 0) {
      life_of[v] = life_of[static_cast<std::size_t>(same_as[v])];
      lives[life_of[v]].last = std::max(lives[life_of[v]].last, life.last);
    } else {
      life_of[v] = lives.size();
      lives.push_back(life);
    }
    values.push_back(v);
  }
  MemoryPlan plan{std::vector<std::int64_t>(graph.values.size(), -1), place(lives)};
  for (const std::size_t v : values) plan.offset[v] = lives[life_of[v]].offset;
  return plan;
}

}  // namespace pronghorn::graph::passes
