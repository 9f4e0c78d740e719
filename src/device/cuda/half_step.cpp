// SPDX-License-Identifier: Apache-2.0
// Half precision: a float graph whose activations and weights are held as binary16, sums as
// binary32. A convolution takes the addition and the ReLU or clip behind it along, so that each
// result is rounded once. A first layer reads the caller's floats or bytes as they are.
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "device/cuda/kernels/half_kernels.h"
#include "device/cuda/plan.h"
#include "graph/passes/uses.h"

namespace pronghorn::device::cuda {
namespace {

using graph::DType;
using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;

constexpr float kLargest = 65504.0f;  // of binary16

bool is_input(const Graph& graph, ValueId id) {
  return std::find(graph.inputs.begin(), graph.inputs.end(), id) != graph.inputs.end();
}

// A convolution with what it takes along.
struct Fused {
  std::optional<ValueId> residual;
  float least = -kLargest;
  float most = kLargest;
  ValueId output = graph::kNoValue;
  std::vector<std::size_t> nodes;  // that it stands for besides itself
};

class HalfPlan {
 public:
  explicit HalfPlan(Plan& plan) : plan_(plan), graph_(*plan.graph), uses_(graph_) {}

  void run() {
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      const graph::Value& value = graph_.values[v];
      const auto id = static_cast<ValueId>(v);
      if (value.dims.empty() && value.dtype == DType::kF32 && !is_input(graph_, id)) {
        plan_.slot_bytes[v] = 2 * value.shape.size();
      }
    }
    for (const ValueId id : graph_.inputs) {
      plan_.inputs.push_back(at(id));
      const bool floats = graph_.value(id).dtype == DType::kF32;
      sources_[id] = {at(id), floats ? HalfSource::kFloat : HalfSource::kByte, 0, 0};
    }
    for (const ValueId id : graph_.outputs) exported_.insert(before_softmax(id));
    std::vector<bool> done(graph_.nodes.size(), false);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (done[i] || node.op == Op::kSoftmax) continue;
      if (node.op == Op::kConv) {
        const Fused fused = fuse(node);
        for (const std::size_t other : fused.nodes) done[other] = true;
        add_conv(node, fused);
      } else {
        add_other(node);
      }
    }
    for (const ValueId id : graph_.outputs) add_output(id);
  }

 private:
  struct Source {
    Slot slot = 0;
    HalfSource type = HalfSource::kHalf;
    std::int64_t z = 0, scale = 0;  // constants, for kByte
  };

  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

  ValueId before_softmax(ValueId id) const {
    const int made = uses_.producer[at(id)];
    if (made < 0 || graph_.nodes[static_cast<std::size_t>(made)].op != Op::kSoftmax) return id;
    return graph_.nodes[static_cast<std::size_t>(made)].inputs[0];
  }

  // Read by nothing but a softmax on the host: it may leave as binary32.
  bool leaves_only(ValueId id) const {
    return exported_.count(id) > 0 &&
           std::all_of(uses_.consumers[at(id)].begin(), uses_.consumers[at(id)].end(), [&](int i) {
             return graph_.nodes[static_cast<std::size_t>(i)].op == Op::kSoftmax;
           });
  }

  void add(const Node& node, const char* kernel, std::vector<Slot> reads, Slot writes,
           std::function<int(const Launch&)> run) {
    plan_.steps.push_back({node.name, kernel, std::move(run), std::move(reads), writes});
  }

  // Where a value lies, whatever its type.
  Source source(ValueId id) const {
    const auto known = sources_.find(id);
    return known == sources_.end() ? Source{at(id)} : known->second;
  }

  // Where it lies as binary16; a caller's floats or bytes are converted when that is first needed.
  Slot half(const Node& node, ValueId id) {
    const Source from = source(id);
    if (from.type == HalfSource::kHalf) return from.slot;
    const graph::Shape& shape = graph_.value(id).shape;
    const auto c = static_cast<int>(shape.c);
    const auto h = static_cast<int>(shape.h);
    const auto w = static_cast<int>(shape.w);
    const Slot slot = plan_.add_slot(2 * shape.size());
    add_frame(node, {1, h, w, c, h, w, c, 1, 1, 0, 0}, from, slot);
    sources_[id] = {slot};
    return slot;
  }

