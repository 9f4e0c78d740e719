// SPDX-License-Identifier: Apache-2.0
// The rules of graph.h: what each op takes, and what shape it makes.
#include <algorithm>
#include <cmath>
#include <vector>

#include "graph/graph.h"
#include "graph/quantized_constant.h"

namespace pronghorn::graph {
namespace {

template <typename... Args>
[[noreturn]] void reject(const Node& node, fmt::format_string<Args...> format, Args&&... args) {
  base::fail(base::Status::kCorrupt, "node {} ({}): {}", node.name, name_of(node.op),
             fmt::format(format, std::forward<Args>(args)...));
}

std::string text(const Shape& s) { return fmt::format("{}x{}x{}", s.h, s.w, s.c); }

constexpr std::string_view kSane = "positive sizes and at most 2^31 elements";

bool is_sane(const Shape& s) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 31;
  return s.h >= 1 && s.w >= 1 && s.c >= 1 && s.h <= kLargest && s.w <= kLargest &&
         s.c <= kLargest && s.h * s.w <= kLargest && s.h * s.w * s.c <= kLargest;
}

void require_arity(const Node& node, std::size_t least, std::size_t most) {
  if (node.inputs.size() < least || node.inputs.size() > most) {
    reject(node, "{} inputs, takes {} to {}", node.inputs.size(), least, most);
  }
}

// The alternative of Attributes that belongs to an op.
template <typename T>
void require_attributes(const Node& node, std::string_view name) {
  if (!std::holds_alternative<T>(node.attributes))
    reject(node, "needs attributes of kind {}", name);
}

void require_attributes(const Node& node) {
  switch (node.op) {
    case Op::kConv:
    case Op::kAveragePool:
    case Op::kMaxPool:
      return require_attributes<Window>(node, "Window");
    case Op::kClip:
      return require_attributes<Clip>(node, "Clip");
    case Op::kPad:
      return require_attributes<Pad>(node, "Pad");
    case Op::kQuantize:
    case Op::kDequantize:
      return require_attributes<Quant>(node, "Quant");
    case Op::kQConv:
      return require_attributes<QConv>(node, "QConv");
    case Op::kQAdd:
      return require_attributes<QAdd>(node, "QAdd");
    case Op::kQAveragePool:
      return require_attributes<QAveragePool>(node, "QAveragePool");
    case Op::kRequantize:
      return require_attributes<Requantize>(node, "Requantize");
    case Op::kBatchNorm:
    case Op::kRelu:
    case Op::kAdd:
    case Op::kSoftmax:
    case Op::kConcat:
    case Op::kFlatten:
      return require_attributes<std::monostate>(node, "none");
  }
}

Shape window_shape(const Node& node, const Shape& src, const Window& w, std::int64_t channels) {
  if (w.kh < 1 || w.kw < 1 || w.sh < 1 || w.sw < 1 || w.pad_top < 0 || w.pad_left < 0 ||
      w.pad_bottom < 0 || w.pad_right < 0) {
    reject(node, "kernel {}x{}, stride {}x{}: all must be positive, pads not negative", w.kh, w.kw,
           w.sh, w.sw);
  }
  const Shape dst{window_out(src.h, w.kh, w.sh, w.pad_top, w.pad_bottom),
                  window_out(src.w, w.kw, w.sw, w.pad_left, w.pad_right), channels};
  if (dst.h < 1 || dst.w < 1) {
    reject(node, "a {}x{} window does not fit into {}", w.kh, w.kw, text(src));
  }
  return dst;
}

void require_channels(const Graph& graph, const Node& node, std::size_t input, std::int64_t c) {
  const auto& dims = graph.value(node.inputs[input]).dims;
  if (dims.size() != 1 || dims[0] != c) {
    reject(node, "input {} must hold {} values, one for each channel", input, c);
  }
}

Shape conv_shape(const Graph& graph, const Node& node, const Window& w) {
  const Shape& src = graph.value(node.inputs[0]).shape;
  const auto& dims = graph.value(node.inputs[1]).dims;
  if (dims.size() != 4 || dims[1] != w.kh || dims[2] != w.kw) {
    reject(node, "weights must be [oc][{}][{}][ic]", w.kh, w.kw);
  }
  if (w.groups < 1 || src.c % w.groups != 0 || dims[0] % w.groups != 0 ||
      dims[3] != src.c / w.groups) {
    reject(node, "weights [{}][{}][{}][{}] in {} groups do not fit an input of {}", dims[0],
           dims[1], dims[2], dims[3], w.groups, text(src));
  }
  if (node.inputs.size() > 2) require_channels(graph, node, 2, dims[0]);
  return window_shape(node, src, w, dims[0]);
}

Shape same_shapes(const Graph& graph, const Node& node) {
  const Shape& a = graph.value(node.inputs[0]).shape;
  const Shape& b = graph.value(node.inputs[1]).shape;
  if (a != b) reject(node, "inputs are {} and {}, must be equal", text(a), text(b));
  return a;
}

void require_finite(const Graph& graph, const Node& node) {
  for (const ValueId id : node.inputs) {
    const Value& v = graph.value(id);
    if (!v.constant || v.dtype != DType::kF32) continue;
    for (const float x : v.constant->values<float>()) {
      if (!std::isfinite(x)) reject(node, "constant {} holds {}; must be finite", v.name, x);
    }
  }
}

// Which inputs are activations; the others are constants (or, for a float convolution, dequantized
// constants). QuantizeLinear and DequantizeLinear take both.
void require_roles(const Graph& graph, const Node& node) {
  if (node.op == Op::kQuantize || node.op == Op::kDequantize) return;
  const bool has_constants =
      node.op == Op::kConv || node.op == Op::kBatchNorm || node.op == Op::kQConv;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const Value& v = graph.value(node.inputs[i]);
    if (!has_constants || i == 0 || i == 3) {
      if (!v.dims.empty()) reject(node, "input {} is a constant, must be an activation", i);
    } else if (node.op != Op::kConv && !v.constant) {
      reject(node, "input {} must be a constant", i);
    }
  }
}

