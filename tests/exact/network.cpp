// SPDX-License-Identifier: Apache-2.0
#include "network.h"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace pronghorn::exact {
namespace {

using graph::DType;
using graph::Graph;
using graph::Op;
using graph::Tensor;
using graph::ValueId;
using graph::Window;

// A float value and about how large its elements are, so that scales can be chosen that fit.
struct Real {
  ValueId id = graph::kNoValue;
  double typical = 1;
  bool quantized = false;  // it comes out of a DequantizeLinear, or holds such values
  bool positive = false;
};

class Builder {
 public:
  Builder(std::uint32_t seed, bool every_value) : random_(seed), every_value_(every_value) {}

  Graph build(std::uint32_t seed) {
    graph_.name = fmt::format("network {}", seed);
    Real x = image();
    x = qdq(activation(conv(x, channels(), square(one_of({3, 5, 7}), 2))));
    if (chance(2)) x = pool(Op::kMaxPool, x, square(3, 2));
    const int blocks = pick(1, 3);
    for (int i = 0; i < blocks; ++i) x = block(x);
    x = head(x);
    graph_.outputs.push_back(x.id);
    graph::verify(graph_);
    return std::move(graph_);
  }

 private:
  int pick(int lo, int hi) {
    return lo + static_cast<int>(random_() % static_cast<std::uint32_t>(hi - lo + 1));
  }
  bool chance(int n) { return random_() % static_cast<std::uint32_t>(n) == 0; }
  int one_of(std::initializer_list<int> values) {
    return values.begin()[random_() % values.size()];
  }
  double around(double x) { return x * std::exp2(pick(-10, 10) / 10.0); }
  int channels() { return one_of({3, 4, 8, 12, 16, 17, 24, 33}); }
  std::string name(const char* op) { return fmt::format("{}_{}", op, graph_.nodes.size()); }
  const graph::Shape& shape(const Real& x) const { return graph_.value(x.id).shape; }

  static Window square(int kernel, int stride) {
    Window w;
    w.kh = w.kw = kernel;
    w.sh = w.sw = stride;
    w.pad_top = w.pad_left = w.pad_bottom = w.pad_right = kernel / 2;
    return w;
  }

  Real image() {
    const int h = pick(9, 22);
    graph_.inputs = {graph_.add_value("image", DType::kU8, {h, chance(2) ? h : pick(9, 22), 3})};
    graph::Quant q{{1.0f}, {chance(2) ? 0 : 128}};
    if (chance(2)) q = {{1, 1, 1}, {124, 116, 104}};
    return {graph_.add_node(Op::kDequantize, "image_dq", graph_.inputs, q), 70, true, false};
  }

  Real qdq(const Real& x) {
    const DType dtype = chance(4) ? DType::kS8 : DType::kU8;
    const double steps = x.positive && dtype == DType::kU8 ? 255 : 127;
    const auto scale = static_cast<float>(around(x.typical * 3 / steps));
    std::int32_t z = dtype == DType::kU8 && !x.positive ? pick(110, 140) : 0;
    if (chance(6)) z = dtype == DType::kU8 ? pick(0, 255) : pick(-128, 127);
    return stored(x, scale, z, dtype);
  }

  Real stored(const Real& x, float scale, std::int32_t z, DType dtype) {
    const graph::Quant quant{{scale}, {z}};
    const ValueId q = graph_.add_node(Op::kQuantize, name("q"), {x.id}, quant, dtype);
    if (every_value_) graph_.outputs.push_back(q);
    return {graph_.add_node(Op::kDequantize, name("dq"), {q}, quant), x.typical, true, x.positive};
  }

