// SPDX-License-Identifier: Apache-2.0
#include "graph/passes/integer_pads.h"

#include <cstddef>

#include "graph/passes/uses.h"

namespace pronghorn::graph::passes {
namespace {

// The smallest integer that a value can hold, as far as the op that makes it tells.
std::int32_t smallest(const Graph& graph, const Uses& uses, ValueId id) {
  const int producer = uses.producer[static_cast<std::size_t>(id)];
  if (producer >= 0) {
    const Node& node = graph.nodes[static_cast<std::size_t>(producer)];
    if (node.op == Op::kQConv) return node.as<QConv>().range.lo;
    if (node.op == Op::kQAdd) return node.as<QAdd>().range.lo;
    if (node.op == Op::kRequantize) return node.as<Requantize>().range.lo;
  }
  return graph.value(id).dtype == DType::kU8 ? arith::kU8.lo : arith::kS8.lo;
}

void add_pads(Window& window, const Pad& pad) {
  window.pad_top += pad.top;
  window.pad_left += pad.left;
  window.pad_bottom += pad.bottom;
  window.pad_right += pad.right;
}

}  // namespace

void fold_integer_pads(Graph& graph) {
  const Uses uses(graph);
  for (Node& node : graph.nodes) {
    if (node.op != Op::kQConv && node.op != Op::kMaxPool) continue;
    const int producer = uses.producer[static_cast<std::size_t>(node.inputs[0])];
    if (producer < 0 || graph.value(node.output).dtype == DType::kS32) continue;
    const Node& border = graph.nodes[static_cast<std::size_t>(producer)];
    if (border.op != Op::kPad || graph.value(border.output).dtype == DType::kF32) continue;
    const auto& pad = border.as<Pad>();
    if (node.op == Op::kQConv) {
      auto q = node.as<QConv>();
      if (q.z_src.size() != 1 || static_cast<float>(q.z_src[0]) != pad.value) continue;
      add_pads(q.window, pad);
      node.attributes = q;
    } else {
      Window window = node.as<Window>();
      add_pads(window, pad);
      const bool sees_source = window.pad_top < window.kh && window.pad_bottom < window.kh &&
                               window.pad_left < window.kw && window.pad_right < window.kw;
      const auto lowest = static_cast<float>(smallest(graph, uses, border.inputs[0]));
      if (!sees_source || pad.value > lowest) continue;
      node.attributes = window;
    }
    node.inputs[0] = border.inputs[0];
  }
}

}  // namespace pronghorn::graph::passes