void require_type(const Graph& graph, const Node& node, std::size_t input,
                  std::initializer_list<DType> accepted) {
  const DType have = graph.value(node.inputs[input]).dtype;
  std::string names;
  for (const DType d : accepted) {
    if (d == have) return;
    names += fmt::format("{}{}", names.empty() ? "" : " or ", name_of(d));
  }
  reject(node, "input {} is {}, must be {}", input, name_of(have), names);
}

void require_range(const Node& node, arith::Range range, DType dst) {
  if (dst == DType::kF32) return;
  const arith::Range full = dst == DType::kU8 ? arith::kU8 : arith::kS8;
  if (range.lo > range.hi || range.lo < full.lo || range.hi > full.hi) {
    reject(node, "range [{}, {}] is not inside {}", range.lo, range.hi, name_of(dst));
  }
}

void require_zero_point(const Graph& graph, const Node& node, ValueId id, std::int32_t z) {
  const DType dtype = graph.value(id).dtype;
  const arith::Range full = dtype == DType::kU8 ? arith::kU8 : arith::kS8;
  if (dtype != DType::kF32 && (z < full.lo || z > full.hi)) {
    reject(node, "zero point {} does not fit {}", z, name_of(dtype));
  }
}

// Every window of a pool must see a pixel of its source.
void require_pool_pads(const Node& node, const Window& w) {
  if (w.pad_top >= w.kh || w.pad_bottom >= w.kh || w.pad_left >= w.kw || w.pad_right >= w.kw) {
    reject(node, "pads {},{},{},{} must be smaller than the {}x{} kernel", w.pad_top, w.pad_left,
           w.pad_bottom, w.pad_right, w.kh, w.kw);
  }
}

void require_pad_value(const Node& node, DType dtype) {
  const float value = node.as<Pad>().value;
  const arith::Range full = dtype == DType::kU8 ? arith::kU8 : arith::kS8;
  const bool fits = dtype == DType::kF32
                        ? std::isfinite(value)
                        : value >= static_cast<float>(full.lo) &&
                              value <= static_cast<float>(full.hi) && value == std::floor(value);
  if (!fits) reject(node, "border value {} does not fit {}", value, name_of(dtype));
}

void require_multiplier(const Node& node, float m) {
  if (!std::isfinite(m)) reject(node, "multiplier {} is not finite", m);
}

