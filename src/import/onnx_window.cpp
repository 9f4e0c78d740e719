// SPDX-License-Identifier: Apache-2.0
// Convolution, pooling, fully connected layers: everything with weights or a window.
#include <algorithm>
#include <functional>
#include <utility>

#include "import/onnx_importer.h"

namespace pronghorn::import {
namespace {

using graph::kNoValue;
using graph::Op;
using graph::ValueId;
using graph::Window;
using onnx::NodeProto;
using onnx::TensorProto;

constexpr std::int64_t kMaxWindow = 65535;  // kernel, stride or pad along one axis

const Operand& nchw(const Importer& in, const NodeProto& node, int index) {
  const Operand& src = in.activation(node, index);
  if (src.layout != Layout::kNchw) {
    unsupported(node, "its input is not [N, C, H, W]; only two spatial dimensions in that order");
  }
  return src;
}

std::vector<std::int64_t> window_ints(const NodeProto& node, std::string_view name,
                                      std::size_t count, std::int64_t absent, std::int64_t least) {
  auto values = ints_attribute(node, name, std::vector<std::int64_t>(count, absent));
  if (values.size() != count) {
    unsupported(node, "{} has {} values; only windows of two dimensions ({} values) are supported",
                name, values.size(), count);
  }
  for (const std::int64_t v : values) {
    if (v < least || v > kMaxWindow) {
      corrupt(node, "{} holds {}; must be {} to {}", name, v, least, kMaxWindow);
    }
  }
  return values;
}

// Padding along one axis so that the result has ceil(size / stride) elements.
void pad_same(std::int64_t size, int kernel, int stride, bool upper, int* begin, int* end) {
  const std::int64_t out = (size + stride - 1) / stride;
  const auto total =
      static_cast<int>(std::max<std::int64_t>(0, (out - 1) * stride + kernel - size));
  *begin = upper ? total / 2 : total - total / 2;
  *end = total - *begin;
}

Window read_window(const NodeProto& node, const graph::Shape& src, std::int64_t kh,
                   std::int64_t kw) {
  Window w;
  w.kh = static_cast<int>(kh);
  w.kw = static_cast<int>(kw);
  const auto strides = window_ints(node, "strides", 2, 1, 1);
  w.sh = static_cast<int>(strides[0]);
  w.sw = static_cast<int>(strides[1]);
  for (const std::int64_t d : window_ints(node, "dilations", 2, 1, 1)) {
    if (d != 1) unsupported(node, "dilation {}; only 1 is supported", d);
  }
  const std::string automatic = string_attribute(node, "auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    const bool upper = automatic == "SAME_UPPER";
    pad_same(src.h, w.kh, w.sh, upper, &w.pad_top, &w.pad_bottom);
    pad_same(src.w, w.kw, w.sw, upper, &w.pad_left, &w.pad_right);
  } else if (automatic == "NOTSET") {
    const auto pads = window_ints(node, "pads", 4, 0, 0);
    w.pad_top = static_cast<int>(pads[0]);
    w.pad_left = static_cast<int>(pads[1]);
    w.pad_bottom = static_cast<int>(pads[2]);
    w.pad_right = static_cast<int>(pads[3]);
  } else if (automatic != "VALID") {
    corrupt(node, "auto_pad {} is not NOTSET, VALID, SAME_UPPER or SAME_LOWER", automatic);
  }
  return w;
}

// Bias at this output channel count, or kNoValue; `keep` leaves it as integers with a scale.
ValueId bias_value(Importer& in, const NodeProto& node, std::int64_t oc, bool keep, float factor) {
  if (!in.has_input(node, 2)) return kNoValue;
  const Operand& operand = in.input(node, 2);
  const bool fits = operand.constant && operand.constant->size() == oc;
  if (keep && fits && factor == 1 && operand.quant &&
      operand.constant->type == TensorProto::INT32) {
    const ValueId integers = in.add_constant(operand.name, reshaped(*operand.constant, {oc}));
    return in.graph.add_node(Op::kDequantize, in.unique(operand.quant_name), {integers},
                             *operand.quant);
  }
  const Constant given = in.constant(node, 2);
  auto values = in.floats(node, 2);
  const bool row =
      given.dims.empty() || given.dims.back() == static_cast<std::int64_t>(values.size());
  if (!row || (values.size() != 1 && static_cast<std::int64_t>(values.size()) != oc)) {
    corrupt(node, "bias {} has {} values, needs {}", node.input(2), values.size(), oc);
  }
  if (factor == 1 && fits) return in.add_constant(operand.name, reshaped(given, {oc}));
  values.resize(static_cast<std::size_t>(oc), values[0]);
  for (float& v : values) v *= factor;
  return in.add_constant(operand.name, make_floats({oc}, values));
}

// The integers as s8 with zero points 0, when they fit; channels along `axis`.
std::optional<Constant> symmetric(const Operand& operand, int axis) {
  const Constant& c = *operand.constant;
  const graph::Quant& quant = *operand.quant;
  if (c.type != TensorProto::INT8 && c.type != TensorProto::UINT8) return std::nullopt;
  if (quant.per_channel() && operand.quant_axis != axis) return std::nullopt;
  const bool zero = std::all_of(quant.zero_point.begin(), quant.zero_point.end(),
                                [](std::int32_t z) { return z == 0; });
  if (zero && c.type == TensorProto::INT8) return c;
  std::size_t inner = 1;
  for (std::size_t d = static_cast<std::size_t>(axis) + 1; d < c.dims.size(); ++d) {
    inner *= static_cast<std::size_t>(c.dims[d]);
  }
  std::vector<std::int8_t> shifted(static_cast<std::size_t>(c.size()));
  for (std::size_t i = 0; i < shifted.size(); ++i) {
    const std::size_t k = quant.per_channel() ? i / inner % quant.zero_point.size() : 0;
    const int stored = c.type == TensorProto::UINT8
                           ? static_cast<int>(c.bytes[i])
                           : static_cast<int>(static_cast<std::int8_t>(c.bytes[i]));
    const int value = stored - quant.zero_point[k];
    if (value < -128 || value > 127) return std::nullopt;
    shifted[i] = static_cast<std::int8_t>(value);
  }
  return make_bytes(c.dims, TensorProto::INT8, shifted);
}

using Arrange = std::function<Constant(const Constant&)>;  // to [oc][kh][kw][ic]

// Convolution with the weights of input 1 and the bias of input 2. Weights that cannot become s8
// with zero point 0 are dequantized here: the layer then runs in float, as the file says.
ValueId add_conv(Importer& in, const NodeProto& node, ValueId src, const Window& window,
                 int oc_axis, const Arrange& arrange, float alpha = 1, float beta = 1) {
  const Operand& operand = in.input(node, 1);
  if (!operand.constant) {
    unsupported(node,
                "weights {} are computed from the graph's input; only constants are supported",
                node.input(1));
  }
  const std::int64_t oc = operand.constant->dims[static_cast<std::size_t>(oc_axis)];
  std::optional<Constant> integers;
  if (operand.quant && alpha == 1) integers = symmetric(operand, oc_axis);
  ValueId weights = kNoValue;
  if (integers) {
    weights = in.add_constant(operand.name, arrange(*integers));
    graph::Quant quant = *operand.quant;
    std::fill(quant.zero_point.begin(), quant.zero_point.end(), 0);
    weights = in.graph.add_node(Op::kDequantize, in.unique(operand.quant_name), {weights},
                                std::move(quant));
  } else {
    Constant given = in.constant(node, 1);
    if (!given.is_float()) {
      unsupported(node,
                  "weights {} are {}; must be floating point, or int8 or uint8 behind a "
                  "DequantizeLinear",
                  node.input(1), type_name(given.type));
    }
    if (alpha != 1) {
      auto values = to_floats(given);
      for (float& v : values) v *= alpha;
      given = make_floats(given.dims, values);
    }
    weights = in.add_constant(operand.name, arrange(given));
  }
  std::vector<ValueId> inputs{src, weights};
  const ValueId bias = bias_value(in, node, oc, integers.has_value(), beta);
  if (bias != kNoValue) inputs.push_back(bias);
  return in.add(Op::kConv, node, std::move(inputs), window);
}

void conv(Importer& in, const NodeProto& node) {
  const Operand& src = nchw(in, node, 0);
  const Operand& weights = in.input(node, 1);
  if (weights.constant && weights.constant->dims.size() != 4) {
    unsupported(node, "weights {} have {} dimensions; only 2-D convolutions (4 dimensions)",
                node.input(1), weights.constant->dims.size());
  }
  Window window;
  if (weights.constant) {
    const auto& d = weights.constant->dims;
    const auto kernel = ints_attribute(node, "kernel_shape", {d[2], d[3]});
    if (kernel.size() != 2 || kernel[0] != d[2] || kernel[1] != d[3]) {
      corrupt(node, "kernel_shape does not fit weights of {}x{}", d[2], d[3]);
    }
    if (*std::min_element(d.begin(), d.end()) < 1 || d[2] > kMaxWindow || d[3] > kMaxWindow) {
      corrupt(node, "weights [{}][{}][{}][{}] are empty or too large", d[0], d[1], d[2], d[3]);
    }
    window = read_window(node, in.shape(src), d[2], d[3]);
  }
  const std::int64_t groups = int_attribute(node, "group", 1);
  if (groups < 1 || groups > in.shape(src).c)
    corrupt(node, "{} groups of {} channels", groups, in.shape(src).c);
  window.groups = static_cast<int>(groups);
  const ValueId dst = add_conv(in, node, src.value, window, 0,
                               [](const Constant& w) { return transposed(w, {0, 2, 3, 1}); });
  in.bind(node, {dst, Layout::kNchw});
}

// Fully connected: a convolution whose kernel covers its input.
void dense(Importer& in, const NodeProto& node, bool transposed_weights, float alpha, float beta) {
  const Operand& src = in.activation(node, 0);
  const Operand& weights = in.input(node, 1);
  if (src.layout == Layout::kNchw) {
    unsupported(node, "its input is [N, C, H, W]; only [N, features] is supported");
  }
  if (weights.constant && weights.constant->dims.size() != 2) {
    unsupported(node, "weights {} have {} dimensions; only 2 are supported", node.input(1),
                weights.constant->dims.size());
  }
  graph::Shape s = in.shape(src);
  const Layout layout = src.layout;
  if (layout == Layout::kNhwc) s.h = s.w = 1;  // the same layer at every pixel
  if (weights.constant) {
    const auto& d = weights.constant->dims;
    if (d[transposed_weights ? 1 : 0] != s.size() || d[transposed_weights ? 0 : 1] < 1) {
      corrupt(node, "weights {} are {}x{}, its input has {} features", node.input(1), d[0], d[1],
              s.size());
    }
  }
  if (s.h > kMaxWindow || s.w > kMaxWindow)
    corrupt(node, "an input of {}x{} is too large", s.h, s.w);
  const Window window{.kh = static_cast<int>(s.h), .kw = static_cast<int>(s.w)};
  const auto arrange = [&](const Constant& given) {
    const Constant w = transposed_weights ? given : transposed(given, {1, 0});
    if (layout != Layout::kFlatChw) return reshaped(w, {w.dims[0], s.h, s.w, s.c});
    return transposed(reshaped(w, {w.dims[0], s.c, s.h, s.w}), {0, 2, 3, 1});
  };
  const ValueId dst =
      add_conv(in, node, src.value, window, transposed_weights ? 0 : 1, arrange, alpha, beta);
  in.bind(node, {dst, layout == Layout::kNhwc ? Layout::kNhwc : Layout::kFlatChw});
}

void gemm(Importer& in, const NodeProto& node) {
  if (int_attribute(node, "transA", 0) != 0) unsupported(node, "transA 1; only 0 is supported");
  if (in.activation(node, 0).layout == Layout::kNhwc) {
    unsupported(node, "its input is [N, H, W, C]; only [N, features] is supported");
  }
  dense(in, node, int_attribute(node, "transB", 0) != 0, float_attribute(node, "alpha", 1),
        float_attribute(node, "beta", 1));
}

void matmul(Importer& in, const NodeProto& node) { dense(in, node, false, 1, 1); }

// Padding at the end that makes rounding down give what rounding up asks for: a window that would
// start in the padding behind the input is left out.
int ceil_pad(std::int64_t size, int kernel, int stride, int begin, int end) {
  const std::int64_t room = size + begin + end - kernel;
  if (room < 0) return 0;
  std::int64_t out = (room + stride - 1) / stride + 1;
  if ((out - 1) * stride >= size + begin) --out;
  return static_cast<int>(std::max<std::int64_t>(0, (out - 1) * stride - room));
}

void pool(Importer& in, const NodeProto& node) {
  const bool average = node.op_type() == "AveragePool";
  if (node.output_size() > 1 && !node.output(1).empty()) {
    unsupported(node, "its second output (indices) is not supported");
  }
  const Operand& src = nchw(in, node, 0);
  const graph::Shape& shape = in.shape(src);
  const auto kernel = window_ints(node, "kernel_shape", 2, 0, 1);
  Window w = read_window(node, shape, kernel[0], kernel[1]);
  if (w.pad_top >= w.kh || w.pad_bottom >= w.kh || w.pad_left >= w.kw || w.pad_right >= w.kw) {
    corrupt(node, "pads must be smaller than the {}x{} window", w.kh, w.kw);
  }
  ValueId value = src.value;
  int more_bottom = 0, more_right = 0;
  if (int_attribute(node, "ceil_mode", 0) != 0) {
    more_bottom = ceil_pad(shape.h, w.kh, w.sh, w.pad_top, w.pad_bottom);
    more_right = ceil_pad(shape.w, w.kw, w.sw, w.pad_left, w.pad_right);
  }
  const bool padded = w.pad_top + w.pad_left + w.pad_bottom + w.pad_right > 0;
  w.count_include_pad = average && padded && int_attribute(node, "count_include_pad", 0) != 0;
  if (w.count_include_pad && more_bottom + more_right > 0) {
    // The divisor counts the file's padding but not what rounding up adds: two kinds of padding.
    value = in.add(Op::kPad, node, {value},
                   graph::Pad{w.pad_top, w.pad_left, w.pad_bottom, w.pad_right, 0}, "/pad");
    w.pad_top = w.pad_left = w.pad_bottom = w.pad_right = 0;
    w.count_include_pad = false;
  }
  w.pad_bottom += more_bottom;
  w.pad_right += more_right;
  const Op op = average ? Op::kAveragePool : Op::kMaxPool;
  const graph::DType dtype = in.graph.value(value).dtype;
  in.bind(node, {in.add(op, node, {value}, w, "", dtype), src.layout});
}

ValueId add_global_average(Importer& in, const NodeProto& node, const Operand& src) {
  const graph::Shape& s = in.shape(src);
  if (s.h > kMaxWindow || s.w > kMaxWindow)
    corrupt(node, "an input of {}x{} is too large", s.h, s.w);
  const Window window{.kh = static_cast<int>(s.h), .kw = static_cast<int>(s.w)};
  return in.add(Op::kAveragePool, node, {src.value}, window);
}

void global_average_pool(Importer& in, const NodeProto& node) {
  const Operand& src = nchw(in, node, 0);
  in.bind(node, {add_global_average(in, node, src), src.layout});
}

void reduce_mean(Importer& in, const NodeProto& node) {
  const Operand& src = in.activation(node, 0);
  auto axes = in.has_input(node, 1) ? in.integers(node, 1) : ints_attribute(node, "axes");
  for (std::int64_t& axis : axes) axis = normal_axis(node, axis, in.dims(src).size() + 1);
  std::sort(axes.begin(), axes.end());
  const bool spatial = (src.layout == Layout::kNchw && axes == std::vector<std::int64_t>{2, 3}) ||
                       (src.layout == Layout::kNhwc && axes == std::vector<std::int64_t>{1, 2});
  if (!spatial) unsupported(node, "only the mean over both height and width is supported");
  const bool keep = int_attribute(node, "keepdims", 1) != 0;
  in.bind(node, {add_global_average(in, node, src), keep ? src.layout : Layout::kFlatChw});
}

}  // namespace

std::vector<HandlerRow> window_handlers() {
  return {{"Conv", conv},
          {"Gemm", gemm},
          {"MatMul", matmul},
          {"MaxPool", pool},
          {"AveragePool", pool},
          {"GlobalAveragePool", global_average_pool},
          {"ReduceMean", reduce_mean}};
}

}  // namespace pronghorn::import
