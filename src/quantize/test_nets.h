// SPDX-License-Identifier: Apache-2.0
// Small seeded networks and images for the tests of this room.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "quantize/quantize.h"

namespace pronghorn::quantize::testing {

inline constexpr graph::Preprocess kTorch{{123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}};
inline constexpr graph::Preprocess kCaffe{{103.939f, 116.779f, 123.68f}, {1, 1, 1}, true};

class NetBuilder {
 public:
  NetBuilder(unsigned seed, int width, const graph::Preprocess& preprocess) : random_(seed) {
    net_.name = "net";
    net_.preprocess = preprocess;
    net_.inputs = {net_.add_value("image", graph::DType::kF32, {width, width, 3})};
  }

  graph::ValueId input() const { return net_.inputs[0]; }

  // He-initialised, with a bias. `groups` -1: depthwise. `uneven` spreads the channels' ranges.
  graph::ValueId conv(const std::string& name, graph::ValueId src, std::int64_t oc, int kernel,
                      int stride = 1, int groups = 1, float uneven = 0) {
    const std::int64_t ic = net_.value(src).shape.c;
    if (groups < 0) groups = static_cast<int>(ic);
    const std::int64_t fan = ic / groups * kernel * kernel;
    std::normal_distribution<float> normal;
    std::vector<float> weights(static_cast<std::size_t>(oc * fan)), bias;
    for (std::int64_t o = 0; o < oc; ++o) {
      const float gain = std::exp(uneven * normal(random_));
      for (std::int64_t i = 0; i < fan; ++i) {
        weights[static_cast<std::size_t>(o * fan + i)] =
            gain * normal(random_) * std::sqrt(2.0f / static_cast<float>(fan));
      }
      bias.push_back(0.1f * gain * normal(random_));
    }
    const int pad = kernel / 2;
    graph::Window window{kernel, kernel, stride, stride, pad, pad, pad, pad, groups};
    const auto w = net_.add_constant(
        name + ".weight",
        graph::Tensor::from({oc, kernel, kernel, ic / groups}, std::move(weights)));
    const auto b = net_.add_constant(name + ".bias", graph::Tensor::from({oc}, std::move(bias)));
    return net_.add_node(graph::Op::kConv, name, {src, w, b}, window);
  }
  graph::ValueId relu(graph::ValueId src) {
    return net_.add_node(graph::Op::kRelu, net_.value(src).name + "_relu", {src});
  }
  graph::ValueId clip(graph::ValueId src, float lo, float hi) {
    return net_.add_node(graph::Op::kClip, net_.value(src).name + "_clip", {src},
                         graph::Clip{lo, hi});
  }
  graph::ValueId add(const std::string& name, graph::ValueId a, graph::ValueId b) {
    return net_.add_node(graph::Op::kAdd, name, {a, b});
  }
  graph::ValueId node(graph::Op op, const std::string& name, std::vector<graph::ValueId> inputs,
                      graph::Attributes attributes = {}) {
    return net_.add_node(op, name, std::move(inputs), std::move(attributes));
  }
  graph::ValueId global_pool(graph::ValueId src) {
    const graph::Shape s = net_.value(src).shape;
    return node(graph::Op::kAveragePool, "pool", {src},
                graph::Window{static_cast<int>(s.h), static_cast<int>(s.w)});
  }
  graph::Graph finish(graph::ValueId output) {
    net_.outputs = {output};
    graph::verify(net_);
    return std::move(net_);
  }
  graph::Graph& graph() { return net_; }

 private:
  std::mt19937 random_;
  graph::Graph net_;
};

// Convolution, max pool, a block with a projection and one without, average pool, classifier.
inline graph::Graph residual_net(unsigned seed, const graph::Preprocess& preprocess = kTorch) {
  NetBuilder b(seed, 20, preprocess);
  auto x = b.relu(b.conv("stem", b.input(), 16, 3, 2));
  x = b.node(graph::Op::kMaxPool, "max", {x}, graph::Window{3, 3, 2, 2, 1, 1, 1, 1});
  auto y = b.conv("a2", b.relu(b.conv("a1", x, 8, 3)), 32, 1);
  x = b.relu(b.add("a", y, b.conv("a_down", x, 32, 1)));
  y = b.conv("b2", b.relu(b.conv("b1", x, 8, 3)), 32, 1);
  x = b.relu(b.add("b", y, x));
  x = b.node(graph::Op::kFlatten, "flat", {b.global_pool(x)});
  return b.finish(b.conv("logits", x, 10, 1));
}

// Pointwise and depthwise convolutions with uneven channels, Relu or Clip between them.
inline graph::Graph mobile_net(unsigned seed, bool clip) {
  NetBuilder b(seed, 20, kTorch);
  const auto act = [&](graph::ValueId v) { return clip ? b.clip(v, 0, 6) : b.relu(v); };
  auto x = act(b.conv("stem", b.input(), 16, 3, 2, 1, 1.5f));
  x = act(b.conv("dw1", x, 16, 3, 1, -1, 1.0f));
  x = act(b.conv("pw1", x, 32, 1, 1, 1, 1.5f));
  x = act(b.conv("dw2", x, 32, 3, 2, -1, 1.0f));
  x = act(b.conv("pw2", x, 32, 1, 1, 1, 1.0f));
  x = b.node(graph::Op::kFlatten, "flat", {b.global_pool(x)});
  return b.finish(b.conv("logits", x, 10, 1));
}

// Smooth blobs: neighbours alike, as photographs are.
inline std::vector<std::uint8_t> images(unsigned seed, int count, int width) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<std::uint8_t> pixels;
  for (int n = 0; n < count; ++n) {
    float phase[3], fx[3], fy[3];
    for (int c = 0; c < 3; ++c) {
      phase[c] = 6.28f * uniform(random);
      fx[c] = uniform(random);
      fy[c] = uniform(random);
    }
    for (int y = 0; y < width; ++y) {
      for (int x = 0; x < width; ++x) {
        for (int c = 0; c < 3; ++c) {
          const float wave =
              std::sin(phase[c] + fx[c] * static_cast<float>(x) + fy[c] * static_cast<float>(y));
          const float value = 127.0f + 100.0f * wave + 20.0f * (uniform(random) - 0.5f);
          pixels.push_back(static_cast<std::uint8_t>(value));
        }
      }
    }
  }
  return pixels;
}

}  // namespace pronghorn::quantize::testing