void verify_qconv(const Graph& graph, const Node& node, const Value& dst) {
  const auto& q = node.as<QConv>();
  require_type(graph, node, 0, {DType::kU8, DType::kS8});
  require_type(graph, node, 1, {DType::kS8});
  require_type(graph, node, 2, {DType::kS32});
  require_channels(graph, node, 2, dst.shape.c);
  const auto ic = graph.value(node.inputs[0]).shape.c;
  if (q.z_src.size() != 1 && q.z_src.size() != static_cast<std::size_t>(ic)) {
    reject(node, "{} input zero points, needs 1 or {}", q.z_src.size(), ic);
  }
  if (q.m.size() != static_cast<std::size_t>(dst.shape.c)) {
    reject(node, "{} multipliers, needs {}", q.m.size(), dst.shape.c);
  }
  for (const float m : q.m) require_multiplier(node, m);
  require_range(node, q.range, dst.dtype);
  for (const std::int32_t z : q.z_src) require_zero_point(graph, node, node.inputs[0], z);
  require_zero_point(graph, node, node.output, q.z_dst);
  const std::int64_t inexact =
      first_inexact_channel(graph.value(node.inputs[0]).dtype, q.z_src,
                            graph.constant(node.inputs[1]).values<std::int8_t>(),
                            graph.constant(node.inputs[2]).values<std::int32_t>());
  if (inexact >= 0) reject(node, "the sum of output channel {} can leave int32", inexact);
  if (node.inputs.size() == 4) {
    require_zero_point(graph, node, node.inputs[3], q.z_res);
    require_type(graph, node, 3, {DType::kU8, DType::kS8});
    require_multiplier(node, q.m_res);
    if (dst.dtype == DType::kF32) reject(node, "a residual needs a quantized result");
    if (graph.value(node.inputs[3]).shape != dst.shape) {
      reject(node, "residual is {}, result {}", text(graph.value(node.inputs[3]).shape),
             text(dst.shape));
    }
  }
}

void verify_types(const Graph& graph, const Node& node) {
  const Value& dst = graph.value(node.output);
  const auto is_8bit = [](DType d) { return d == DType::kU8 || d == DType::kS8; };
  switch (node.op) {
    case Op::kConv:
    case Op::kBatchNorm:
    case Op::kRelu:
    case Op::kClip:
    case Op::kAdd:
    case Op::kAveragePool:
    case Op::kSoftmax:
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        require_type(graph, node, i, {DType::kF32});
      }
      if (dst.dtype != DType::kF32) reject(node, "result must be float32");
      if (node.op == Op::kAveragePool) require_pool_pads(node, node.as<Window>());
      if (node.op == Op::kClip && !(node.as<Clip>().lo <= node.as<Clip>().hi)) {
        reject(node, "bounds [{}, {}] hold nothing", node.as<Clip>().lo, node.as<Clip>().hi);
      }
      break;
    case Op::kMaxPool:
    case Op::kPad:
    case Op::kConcat:
    case Op::kFlatten:
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        require_type(graph, node, i, {dst.dtype});
      }
      if (node.op == Op::kMaxPool) require_pool_pads(node, node.as<Window>());
      if (node.op == Op::kPad) require_pad_value(node, dst.dtype);
      break;
    case Op::kQuantize:
      require_type(graph, node, 0, {DType::kF32});
      if (!is_8bit(dst.dtype)) reject(node, "result must be uint8 or int8");
      break;
    case Op::kDequantize:
      require_type(graph, node, 0, {DType::kU8, DType::kS8, DType::kS32});
      if (dst.dtype != DType::kF32) reject(node, "result must be float32");
      break;
    case Op::kQConv:
      verify_qconv(graph, node, dst);
      break;
    case Op::kQAdd: {
      const auto& q = node.as<QAdd>();
      require_type(graph, node, 0, {DType::kU8, DType::kS8});
      require_type(graph, node, 1, {DType::kU8, DType::kS8});
      require_zero_point(graph, node, node.inputs[0], q.z_a);
      require_zero_point(graph, node, node.inputs[1], q.z_b);
      require_zero_point(graph, node, node.output, q.z_dst);
      require_range(node, q.range, dst.dtype);
      require_multiplier(node, q.m_a);
      require_multiplier(node, q.m_b);
      break;
    }
    case Op::kQAveragePool: {
      const auto& q = node.as<QAveragePool>();
      require_type(graph, node, 0, {DType::kU8, DType::kS8});
      require_pool_pads(node, q.window);
      if (q.m.size() > (std::size_t{1} << 23))
        reject(node, "the sum of its window can leave int32");
      require_zero_point(graph, node, node.inputs[0], q.z_src);
      require_zero_point(graph, node, node.output, q.z_dst);
      require_range(node, q.range, dst.dtype);
      for (const float m : q.m) require_multiplier(node, m);
      break;
    }
    case Op::kRequantize: {
      const auto& q = node.as<Requantize>();
      require_type(graph, node, 0, {DType::kU8, DType::kS8});
      require_zero_point(graph, node, node.inputs[0], q.z_src);
      require_zero_point(graph, node, node.output, q.z_dst);
      require_range(node, q.range, dst.dtype);
      require_multiplier(node, q.m);
      break;
    }
  }
  const bool integer_op = node.op >= Op::kQConv;
  const bool logits = node.op == Op::kQConv || node.op == Op::kQAveragePool;
  if (integer_op && !is_8bit(dst.dtype) && !(logits && dst.dtype == DType::kF32)) {
    reject(node, "result cannot be {}", name_of(dst.dtype));
  }
}

