// SPDX-License-Identifier: Apache-2.0
// QDQ -> integer in one sweep over the nodes.
//
// Each float value of the old graph may have an exact integer form: q, its scale and zero points
// (`Stored`). DequantizeLinear gives one; ops that only move or compare values carry it along.
// At a QuantizeLinear, `lower` walks from its source back to values that have an integer form and
// emits the integer ops on the way: Relu and Clip narrow the range of the result, pooling, padding
// and concatenation commute with quantization because it is monotone.
// Float forms are emitted beside it for whoever needs them, and what nobody needs is dropped at the
// end. docs/arithmetic.md lists the rules.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "graph/passes/integer_conv.h"
#include "graph/passes/integer_pads.h"
#include "graph/passes/passes.h"
#include "graph/passes/uses.h"
#include "graph/quantized_constant.h"

namespace pronghorn::graph::passes {
namespace {

constexpr int kDeepest = 64;                    // ops between a quantization and its sources
constexpr std::int64_t kLargestPool = 1 << 16;  // pixels of an average pool's window

// The value is (q - zero_point[c]) * scale, with one zero point or one for each channel.
struct Stored {
  ValueId id = kNoValue;  // of q, in the new graph
  float scale = 0;
  std::vector<std::int32_t> zero_point;
  bool per_channel() const { return zero_point.size() > 1; }
};

// What a QuantizeLinear asks for; `range` is narrower than the type after Relu or Clip.
struct Target {
  DType dtype = DType::kU8;
  float scale = 0;
  std::int32_t zero_point = 0;
  arith::Range range = arith::kU8;
};

arith::Range full_range(DType dtype) { return dtype == DType::kU8 ? arith::kU8 : arith::kS8; }

bool is_full(const Target& t) {
  return t.range.lo == full_range(t.dtype).lo && t.range.hi == full_range(t.dtype).hi;
}

// The target below a Clip [lo, hi]: quantization is monotone, so clipping first and quantizing then
// is quantizing first and clamping to the quantized bounds.
Target below_clip(Target t, float lo, float hi) {
  const arith::Range full = full_range(t.dtype);
  const auto narrow = [&](float bound) {
    return std::clamp(arith::quantize(bound, t.scale, t.zero_point, full), t.range.lo, t.range.hi);
  };
  t.range = {narrow(lo), narrow(hi)};
  return t;
}

struct Bounds {
  float lo = 0;
  float hi = std::numeric_limits<float>::infinity();
};

// Of a Relu or Clip.
std::optional<Bounds> bounds_of(const Node& node) {
  if (node.op == Op::kRelu) return Bounds{};
  if (node.op == Op::kClip) return Bounds{node.as<Clip>().lo, node.as<Clip>().hi};
  return std::nullopt;
}

class Lowering {
 public:
  explicit Lowering(const Graph& src)
      : src_(src),
        uses_(src),
        stored_(src.values.size()),
        ids_(src.values.size(), kNoValue),
        convs_(src.nodes.size()) {}

  Graph run() {
    dst_.name = src_.name;
    dst_.preprocess = src_.preprocess;
    dst_.resize = src_.resize;
    dst_.labels = src_.labels;
    dst_.label_ids = src_.label_ids;
    dst_.metadata = src_.metadata;
    for (const ValueId id : src_.inputs) {
      const Value& v = src_.value(id);
      ids_[at(id)] = dst_.add_value(v.name, v.dtype, v.shape);
      dst_.inputs.push_back(ids_[at(id)]);
    }
    for (const Node& node : src_.nodes) lower_node(node);
    for (const ValueId id : src_.outputs) add_output(id);
    drop_dead(dst_);
    fold_integer_pads(dst_);
    drop_dead(dst_);
    verify(dst_);
    return std::move(dst_);
  }

 private:
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

