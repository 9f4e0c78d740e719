// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "device/cuda/kernels/byte_kernels.h"
#include "device/cuda/kernels/conv_pair.h"
#include "device/cuda/kernels/conv_pool.h"
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
      return eight_bits ? "" : "on float32; quantize the model, or ask for precision fp16";
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
      return "a float op; quantize the model, or ask for precision fp16";
  }
}

void find_pairs(Plan& plan) {
  for (std::size_t i = 0; i + 1 < plan.steps.size(); ++i) {
    Step& step = plan.steps[i];
    const Step& next = plan.steps[i + 1];
    if (step.conv == nullptr || step.conv->kernel != &kConvWgmmaSm90a ||
        next.reads[0] != step.writes) {
      continue;
    }
    const auto reads_it = [&](const Step& other) {
      return std::find(other.reads.begin(), other.reads.end(), step.writes) != other.reads.end();
    };
    const auto leaves = [&](const Export& out) { return out.slot == step.writes; };
    if (next.conv != nullptr && next.conv->kernel == &kConvWgmmaSm90a) {
      step.with_next = pair_takes(step.conv->problem, next.conv->problem);
    } else if (next.max_pool) {
      step.with_next = conv_pool_takes(step.conv->problem, *next.max_pool) &&
                       std::count_if(plan.steps.begin(), plan.steps.end(), reads_it) == 1 &&
                       std::none_of(plan.outputs.begin(), plan.outputs.end(), leaves);
    }
  }
}

void add_input_steps(Plan& plan) {
  const Graph& graph = *plan.graph;
  for (const graph::ValueId id : graph.inputs) {
    const auto slot = static_cast<Slot>(id);
    plan.inputs.push_back(slot);
    if (graph.value(id).dtype != DType::kS8) continue;
    const std::int64_t size = plan.slot_bytes[slot];
    plan.steps.push_back({graph.value(id).name,
                          "flip_sign",
                          [=](const Launch& l) {
                            return launch_flip_sign(size * l.images, bytes_at(l, slot),
                                                    bytes_at(l, slot), l.stream);
                          },
                          {slot},
                          slot});
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
      plan.steps.push_back({value.name,
                            "flip_sign",
                            [=, dst = out.slot](const Launch& l) {
                              return launch_flip_sign(size * l.images, bytes_at(l, slot),
                                                      bytes_at(l, dst), l.stream);
                            },
                            {slot},
                            out.slot});
    }
    plan.outputs.push_back(out);
  }
}

// Each slot from the step that writes it to the last that reads it; outputs until they are copied.
// A result never takes the place of a residual: that was 1.5 times slower than two places where the
// tensor is larger than the second-level cache.
void place_slots(const Plan& plan, Schedule& schedule) {
  const auto steps = static_cast<int>(plan.steps.size());
  std::vector<graph::passes::Life> lives(plan.slot_bytes.size(), {0, steps, -1});
  const auto use = [&](Slot slot, int step) {
    graph::passes::Life& life = lives[slot];
    life.bytes = aligned(plan.slot_bytes[slot] * schedule.images);
    life.first = std::min(life.first, step);
    life.last = std::max(life.last, step);
  };
  for (int i = 0; i < steps; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Step& step = plan.steps[at];
    const int variant = schedule.variants[at];
    if (variant == kWithNext && plan.steps[at + 1].max_pool) {
      // Its result stays in the kernel.
      for (const Slot slot : step.reads) use(slot, i);
      use(plan.steps[at + 1].writes, i++);
      continue;
    }
    for (const Slot slot : step.reads) use(slot, i);
    use(step.writes, i);
    if (variant == kWithPrevious) use(step.writes, i - 1);
  }
  for (const Slot slot : plan.inputs) use(slot, -1);
  for (const Export& out : plan.outputs) use(out.slot, steps);
  std::vector<graph::passes::Life> used;
  for (const auto& life : lives) {
    if (life.bytes > 0) used.push_back(life);
  }
  schedule.size = aligned(graph::passes::place(used));
  std::size_t at = 0;
  for (Slot slot = 0; slot < lives.size(); ++slot) {
    if (lives[slot].bytes > 0) schedule.offset[slot] = used[at++].offset;
  }
}

}  // namespace

bool pays_with_next(const Step& step, const Step& next, int images, int multiprocessors) {
  const ConvProblem problem = step.conv->problem_for(images);
  return next.max_pool ? conv_pool_pays(problem, *next.max_pool, multiprocessors)
                       : pair_pays(problem, next.conv->problem_for(images), multiprocessors);
}