  void add_frame(const Node& node, const Frame& frame, const Source& from, Slot to,
                 float fill = 0) {
    add(node, "frame_halves", {from.slot}, to, [=](const Launch& l) {
      Frame f = frame;
      f.n = l.images;
      return launch_half_frame(f, from.type, l.slots[from.slot], constant_at<float>(l, from.z),
                               constant_at<float>(l, from.scale), fill, l.slots[to], l.stream);
    });
  }

  // What follows a convolution and is read by nobody else: an addition of something that is there
  // already, then ReLUs and clips.
  Fused fuse(const Node& node) {
    Fused fused;
    fused.output = node.output;
    bool clipped = false;
    for (;;) {
      const auto& readers = uses_.consumers[at(fused.output)];
      if (readers.size() != 1 || exported_.count(fused.output) > 0) return fused;
      const auto index = static_cast<std::size_t>(readers[0]);
      const Node& next = graph_.nodes[index];
      if (next.op == Op::kAdd && !fused.residual && !clipped) {
        const ValueId other = next.inputs[next.inputs[0] == fused.output ? 1 : 0];
        if (ready_.count(other) == 0) return fused;
        fused.residual = other;
      } else if (next.op == Op::kRelu || next.op == Op::kClip) {
        const graph::Clip clip =
            next.op == Op::kRelu ? graph::Clip{0, kLargest} : next.as<graph::Clip>();
        fused.least = std::clamp(fused.least, clip.lo, clip.hi);
        fused.most = std::clamp(fused.most, clip.lo, clip.hi);
        clipped = true;
      } else {
        return fused;
      }
      fused.nodes.push_back(index);
      fused.output = next.output;
    }
  }

  void add_conv(const Node& node, const Fused& fused) {
    auto step = std::make_shared<ConvStep>();
    ConvProblem p = geometry_of(graph_, node, node.as<graph::Window>());
    const auto values = graph_.constant(node.inputs[1]).values<float>();
    std::vector<__half> weights;
    for (const float value : values) weights.push_back(__float2half_rn(value));
    Slot src = 0;
    if (fits_blocks(p) && p.ic % 8 != 0) {
      const ConvProblem b = in_blocks(p);
      src = plan_.add_slot(std::int64_t{b.ih} * b.iw * b.ic * 2);
      add_frame(node, {1, p.ih, p.iw, p.ic, b.ih, b.iw, b.ic, p.sh, p.sw, p.pad_top, p.pad_left},
                source(node.inputs[0]), src);
      weights = in_blocks(p, weights);
      p = b;
    } else {
      src = half(node, node.inputs[0]);
    }
    p.ic *= 2;
    p.element = ConvElement::kHalf;
    p.least = fused.least;
    p.most = fused.most;
    const bool floats = !fused.residual && fused.least == -kLargest && fused.most == kLargest &&
                        leaves_only(fused.output);
    p.result = floats           ? ConvResult::kFloat
               : fused.residual ? ConvResult::kBytesResidual
                                : ConvResult::kBytes;
    step->problem = p;
    step->src = src;
    step->dst = at(fused.output);
    std::vector<Slot> reads = {src};
    if (fused.residual) {
      step->res = half(node, *fused.residual);
      reads.push_back(step->res);
    }
    if (floats) set_floats(fused.output);
    step->kernel = &choose_kernel(step->problem_for(plan_.most_images), plan_.capability);
    step->weights = plan_.constants.add(step->kernel->packed_bytes(p));
    step->kernel->pack(p, reinterpret_cast<const std::int8_t*>(weights.data()),
                       reinterpret_cast<std::int8_t*>(plan_.constants.at(step->weights)));
    std::vector<float> bias(
        static_cast<std::size_t>((p.oc + kChannelPad - 1) / kChannelPad * kChannelPad));
    if (node.inputs.size() > 2) {
      const auto given = graph_.constant(node.inputs[2]).values<float>();
      std::copy(given.begin(), given.end(), bias.begin());
    }
    step->bias = plan_.constants.add(bias);
    step->m = step->bias;
    step->pad = plan_.constants.add(kAlignment);
    plan_.steps.push_back({node.name, step->kernel->name,
                           [step](const Launch& l) {
                             return step->kernel->launch(step->problem_for(l.images),
                                                         step->buffers(l), l.variant, l.stream);
                           },
                           std::move(reads), step->dst, step});
    ready_.insert(fused.output);
  }

