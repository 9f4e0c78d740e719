// SPDX-License-Identifier: Apache-2.0
// Ops on float32 activations: float_ops.h over the slots of one image.
#include <utility>

#include "device/cpu/float_ops.h"
#include "device/cpu/step.h"

namespace pronghorn::device::cpu {
namespace {

std::span<const float> floats(const Plan& plan, graph::ValueId id) {
  return plan.constant(id).values<float>();
}

}  // namespace

Step make_float_step(const Plan& plan, const graph::Node& node) {
  using graph::Op;
  Step step;
  step.node = node.name;
  step.kernel = "float";
  step.dst = plan.slot_of(node.output);
  const graph::Shape shape = plan.layout_of(node.inputs[0]).shape;
  const graph::Shape dst_shape = plan.layout_of(node.output).shape;
  const auto src = [slot = plan.slot_of(node.inputs[0])](Slots slots) {
    return reinterpret_cast<const float*>(slots[slot]);
  };
  const auto dst = [slot = step.dst](Slots slots) { return reinterpret_cast<float*>(slots[slot]); };
  switch (node.op) {
    case Op::kConv: {
      const auto bias =
          node.inputs.size() == 3 ? floats(plan, node.inputs[2]) : std::span<const float>();
      auto conv = std::make_shared<FloatConv>(shape, node.as<graph::Window>(),
                                              floats(plan, node.inputs[1]), bias);
      step.kernel = fmt::format("onednn/{}", conv->kernel());
      step.memory_bytes = conv->memory_bytes();
      step.scratch_bytes = conv->scratch_bytes();
      step.run = [conv, src, dst, scratch = plan.layouts.size()](Slots slots, std::int64_t) {
        conv->run(src(slots), dst(slots), 1, slots[scratch]);
      };
      break;
    }
    case Op::kBatchNorm:
      step.run = [=, scale = floats(plan, node.inputs[1]), shift = floats(plan, node.inputs[2])](
                     Slots slots, std::int64_t) {
        batch_norm(src(slots), scale.data(), shift.data(), dst(slots), shape.h * shape.w, shape.c);
      };
      break;
    case Op::kRelu:
    case Op::kClip: {
      const graph::Clip bounds = node.op == Op::kRelu ? kRelu : node.as<graph::Clip>();
      step.run = [=](Slots slots, std::int64_t) {
        clip(src(slots), dst(slots), shape.size(), bounds);
      };
      break;
    }
    case Op::kAdd:
      step.run = [=, b = plan.slot_of(node.inputs[1])](Slots slots, std::int64_t) {
        add(src(slots), reinterpret_cast<const float*>(slots[b]), dst(slots), shape.size());
      };
      break;
    case Op::kAveragePool:
      step.run = [=, window = node.as<graph::Window>()](Slots slots, std::int64_t) {
        average_pool(src(slots), shape, window, dst(slots));
      };
      break;
    case Op::kMaxPool:
      step.run = [=, window = node.as<graph::Window>()](Slots slots, std::int64_t) {
        max_pool(src(slots), shape, window, dst(slots));
      };
      break;
    case Op::kSoftmax:
      step.run = [=](Slots slots, std::int64_t) {
        softmax(src(slots), dst(slots), shape.h * shape.w, shape.c);
      };
      break;
    case Op::kPad:
      step.run = [=, border = node.as<graph::Pad>()](Slots slots, std::int64_t) {
        pad(src(slots), shape, border, dst(slots));
      };
      break;
    case Op::kConcat: {
      std::vector<Slot> from;
      std::vector<std::int64_t> channels;
      for (const graph::ValueId id : node.inputs) {
        from.push_back(plan.slot_of(id));
        channels.push_back(plan.layout_of(id).shape.c);
      }
      step.run = [=](Slots slots, std::int64_t) {
        std::vector<const float*> srcs;
        for (const Slot slot : from) srcs.push_back(reinterpret_cast<const float*>(slots[slot]));
        concat(srcs, channels, dst(slots), dst_shape.h * dst_shape.w);
      };
      break;
    }
    default:
      base::fail(base::Status::kInternal, "node {} ({}) has no float step", node.name,
                 graph::name_of(node.op));
  }
  return step;
}

}  // namespace pronghorn::device::cpu
