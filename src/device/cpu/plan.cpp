// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <utility>

#include "device/cpu/step.h"
#include "graph/quantized_constant.h"

namespace pronghorn::device::cpu {
namespace {

using graph::DType;
using graph::Graph;
using graph::Node;
using graph::Op;

bool is_constant(const Graph& graph, graph::ValueId id) { return !graph.value(id).dims.empty(); }

Layout plain_layout(const graph::Value& value) { return {value.dtype, value.shape, {}}; }

// The border that a convolution wants around its input.
Border border_of(const Graph& graph, const Node& node) {
  const auto& q = node.as<graph::QConv>();
  const graph::Window& w = q.window;
  Border border{w.pad_top, w.pad_left, w.pad_bottom, w.pad_right, {}};
  if (!border.any()) return border;
  const std::int32_t shift = to_u8(graph.value(node.inputs[0]).dtype);
  for (const std::int32_t z : q.z_src) border.fill.push_back(static_cast<std::uint8_t>(z + shift));
  return border;
}

// Widens `border` to hold `more`; false when they are filled with different values.
bool merge(Border& border, const Border& more) {
  if (!more.any()) return true;
  if (border.any() && border.fill != more.fill) return false;
  border = {std::max(border.top, more.top), std::max(border.left, more.left),
            std::max(border.bottom, more.bottom), std::max(border.right, more.right), more.fill};
  return true;
}

bool runs_on_floats(const Graph& graph, const Node& node) {
  if (node.op < Op::kMaxPool) return true;
  const bool any_type = node.op == Op::kMaxPool || node.op == Op::kPad || node.op == Op::kConcat;
  return any_type && graph.value(node.output).dtype == DType::kF32;
}

// Empty when the device takes the node. What graph::verify refuses is not asked again.
std::string reason_against(const Graph& graph, const Node& node) {
  for (const graph::ValueId id : node.inputs) {
    const graph::Value& v = graph.value(id);
    if (v.dims.empty() && v.dtype == DType::kS32) {
      return fmt::format("input {} is int32; activations are float32, uint8 or int8", v.name);
    }
  }
  const bool quantizes = node.op == Op::kQuantize || node.op == Op::kDequantize;
  const graph::Value& src = graph.value(node.inputs[0]);
  if (quantizes && is_constant(graph, node.inputs[0]) &&
      (node.op == Op::kQuantize || !src.constant)) {
    return fmt::format("input {} is a constant quantized in the graph; store it quantized",
                       src.name);
  }
  const graph::Value& dst = graph.value(node.output);
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max() / 8;
  if (dst.dims.empty() && dst.shape.size() > kMost) {
    return fmt::format("a result of {} elements; at most {} are taken", dst.shape.size(), kMost);
  }
  return "";
}

std::vector<NodeBytes> bytes_of_nodes(const Plan& plan) {
  const Graph& graph = *plan.graph;
  std::vector<NodeBytes> nodes;
  for (const Node& node : graph.nodes) {
    NodeBytes bytes;
    bytes.activations = plan.layout_of(node.output).bytes();
    for (const graph::ValueId id : node.inputs) {
      const graph::Value& v = graph.value(id);
      if (v.dims.empty()) {
        bytes.activations += plan.layout_of(id).bytes();
      } else if (v.constant) {
        bytes.weights += static_cast<std::int64_t>(graph.constant(id).bytes().size());
      }
    }
    nodes.push_back(bytes);
  }
  return nodes;
}

}  // namespace

Refusal refuse(const Graph& graph) {
  Refusal refusal;
  for (const Node& node : graph.nodes) {
    std::string reason = reason_against(graph, node);
    if (reason.empty()) continue;
    refusal.ops.push_back({node.name, std::string(graph::name_of(node.op)), std::move(reason)});
  }
  return refusal;
}

Plan make_plan(std::shared_ptr<const Graph> graph, const KernelSet& kernels,
               base::ThreadPool& pool) {
  Plan plan;
  plan.graph = std::move(graph);
  plan.kernels = &kernels;
  plan.pool = &pool;
  const Graph& g = *plan.graph;
  for (const graph::Value& v : g.values) plan.layouts.push_back(plain_layout(v));
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    const Node& node = g.nodes[i];
    if (node.op == Op::kDequantize && is_constant(g, node.inputs[0])) {
      plan.dequantized[node.output] =
          graph::dequantize_constant(g.constant(node.inputs[0]), node.as<graph::Quant>());
    }
    if (node.op != Op::kQConv) continue;
    const auto& q = node.as<graph::QConv>();
    const graph::Value& src = g.value(node.inputs[0]);
    if (kernels.conv_matrix != nullptr && suits_space_to_depth(q.window, src.shape.c)) {
      std::vector<std::int32_t> outside = q.z_src;
      for (std::int32_t& z : outside) z += to_u8(src.dtype);
      plan.blocks[i] =
          make_space_to_depth(q.window, g.value(node.output).shape, src.shape.c, outside);
      plan.copies[i] = plan.layouts.size();
      plan.layouts.push_back(plan.blocks[i].layout);
      continue;
    }
    const Border border = border_of(g, node);
    if (merge(plan.layouts[plan.slot_of(node.inputs[0])].border, border)) continue;
    // Another reader pads the same value with another zero point.
    Layout copy = plain_layout(g.value(node.inputs[0]));
    copy.border = border;
    plan.copies[i] = plan.layouts.size();
    plan.layouts.push_back(std::move(copy));
  }
  plan.schedule = {g.nodes.size(), 1};
  if (kernels.conv_matrix != nullptr) {
    plan.schedule = choose_schedule(bytes_of_nodes(plan), second_cache_bytes());
    // Offsets of pixels have 32 bits.
    std::int64_t largest = 1;
    for (const Layout& layout : plan.layouts) largest = std::max(largest, layout.bytes());
    constexpr std::int64_t kReach = std::numeric_limits<std::int32_t>::max();
    plan.schedule.images = std::clamp<std::int64_t>(kReach / largest, 1, plan.schedule.images);
  }
  return plan;
}