int run_with_next(const Step& step, const Step& next, const Launch& l) {
  const ConvProblem problem = step.conv->problem_for(l.images);
  ConvBuffers buffers = step.conv->buffers(l);
  if (next.max_pool) {
    buffers.dst = l.slots[next.writes];
    return conv_pool_launch(problem, buffers, *next.max_pool, l.stream);
  }
  return pair_launch(problem, buffers, next.conv->problem_for(l.images), next.conv->buffers(l),
                     l.stream);
}

std::int64_t Plan::step_bytes(const Step& step) const {
  std::int64_t sum = slot_bytes[step.writes];
  for (const Slot slot : step.reads) sum += slot_bytes[slot];
  return sum;
}

std::int64_t Constants::add(std::int64_t size) {
  const auto offset = static_cast<std::int64_t>(bytes_.size());
  bytes_.resize(static_cast<std::size_t>(offset + aligned(size)));
  return offset;
}

Refusal refuse(const Graph& graph, Precision precision) {
  Refusal refusal;
  for (const Node& node : graph.nodes) {
    std::string reason = precision == Precision::kFp16 ? reason_against_half(graph, node)
                                                       : reason_against(graph, node);
    if (reason.empty()) continue;
    refusal.ops.push_back({node.name, std::string(graph::name_of(node.op)), std::move(reason)});
  }
  return refusal;
}

std::shared_ptr<const Plan> make_plan(std::shared_ptr<const Graph> graph, int capability,
                                      int multiprocessors, Precision precision) {
  auto plan = std::make_shared<Plan>();
  plan->graph = std::move(graph);
  plan->capability = capability;
  plan->multiprocessors = multiprocessors;
  const Graph& g = *plan->graph;
  for (const graph::Value& v : g.values) {
    plan->slot_bytes.push_back(
        v.dims.empty() ? v.shape.size() * static_cast<std::int64_t>(graph::size_of(v.dtype)) : 0);
  }
  // A first layer's frame may be a few times its source.
  const std::int64_t largest = *std::max_element(plan->slot_bytes.begin(), plan->slot_bytes.end());
  plan->most_images = static_cast<int>(std::clamp<std::int64_t>(
      kMostBytes / std::max<std::int64_t>(largest, 1) / 2, 1, kMostImages));
  if (precision == Precision::kFp16) {
    add_half_plan(*plan);
    return plan;
  }
  add_input_steps(*plan);
  for (const Node& node : g.nodes) {
    if (node.op == Op::kSoftmax) continue;
    if (node.op == Op::kQConv) {
      add_conv_steps(*plan, node);
    } else {
      add_byte_steps(*plan, node);
    }
  }
  add_output_steps(*plan);
  find_pairs(*plan);
  return plan;
}

Schedule make_schedule(const Plan& plan, int images) {
  std::vector<int> variants;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    int variant = 0;
    if (!variants.empty() && variants.back() == kWithNext) {
      variant = kWithPrevious;
    } else if (step.with_next &&
               pays_with_next(step, plan.steps[i + 1], images, plan.multiprocessors)) {
      variant = kWithNext;
    } else if (step.conv != nullptr) {
      variant = step.conv->kernel->choose(step.conv->problem_for(images), plan.multiprocessors);
    }
    variants.push_back(variant);
  }
  return make_schedule(plan, images, std::move(variants));
}

Schedule make_schedule(const Plan& plan, int images, std::vector<int> variants) {
  Schedule schedule;
  schedule.images = images;
  schedule.variants = std::move(variants);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const ConvStep* conv = plan.steps[i].conv.get();
    if (conv == nullptr || schedule.variants[i] < 0) continue;
    schedule.workspace_bytes =
        std::max(schedule.workspace_bytes,
                 conv->kernel->workspace_bytes(conv->problem_for(images), schedule.variants[i]));
  }
  schedule.offset.assign(plan.slot_bytes.size(), -1);
  place_slots(plan, schedule);
  const auto put = [&](std::int64_t size) {
    const std::int64_t offset = schedule.size;
    schedule.size += aligned(size);
    return offset;
  };
  schedule.workspace = put(schedule.workspace_bytes);
  schedule.size += kAlignment;  // read behind the last slot
  return schedule;
}

}  // namespace pronghorn::device::cuda
