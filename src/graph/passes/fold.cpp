// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "graph/passes/passes.h"
#include "graph/passes/uses.h"
#include "graph/quantized_constant.h"

namespace pronghorn::graph::passes {
namespace {

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

bool is_float_constant(const Graph& graph, ValueId id) {
  return graph.value(id).constant && graph.value(id).dtype == DType::kF32;
}

bool has_float_constants(const Graph& graph, const Node& conv) {
  return is_float_constant(graph, conv.inputs[1]) &&
         (conv.inputs.size() < 3 || is_float_constant(graph, conv.inputs[2]));
}

std::vector<double> bias_or_zero(const Graph& graph, const Node& conv) {
  if (conv.inputs.size() < 3) return std::vector<double>(graph.constant(conv.inputs[1]).dims()[0]);
  const auto bias = graph.constant(conv.inputs[2]).values<float>();
  return {bias.begin(), bias.end()};
}

// Gives `conv` its own weights and bias; other readers of the old constants keep them.
void set_constants(Graph& graph, Node& conv, std::vector<float> weights,
                   const std::vector<double>& bias) {
  const auto dims = graph.value(conv.inputs[1]).dims;
  const ValueId src = conv.inputs[0];
  const ValueId weights_id =
      graph.add_constant(graph.value(conv.inputs[1]).name, Tensor::from(dims, std::move(weights)));
  const ValueId bias_id = graph.add_constant(
      conv.name + ".bias", Tensor::from({dims[0]}, std::vector<float>(bias.begin(), bias.end())));
  conv.inputs = {src, weights_id, bias_id};
}

// y = conv(x) * scale[oc] + shift[oc]
void scale_output(Graph& graph, Node& conv, const Node& norm) {
  const Tensor tensor = graph.constant(conv.inputs[1]);
  const auto weights = tensor.values<float>();
  const auto scale = graph.constant(norm.inputs[1]).values<float>();
  const auto shift = graph.constant(norm.inputs[2]).values<float>();
  const std::size_t per_channel = weights.size() / scale.size();
  std::vector<float> scaled(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    scaled[i] = static_cast<float>(static_cast<double>(weights[i]) * scale[i / per_channel]);
  }
  std::vector<double> bias = bias_or_zero(graph, conv);
  for (std::size_t oc = 0; oc < bias.size(); ++oc) bias[oc] = bias[oc] * scale[oc] + shift[oc];
  set_constants(graph, conv, std::move(scaled), bias);
}

// y = conv(x * scale[ic] + shift[ic]), without padding: the shift adds a constant to each output.
void scale_input(Graph& graph, Node& conv, const Node& norm) {
  const Tensor tensor = graph.constant(conv.inputs[1]);
  const auto weights = tensor.values<float>();
  const auto scale = graph.constant(norm.inputs[1]).values<float>();
  const auto shift = graph.constant(norm.inputs[2]).values<float>();
  const auto oc_count = static_cast<std::size_t>(tensor.dims()[0]);
  const auto ic_count = static_cast<std::size_t>(tensor.dims()[3]);  // of one group
  const auto oc_group = oc_count / static_cast<std::size_t>(conv.as<Window>().groups);
  const std::size_t per_channel = weights.size() / oc_count;
  std::vector<float> scaled(weights.size());
  std::vector<double> bias = bias_or_zero(graph, conv);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::size_t oc = i / per_channel;
    const std::size_t ic = oc / oc_group * ic_count + i % ic_count;
    scaled[i] = static_cast<float>(static_cast<double>(weights[i]) * scale[ic]);
    bias[oc] += static_cast<double>(weights[i]) * shift[ic];
  }
  set_constants(graph, conv, std::move(scaled), bias);
}

bool is_padded(const Window& w) {
  return w.pad_top != 0 || w.pad_left != 0 || w.pad_bottom != 0 || w.pad_right != 0;
}

// BatchNorm after a convolution that nothing else reads. One sweep folds chains of them too.
void fold_norm_into_conv_before(Graph& graph) {
  Uses uses(graph);
  std::vector<bool> removed(graph.nodes.size(), false);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& norm = graph.nodes[i];
    if (norm.op != Op::kBatchNorm) continue;
    if (!is_float_constant(graph, norm.inputs[1]) || !is_float_constant(graph, norm.inputs[2])) {
      continue;
    }
    const ValueId src = norm.inputs[0];
    const int producer = uses.producer[at(src)];
    if (producer < 0 || uses.consumers[at(src)].size() != 1 || uses.is_output[at(src)]) continue;
    Node& conv = graph.nodes[static_cast<std::size_t>(producer)];
    if (conv.op != Op::kConv || !has_float_constants(graph, conv)) continue;
    scale_output(graph, conv, norm);
    conv.output = norm.output;
    uses.producer[at(conv.output)] = producer;
    removed[i] = true;
  }
  std::vector<Node> kept;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!removed[i]) kept.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(kept);
}