  const Node* producer(ValueId id) const {
    const int index = uses_.producer[at(id)];
    return index < 0 ? nullptr : &src_.nodes[static_cast<std::size_t>(index)];
  }

  const Stored* stored(ValueId id) const { return stored_[at(id)] ? &*stored_[at(id)] : nullptr; }

  // With one zero point.
  const Stored* plain(ValueId id) const {
    const Stored* s = stored(id);
    return s != nullptr && !s->per_channel() ? s : nullptr;
  }

  ValueId emit(const Node& like, Op op, std::vector<ValueId> inputs, Attributes attributes,
               DType dtype) {
    return dst_.add_node(op, like.name, std::move(inputs), std::move(attributes), dtype);
  }

  // The value in the new graph with the same type and meaning, emitted when it is first needed.
  ValueId same(ValueId id) {
    ValueId& known = ids_[at(id)];
    if (known != kNoValue) return known;
    const Value& v = src_.value(id);
    const Node* node = producer(id);
    if (v.constant) {
      known = dst_.add_constant(v.name, *v.constant);
    } else if (const Stored* s = stored(id)) {
      Quant quant{std::vector<float>(s->zero_point.size(), s->scale), s->zero_point};
      known = dst_.add_node(Op::kDequantize, node->name, {s->id}, std::move(quant));
    } else if (node != nullptr && node->op == Op::kDequantize && constant_of(node->inputs[0])) {
      known = dst_.add_constant(
          v.name, dequantize_constant(*constant_of(node->inputs[0]), node->as<Quant>()));
    } else {
      base::fail(base::Status::kInternal, "value {} has no form after lowering", v.name);
    }
    dst_.value(known).name = v.name;
    return known;
  }

  const Tensor* constant_of(ValueId id) const {
    return src_.value(id).constant ? &*src_.value(id).constant : nullptr;
  }

  void set(ValueId id, ValueId made) {
    ids_[at(id)] = made;
    dst_.value(made).name = src_.value(id).name;
  }

  void copy(const Node& node) {
    std::vector<ValueId> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(same(id));
    set(node.output,
        emit(node, node.op, std::move(inputs), node.attributes, src_.value(node.output).dtype));
  }

  void lower_node(const Node& node) {
    if (node.op == Op::kDequantize) return lower_dequantize(node);
    if (node.op == Op::kQuantize) return lower_quantize(node);
    if (src_.value(node.output).dtype != DType::kF32) return copy(node);
    if (node.op == Op::kConv || node.op == Op::kAveragePool) {
      const std::optional<Target> no_target;
      const ValueId id = node.op == Op::kConv ? lower_conv(node, no_target, nullptr)
                                              : lower_average_pool(node, no_target);
      if (id != kNoValue) return set(node.output, id);
    } else {
      stored_[at(node.output)] = carry(node);
      if (stored(node.output)) return;
    }
    copy(node);
  }

  void lower_dequantize(const Node& node) {
    if (constant_of(node.inputs[0])) return;
    const auto& quant = node.as<Quant>();
    const DType dtype = src_.value(node.inputs[0]).dtype;
    const bool one_scale = std::all_of(quant.scale.begin(), quant.scale.end(),
                                       [&](float s) { return s == quant.scale[0]; });
    if (!one_scale || dtype == DType::kS32) return copy(node);
    std::vector<std::int32_t> zero_point = quant.zero_point;
    if (std::all_of(zero_point.begin(), zero_point.end(),
                    [&](std::int32_t z) { return z == zero_point[0]; })) {
      zero_point.resize(1);
    }
    stored_[at(node.output)] = Stored{same(node.inputs[0]), quant.scale[0], std::move(zero_point)};
  }

