// SPDX-License-Identifier: Apache-2.0
#include "qdq_simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace pronghorn::exact {
namespace {

using graph::DType;
using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;
using Values = std::vector<double>;

// A result this close to a tie may be rounded either way by binary32 arithmetic.
constexpr double kTie = 1e-4;

Values widen(DType dtype, const std::byte* data, std::size_t size) {
  Values v(size);
  for (std::size_t i = 0; i < size; ++i) {
    switch (dtype) {
      case DType::kF32:
        v[i] = reinterpret_cast<const float*>(data)[i];
        break;
      case DType::kS32:
        v[i] = reinterpret_cast<const std::int32_t*>(data)[i];
        break;
      case DType::kU8:
        v[i] = reinterpret_cast<const std::uint8_t*>(data)[i];
        break;
      case DType::kS8:
        v[i] = reinterpret_cast<const std::int8_t*>(data)[i];
        break;
    }
  }
  return v;
}

class Simulation {
 public:
  explicit Simulation(const Graph& g) : g_(g), values_(g.values.size()) {
    for (std::size_t i = 0; i < g.values.size(); ++i) {
      const auto& constant = g.values[i].constant;
      if (constant) {
        values_[i] = widen(constant->dtype(), constant->bytes().data(),
                           static_cast<std::size_t>(constant->size()));
      }
    }
  }

  Verdict run(const std::vector<std::vector<std::byte>>& inputs,
              const std::vector<std::vector<std::byte>>& outputs) {
    for (std::size_t i = 0; i < inputs.size(); ++i) put(g_.inputs[i], inputs[i]);
    std::map<ValueId, const std::vector<std::byte>*> known;
    for (std::size_t i = 0; i < outputs.size(); ++i) known[g_.outputs[i]] = &outputs[i];
    for (const Node& node : g_.nodes) {
      of(node.output) = compute(node);
      const auto actual = known.find(node.output);
      if (actual == known.end()) continue;
      const Values expected = of(node.output);
      put(node.output, *actual->second);
      compare(node, expected, of(node.output));
    }
    return std::move(verdict_);
  }

 private:
  Values& of(ValueId id) { return values_[static_cast<std::size_t>(id)]; }
  void put(ValueId id, const std::vector<std::byte>& bytes) {
    const graph::Value& v = g_.value(id);
    of(id) = widen(v.dtype, bytes.data(), static_cast<std::size_t>(v.shape.size()));
  }

  static std::size_t entry(const graph::Quant& q, std::size_t c) { return q.per_channel() ? c : 0; }

  void compare(const Node& node, const Values& expected, const Values& actual) {
    double largest = 0;
    for (const double x : expected) largest = std::max(largest, std::abs(x));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ++verdict_.compared;
      if (g_.value(node.output).dtype == DType::kF32) {
        if (std::abs(actual[i] - expected[i]) > 1e-6 * largest)
          fault(node, i, expected[i], actual[i]);
        continue;
      }
      const auto& q = node.as<graph::Quant>();
      const bool u8 = g_.value(node.output).dtype == DType::kU8;
      const double lo = u8 ? 0 : -128;
      const double hi = u8 ? 255 : 127;
      const double exact = expected[i] / q.scale[0] + q.zero_point[0];
      const double rounded = std::clamp(std::nearbyint(exact), lo, hi);
      if (actual[i] == rounded) continue;
      const double from_tie = std::abs(exact - std::floor(exact) - 0.5);
      if (from_tie > kTie || std::abs(actual[i] - rounded) != 1) {
        fault(node, i, exact, actual[i]);
      } else {
        ++verdict_.ties;
      }
    }
  }

  void fault(const Node& node, std::size_t i, double expected, double actual) {
    if (verdict_.faults.size() > 5) return;
    verdict_.faults.push_back(
        fmt::format("{} [{}]: {}, should be {}", node.name, i, actual, expected));
  }

  Values compute(const Node& node) {
    switch (node.op) {
      case Op::kConv:
        return conv(node);
      case Op::kRelu:
        return map(node, [](double x) { return std::max(x, 0.0); });
      case Op::kClip: {
        const auto& c = node.as<graph::Clip>();
        return map(node, [&](double x) { return std::clamp<double>(x, c.lo, c.hi); });
      }
      case Op::kAdd: {
        Values sum = of(node.inputs[0]);
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += of(node.inputs[1])[i];
        return sum;
      }
      case Op::kMaxPool:
      case Op::kAveragePool:
        return pool(node);
      case Op::kPad:
        return pad(node);
      case Op::kConcat:
        return concat(node);
      case Op::kFlatten:
        return of(node.inputs[0]);
      case Op::kQuantize:
        return of(node.inputs[0]);  // compare() rounds, knowing what it rounds
      case Op::kDequantize:
        return dequantize(node);
      default:
        base::fail(base::Status::kInternal, "{} is not simulated", name_of(node.op));
    }
  }

  template <typename F>
  Values map(const Node& node, const F& f) {
    Values v = of(node.inputs[0]);
    for (double& x : v) x = f(x);
    return v;
  }

  Values dequantize(const Node& node) {
    const auto& q = node.as<graph::Quant>();
    const graph::Value& src = g_.value(node.inputs[0]);
    Values v = of(node.inputs[0]);
    const std::size_t rows = src.constant ? v.size() / static_cast<std::size_t>(src.dims[0]) : 1;
    const auto channels = static_cast<std::size_t>(src.constant ? src.dims[0] : src.shape.c);
    for (std::size_t i = 0; i < v.size(); ++i) {
      const std::size_t c = entry(q, i / rows % channels);
      v[i] = (v[i] - q.zero_point[c]) * q.scale[c];
    }
    return v;
  }

