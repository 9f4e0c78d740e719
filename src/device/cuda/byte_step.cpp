// SPDX-License-Identifier: Apache-2.0
// Every op that is not a convolution.
#include <vector>

#include "base/error.h"
#include "device/cuda/kernels/byte_kernels.h"
#include "device/cuda/plan.h"

namespace pronghorn::device::cuda {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;

Slot slot(graph::ValueId id) { return static_cast<Slot>(id); }

void add(Plan& plan, const Node& node, const char* kernel, std::function<int(const Launch&)> run) {
  std::vector<Slot> reads;
  for (const graph::ValueId id : node.inputs) reads.push_back(slot(id));
  plan.steps.push_back({node.name, kernel, std::move(run), std::move(reads), slot(node.output)});
}

void add_max_pool(Plan& plan, const Node& node) {
  const Pool pool = pool_of(*plan.graph, node, node.as<graph::Window>());
  add(plan, node, "max_pool",
      [=, src = slot(node.inputs[0]), dst = slot(node.output)](const Launch& l) {
        Pool p = pool;
        p.n = l.images;
        return launch_max_pool(p, bytes_at(l, src), bytes_at(l, dst), l.stream);
      });
  plan.steps.back().max_pool = pool;
}

void add_average_pool(Plan& plan, const Node& node) {
  const Graph& graph = *plan.graph;
  const auto& q = node.as<graph::QAveragePool>();
  const graph::DType dtype = graph.value(node.output).dtype;
  const std::int32_t shift = to_u8(dtype);
  const AveragePool pool{pool_of(graph, node, q.window),
                         q.z_src + to_u8(graph.value(node.inputs[0]).dtype),
                         q.z_dst + shift,
                         q.range.lo + shift,
                         q.range.hi + shift,
                         dtype == graph::DType::kF32,
                         q.window.count_include_pad};
  const std::int64_t m = plan.constants.add(q.m);
  add(plan, node, "average_pool",
      [=, src = slot(node.inputs[0]), dst = slot(node.output)](const Launch& l) {
        AveragePool p = pool;
        p.pool.n = l.images;
        return launch_average_pool(p, bytes_at(l, src), constant_at<float>(l, m), bytes_at(l, dst),
                                   l.stream);
      });
}

void add_add(Plan& plan, const Node& node) {
  const Graph& graph = *plan.graph;
  const auto& q = node.as<graph::QAdd>();
  const graph::Value& dst = graph.value(node.output);
  const std::int32_t shift = to_u8(dst.dtype);
  const Add terms{dst.shape.size(),
                  q.z_a + to_u8(graph.value(node.inputs[0]).dtype),
                  q.z_b + to_u8(graph.value(node.inputs[1]).dtype),
                  q.z_dst + shift,
                  q.range.lo + shift,
                  q.range.hi + shift,
                  q.m_a,
                  q.m_b};
  add(plan, node, "add",
      [=, a = slot(node.inputs[0]), b = slot(node.inputs[1]),
       to = slot(node.output)](const Launch& l) {
        Add p = terms;
        p.size *= l.images;
        return launch_add(p, bytes_at(l, a), bytes_at(l, b), bytes_at(l, to), l.stream);
      });
}

void add_requantize(Plan& plan, const Node& node) {
  const Graph& graph = *plan.graph;
  const auto& q = node.as<graph::Requantize>();
  const graph::Value& dst = graph.value(node.output);
  const std::int32_t shift = to_u8(dst.dtype);
  const Rescale terms{dst.shape.size(),   q.z_src + to_u8(graph.value(node.inputs[0]).dtype),
                      q.z_dst + shift,    q.range.lo + shift,
                      q.range.hi + shift, q.m};
  add(plan, node, "requantize",
      [=, src = slot(node.inputs[0]), to = slot(node.output)](const Launch& l) {
        Rescale p = terms;
        p.size *= l.images;
        return launch_rescale(p, bytes_at(l, src), bytes_at(l, to), l.stream);
      });
}

void add_pad(Plan& plan, const Node& node) {
  const Graph& graph = *plan.graph;
  const auto& pad = node.as<graph::Pad>();
  const graph::Value& src = graph.value(node.inputs[0]);
  const graph::Shape& dst = graph.value(node.output).shape;
  const auto value =
      static_cast<std::uint8_t>(static_cast<std::int32_t>(pad.value) + to_u8(src.dtype));
  const std::int64_t fill =
      plan.constants.add(std::vector<std::uint8_t>(static_cast<std::size_t>(src.shape.c), value));
  const auto c = static_cast<int>(src.shape.c);
  const Frame frame{1,
                    static_cast<int>(src.shape.h),
                    static_cast<int>(src.shape.w),
                    c,
                    static_cast<int>(dst.h),
                    static_cast<int>(dst.w),
                    c,
                    1,
                    1,
                    pad.top,
                    pad.left};
  add(plan, node, "pad", [=, from = slot(node.inputs[0]), to = slot(node.output)](const Launch& l) {
    Frame f = frame;
    f.n = l.images;
    return launch_frame(f, bytes_at(l, from), constant_at<std::uint8_t>(l, fill), bytes_at(l, to),
                        l.stream);
  });
}

void add_concat(Plan& plan, const Node& node) {
  const Graph& graph = *plan.graph;
  const graph::Shape& dst = graph.value(node.output).shape;
  int at = 0;
  for (const graph::ValueId id : node.inputs) {
    const auto c = static_cast<int>(graph.value(id).shape.c);
    const ChannelCopy copy{dst.h * dst.w, c, static_cast<int>(dst.c), at};
    at += c;
    add(plan, node, "concat", [=, src = slot(id), to = slot(node.output)](const Launch& l) {
      ChannelCopy p = copy;
      p.pixels *= l.images;
      return launch_channel_copy(p, bytes_at(l, src), bytes_at(l, to), l.stream);
    });
  }
}

void add_flatten(Plan& plan, const Node& node) {
  const auto bytes = static_cast<int>(plan.slot_bytes[slot(node.output)]);
  add(plan, node, "flatten",
      [=, src = slot(node.inputs[0]), to = slot(node.output)](const Launch& l) {
        return launch_channel_copy({l.images, bytes, bytes, 0}, bytes_at(l, src), bytes_at(l, to),
                                   l.stream);
      });
}

void add_bridge(Plan& plan, const Node& node) {
  const Graph& graph = *plan.graph;
  const auto& q = node.as<graph::Quant>();
  const bool quantize = node.op == Op::kQuantize;
  const graph::Value& stored = graph.value(quantize ? node.output : node.inputs[0]);
  std::vector<std::int32_t> zero_points = q.zero_point;
  for (std::int32_t& z : zero_points) z += to_u8(stored.dtype);
  const Bridge bridge{stored.shape.size(), static_cast<int>(q.scale.size()), 0, 255};
  const std::int64_t scale = plan.constants.add(q.scale);
  const std::int64_t z = plan.constants.add(zero_points);
  add(plan, node, quantize ? "quantize" : "dequantize",
      [=, src = slot(node.inputs[0]), dst = slot(node.output)](const Launch& l) {
        Bridge b = bridge;
        b.size *= l.images;
        const auto* scales = constant_at<float>(l, scale);
        const auto* zeros = constant_at<std::int32_t>(l, z);
        return quantize ? launch_quantize(b, reinterpret_cast<const float*>(l.slots[src]), scales,
                                          zeros, bytes_at(l, dst), l.stream)
                        : launch_dequantize(b, bytes_at(l, src), scales, zeros,
                                            reinterpret_cast<float*>(l.slots[dst]), l.stream);
      });
}

}  // namespace