std::optional<Slot> place_for(const Plan& plan, const Step& step) {
  if (!step.in_place) return std::nullopt;
  const Slot slot = *step.in_place;
  const Graph& graph = *plan.graph;
  const Layout& src = plan.layouts[slot];
  const Layout& dst = plan.layouts[step.dst];
  if (src.dtype != dst.dtype || src.shape != dst.shape) return std::nullopt;
  if (src.border.any() || dst.border.any()) return std::nullopt;
  const auto count = [&](const std::vector<graph::ValueId>& ids) {
    return std::count_if(ids.begin(), ids.end(),
                         [&](graph::ValueId id) { return plan.slot_of(id) == slot; });
  };
  if (count(graph.inputs) + count(graph.outputs) > 0) return std::nullopt;
  // The step itself reads it as the residual only.
  std::int64_t uses = count(graph.nodes[step.index].inputs) - 1;
  for (std::size_t i = step.index + 1; i < graph.nodes.size(); ++i) {
    uses += count(graph.nodes[i].inputs);
  }
  return uses == 0 ? std::optional(slot) : std::nullopt;
}

std::vector<Step> make_steps(const Plan& plan, std::size_t& split) {
  const Graph& graph = *plan.graph;
  const std::vector<NodeBytes> bytes = bytes_of_nodes(plan);
  std::vector<Step> steps;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (i == plan.schedule.split) split = steps.size();
    if (plan.dequantized.count(node.output) != 0) continue;
    const std::size_t before = steps.size();
    if (plan.blocks.count(i) != 0) {
      steps.push_back(make_blocks_step(plan, i));
    } else if (const auto copy = plan.copies.find(i); copy != plan.copies.end()) {
      steps.push_back(make_copy_step(plan, node.name, plan.slot_of(node.inputs[0]), copy->second));
    }
    if (node.op == Op::kQConv) {
      const bool matrix =
          plan.kernels->conv_matrix != nullptr && node.as<graph::QConv>().window.groups == 1;
      steps.push_back(matrix ? make_matrix_step(plan, i) : make_conv_step(plan, i));
    } else if (runs_on_floats(graph, node)) {
      steps.push_back(make_float_step(plan, node));
    } else {
      steps.push_back(make_byte_step(plan, node));
    }
    steps.back().macs = graph::macs(graph, node);
    steps.back().bytes = bytes[i].weights + bytes[i].activations;
    for (std::size_t s = before; s < steps.size(); ++s) steps[s].index = i;
  }
  if (plan.schedule.split >= graph.nodes.size()) split = steps.size();
  return steps;
}

}  // namespace pronghorn::device::cpu
