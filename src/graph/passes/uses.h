// SPDX-License-Identifier: Apache-2.0
// Who makes a value and who reads it. A snapshot: passes that rewire keep it right themselves.
#pragma once

#include <cstddef>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::graph::passes {

struct Uses {
  std::vector<int> producer;                // index of the node, -1 for inputs and constants
  std::vector<std::vector<int>> consumers;  // indices of nodes, once for each time they read it
  std::vector<bool> is_output;              // of the graph

  explicit Uses(const Graph& graph)
      : producer(graph.values.size(), -1),
        consumers(graph.values.size()),
        is_output(graph.values.size(), false) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      producer[static_cast<std::size_t>(node.output)] = static_cast<int>(i);
      for (const ValueId id : node.inputs) {
        consumers[static_cast<std::size_t>(id)].push_back(static_cast<int>(i));
      }
    }
    for (const ValueId id : graph.outputs) is_output[static_cast<std::size_t>(id)] = true;
  }
};

}  // namespace pronghorn::graph::passes