  // Weights as quantizers write them: s8 or u8 around 128, one scale or one for each channel; the
  // bias s32 at the right scale, at another one, float32, or none.
  Real conv(const Real& src, int oc, const Window& w) {
    const auto dims = std::vector<std::int64_t>{oc, w.kh, w.kw, shape(src).c / w.groups};
    const auto per_channel = static_cast<std::size_t>(dims[1] * dims[2] * dims[3]);
    const bool u8 = chance(4);
    graph::Quant quant;
    const double base = around(0.01);
    const int scales = chance(3) ? 1 : oc;
    for (int c = 0; c < scales; ++c) {
      quant.scale.push_back(static_cast<float>(around(base)));
      quant.zero_point.push_back(u8 ? 128 : 0);
    }
    std::vector<std::uint8_t> bytes(per_channel * static_cast<std::size_t>(oc));
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random_());
    const ValueId weights =
        u8 ? graph_.add_constant(name("weights"), Tensor::from(dims, bytes))
           : graph_.add_constant(
                 name("weights"),
                 Tensor::from(dims, std::vector<std::int8_t>(bytes.begin(), bytes.end())));
    std::vector<ValueId> inputs{src.id,
                                graph_.add_node(Op::kDequantize, name("wdq"), {weights}, quant)};
    add_bias(inputs, oc, quant);
    const double typical = src.typical * base * 73 * std::sqrt(static_cast<double>(per_channel));
    return {graph_.add_node(Op::kConv, name("conv"), inputs, w), typical, false, false};
  }

  void add_bias(std::vector<ValueId>& inputs, int oc, graph::Quant quant) {
    const int kind = pick(0, 4);
    if (kind == 0) return;
    std::vector<std::int32_t> bias(static_cast<std::size_t>(oc));
    for (auto& b : bias) b = pick(-2000, 2000);
    const auto& producer = graph_.nodes[producer_of(inputs[0])].as<graph::Quant>();
    for (std::size_t c = 0; c < quant.scale.size(); ++c) {
      quant.scale[c] = producer.scale[0] * quant.scale[c] * (kind == 1 ? 1.1f : 1.0f);
      quant.zero_point[c] = 0;
    }
    if (kind == 2) {
      std::vector<float> real(bias.begin(), bias.end());
      for (float& b : real) b *= 1.3f * quant.scale[0];
      inputs.push_back(graph_.add_constant(name("bias"), Tensor::from({oc}, real)));
    } else {
      const ValueId id = graph_.add_constant(name("bias"), Tensor::from({oc}, bias));
      inputs.push_back(graph_.add_node(Op::kDequantize, name("bdq"), {id}, quant));
    }
  }