  void set_floats(ValueId id) {
    floats_.insert(id);
    plan_.slot_bytes[at(id)] = 4 * graph_.value(id).shape.size();
  }

  void add_other(const Node& node) {
    const Slot to = at(node.output);
    switch (node.op) {
      case Op::kDequantize: {
        const auto& quant = node.as<graph::Quant>();
        const auto channels = static_cast<std::size_t>(graph_.value(node.output).shape.c);
        std::vector<float> z(channels);
        std::vector<float> scale(channels);
        for (std::size_t c = 0; c < channels; ++c) {
          z[c] = static_cast<float>(quant.zero_point[quant.zero_point.size() == 1 ? 0 : c]);
          scale[c] = quant.scale[quant.scale.size() == 1 ? 0 : c];
        }
        sources_[node.output] = {at(node.inputs[0]), HalfSource::kByte, plan_.constants.add(z),
                                 plan_.constants.add(scale)};
        break;
      }
      case Op::kRelu:
      case Op::kClip:
      case Op::kAdd: {
        const auto clip = node.op == Op::kRelu   ? graph::Clip{0, kLargest}
                          : node.op == Op::kClip ? node.as<graph::Clip>()
                                                 : graph::Clip{-kLargest, kLargest};
        const float least = std::max(clip.lo, -kLargest);
        const float most = std::min(clip.hi, kLargest);
        const std::int64_t size = graph_.value(node.output).shape.size();
        const bool two = node.op == Op::kAdd;
        const Slot a = half(node, node.inputs[0]);
        const Slot b = two ? half(node, node.inputs[1]) : a;
        add(node, two ? "add_halves" : "clip_halves", {a, b}, to, [=](const Launch& l) {
          return launch_half_add(size * l.images, l.slots[a], two ? l.slots[b] : nullptr, least,
                                 most, l.slots[to], l.stream);
        });
        break;
      }
      case Op::kMaxPool: {
        const Pool pool = pool_of(graph_, node, node.as<graph::Window>());
        const Slot src = half(node, node.inputs[0]);
        add(node, "max_pool_halves", {src}, to, [=](const Launch& l) {
          Pool p = pool;
          p.n = l.images;
          return launch_half_max_pool(p, l.slots[src], l.slots[to], l.stream);
        });
        break;
      }
      case Op::kAveragePool: {
        const auto& window = node.as<graph::Window>();
        const bool floats = leaves_only(node.output);
        if (floats) set_floats(node.output);
        const HalfAveragePool pool{pool_of(graph_, node, window), floats, window.count_include_pad};
        const Slot src = half(node, node.inputs[0]);
        add(node, "average_pool_halves", {src}, to, [=](const Launch& l) {
          HalfAveragePool p = pool;
          p.pool.n = l.images;
          return launch_half_average_pool(p, l.slots[src], l.slots[to], l.stream);
        });
        break;
      }
      case Op::kPad: {
        const auto& pad = node.as<graph::Pad>();
        const graph::Shape& src = graph_.value(node.inputs[0]).shape;
        const graph::Shape& dst = graph_.value(node.output).shape;
        const auto c = static_cast<int>(src.c);
        add_frame(node,
                  {1, static_cast<int>(src.h), static_cast<int>(src.w), c, static_cast<int>(dst.h),
                   static_cast<int>(dst.w), c, 1, 1, pad.top, pad.left},
                  source(node.inputs[0]), to, pad.value);
        break;
      }
      case Op::kConcat: {
        const graph::Shape& dst = graph_.value(node.output).shape;
        int first = 0;
        for (const ValueId id : node.inputs) {
          const auto c = static_cast<int>(2 * graph_.value(id).shape.c);
          const ChannelCopy copy{dst.h * dst.w, c, static_cast<int>(2 * dst.c), first};
          first += c;
          copy_bytes(node, "concat", copy, half(node, id), to);
        }
        break;
      }
      case Op::kFlatten: {
        const auto bytes = static_cast<int>(plan_.slot_bytes[to]);
        copy_bytes(node, "flatten", {1, bytes, bytes, 0}, half(node, node.inputs[0]), to);
        break;
      }
      default:
        base::fail(base::Status::kInternal, "node {}: no step for it", node.name);
    }
    ready_.insert(node.output);
  }