void verify_quant(const Graph& graph, const Node& node) {
  const auto& q = node.as<Quant>();
  const Value& src = graph.value(node.inputs[0]);
  if (src.constant && src.dims.empty()) reject(node, "a constant without dimensions");
  const std::int64_t channels = src.dims.empty() ? src.shape.c : src.dims[0];
  if (q.scale.empty() || q.scale.size() != q.zero_point.size() ||
      (q.scale.size() > 1 && static_cast<std::int64_t>(q.scale.size()) != channels)) {
    reject(node, "{} scales and {} zero points, needs one or {} of each", q.scale.size(),
           q.zero_point.size(), channels);
  }
  for (const float s : q.scale) {
    if (!(s > 0) || !std::isfinite(s)) reject(node, "scale {} must be positive and finite", s);
  }
  const DType dtype = node.op == Op::kQuantize ? graph.value(node.output).dtype : src.dtype;
  const arith::Range range = dtype == DType::kU8 ? arith::kU8 : arith::kS8;
  for (const std::int32_t z : q.zero_point) {
    if (dtype == DType::kS32 ? z != 0 : (z < range.lo || z > range.hi)) {
      reject(node, "zero point {} does not fit {}", z, name_of(dtype));
    }
  }
}

Shape shape_of(const Graph& graph, const Node& node) {
  const auto src = [&](std::size_t i) -> const Shape& { return graph.value(node.inputs[i]).shape; };
  switch (node.op) {
    case Op::kConv:
      require_arity(node, 2, 3);
      return conv_shape(graph, node, node.as<Window>());
    case Op::kQConv:
      require_arity(node, 3, 4);
      return conv_shape(graph, node, node.as<QConv>().window);
    case Op::kBatchNorm:
      require_arity(node, 3, 3);
      require_channels(graph, node, 1, src(0).c);
      require_channels(graph, node, 2, src(0).c);
      return src(0);
    case Op::kAdd:
    case Op::kQAdd:
      require_arity(node, 2, 2);
      return same_shapes(graph, node);
    case Op::kAveragePool:
    case Op::kMaxPool:
      require_arity(node, 1, 1);
      return window_shape(node, src(0), node.as<Window>(), src(0).c);
    case Op::kQAveragePool: {
      require_arity(node, 1, 1);
      const auto& pool = node.as<QAveragePool>();
      if (pool.m.size() != static_cast<std::size_t>(pool.window.kh) * pool.window.kw) {
        reject(node, "{} multipliers, needs {}", pool.m.size(), pool.window.kh * pool.window.kw);
      }
      return window_shape(node, src(0), pool.window, src(0).c);
    }
    case Op::kPad: {
      require_arity(node, 1, 1);
      const auto& pad = node.as<Pad>();
      if (pad.top < 0 || pad.left < 0 || pad.bottom < 0 || pad.right < 0) {
        reject(node, "negative padding");
      }
      return {src(0).h + pad.top + pad.bottom, src(0).w + pad.left + pad.right, src(0).c};
    }
    case Op::kConcat: {
      require_arity(node, 1, 1024);
      Shape shape = src(0);
      for (std::size_t i = 1; i < node.inputs.size(); ++i) {
        if (src(i).h != shape.h || src(i).w != shape.w) {
          reject(node, "inputs {} and {} differ in height or width", text(src(0)), text(src(i)));
        }
        shape.c += src(i).c;
      }
      return shape;
    }
    case Op::kFlatten:
      require_arity(node, 1, 1);
      return {1, 1, src(0).size()};
    case Op::kRelu:
    case Op::kClip:
    case Op::kSoftmax:
    case Op::kQuantize:
    case Op::kDequantize:
    case Op::kRequantize:
      require_arity(node, 1, 1);
      return src(0);
  }
  reject(node, "unknown op");
}

}  // namespace