  void lower_quantize(const Node& node) {
    const auto& quant = node.as<Quant>();
    const DType dtype = src_.value(node.output).dtype;
    if (quant.per_channel()) return copy(node);
    const Target target{dtype, quant.scale[0], quant.zero_point[0], full_range(dtype)};
    const std::size_t nodes = dst_.nodes.size();
    const ValueId id = lower(node.inputs[0], target, 0);
    if (id == kNoValue) return copy(node);
    ids_[at(node.output)] = id;
    // Named after the quantized value, unless it is one that was there before.
    if (dst_.nodes.size() > nodes && dst_.nodes.back().output == id) {
      dst_.value(id).name = src_.value(node.output).name;
    }
  }

  void add_output(ValueId id) {
    ValueId made = same(id);
    const DType dtype = dst_.value(made).dtype;
    const auto taken = [&](const std::vector<ValueId>& ids) {
      return std::find(ids.begin(), ids.end(), made) != ids.end();
    };
    // Each output is a value of its own, also where two of the old graph became one.
    if (dtype != DType::kF32 && (taken(dst_.outputs) || taken(dst_.inputs))) {
      made = dst_.add_node(Op::kRequantize, src_.value(id).name, {made},
                           Requantize{0, 0, 1.0f, full_range(dtype)}, dtype);
    }
    dst_.outputs.push_back(made);
  }

  // The integer form of an op that only moves or compares values, when its inputs have one.
  std::optional<Stored> carry(const Node& node) {
    if (node.inputs.empty() || !stored(node.inputs[0])) return std::nullopt;
    const Stored first = *stored(node.inputs[0]);
    const DType dtype = dst_.value(first.id).dtype;
    const auto result = [&](Op op, std::vector<ValueId> inputs, Attributes attributes) {
      return Stored{emit(node, op, std::move(inputs), std::move(attributes), dtype), first.scale,
                    first.zero_point};
    };
    if (node.op == Op::kMaxPool) return result(node.op, {first.id}, node.attributes);
    if (first.per_channel()) return std::nullopt;
    const std::int32_t z = first.zero_point[0];
    if (node.op == Op::kFlatten) return result(node.op, {first.id}, {});
    if (node.op == Op::kPad) {
      Pad pad = node.as<Pad>();
      const std::int32_t q = arith::quantize(pad.value, first.scale, z, full_range(dtype));
      if (arith::dequantize(q, first.scale, z) != pad.value) return std::nullopt;
      pad.value = static_cast<float>(q);
      return result(node.op, {first.id}, pad);
    }
    if (node.op == Op::kConcat) {
      std::vector<ValueId> inputs;
      for (const ValueId id : node.inputs) {
        const Stored* s = plain(id);
        if (s == nullptr || s->scale != first.scale || s->zero_point != first.zero_point ||
            dst_.value(s->id).dtype != dtype) {
          return std::nullopt;
        }
        inputs.push_back(s->id);
      }
      return result(node.op, std::move(inputs), {});
    }
    if (const auto bounds = bounds_of(node)) {
      const Target t =
          below_clip({dtype, first.scale, z, full_range(dtype)}, bounds->lo, bounds->hi);
      const auto exact = [&](std::int32_t q, float bound, std::int32_t end) {
        return arith::dequantize(q, first.scale, z) == bound || q == end;
      };
      // A bound that lies between two stored values has no integer form of its own.
      if (!exact(t.range.lo, bounds->lo, full_range(dtype).lo) ||
          !exact(t.range.hi, bounds->hi, full_range(dtype).hi)) {
        return std::nullopt;
      }
      return result(Op::kRequantize, {first.id}, Requantize{z, z, 1.0f, t.range});
    }
    return std::nullopt;
  }

  using Key = std::tuple<ValueId, DType, std::uint32_t, std::int32_t, std::int32_t, std::int32_t>;

  // The new value that holds `id` quantized to `target`, or kNoValue when integers cannot say it.
  ValueId lower(ValueId id, const Target& target, int depth) {
    const Key key{id,
                  target.dtype,
                  std::bit_cast<std::uint32_t>(target.scale),
                  target.zero_point,
                  target.range.lo,
                  target.range.hi};
    if (const auto known = lowered_.find(key); known != lowered_.end()) return known->second;
    const ValueId made = depth < kDeepest ? lower_new(id, target, depth) : kNoValue;
    lowered_[key] = made;
    return made;
  }

