// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "device/cuda/kernels/byte_kernels.h"
#include "graph/passes/passes.h"

namespace pronghorn::device::cuda {
namespace {

using graph::DType;
using graph::Graph;
using graph::Node;
using graph::Op;

constexpr int kMostImages = 1024;
constexpr std::int64_t kMostBytes = std::numeric_limits<std::int32_t>::max() - (1 << 25);

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool is_output(const Graph& graph, graph::ValueId id) {
  return std::find(graph.outputs.begin(), graph.outputs.end(), id) != graph.outputs.end();
}

bool is_read(const Graph& graph, graph::ValueId id) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return std::find(node.inputs.begin(), node.inputs.end(), id) != node.inputs.end();
  });
}

// Empty when the device takes the node. What graph::verify refuses is not asked again.
std::string reason_against(const Graph& graph, const Node& node) {
  const graph::Value& src = graph.value(node.inputs[0]);
  const graph::Value& dst = graph.value(node.output);
  const bool eight_bits = dst.dtype == DType::kU8 || dst.dtype == DType::kS8;
  for (const graph::ValueId id : node.inputs) {
    const graph::Value& v = graph.value(id);
    if (v.dims.empty() && v.dtype == DType::kS32) {
      return fmt::format("input {} is int32; activations are float32, uint8 or int8", v.name);
    }
  }
  if (dst.shape.size() > kMostBytes / 4) {
    return fmt::format("a result of {} elements; at most {} are taken", dst.shape.size(),
                       kMostBytes / 4);
  }
  switch (node.op) {
    case Op::kQConv:
    case Op::kQAdd:
    case Op::kQAveragePool:
    case Op::kRequantize:
      return "";
    case Op::kMaxPool:
    case Op::kPad:
    case Op::kConcat:
      return eight_bits ? "" : "on float32; quantize the model, or run it on the cpu device";
    case Op::kFlatten:
      return "";
    case Op::kQuantize:
    case Op::kDequantize:
      if (!src.dims.empty()) {
        return fmt::format("input {} is a constant quantized in the graph; store it quantized",
                           src.name);
      }
      return "";
    case Op::kSoftmax:
      if (!is_output(graph, node.output) || is_read(graph, node.output)) {
        return "in the middle of a graph; at its end it runs on the host";
      }
      return "";
    default:
      return "a float op; quantize the model, or run it on the cpu device";
  }
}

// Read and written by a node, for one image.
std::int64_t bytes_of(const Plan& plan, const Node& node) {
  std::int64_t sum = plan.slot_bytes[static_cast<Slot>(node.output)];
  for (const graph::ValueId id : node.inputs) sum += plan.slot_bytes[static_cast<Slot>(id)];
  return sum;
}

void add_input_steps(Plan& plan) {
  const Graph& graph = *plan.graph;
  for (const graph::ValueId id : graph.inputs) {
    const auto slot = static_cast<Slot>(id);
    plan.inputs.push_back(slot);
    if (graph.value(id).dtype != DType::kS8) continue;
    const std::int64_t size = plan.slot_bytes[slot];
    plan.steps.push_back({graph.value(id).name, "flip_sign",
                          [=](const Launch& l) {
                            return launch_flip_sign(size * l.images, bytes_at(l, slot),
                                                    bytes_at(l, slot), l.stream);
                          },
                          nullptr, 2 * size});
  }
}

void add_output_steps(Plan& plan) {
  const Graph& graph = *plan.graph;
  for (const graph::ValueId id : graph.outputs) {
    const graph::Value& value = graph.value(id);
    const auto slot = static_cast<Slot>(id);
    const auto made = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                   [&](const Node& node) { return node.output == id; });
    Export out{slot, plan.slot_bytes[slot], {}};
    if (made != graph.nodes.end() && made->op == Op::kSoftmax) {
      out.slot = static_cast<Slot>(made->inputs[0]);
      out.softmax = {true, value.shape.h * value.shape.w, value.shape.c};
    } else if (value.dtype == DType::kS8) {
      const std::int64_t size = out.bytes;
      out.slot = plan.add_slot(size);
      plan.steps.push_back({value.name, "flip_sign",
                            [=, dst = out.slot](const Launch& l) {
                              return launch_flip_sign(size * l.images, bytes_at(l, slot),
                                                      bytes_at(l, dst), l.stream);
                            },
                            nullptr, 2 * size});
    }
    plan.outputs.push_back(out);
  }
}

}  // namespace

