// SPDX-License-Identifier: Apache-2.0
#include "quantize/points.h"

#include <algorithm>

namespace pronghorn::quantize {
namespace {

using graph::Graph;
using graph::kNoValue;
using graph::Node;
using graph::Op;
using graph::ValueId;

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

bool is_output(const Graph& g, ValueId id) {
  return std::find(g.outputs.begin(), g.outputs.end(), id) != g.outputs.end();
}

bool is_activation(Op op) { return op == Op::kRelu || op == Op::kClip; }
bool moves_values(Op op) { return op == Op::kMaxPool || op == Op::kFlatten || op == Op::kPad; }

const Node* producer(const Graph& g, ValueId id) {
  for (const Node& node : g.nodes) {
    if (node.output == id) return &node;
  }
  return nullptr;
}

bool is_non_negative(const Points& p, const Node& node) {
  const auto all = [&] {
    return std::all_of(node.inputs.begin(), node.inputs.end(),
                       [&](ValueId id) { return p.non_negative[at(id)]; });
  };
  switch (node.op) {
    case Op::kRelu:
    case Op::kSoftmax:
      return true;
    case Op::kClip:
      return node.as<graph::Clip>().lo >= 0;
    case Op::kPad:
      return all() && node.as<graph::Pad>().value >= 0;
    case Op::kAdd:
    case Op::kAveragePool:
    case Op::kMaxPool:
    case Op::kFlatten:
    case Op::kConcat:
      return all();
    default:
      return false;
  }
}

// Values that only lead, through flattening and softmax, to outputs: they stay float when what
// makes them can leave the integers by itself (a convolution or a pooling).
void mark_float_tail(const Graph& g, Points& p) {
  for (auto node = g.nodes.rbegin(); node != g.nodes.rend(); ++node) {
    const ValueId id = node->output;
    const auto& consumers = p.consumers[at(id)];
    const bool leads_out = std::all_of(consumers.begin(), consumers.end(), [&](std::size_t i) {
      const Node& next = g.nodes[i];
      return next.op == Op::kSoftmax ||
             (next.op == Op::kFlatten && p.kind[at(next.output)] == Point::kNone);
    });
    const bool can_leave = node->op == Op::kConv || node->op == Op::kAveragePool ||
                           node->op == Op::kFlatten || node->op == Op::kSoftmax;
    if (leads_out && can_leave) p.kind[at(id)] = Point::kNone;
  }
}

// The convolution whose sum this Add joins: an input made by a convolution for this Add alone. Of
// two, the later one, so that the other is ready before it.
const Node* fused_convolution(const Graph& g, const Points& p, const Node& add) {
  const Node* best = nullptr;
  for (const ValueId id : add.inputs) {
    if (p.consumers[at(id)].size() != 1 || is_output(g, id)) continue;
    const Node* made_by = producer(g, id);
    if (made_by && made_by->op == Op::kConv && (!best || made_by > best)) best = made_by;
  }
  return best;
}

}  // namespace

Points find_points(const Graph& g) {
  Points p;
  p.kind.assign(g.values.size(), Point::kNone);
  p.source.assign(g.values.size(), kNoValue);
  p.non_negative.assign(g.values.size(), false);
  p.consumers.resize(g.values.size());
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    for (const ValueId id : g.nodes[i].inputs) p.consumers[at(id)].push_back(i);
  }
  for (const ValueId id : g.inputs) p.kind[at(id)] = Point::kOwn;
  for (const Node& node : g.nodes) {
    p.kind[at(node.output)] = Point::kOwn;
    p.non_negative[at(node.output)] = is_non_negative(p, node);
  }
  mark_float_tail(g, p);
  for (const Node& node : g.nodes) {
    if (node.op == Op::kAdd) {
      if (const Node* conv = fused_convolution(g, p, node)) p.kind[at(conv->output)] = Point::kNone;
    } else if (is_activation(node.op) && p.kind[at(node.output)] != Point::kNone) {
      const ValueId src = node.inputs[0];
      const Node* made_by = producer(g, src);
      if (made_by && (made_by->op == Op::kConv || made_by->op == Op::kAdd) &&
          p.consumers[at(src)].size() == 1 && !is_output(g, src)) {
        p.kind[at(src)] = Point::kNone;
      }
    }
  }
  for (const ValueId id : g.inputs) p.source[at(id)] = id;
  for (const Node& node : g.nodes) {
    Point& kind = p.kind[at(node.output)];
    if (kind == Point::kNone) continue;
    const bool shared = moves_values(node.op) && p.source[at(node.inputs[0])] != kNoValue;
    kind = shared ? Point::kShared : Point::kOwn;
    p.source[at(node.output)] = shared ? p.source[at(node.inputs[0])] : node.output;
  }
  return p;
}

std::size_t cluster_end(const Graph& g, const Points& p, std::size_t conv) {
  std::size_t last = conv;
  while (p.kind[at(g.nodes[last].output)] == Point::kNone) {
    const auto& next = p.consumers[at(g.nodes[last].output)];
    if (next.size() != 1) break;
    const Op op = g.nodes[next[0]].op;
    if (op != Op::kAdd && !is_activation(op)) break;
    last = next[0];
  }
  return last;
}

}  // namespace pronghorn::quantize