  ValueId lower_new(ValueId id, const Target& target, int depth) {
    const Node* node = producer(id);
    if (node == nullptr) return kNoValue;
    if (const auto bounds = bounds_of(*node)) {
      const ValueId made =
          lower(node->inputs[0], below_clip(target, bounds->lo, bounds->hi), depth + 1);
      if (made != kNoValue) return made;
    }
    if (const Stored* s = plain(id)) return rescale(*node, *s, target);
    switch (node->op) {
      case Op::kMaxPool:
      case Op::kFlatten: {
        const ValueId inner = lower(node->inputs[0], target, depth + 1);
        if (inner == kNoValue) return kNoValue;
        return emit(*node, node->op, {inner}, node->attributes, target.dtype);
      }
      case Op::kPad: {
        const ValueId inner = lower(node->inputs[0], target, depth + 1);
        if (inner == kNoValue) return kNoValue;
        Pad pad = node->as<Pad>();
        pad.value = static_cast<float>(
            arith::quantize(pad.value, target.scale, target.zero_point, target.range));
        return emit(*node, Op::kPad, {inner}, pad, target.dtype);
      }
      case Op::kConcat:
        return lower_concat(*node, target, depth);
      case Op::kConv:
        return lower_conv(*node, target, nullptr);
      case Op::kAveragePool:
        return lower_average_pool(*node, target);
      case Op::kAdd:
        return lower_add(*node, target);
      default:
        return kNoValue;
    }
  }

  ValueId rescale(const Node& like, const Stored& s, const Target& target) {
    const DType dtype = dst_.value(s.id).dtype;
    const bool same_grid =
        dtype == target.dtype && s.scale == target.scale && s.zero_point[0] == target.zero_point;
    if (same_grid && is_full(target)) return s.id;
    const float m = arith::multiplier(s.scale, 1.0f, target.scale);
    if (!std::isfinite(m)) return kNoValue;
    return emit(like, Op::kRequantize, {s.id},
                Requantize{s.zero_point[0], target.zero_point, m, target.range}, target.dtype);
  }

