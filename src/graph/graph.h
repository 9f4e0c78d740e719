// SPDX-License-Identifier: Apache-2.0
// The graph that importers make, passes rewrite, the quantizer annotates and devices compile.
//
// Activations are NHWC; N is the batch, chosen at run time, and is not part of a shape. A vector of
// features is {1, 1, c}. A fully connected layer is a convolution whose kernel covers its input, so
// there is no separate op for it. Nodes stand in an order in which every input is made before use.
//
// A graph has one of three forms, told apart by its ops alone:
//   float      float ops on float32 values.
//   QDQ        the same, with QuantizeLinear / DequantizeLinear nodes: what ONNX files carry.
//   integer    QDQ after passes::lower_quantized: kQ* ops on u8/s8 values, which obey src/arith.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "arith/requantize.h"
#include "graph/tensor.h"

namespace pronghorn::graph {

using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

struct Shape {
  std::int64_t h = 1;
  std::int64_t w = 1;
  std::int64_t c = 1;
  std::int64_t size() const { return h * w * c; }  // elements of one image
  bool operator==(const Shape&) const = default;
};

enum class Op : std::uint8_t {
  // float32 in and out
  kConv,         // inputs: src, weights, [bias]                      attributes: Window
  kBatchNorm,    // inputs: src, scale, shift: y = x * scale[c] + shift[c] (folded by the importer)
  kRelu,         // inputs: src
  kClip,         // inputs: src                                       attributes: Clip
  kAdd,          // inputs: a, b of one shape
  kAveragePool,  // inputs: src                                       attributes: Window
  kSoftmax,      // inputs: src; over channels
  // any activation type, unchanged by the op
  kMaxPool,  // inputs: src; padding never wins                       attributes: Window
  kPad,      // inputs: src; constant border                          attributes: Pad
  kConcat,   // inputs: one or more; along channels
  kFlatten,  // inputs: src {h, w, c} -> {1, 1, h*w*c}, NHWC order
  // the bridge
  kQuantize,    // inputs: src f32 -> u8 or s8                        attributes: Quant
  kDequantize,  // inputs: src u8, s8 or s32 -> f32                   attributes: Quant
  // integer law (src/arith)
  kQConv,         // inputs: src, weights s8, bias s32, [residual]    attributes: QConv
  kQAdd,          // inputs: a, b                                     attributes: QAdd
  kQAveragePool,  // inputs: src                                      attributes: QAveragePool
  kRequantize,    // inputs: src                                      attributes: Requantize
};
std::string_view name_of(Op op);

// A sliding window: kernel, stride and padding in pixels. Output size is
// (size + pads - kernel) / stride + 1, rounded down; the importer turns ceil_mode and SAME into
// explicit pads.
struct Window {
  int kh = 1, kw = 1;
  int sh = 1, sw = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int groups = 1;                  // convolution only
  bool count_include_pad = false;  // average pool only: the divisor counts padding
  bool operator==(const Window&) const = default;
};

struct Clip {
  float lo = 0;
  float hi = 0;
};

struct Pad {
  int top = 0, left = 0, bottom = 0, right = 0;
  float value = 0;  // for integer activations: the stored integer
};

// One entry, or one for each index along `axis` of a constant tensor (0: output channel) or of an
// activation (kChannelAxis).
struct Quant {
  std::vector<float> scale;
  std::vector<std::int32_t> zero_point;
  bool per_channel() const { return scale.size() > 1; }
};

// acc[oc] = bias[oc] + sum (src - z_src) * weights; padding contributes nothing.
// dst u8/s8: requantize or requantize_residual. dst f32 (logits): fp32(acc) * m[oc].
struct QConv {
  Window window;
  std::vector<std::int32_t> z_src;  // one, or one for each input channel (the raw image)
  std::vector<float> m;             // one for each output channel
  std::int32_t z_dst = 0;
  arith::Range range = arith::kU8;  // of the stored result; narrower than its type after ReLU, Clip
  std::int32_t z_res = 0;           // residual only
  float m_res = 0;
};

struct QAdd {
  std::int32_t z_a = 0, z_b = 0, z_dst = 0;
  float m_a = 0, m_b = 0;
  arith::Range range = arith::kU8;
};

// acc = sum (src - z_src) over the window; q = requantize(acc, m[count - 1], z_dst, range) where
// count is the divisor at that place (padding counted or not), m[i] = s_src / (s_dst * (i + 1)).
// dst f32: fp32(acc) * m[count - 1].
struct QAveragePool {
  Window window;
  std::int32_t z_src = 0, z_dst = 0;
  std::vector<float> m;
  arith::Range range = arith::kU8;
};

// q = requantize(src - z_src, m, z_dst, range): a change of scale, a lone ReLU or Clip.
struct Requantize {
  std::int32_t z_src = 0, z_dst = 0;
  float m = 0;
  arith::Range range = arith::kU8;
};

using Attributes =
    std::variant<std::monostate, Window, Clip, Pad, Quant, QConv, QAdd, QAveragePool, Requantize>;

// A tensor in the graph: an activation (shape), a constant (constant and dims), or a dequantized
// constant (dims only), which is what the weights of a QDQ convolution are.
struct Value {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;                     // activations
  std::vector<std::int64_t> dims;  // constants; empty for activations
  std::optional<Tensor> constant;
};

struct Node {
  Op op = Op::kRelu;
  std::string name;
  std::vector<ValueId> inputs;
  ValueId output = kNoValue;
  Attributes attributes;

