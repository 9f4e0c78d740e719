// SPDX-License-Identifier: Apache-2.0
#include "quantize/prepare.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/passes/passes.h"

namespace pronghorn::quantize {
namespace {

using base::Status;
using graph::Graph;
using graph::Node;
using graph::Op;
using graph::Tensor;

// A batch norm that no convolution could take in is a 1x1 convolution of each channel.
void batch_norms_to_convolutions(Graph& g) {
  for (Node& node : g.nodes) {
    if (node.op != Op::kBatchNorm) continue;
    const Tensor scale = g.constant(node.inputs[1]);
    const auto values = scale.values<float>();
    node.op = Op::kConv;
    graph::Window window;
    window.groups = static_cast<int>(scale.size());
    node.attributes = window;
    node.inputs[1] = g.add_constant(
        node.name + "_weights",
        Tensor::from<float>({scale.size(), 1, 1, 1}, {values.begin(), values.end()}));
  }
}

void give_every_convolution_a_bias(Graph& g) {
  for (Node& node : g.nodes) {
    if (node.op != Op::kConv || node.inputs.size() == 3) continue;
    const std::int64_t oc = g.value(node.inputs[1]).dims[0];
    node.inputs.push_back(g.add_constant(
        node.name + "_bias",
        Tensor::from<float>({oc}, std::vector<float>(static_cast<std::size_t>(oc)))));
  }
}

void require_constant_weights(const Graph& g) {
  for (const Node& node : g.nodes) {
    if (node.op != Op::kConv) continue;
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (!g.value(node.inputs[i]).constant) {
        base::fail(Status::kUnsupported, "node {}: its weights are computed; must be constant",
                   node.name);
      }
    }
  }
}

Node& first_convolution(Graph& g) {
  Node* found = nullptr;
  for (Node& node : g.nodes) {
    if (std::find(node.inputs.begin(), node.inputs.end(), g.inputs[0]) == node.inputs.end()) {
      continue;
    }
    if (node.op != Op::kConv || found || node.as<graph::Window>().groups != 1) {
      base::fail(Status::kUnsupported,
                 "node {} ({}) takes the input image; only one ungrouped convolution may, because "
                 "the preprocess is folded into its weights",
                 node.name, name_of(node.op));
    }
    found = &node;
  }
  if (!found) {
    base::fail(Status::kUnsupported, "no node of graph {} takes the input image", g.name);
  }
  return *found;
}

// With x = (p - mean) / std and p' = p - z:  w x = (w / std) p' + (w / std) (z - mean).
// The second term does not depend on the image and joins the bias.
void fold_preprocess(Graph& g, Node& conv, const graph::Preprocess& pre,
                     const std::array<std::int32_t, 3>& zero_point) {
  const Tensor old_weights = g.constant(conv.inputs[1]);
  const Tensor old_bias = g.constant(conv.inputs[2]);
  const auto w = old_weights.values<float>();
  const auto b = old_bias.values<float>();
  std::vector<float> weights(w.size()), bias(b.size());
  const std::size_t row = w.size() / b.size();
  for (std::size_t oc = 0; oc < b.size(); ++oc) {
    double sum = b[oc];
    for (std::size_t i = 0; i < row; i += 3) {
      for (std::size_t c = 0; c < 3; ++c) {  // model channel c sees pixel channel `rgb`
        const std::size_t rgb = pre.bgr ? 2 - c : c;
        const double scaled = static_cast<double>(w[oc * row + i + c]) / pre.std[c];
        weights[oc * row + i + rgb] = static_cast<float>(scaled);
        sum += scaled * (static_cast<double>(zero_point[rgb]) - pre.mean[c]);
      }
    }
    bias[oc] = static_cast<float>(sum);
  }
  const std::string weights_name = g.value(conv.inputs[1]).name;
  const std::string bias_name = g.value(conv.inputs[2]).name;
  conv.inputs[1] =
      g.add_constant(weights_name, Tensor::from(old_weights.dims(), std::move(weights)));
  conv.inputs[2] = g.add_constant(bias_name, Tensor::from(old_bias.dims(), std::move(bias)));
}

// The means as zero points, the rest of the preprocess in the first convolution.
void fold_pixels(Prepared& prepared) {
  Graph& g = prepared.graph;
  const graph::Preprocess pre = *g.preprocess;
  for (std::size_t c = 0; c < 3; ++c) {
    // Means outside the pixels' range (a model trained on other units) keep their rest in the bias.
    const float mean = pre.mean[pre.bgr ? 2 - c : c];
    prepared.zero_point[c] =
        static_cast<std::int32_t>(std::nearbyint(std::clamp(mean, 0.0f, 255.0f)));
  }
  Node& conv = first_convolution(g);
  fold_preprocess(g, conv, pre, prepared.zero_point);
  g.preprocess.reset();
}

void require_pixels(const Graph& g) {
  if (!g.preprocess) {
    base::fail(Status::kInvalidArgument,
               "graph {} does not say how pixels become its input; name a preprocess (torch, "
               "caffe, tf) first",
               g.name);
  }
  if (g.inputs.size() != 1 || g.value(g.inputs[0]).shape.c != 3) {
    base::fail(Status::kUnsupported, "graph {} must have one input of three channels", g.name);
  }
  const graph::Preprocess& pre = *g.preprocess;
  for (std::size_t c = 0; c < 3; ++c) {
    if (!(pre.std[c] > 0) || !std::isfinite(pre.std[c]) || !std::isfinite(pre.mean[c])) {
      base::fail(Status::kInvalidArgument,
                 "preprocess of graph {}: mean {} and std {} must be finite, std positive", g.name,
                 pre.mean[c], pre.std[c]);
    }
  }
}

}  // namespace

Prepared prepare(const Graph& original, bool takes_pixels) {
  if (graph::is_quantized(original)) {
    base::fail(Status::kInvalidArgument, "graph {} is quantized already; a float graph is needed",
               original.name);
  }
  if (takes_pixels) {
    require_pixels(original);
  } else if (original.inputs.size() != 1) {
    base::fail(Status::kUnsupported, "graph {} has {} inputs; one is supported", original.name,
               original.inputs.size());
  }
  Prepared prepared{original, {}, takes_pixels};
  Graph& g = prepared.graph;
  graph::passes::fold(g);
  require_constant_weights(g);
  batch_norms_to_convolutions(g);
  give_every_convolution_a_bias(g);
  if (takes_pixels) fold_pixels(prepared);
  graph::passes::drop_dead(g);
  graph::verify(g);
  return prepared;
}

}  // namespace pronghorn::quantize
