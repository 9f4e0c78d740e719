// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "graph/passes/passes.h"

namespace pronghorn::graph::passes {

void drop_dead(Graph& graph) {
  std::vector<bool> needed(graph.values.size(), false);
  for (const ValueId id : graph.outputs) needed[static_cast<std::size_t>(id)] = true;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (!needed[static_cast<std::size_t>(node->output)]) continue;
    for (const ValueId id : node->inputs) needed[static_cast<std::size_t>(id)] = true;
  }
  std::erase_if(graph.nodes,
                [&](const Node& node) { return !needed[static_cast<std::size_t>(node.output)]; });

  // The inputs are the graph's signature: they stay even when nothing reads them.
  for (const ValueId id : graph.inputs) needed[static_cast<std::size_t>(id)] = true;
  std::vector<ValueId> renumbered(graph.values.size(), kNoValue);
  std::vector<Value> kept;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (!needed[i]) continue;
    renumbered[i] = static_cast<ValueId>(kept.size());
    kept.push_back(std::move(graph.values[i]));
  }
  graph.values = std::move(kept);

  const auto renumber = [&](ValueId& id) { id = renumbered[static_cast<std::size_t>(id)]; };
  for (Node& node : graph.nodes) {
    std::for_each(node.inputs.begin(), node.inputs.end(), renumber);
    renumber(node.output);
  }
  std::for_each(graph.inputs.begin(), graph.inputs.end(), renumber);
  std::for_each(graph.outputs.begin(), graph.outputs.end(), renumber);
}

}  // namespace pronghorn::graph::passes
