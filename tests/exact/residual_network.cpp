// SPDX-License-Identifier: Apache-2.0
#include "residual_network.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace pronghorn::exact {
namespace {

using graph::DType;
using graph::Op;
using graph::Tensor;
using graph::ValueId;

class Builder {
 public:
  explicit Builder(std::uint32_t seed) : random_(seed) {}

  graph::Graph build(std::uint32_t seed, int size) {
    g_.name = fmt::format("residual network {}", seed);
    ValueId x = g_.add_value("image", DType::kU8, {size, size, 3});
    g_.inputs = {x};
    const int first = chance() ? 7 : 3;
    x = conv(x, pick(8, 40), first, 2, DType::kU8, true);
    graph::Window pool;
    pool.kh = pool.kw = 3;
    pool.sh = pool.sw = 2;
    pool.pad_top = pool.pad_left = pool.pad_bottom = pool.pad_right = 1;
    x = g_.add_node(Op::kMaxPool, "pool", {x}, pool, DType::kU8);
    const bool stride_first = chance();  // v1: in the 1x1
    for (int stage = 0; stage < 2; ++stage) {
      const int wide = pick(5, 40);
      const int out = pick(20, 90);
      const int blocks = pick(1, 2);
      for (int b = 0; b < blocks; ++b) {
        const int stride = b == 0 && stage > 0 ? 2 : 1;
        const ValueId side = b == 0 ? conv(x, out, 1, stride, DType::kS8, false) : x;
        ValueId y = conv(x, wide, 1, stride_first ? stride : 1, DType::kU8, true);
        y = conv(y, wide, 3, stride_first ? 1 : stride, DType::kU8, true);
        x = chance() ? conv(y, out, 1, 1, DType::kU8, true, side)
                     : add(conv(y, out, 1, 1, DType::kS8, false), side);
        // A branch of one convolution: its residual is its own source.
        if (chance()) x = conv(x, out, chance() ? 1 : 3, 1, DType::kU8, true, x);
      }
    }
    const graph::Shape& s = g_.value(x).shape;
    graph::QAveragePool average;
    average.window.kh = static_cast<int>(s.h);
    average.window.kw = static_cast<int>(s.w);
    average.z_src = z_[x];
    average.z_dst = pick(0, 20);
    for (int i = 0; i < s.h * s.w; ++i) average.m.push_back(1.7f / static_cast<float>(i + 1));
    x = g_.add_node(Op::kQAveragePool, "average", {x}, average, DType::kU8);
    z_[x] = average.z_dst;
    x = conv(x, pick(3, 70), 1, 1, DType::kF32, false);
    g_.outputs = {x};
    graph::verify(g_);
    return std::move(g_);
  }

 private:
  int pick(int lo, int hi) {
    return lo + static_cast<int>(random_() % static_cast<std::uint32_t>(hi - lo + 1));
  }
  bool chance() { return random_() % 2 == 0; }

  ValueId conv(ValueId src, int oc, int kernel, int stride, DType dst, bool relu,
               ValueId residual = graph::kNoValue) {
    const std::int64_t ic = g_.value(src).shape.c;
    graph::QConv q;
    q.window.kh = q.window.kw = kernel;
    q.window.sh = q.window.sw = stride;
    q.window.pad_top = q.window.pad_left = q.window.pad_bottom = q.window.pad_right = kernel / 2;
    if (src == g_.inputs[0]) {
      q.z_src = {124, 116, 104};
    } else {
      q.z_src = {z_[src]};
    }
    std::vector<std::int8_t> weights(static_cast<std::size_t>(oc * kernel * kernel * ic));
    for (auto& w : weights) w = static_cast<std::int8_t>(pick(-127, 127));
    std::vector<std::int32_t> bias(static_cast<std::size_t>(oc));
    for (auto& b : bias) b = pick(-20000, 20000);
    const double spread = 73.0 * 60 * std::sqrt(static_cast<double>(kernel * kernel * ic));
    for (int o = 0; o < oc; ++o) {
      q.m.push_back(static_cast<float>(pick(50, 150) * 0.6 / spread));
    }
    q.z_dst = dst == DType::kF32 ? 0 : relu ? pick(0, 30) : pick(-20, 20);
    q.range = dst == DType::kU8 ? arith::kU8 : arith::kS8;
    if (relu) q.range.lo = q.z_dst;
    const std::string name = fmt::format("conv{}", g_.nodes.size());
    std::vector<ValueId> inputs{
        src, g_.add_constant(name + ".weights", Tensor::from({oc, kernel, kernel, ic}, weights)),
        g_.add_constant(name + ".bias", Tensor::from({oc}, bias))};
    if (residual != graph::kNoValue) {
      inputs.push_back(residual);
      q.z_res = z_[residual];
      q.m_res = static_cast<float>(pick(60, 140)) / 128.0f;
    }
    const std::int32_t z = q.z_dst;
    const ValueId out = g_.add_node(Op::kQConv, name, std::move(inputs), std::move(q), dst);
    z_[out] = z;
    return out;
  }

  ValueId add(ValueId a, ValueId b) {
    graph::QAdd q;
    q.z_a = z_[a];
    q.z_b = z_[b];
    q.z_dst = pick(0, 30);
    q.m_a = static_cast<float>(pick(60, 140)) / 128.0f;
    q.m_b = static_cast<float>(pick(60, 140)) / 128.0f;
    q.range = {q.z_dst, 255};
    const ValueId out =
        g_.add_node(Op::kQAdd, fmt::format("add{}", g_.nodes.size()), {a, b}, q, DType::kU8);
    z_[out] = q.z_dst;
    return out;
  }

  std::mt19937 random_;
  graph::Graph g_;
  std::map<ValueId, std::int32_t> z_;
};

}  // namespace

graph::Graph residual_network(std::uint32_t seed, int size) {
  return Builder(seed).build(seed, size);
}

}  // namespace pronghorn::exact