Shape infer_shape(const Graph& graph, const Node& node) {
  require_attributes(node);
  for (const ValueId id : node.inputs) {
    const Shape& src = graph.value(id).shape;
    if (!is_sane(src)) reject(node, "input is {}, must be {}", text(src), kSane);
  }
  const Shape shape = shape_of(graph, node);
  if (!is_sane(shape)) reject(node, "result is {}, must be {}", text(shape), kSane);
  return shape;
}

void verify(const Graph& graph) {
  const auto count = static_cast<ValueId>(graph.values.size());
  std::vector<bool> made(graph.values.size(), false);
  const auto check_id = [&](ValueId id, std::string_view where) {
    if (id < 0 || id >= count) {
      base::fail(base::Status::kCorrupt, "graph {}: {} names value {} of {}", graph.name, where, id,
                 count);
    }
  };
  for (ValueId id = 0; id < count; ++id) {
    const Value& v = graph.value(id);
    if (v.constant) {
      made[static_cast<std::size_t>(id)] = true;
      if (v.dims != v.constant->dims() || v.dtype != v.constant->dtype()) {
        base::fail(base::Status::kCorrupt, "graph {}: constant {} disagrees with its tensor",
                   graph.name, v.name);
      }
    }
  }
  for (const ValueId id : graph.inputs) {
    check_id(id, "an input");
    made[static_cast<std::size_t>(id)] = true;
    const Value& v = graph.value(id);
    if (!is_sane(v.shape) || !v.dims.empty()) {
      base::fail(base::Status::kCorrupt, "graph {}: input {} is {}, must be {}", graph.name, v.name,
                 v.dims.empty() ? text(v.shape) : "a constant", kSane);
    }
  }
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.inputs) {
      check_id(id, node.name);
      if (!made[static_cast<std::size_t>(id)]) {
        reject(node, "uses {} before it is made", graph.value(id).name);
      }
    }
    check_id(node.output, node.name);
    if (made[static_cast<std::size_t>(node.output)]) {
      reject(node, "makes {} a second time", graph.value(node.output).name);
    }
    made[static_cast<std::size_t>(node.output)] = true;
    require_roles(graph, node);
    const Shape shape = infer_shape(graph, node);
    if (graph.value(node.output).dims.empty() && shape != graph.value(node.output).shape) {
      reject(node, "result is {}, should be {}", text(graph.value(node.output).shape), text(shape));
    }
    require_finite(graph, node);
    verify_types(graph, node);
    if (node.op == Op::kQuantize || node.op == Op::kDequantize) verify_quant(graph, node);
  }
  for (const ValueId id : graph.outputs) {
    check_id(id, "an output");
    if (!made[static_cast<std::size_t>(id)]) {
      base::fail(base::Status::kCorrupt, "graph {}: output {} is never made", graph.name,
                 graph.value(id).name);
    }
    if (!graph.value(id).dims.empty()) {
      base::fail(base::Status::kCorrupt, "graph {}: output {} is a constant", graph.name,
                 graph.value(id).name);
    }
  }
  if (graph.inputs.empty() || graph.outputs.empty()) {
    base::fail(base::Status::kCorrupt, "graph {} has no input or no output", graph.name);
  }
}

std::string to_string(const Graph& graph) {
  std::string out;
  for (const Node& node : graph.nodes) {
    std::string inputs;
    for (const ValueId id : node.inputs) {
      const Value& v = graph.value(id);
      if (!v.dims.empty()) continue;
      inputs += fmt::format("{}{}", inputs.empty() ? "" : ", ", v.name);
    }
    const Value& dst = graph.value(node.output);
    out += fmt::format("{:<16} {:<40} {:<14} {:<8} <- {}\n", name_of(node.op), dst.name,
                       dst.dims.empty() ? text(dst.shape) : "constant", name_of(dst.dtype), inputs);
  }
  return out;
}

}  // namespace pronghorn::graph