std::int64_t Constants::add(std::int64_t size) {
  const auto offset = static_cast<std::int64_t>(bytes_.size());
  bytes_.resize(static_cast<std::size_t>(offset + aligned(size)));
  return offset;
}

Refusal refuse(const Graph& graph) {
  Refusal refusal;
  for (const Node& node : graph.nodes) {
    std::string reason = reason_against(graph, node);
    if (reason.empty()) continue;
    refusal.ops.push_back({node.name, std::string(graph::name_of(node.op)), std::move(reason)});
  }
  return refusal;
}

std::shared_ptr<const Plan> make_plan(std::shared_ptr<const Graph> graph, int capability,
                                      int multiprocessors) {
  auto plan = std::make_shared<Plan>();
  plan->graph = std::move(graph);
  plan->capability = capability;
  plan->multiprocessors = multiprocessors;
  const Graph& g = *plan->graph;
  for (const graph::Value& v : g.values) {
    plan->slot_bytes.push_back(
        v.dims.empty() ? v.shape.size() * static_cast<std::int64_t>(graph::size_of(v.dtype)) : 0);
  }
  const std::int64_t largest = *std::max_element(plan->slot_bytes.begin(), plan->slot_bytes.end());
  // A first layer's frame may be a few times its source.
  plan->most_images = static_cast<int>(std::clamp<std::int64_t>(
      kMostBytes / std::max<std::int64_t>(largest, 1) / 2, 1, kMostImages));
  add_input_steps(*plan);
  for (const Node& node : g.nodes) {
    if (node.op == Op::kSoftmax) continue;
    const std::size_t before = plan->steps.size();
    if (node.op == Op::kQConv) {
      add_conv_steps(*plan, node);
    } else {
      add_byte_steps(*plan, node);
    }
    for (std::size_t i = before; i < plan->steps.size(); ++i) {
      Step& step = plan->steps[i];
      if (step.bytes == 0) step.bytes = bytes_of(*plan, node);
    }
  }
  add_output_steps(*plan);
  return plan;
}

Schedule make_schedule(const Plan& plan, int images) {
  const Graph& graph = *plan.graph;
  Schedule schedule;
  schedule.images = images;
  for (const Step& step : plan.steps) {
    int variant = 0;
    if (step.conv != nullptr) {
      const ConvProblem problem = step.conv->problem_for(images);
      variant = step.conv->kernel->choose(problem, plan.multiprocessors);
      schedule.workspace_bytes =
          std::max(schedule.workspace_bytes, step.conv->kernel->workspace_bytes(problem, variant));
    }
    schedule.variants.push_back(variant);
  }
  std::vector<std::int64_t> bytes;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    bytes.push_back(aligned(plan.slot_bytes[v] * images));
  }
  const graph::passes::MemoryPlan memory = graph::passes::plan_memory(graph, bytes);
  schedule.offset = memory.offset;
  schedule.offset.resize(plan.slot_bytes.size(), -1);
  schedule.size = aligned(memory.size);
  const auto put = [&](std::int64_t size) {
    const std::int64_t offset = schedule.size;
    schedule.size += aligned(size);
    return offset;
  };
  // These live from the first step to the last.
  std::vector<Slot> lasting = plan.inputs;
  for (const Export& out : plan.outputs) lasting.push_back(out.slot);
  for (const graph::ValueId id : graph.outputs) lasting.push_back(static_cast<Slot>(id));
  for (Slot slot = graph.values.size(); slot < plan.slot_bytes.size(); ++slot) {
    lasting.push_back(slot);
  }
  std::sort(lasting.begin(), lasting.end());
  lasting.erase(std::unique(lasting.begin(), lasting.end()), lasting.end());
  for (const Slot slot : lasting) schedule.offset[slot] = put(plan.slot_bytes[slot] * images);
  schedule.workspace = put(schedule.workspace_bytes);
  schedule.size += kAlignment;  // read behind the last slot
  return schedule;
}

}  // namespace pronghorn::device::cuda