  template <typename T>
  const T& as() const {
    return std::get<T>(attributes);
  }
};

// How a photograph becomes the float input: x[c] = (pixel[order(c)] - mean[c]) / std[c], pixels
// 0..255, mean and std in the model's own channel order. Graphs whose input is u8 take the pixels
// themselves, RGB; the rest is inside their first convolution.
struct Preprocess {
  std::array<float, 3> mean{0, 0, 0};
  std::array<float, 3> std{1, 1, 1};
  bool bgr = false;
  bool operator==(const Preprocess&) const = default;
};

struct Graph {
  std::string name;
  std::string format;  // what it was read from: "onnx", "keras"; empty when made in memory
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;           // activations
  std::vector<ValueId> outputs;          // activations, in the order of the file
  std::optional<Preprocess> preprocess;  // known for float inputs of image models
  std::string resize;                    // "direct:224", "short:256,crop:224"; empty if unknown
  std::vector<std::string> labels;       // class names by index; empty if unknown
  std::vector<std::string> label_ids;    // WordNet ids by index; empty if unknown
  std::map<std::string, std::string> metadata;  // whatever else the file said of itself

  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
  const Tensor& constant(ValueId id) const { return value(id).constant.value(); }

  ValueId add_value(std::string value_name, DType dtype, Shape shape);
  ValueId add_constant(std::string value_name, Tensor tensor);
  // Makes the output value (its shape and type follow from the op) and appends the node.
  // Throws Error(kCorrupt) naming the node when inputs do not fit the op.
  ValueId add_node(Op op, std::string node_name, std::vector<ValueId> inputs,
                   Attributes attributes = {}, DType dst = DType::kF32);
};

// Output size of a window along one axis; 0 or less when the window does not fit.
std::int64_t window_out(std::int64_t size, int kernel, int stride, int pad_begin, int pad_end);

// The output shape of a node from its inputs; throws Error(kCorrupt) naming the node and what it
// needs. `graph` must hold the inputs.
Shape infer_shape(const Graph& graph, const Node& node);

// Checks every rule stated in this file (order, arity, shapes, types, constants finite, ranges).
// Throws Error(kCorrupt) naming the node. Importers and passes end with it.
void verify(const Graph& graph);

// One line a node: name, op, shapes, types.
std::string to_string(const Graph& graph);

// Multiply-accumulates of one image.
std::int64_t macs(const Graph& graph);
std::int64_t macs(const Graph& graph, const Node& node);

// True when any node is a kQuantize/kDequantize or integer op.
bool is_quantized(const Graph& graph);

}  // namespace pronghorn::graph