  // Parts that have no integer form of their own are quantized from float, if any part has one.
  ValueId lower_concat(const Node& node, const Target& target, int depth) {
    std::vector<ValueId> parts;
    for (const ValueId id : node.inputs) parts.push_back(lower(id, target, depth + 1));
    const auto missing = std::count(parts.begin(), parts.end(), kNoValue);
    if (missing == static_cast<std::int64_t>(parts.size())) return kNoValue;
    if (missing > 0 && !is_full(target)) return kNoValue;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i] != kNoValue) continue;
      parts[i] = emit(node, Op::kQuantize, {same(node.inputs[i])},
                      Quant{{target.scale}, {target.zero_point}}, target.dtype);
    }
    return emit(node, Op::kConcat, std::move(parts), {}, target.dtype);
  }

  // Without a target: to float32.
  ValueId lower_conv(const Node& node, const std::optional<Target>& target,
                     const Stored* residual) {
    const Stored* s = stored(node.inputs[0]);
    if (s == nullptr) return kNoValue;
    const Conv* conv = constants_of(node, *s);
    if (conv == nullptr) return kNoValue;

    QConv q;
    q.window = node.as<Window>();
    q.z_src = s->zero_point;
    for (const float s_weight : conv->scales) {
      q.m.push_back(arith::multiplier(s->scale, s_weight, target ? target->scale : 1.0f));
      if (!std::isfinite(q.m.back())) return kNoValue;
    }
    std::vector<ValueId> inputs{s->id, conv->weights, conv->bias};
    if (target) {
      q.z_dst = target->zero_point;
      q.range = target->range;
    }
    if (residual != nullptr) {
      q.z_res = residual->zero_point[0];
      q.m_res = arith::multiplier(residual->scale, 1.0f, target->scale);
      if (!std::isfinite(q.m_res)) return kNoValue;
      inputs.push_back(residual->id);
    }
    return emit(node, Op::kQConv, std::move(inputs), std::move(q),
                target ? target->dtype : DType::kF32);
  }

  struct Conv {
    ValueId weights = kNoValue;  // in the new graph
    ValueId bias = kNoValue;
    std::vector<float> scales;
  };

  // Made once for each convolution, however often it is emitted.
  const Conv* constants_of(const Node& node, const Stored& s) {
    auto& known = convs_[static_cast<std::size_t>(uses_.producer[at(node.output)])];
    if (!known) {
      known.emplace();
      if (auto made =
              integer_conv(src_, uses_, node, dst_.value(s.id).dtype, s.scale, s.zero_point)) {
        known->weights = dst_.add_constant(node.name + ".weights", std::move(made->weights));
        known->bias = dst_.add_constant(node.name + ".bias", std::move(made->bias));
        known->scales = std::move(made->scales);
      }
    }
    return known->weights == kNoValue ? nullptr : &*known;
  }

  ValueId lower_average_pool(const Node& node, const std::optional<Target>& target) {
    const Stored* s = plain(node.inputs[0]);
    const auto& window = node.as<Window>();
    const std::int64_t places = std::int64_t{window.kh} * window.kw;
    if (s == nullptr || places > kLargestPool) return kNoValue;
    QAveragePool q;
    q.window = window;
    q.z_src = s->zero_point[0];
    if (target) {
      q.z_dst = target->zero_point;
      q.range = target->range;
    }
    const double s_dst = target ? static_cast<double>(target->scale) : 1.0;
    for (std::int64_t count = 1; count <= places; ++count) {
      q.m.push_back(
          static_cast<float>(static_cast<double>(s->scale) / (s_dst * static_cast<double>(count))));
      if (!std::isfinite(q.m.back())) return kNoValue;
    }
    return emit(node, Op::kQAveragePool, {s->id}, std::move(q),
                target ? target->dtype : DType::kF32);
  }

  // Two stored values, or a convolution that is not quantized on its own and a stored residual.
  ValueId lower_add(const Node& node, const Target& target) {
    const Stored* a = plain(node.inputs[0]);
    const Stored* b = plain(node.inputs[1]);
    if (a != nullptr && b != nullptr) {
      QAdd q{a->zero_point[0],
             b->zero_point[0],
             target.zero_point,
             arith::multiplier(a->scale, 1.0f, target.scale),
             arith::multiplier(b->scale, 1.0f, target.scale),
             target.range};
      if (!std::isfinite(q.m_a) || !std::isfinite(q.m_b)) return kNoValue;
      return emit(node, Op::kQAdd, {a->id, b->id}, q, target.dtype);
    }
    const Stored* residual = a != nullptr ? a : b;
    const Node* conv = producer(node.inputs[a != nullptr ? 1 : 0]);
    if (residual == nullptr || conv == nullptr || conv->op != Op::kConv) return kNoValue;
    return lower_conv(*conv, target, residual);
  }

  const Graph& src_;
  const Uses uses_;
  Graph dst_;
  std::vector<std::optional<Stored>> stored_;  // by value of the old graph
  std::vector<ValueId> ids_;                   // of the value with the same type and meaning
  std::vector<std::optional<Conv>> convs_;     // by node of the old graph
  std::map<Key, ValueId> lowered_;
};

}  // namespace

Graph lower_quantized(const Graph& qdq) {
  if (!is_quantized(qdq)) return qdq;
  Graph folded = qdq;
  fold_quantized_constants(folded);
  return Lowering(folded).run();
}

}  // namespace pronghorn::graph::passes