Pool pool_of(const Graph& graph, const Node& node, const graph::Window& w) {
  const graph::Shape& src = graph.value(node.inputs[0]).shape;
  const graph::Shape& dst = graph.value(node.output).shape;
  return {1,
          static_cast<int>(src.h),
          static_cast<int>(src.w),
          static_cast<int>(dst.h),
          static_cast<int>(dst.w),
          static_cast<int>(src.c),
          w.kh,
          w.kw,
          w.sh,
          w.sw,
          w.pad_top,
          w.pad_left};
}

void add_byte_steps(Plan& plan, const Node& node) {
  switch (node.op) {
    case Op::kMaxPool:
      return add_max_pool(plan, node);
    case Op::kQAveragePool:
      return add_average_pool(plan, node);
    case Op::kQAdd:
      return add_add(plan, node);
    case Op::kRequantize:
      return add_requantize(plan, node);
    case Op::kPad:
      return add_pad(plan, node);
    case Op::kConcat:
      return add_concat(plan, node);
    case Op::kFlatten:
      return add_flatten(plan, node);
    case Op::kQuantize:
    case Op::kDequantize:
      return add_bridge(plan, node);
    default:
      base::fail(base::Status::kInternal, "node {}: no step for it", node.name);
  }
}

}  // namespace pronghorn::device::cuda