  void copy_bytes(const Node& node, const char* kernel, const ChannelCopy& copy, Slot from,
                  Slot to) {
    add(node, kernel, {from}, to, [=](const Launch& l) {
      ChannelCopy c = copy;
      c.pixels *= l.images;
      return launch_channel_copy(c, bytes_at(l, from), bytes_at(l, to), l.stream);
    });
  }

  void add_output(ValueId id) {
    const graph::Value& value = graph_.value(id);
    const ValueId from = before_softmax(id);
    const std::int64_t size = value.shape.size();
    Export out{at(from), 4 * size, {}};
    if (floats_.count(from) == 0) {
      const Slot src = at(from);
      out.slot = plan_.add_slot(4 * size);
      plan_.steps.push_back({value.name,
                             "to_floats",
                             [=, dst = out.slot](const Launch& l) {
                               return launch_half_to_float(size * l.images, l.slots[src],
                                                           reinterpret_cast<float*>(l.slots[dst]),
                                                           l.stream);
                             },
                             {src},
                             out.slot});
    }
    if (from != id) out.softmax = {true, value.shape.h * value.shape.w, value.shape.c};
    plan_.outputs.push_back(out);
  }

  Plan& plan_;
  const Graph& graph_;
  const graph::passes::Uses uses_;
  std::map<ValueId, Source> sources_;  // of values that are not binary16 in a slot of their own
  std::set<ValueId> exported_;         // outputs, before a softmax
  std::set<ValueId> floats_;           // of those, made as binary32
  std::set<ValueId> ready_;            // have a step that makes them
};

std::string unfit(const graph::Tensor& constant, const char* what) {
  for (const float value : constant.values<float>()) {
    if (!(std::abs(value) <= kLargest)) {
      return fmt::format("{} {} is beyond the range of half precision", what, value);
    }
  }
  return "";
}

}  // namespace

std::string reason_against_half(const Graph& graph, const Node& node) {
  const auto is_output = [&](ValueId id) {
    return std::find(graph.outputs.begin(), graph.outputs.end(), id) != graph.outputs.end();
  };
  const auto is_read = [&](ValueId id) {
    return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& other) {
      return std::find(other.inputs.begin(), other.inputs.end(), id) != other.inputs.end();
    });
  };
  const std::size_t activations = node.op == Op::kConv ? 1 : node.inputs.size();
  for (std::size_t i = 0; i < activations; ++i) {
    const graph::Value& v = graph.value(node.inputs[i]);
    if (!v.dims.empty()) return fmt::format("input {} is a constant", v.name);
  }
  switch (node.op) {
    case Op::kConv: {
      for (std::size_t i = 1; i < node.inputs.size(); ++i) {
        const graph::Value& v = graph.value(node.inputs[i]);
        if (!v.constant) return fmt::format("input {} is not a constant", v.name);
      }
      return unfit(graph.constant(node.inputs[1]), "a weight of");
    }
    case Op::kRelu:
    case Op::kClip:
    case Op::kAdd:
    case Op::kMaxPool:
    case Op::kPad:
    case Op::kAveragePool:
    case Op::kConcat:
    case Op::kFlatten:
      return graph.value(node.output).dtype == DType::kF32
                 ? ""
                 : "on integers; precision fp16 takes float models";
    case Op::kDequantize:
      return is_input(graph, node.inputs[0]) && graph.value(node.inputs[0]).dtype == DType::kU8 &&
                     !is_output(node.output)
                 ? ""
                 : "quantized; precision fp16 takes float models";
    case Op::kSoftmax:
      return is_output(node.output) && !is_read(node.output)
                 ? ""
                 : "in the middle of a graph; at its end it runs on the host";
    default:
      return "no half-precision form of it";
  }
}

void add_half_plan(Plan& plan) { HalfPlan(plan).run(); }

}  // namespace pronghorn::device::cuda