  const Node& producer(ValueId id) const {
    return *std::find_if(g_.nodes.begin(), g_.nodes.end(),
                         [&](const Node& n) { return n.output == id; });
  }

  // The scale of a value that was dequantized, perhaps moved about since.
  double scale_of(ValueId id) const {
    const Node& node = producer(id);
    return node.op == Op::kDequantize ? node.as<graph::Quant>().scale[0] : scale_of(node.inputs[0]);
  }

  Values conv(const Node& node) {
    const auto& w = node.as<graph::Window>();
    const graph::Shape& s = g_.value(node.inputs[0]).shape;
    const graph::Shape& d = g_.value(node.output).shape;
    const Values& src = of(node.inputs[0]);
    const Values& weights = of(node.inputs[1]);
    const std::int64_t ic = s.c / w.groups;
    Values dst(static_cast<std::size_t>(d.size()));
    for (std::int64_t i = 0; i < d.size(); ++i) {
      const std::int64_t oc = i % d.c;
      const std::int64_t ow = i / d.c % d.w;
      const std::int64_t oh = i / d.c / d.w;
      double sum = node.inputs.size() > 2 ? bias(node, static_cast<std::size_t>(oc)) : 0;
      for (std::int64_t kh = 0; kh < w.kh; ++kh) {
        for (std::int64_t kw = 0; kw < w.kw; ++kw) {
          const std::int64_t ih = oh * w.sh - w.pad_top + kh;
          const std::int64_t iw = ow * w.sw - w.pad_left + kw;
          if (ih < 0 || ih >= s.h || iw < 0 || iw >= s.w) continue;
          for (std::int64_t c = 0; c < ic; ++c) {
            const std::int64_t from = (ih * s.w + iw) * s.c + oc / (d.c / w.groups) * ic + c;
            sum += src[static_cast<std::size_t>(from)] *
                   weights[static_cast<std::size_t>(((oc * w.kh + kh) * w.kw + kw) * ic + c)];
          }
        }
      }
      dst[static_cast<std::size_t>(i)] = sum;
    }
    return dst;
  }

  double bias(const Node& node, std::size_t oc) {
    const auto& q = producer(node.inputs[1]).as<graph::Quant>();
    const double scale = scale_of(node.inputs[0]) * q.scale[entry(q, oc)];
    return std::nearbyint(of(node.inputs[2])[oc] / scale) * scale;
  }

  Values pool(const Node& node) {
    const auto& w = node.as<graph::Window>();
    const graph::Shape& s = g_.value(node.inputs[0]).shape;
    const graph::Shape& d = g_.value(node.output).shape;
    const Values& src = of(node.inputs[0]);
    Values dst(static_cast<std::size_t>(d.size()));
    for (std::int64_t i = 0; i < d.size(); ++i) {
      double largest = -std::numeric_limits<double>::infinity();
      double sum = 0;
      int count = 0;
      for (std::int64_t kh = 0; kh < w.kh; ++kh) {
        for (std::int64_t kw = 0; kw < w.kw; ++kw) {
          const std::int64_t ih = i / d.c / d.w * w.sh - w.pad_top + kh;
          const std::int64_t iw = i / d.c % d.w * w.sw - w.pad_left + kw;
          if (ih < 0 || ih >= s.h || iw < 0 || iw >= s.w) continue;
          const double x = src[static_cast<std::size_t>((ih * s.w + iw) * s.c + i % d.c)];
          largest = std::max(largest, x);
          sum += x;
          ++count;
        }
      }
      dst[static_cast<std::size_t>(i)] =
          node.op == Op::kMaxPool ? largest : sum / (w.count_include_pad ? w.kh * w.kw : count);
    }
    return dst;
  }

  Values pad(const Node& node) {
    const auto& p = node.as<graph::Pad>();
    const graph::Shape& s = g_.value(node.inputs[0]).shape;
    const graph::Shape& d = g_.value(node.output).shape;
    Values dst(static_cast<std::size_t>(d.size()), p.value);
    for (std::int64_t i = 0; i < s.size(); ++i) {
      const std::int64_t to =
          ((i / s.c / s.w + p.top) * d.w + i / s.c % s.w + p.left) * s.c + i % s.c;
      dst[static_cast<std::size_t>(to)] = of(node.inputs[0])[static_cast<std::size_t>(i)];
    }
    return dst;
  }

  Values concat(const Node& node) {
    const graph::Shape& d = g_.value(node.output).shape;
    Values dst;
    for (std::int64_t pixel = 0; pixel < d.h * d.w; ++pixel) {
      for (const ValueId id : node.inputs) {
        const std::int64_t c = g_.value(id).shape.c;
        const auto from = of(id).begin() + pixel * c;
        dst.insert(dst.end(), from, from + c);
      }
    }
    return dst;
  }

  const Graph& g_;
  std::vector<Values> values_;
  Verdict verdict_;
};

}  // namespace

Verdict judge_qdq(const Graph& qdq, const std::vector<std::vector<std::byte>>& inputs,
                  const std::vector<std::vector<std::byte>>& outputs) {
  return Simulation(qdq).run(inputs, outputs);
}

}  // namespace pronghorn::exact
