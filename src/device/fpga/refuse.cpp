// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "device/fpga/plan.h"

namespace pronghorn::device::fpga {
namespace {

using graph::DType;
using graph::Graph;
using graph::Node;
using graph::Op;

constexpr int kMostTaps = 63;
constexpr int kFarthest = 15;  // pixels that a tap's ro and co reach
constexpr float kLeastMRes = 0x1p-7f, kMostMRes = 0x1p4f;
constexpr float kLeastLogitM = 0x1p-126f, kMostLogitM = 0x1p95f;

bool is_byte(DType t) { return t == DType::kU8 || t == DType::kS8; }

std::string multiplier_fault(std::span<const float> m) {
  for (const float v : m) {
    if (!(v >= 0) || !std::isfinite(v)) {
      return fmt::format("its multiplier {} is not finite and at least 0", v);
    }
  }
  return "";
}

std::string residual_fault(float m) {
  if (m >= kLeastMRes && m < kMostMRes) return "";
  return fmt::format("the residual's multiplier {} is outside [2^-7, 2^4)", m);
}

std::string fault_of(const Graph& g, const Node& node) {
  for (const graph::ValueId id : node.inputs) {
    const graph::Value& v = g.value(id);
    if (!v.constant && v.dims.empty() && !is_byte(v.dtype)) {
      return fmt::format("its input {} is {}; uint8 and int8 are taken", v.name,
                         graph::name_of(v.dtype));
    }
  }
  const DType dst = g.value(node.output).dtype;
  const bool logits = dst == DType::kF32;
  switch (node.op) {
    case Op::kQConv: {
      const auto& q = node.as<graph::QConv>();
      if (logits) {
        if (node.inputs.size() > 3) return "float results with a residual";
        for (const float m : q.m) {
          if (m < kLeastLogitM || m >= kMostLogitM) {
            return fmt::format("the multiplier {} of float results is outside [2^-126, 2^95)", m);
          }
        }
      }
      if (node.inputs.size() > 3) {
        if (std::string fault = residual_fault(q.m_res); !fault.empty()) return fault;
      }
      return multiplier_fault(q.m);
    }
    case Op::kQAdd: {
      const auto& q = node.as<graph::QAdd>();
      if (std::string fault = residual_fault(q.m_b); !fault.empty()) return fault;
      if (node.inputs[0] == node.inputs[1]) return "a sum of a tensor with itself";
      return multiplier_fault({&q.m_a, 1});
    }
    case Op::kQAveragePool: {
      const auto& q = node.as<graph::QAveragePool>();
      const graph::Shape& s = g.value(node.inputs[0]).shape;
      const graph::Window& w = q.window;
      if (logits) return "float results";
      if (w.kh != s.h || w.kw != s.w || w.pad_top + w.pad_left + w.pad_bottom + w.pad_right != 0) {
        return fmt::format("a window of {} x {} pixels over {} x {}; the whole image is taken",
                           w.kh, w.kw, s.h, s.w);
      }
      return multiplier_fault({&q.m.back(), 1});
    }
    case Op::kRequantize:
      return multiplier_fault({&node.as<graph::Requantize>().m, 1});
    case Op::kMaxPool:
      return window_fault(node.as<graph::Window>());
    case Op::kFlatten: {
      const graph::Shape& s = g.value(node.inputs[0]).shape;
      return s.h * s.w == 1 ? "" : fmt::format("flattening {} x {} pixels", s.h, s.w);
    }
    default:
      return "the hardware has no such op";
  }
}

}  // namespace

std::string window_fault(const graph::Window& w) {
  const bool one = w.sh == 1 && w.sw == 1;
  const bool two = w.sh == 2 && w.sw == 2;
  if (!one && !two) return fmt::format("stride {} x {}; 1 x 1 and 2 x 2 are taken", w.sh, w.sw);
  if (w.kh * w.kw > kMostTaps) {
    return fmt::format("a window of {} x {} pixels; at most {} are taken", w.kh, w.kw, kMostTaps);
  }
  const int farthest =
      std::max({w.pad_top, w.pad_left, w.kh - 1 - w.pad_top, w.kw - 1 - w.pad_left});
  if (farthest > kFarthest) {
    return fmt::format("a window reaching {} pixels from its place; at most {} are taken", farthest,
                       kFarthest);
  }
  return "";
}

Refusal refuse(const Graph& graph) {
  Refusal refusal;
  for (const Node& node : graph.nodes) {
    std::string fault = fault_of(graph, node);
    // A graph's own input may have any window: the host lays it out (schedule.cpp).
    if (fault.empty() && node.op == Op::kQConv &&
        std::find(graph.inputs.begin(), graph.inputs.end(), node.inputs[0]) == graph.inputs.end()) {
      fault = window_fault(node.as<graph::QConv>().window);
    }
    if (!fault.empty()) {
      refusal.ops.push_back({node.name, std::string(graph::name_of(node.op)), std::move(fault)});
    }
  }
  for (const graph::ValueId id : graph.outputs) {
    const bool is_input =
        std::find(graph.inputs.begin(), graph.inputs.end(), id) != graph.inputs.end();
    if (is_input)
      refusal.ops.push_back({graph.value(id).name, "output", "it is the graph's input"});
  }
  for (const graph::ValueId id : graph.inputs) {
    if (is_byte(graph.value(id).dtype)) continue;
    refusal.ops.push_back(
        {graph.value(id).name, "input",
         fmt::format("it is {}; uint8 and int8 are taken", graph::name_of(graph.value(id).dtype))});
  }
  return refusal;
}

}  // namespace pronghorn::device::fpga