  // Of the value's scale: through the ops that keep it.
  std::size_t producer_of(ValueId id) const {
    for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
      if (graph_.nodes[i].output != id) continue;
      return graph_.nodes[i].op == Op::kDequantize ? i : producer_of(graph_.nodes[i].inputs[0]);
    }
    base::fail(base::Status::kInternal, "value {} has no scale", id);
  }

  Real activation(Real x) {
    const int kind = pick(0, 4);
    if (kind == 0) return x;
    if (kind == 1) {
      const auto hi = static_cast<float>(around(x.typical * 1.5));
      const float lo = chance(2) ? 0 : static_cast<float>(-around(x.typical));
      return {graph_.add_node(Op::kClip, name("clip"), {x.id}, graph::Clip{lo, hi}), x.typical,
              false, lo >= 0};
    }
    return {graph_.add_node(Op::kRelu, name("relu"), {x.id}), x.typical, false, true};
  }

  Real pool(Op op, const Real& x, Window w) {
    if (op == Op::kAveragePool) w.count_include_pad = chance(2);
    const bool keeps = op == Op::kMaxPool && x.quantized;
    return {graph_.add_node(op, name("pool"), {x.id}, w), x.typical, keeps, x.positive};
  }

  Real add(const Real& a, const Real& b) {
    const bool swap = chance(2);
    return {graph_.add_node(Op::kAdd, name("add"), {swap ? b.id : a.id, swap ? a.id : b.id}),
            std::hypot(a.typical, b.typical), false, a.positive && b.positive};
  }

  Real block(const Real& x) {
    switch (pick(0, 4)) {
      case 0:
        return residual(x);
      case 1:
        return separable(x);
      case 2:
        return branches(x);
      case 3:
        return padded(x);
      default:
        return pooled(x);
    }
  }

  Real residual(const Real& x) {
    const int oc = chance(2) ? static_cast<int>(shape(x).c) : channels();
    const int stride = chance(3) ? 2 : 1;
    Real main = qdq(activation(conv(x, channels(), square(3, stride))));
    main = conv(main, oc, square(1, 1));
    Real side = x;
    if (stride != 1 || oc != shape(x).c) side = conv(x, oc, square(1, stride));
    // Both branches plain convolutions: a sum that only float can hold.
    if (!side.quantized && !chance(6)) side = qdq(side);
    if (chance(3)) main = qdq(main);
    return qdq(activation(add(main, side)));
  }

  Real separable(const Real& x) {
    Window w = square(one_of({3, 3, 5}), chance(3) ? 2 : 1);
    w.groups = static_cast<int>(shape(x).c);
    const int multiplier = chance(4) ? 2 : 1;
    Real y = qdq(activation(conv(x, w.groups * multiplier, w)));
    y = conv(y, channels(), square(1, 1));
    // Quantized before the activation, as some tools leave it.
    if (chance(3)) y = qdq(y);
    return qdq(activation(y));
  }

  Real branches(const Real& x) {
    const Real a = activation(conv(x, channels(), square(1, 1)));
    const Real b =
        conv(qdq(activation(conv(x, channels(), square(1, 1)))), channels(), square(3, 1));
    const Real c = pool(chance(2) ? Op::kMaxPool : Op::kAveragePool, x, square(3, 1));
    std::vector<ValueId> parts{chance(2) ? qdq(a).id : a.id, chance(2) ? qdq(b).id : b.id,
                               chance(2) ? qdq(c).id : c.id};
    const Real all{graph_.add_node(Op::kConcat, name("concat"), parts), a.typical, false, false};
    return qdq(chance(2) ? activation(all) : all);
  }

  Real padded(const Real& x) {
    graph::Pad border{pick(0, 2), pick(0, 2), pick(0, 2), pick(0, 2), 0};
    if (chance(3)) {
      border.value = static_cast<float>(around(x.typical));
      const Real y{graph_.add_node(Op::kPad, name("pad"), {x.id}, border), x.typical, false, false};
      return qdq(y);
    }
    const Real y{graph_.add_node(Op::kPad, name("pad"), {x.id}, border), x.typical, true, false};
    return qdq(activation(conv(y, channels(), square(3, 1))));
  }

  Real pooled(const Real& x) {
    // One scale on both sides of a max pool, or a new one.
    const Real y = pool(chance(2) ? Op::kMaxPool : Op::kAveragePool, x, square(2, 2));
    return qdq(y);
  }

  Real head(Real x) {
    Window all;
    all.kh = static_cast<int>(shape(x).h);
    all.kw = static_cast<int>(shape(x).w);
    if (chance(3)) {  // a fully connected layer over everything
      x = {graph_.add_node(Op::kFlatten, name("flatten"), {x.id}), x.typical, true, x.positive};
    } else {
      x = pool(Op::kAveragePool, x, all);
      if (chance(2)) x = qdq(x);
      x = {graph_.add_node(Op::kFlatten, name("flatten"), {x.id}), x.typical, x.quantized,
           x.positive};
      if (!x.quantized) x = qdq(x);
    }
    Real y = conv(x, pick(3, 20), Window{});
    if (chance(2)) y = qdq(y);
    return y;
  }

  std::mt19937 random_;
  bool every_value_;
  Graph graph_;
};

}  // namespace

graph::Graph random_network(std::uint32_t seed, bool every_value) {
  return Builder(seed, every_value).build(seed);
}

}  // namespace pronghorn::exact