// BatchNorm before convolutions: exact only when none of them pads, because padding is zero after
// the normalisation, not before it.
void fold_norm_into_convs_after(Graph& graph) {
  const Uses uses(graph);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node norm = graph.nodes[i];
    if (norm.op != Op::kBatchNorm || uses.is_output[at(norm.output)]) continue;
    if (!is_float_constant(graph, norm.inputs[1]) || !is_float_constant(graph, norm.inputs[2])) {
      continue;
    }
    const auto& readers = uses.consumers[at(norm.output)];
    const bool foldable =
        !readers.empty() && std::all_of(readers.begin(), readers.end(), [&](int r) {
          const Node& conv = graph.nodes[static_cast<std::size_t>(r)];
          return conv.op == Op::kConv && conv.inputs[0] == norm.output &&
                 has_float_constants(graph, conv) && !is_padded(conv.as<Window>());
        });
    if (!foldable) continue;
    for (const int r : readers) {
      Node& conv = graph.nodes[static_cast<std::size_t>(r)];
      scale_input(graph, conv, norm);
      conv.inputs[0] = norm.inputs[0];
    }
  }
}

// Values that cannot be negative, by what makes them.
std::vector<bool> known_non_negative(const Graph& graph) {
  std::vector<bool> known(graph.values.size(), false);
  for (const Node& node : graph.nodes) {
    const bool inputs = std::all_of(node.inputs.begin(), node.inputs.end(),
                                    [&](ValueId id) { return known[at(id)]; });
    bool result = false;
    switch (node.op) {
      case Op::kRelu:
      case Op::kSoftmax:
        result = true;
        break;
      case Op::kClip:
        result = node.as<Clip>().lo >= 0;
        break;
      case Op::kPad:
        result = inputs && node.as<Pad>().value >= 0;
        break;
      case Op::kAdd:
      case Op::kAveragePool:
      case Op::kMaxPool:
      case Op::kConcat:
      case Op::kFlatten:
        result = inputs;
        break;
      default:
        break;
    }
    known[at(node.output)] = result;
  }
  return known;
}

void add_pads(Window& window, const Pad& pad) {
  window.pad_top += pad.top;
  window.pad_left += pad.left;
  window.pad_bottom += pad.bottom;
  window.pad_right += pad.right;
}

// A border of zeros becomes padding of the window that reads it, where that means the same.
void fold_pad(Graph& graph) {
  const Uses uses(graph);
  const std::vector<bool> non_negative = known_non_negative(graph);
  for (Node& node : graph.nodes) {
    if (node.op != Op::kConv && node.op != Op::kMaxPool && node.op != Op::kAveragePool) continue;
    const int producer = uses.producer[at(node.inputs[0])];
    if (producer < 0) continue;
    const Node& border = graph.nodes[static_cast<std::size_t>(producer)];
    if (border.op != Op::kPad || border.as<Pad>().value != 0 ||
        graph.value(border.output).dtype != DType::kF32) {
      continue;
    }
    Window padded = node.as<Window>();
    add_pads(padded, border.as<Pad>());
    // A pool's window must see at least one real pixel; then zeros cannot win over values >= 0.
    const bool sees_source = padded.pad_top < padded.kh && padded.pad_bottom < padded.kh &&
                             padded.pad_left < padded.kw && padded.pad_right < padded.kw;
    if (node.op == Op::kMaxPool && !(sees_source && non_negative[at(border.inputs[0])])) continue;
    if (node.op == Op::kAveragePool) {
      const Window& own = node.as<Window>();
      if (is_padded(own) && !own.count_include_pad) continue;
      padded.count_include_pad = true;
    }
    node.attributes = padded;
    node.inputs[0] = border.inputs[0];
  }
}

}  // namespace

void fold(Graph& graph) {
  fold_quantized_constants(graph);
  fold_norm_into_conv_before(graph);
  fold_pad(graph);
  fold_norm_into_convs_after(graph);
  drop_dead(graph);
}

}  // namespace pronghorn::graph::passes
