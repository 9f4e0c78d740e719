// SPDX-License-Identifier: Apache-2.0
#include "problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "graph/quantized_constant.h"

namespace pronghorn::exact {
namespace {

using graph::DType;
using graph::Graph;
using graph::Op;
using graph::Tensor;
using graph::ValueId;

using Random = std::mt19937;

int pick(Random& random, int lo, int hi) {
  return lo + static_cast<int>(random() % static_cast<std::uint32_t>(hi - lo + 1));
}

template <typename T>
T one_of(Random& random, std::initializer_list<T> values) {
  return values.begin()[random() % values.size()];
}

DType dtype_of(const std::string& text) {
  if (text == "u8") return DType::kU8;
  if (text == "s8") return DType::kS8;
  if (text == "f32") return DType::kF32;
  base::fail(base::Status::kInvalidArgument, "{} is no type; u8, s8 and f32 are", text);
}

arith::Range full_range(DType dtype) { return dtype == DType::kS8 ? arith::kS8 : arith::kU8; }

arith::Range narrowed(const Problem& p, arith::Range range, std::int32_t z) {
  if (p.relu) range.lo = std::max(range.lo, z);
  if (p.clip) range.hi = std::min(range.hi, z + 60);
  return range;
}

// Both ends often: that is where kernels go wrong.
std::int32_t zero_point(Random& random, DType dtype) {
  const arith::Range r = full_range(dtype);
  return one_of<std::int32_t>(random, {r.lo, r.hi, 0, pick(random, r.lo, r.hi)});
}

// About `spread` steps of the result for a sum that is typically `typical` large.
float multiplier(Random& random, const std::string& fill, double typical, double spread = 100) {
  const double m = spread / typical * std::exp2(pick(random, -20, 10) / 10.0);
  return static_cast<float>(fill == "ties" ? std::exp2(std::round(std::log2(m))) : m);
}

struct Parameter {
  std::function<void(Problem&, int)> set;
};

const std::map<std::string, Parameter, std::less<>>& numbers() {
  static const std::map<std::string, Parameter, std::less<>> table{
      {"ic", {[](Problem& p, int v) { p.ic = v; }}},
      {"ih", {[](Problem& p, int v) { p.ih = v; }}},
      {"iw", {[](Problem& p, int v) { p.iw = v; }}},
      {"oc", {[](Problem& p, int v) { p.oc = v; }}},
      {"kh", {[](Problem& p, int v) { p.window.kh = v; }}},
      {"kw", {[](Problem& p, int v) { p.window.kw = v; }}},
      {"k", {[](Problem& p, int v) { p.window.kh = p.window.kw = v; }}},
      {"sh", {[](Problem& p, int v) { p.window.sh = v; }}},
      {"sw", {[](Problem& p, int v) { p.window.sw = v; }}},
      {"s", {[](Problem& p, int v) { p.window.sh = p.window.sw = v; }}},
      {"pt", {[](Problem& p, int v) { p.window.pad_top = v; }}},
      {"pl", {[](Problem& p, int v) { p.window.pad_left = v; }}},
      {"pb", {[](Problem& p, int v) { p.window.pad_bottom = v; }}},
      {"pr", {[](Problem& p, int v) { p.window.pad_right = v; }}},
      {"p", {[](Problem& p, int v) {
         p.window.pad_top = p.window.pad_left = p.window.pad_bottom = p.window.pad_right = v;
       }}},
      {"g", {[](Problem& p, int v) { p.window.groups = v; }}},
      {"zin", {[](Problem& p, int v) { p.zin = v != 0; }}},
      {"relu", {[](Problem& p, int v) { p.relu = v != 0; }}},
      {"clip", {[](Problem& p, int v) { p.clip = v != 0; }}},
      {"incpad", {[](Problem& p, int v) { p.window.count_include_pad = v != 0; }}},
      {"parts", {[](Problem& p, int v) { p.parts = v; }}},
      {"batch", {[](Problem& p, int v) { p.batch = v; }}},
      {"seed", {[](Problem& p, int v) { p.seed = static_cast<std::uint32_t>(v); }}},
  };
  return table;
}

// "ic64" or "batch=2" -> name and value.
std::pair<std::string, std::string> split(const std::string& word) {
  const auto equals = word.find('=');
  if (equals != std::string::npos) return {word.substr(0, equals), word.substr(equals + 1)};
  const auto digit = word.find_first_of("0123456789");
  if (digit == std::string::npos) return {word, ""};
  return {word.substr(0, digit), word.substr(digit)};
}

template <typename T>
std::vector<T> random_values(Random& random, std::size_t n, int lo, int hi) {
  std::vector<T> values(n);
  for (T& v : values) v = static_cast<T>(pick(random, lo, hi));
  return values;
}

ValueId build_conv(const Problem& p, Random& random, Graph& g, ValueId src) {
  const DType src_type = dtype_of(p.src);
  const DType dst_type = dtype_of(p.dst);
  graph::QConv q;
  q.window = p.window;
  for (int c = 0; c < (p.zin ? p.ic : 1); ++c) q.z_src.push_back(zero_point(random, src_type));

  const std::vector<std::int64_t> dims{p.oc, p.window.kh, p.window.kw, p.ic / p.window.groups};
  const auto per_channel = static_cast<std::size_t>(dims[1] * dims[2] * dims[3]);
  const std::size_t size = per_channel * static_cast<std::size_t>(p.oc);
  const auto weights = p.fill == "high"  ? std::vector<std::int8_t>(size, 127)
                       : p.fill == "low" ? std::vector<std::int8_t>(size, -128)
                                         : random_values<std::int8_t>(random, size, -128, 127);
  auto bias = random_values<std::int32_t>(random, static_cast<std::size_t>(p.oc), -100000, 100000);
  const bool extreme = p.fill == "high" || p.fill == "low";
  const double typical = extreme ? 32385.0 * static_cast<double>(per_channel)
                                 : 9000.0 * std::sqrt(static_cast<double>(per_channel));
  for (int c = 0; c < p.oc; ++c) q.m.push_back(multiplier(random, p.fill, typical));
  q.z_dst = dst_type == DType::kF32 ? 0 : zero_point(random, dst_type);
  q.range = full_range(dst_type);
  q.range = narrowed(p, q.range, q.z_dst);

  std::vector<ValueId> inputs{src, g.add_constant("weights", Tensor::from(dims, weights)),
                              g.add_constant("bias", Tensor::from({p.oc}, bias))};
  if (p.res != "none") {
    graph::Node shape_only{Op::kQConv, "conv", inputs, graph::kNoValue, q};
    const DType res_type = dtype_of(p.res);
    q.z_res = zero_point(random, res_type);
    q.m_res = multiplier(random, p.fill, 128);
    inputs.push_back(g.add_value("residual", res_type, graph::infer_shape(g, shape_only)));
    g.inputs.push_back(inputs.back());
  }
  return g.add_node(Op::kQConv, "conv", inputs, q, dst_type);
}

ValueId build_average_pool(const Problem& p, Random& random, Graph& g, ValueId src) {
  const DType dst_type = dtype_of(p.dst);
  graph::QAveragePool q;
  q.window = p.window;
  q.z_src = zero_point(random, dtype_of(p.src));
  q.z_dst = dst_type == DType::kF32 ? 0 : zero_point(random, dst_type);
  q.range = full_range(dst_type);
  q.range = narrowed(p, q.range, q.z_dst);
  const float one = multiplier(random, p.fill, 128);
  for (int count = 1; count <= p.window.kh * p.window.kw; ++count) {
    q.m.push_back(one / static_cast<float>(count));
  }
  return g.add_node(Op::kQAveragePool, "pool", {src}, q, dst_type);
}

graph::Quant random_quant(const Problem& p, Random& random, DType stored) {
  graph::Quant q;
  for (int c = 0; c < (p.zin ? p.ic : 1); ++c) {
    q.scale.push_back(multiplier(random, p.fill, 100, 1));
    q.zero_point.push_back(zero_point(random, stored));
  }
  return q;
}

}  // namespace

Problem parse(const std::string& line) {
  static constexpr std::string_view kOps[] = {"conv",         "add",        "max_pool",
                                              "average_pool", "requantize", "concat",
                                              "pad",          "quantize",   "dequantize"};
  std::istringstream words(line);
  Problem p;
  words >> p.op;
  if (std::find(std::begin(kOps), std::end(kOps), p.op) == std::end(kOps)) {
    base::fail(base::Status::kInvalidArgument, "problem \"{}\" starts with no known op", line);
  }
  bool has_iw = false;
  bool has_oc = false;
  std::string word;
  while (words >> word) {
    const auto [name, value] = split(word);
    if (name == "src" || name == "dst" || name == "res" || name == "fill") {
      (name == "src" ? p.src : name == "dst" ? p.dst : name == "res" ? p.res : p.fill) = value;
      continue;
    }
    const auto found = numbers().find(name);
    if (found == numbers().end() || value.empty() || value.size() > 9 ||
        !std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      base::fail(base::Status::kInvalidArgument, "problem \"{}\": word {} is not understood", line,
                 word);
    }
    found->second.set(p, std::stoi(value));
    has_iw |= name == "iw";
    has_oc |= name == "oc";
  }
  if (!has_iw) p.iw = p.ih;
  if (!has_oc) p.oc = p.ic;
  if (p.res == "1") p.res = "u8";
  if (p.res == "0") p.res = "none";
  return p;
}

std::string to_string(const Problem& p) {
  const graph::Window& w = p.window;
  return fmt::format(
      "{} ic{} ih{} iw{} oc{} kh{} kw{} sh{} sw{} pt{} pl{} pb{} pr{} g{} src={} dst={} res={} "
      "zin={} relu={} clip={} incpad={} fill={} parts={} batch={} seed={}",
      p.op, p.ic, p.ih, p.iw, p.oc, w.kh, w.kw, w.sh, w.sw, w.pad_top, w.pad_left, w.pad_bottom,
      w.pad_right, w.groups, p.src, p.dst, p.res, int{p.zin}, int{p.relu}, int{p.clip},
      int{w.count_include_pad}, p.fill, p.parts, p.batch, p.seed);
}

Problem random_conv(Random& random) {
  Problem p;
  p.op = "conv";
  p.seed = random() % 1000000000;
  const auto channels = [&] {
    return random() % 2 == 0 ? one_of(random, {1, 2, 3, 4, 8, 16, 24, 32, 48, 64, 96, 128})
                             : pick(random, 1, 70);
  };
  p.ic = channels();
  p.oc = channels();
  graph::Window& w = p.window;
  w.kh = one_of(random, {1, 1, 1, 2, 3, 3, 3, 4, 5, 7});
  w.kw = random() % 4 == 0 ? one_of(random, {1, 2, 3, 5}) : w.kh;
  w.sh = one_of(random, {1, 1, 1, 2, 2, 3});
  w.sw = random() % 4 == 0 ? pick(random, 1, 4) : w.sh;
  if (random() % 4 != 0) {
    w.pad_top = w.pad_bottom = w.kh / 2;
    w.pad_left = w.pad_right = w.kw / 2;
  }
  if (random() % 4 == 0) {
    w.pad_top = pick(random, 0, w.kh);
    w.pad_left = pick(random, 0, w.kw);
    w.pad_bottom = pick(random, 0, w.kh);
    w.pad_right = pick(random, 0, w.kw);
  }
  switch (random() % 5) {
    case 0:  // depthwise, sometimes with a multiplier
      w.groups = p.ic;
      p.oc = p.ic * one_of(random, {1, 1, 1, 2, 3});
      break;
    case 1:
      w.groups = one_of(random, {2, 3, 4});
      p.ic = w.groups * pick(random, 1, 20);
      p.oc = w.groups * pick(random, 1, 20);
      break;
    default:
      break;
  }
  const auto size = [&](int kernel) {
    return random() % 8 == 0 ? kernel : pick(random, std::max(kernel - 1, 1), 19);
  };
  do {
    p.ih = size(w.kh);
    p.iw = random() % 3 == 0 ? size(w.kw) : p.ih;
  } while (graph::window_out(p.ih, w.kh, w.sh, w.pad_top, w.pad_bottom) < 1 ||
           graph::window_out(p.iw, w.kw, w.sw, w.pad_left, w.pad_right) < 1);
  p.src = one_of<const char*>(random, {"u8", "u8", "s8"});
  p.dst = one_of<const char*>(random, {"u8", "u8", "u8", "s8", "s8", "f32"});
  if (p.dst != "f32") p.res = one_of<const char*>(random, {"none", "none", "u8", "s8"});
  p.zin = random() % 6 == 0;
  p.relu = random() % 2 == 0;
  p.clip = random() % 6 == 0;
  p.fill = one_of<const char*>(random, {"random", "random", "random", "ties", "high", "low"});
  p.batch = one_of(random, {1, 1, 2, 3});
  const double products = static_cast<double>(p.batch) * p.ih * p.iw / (w.sh * w.sw) * p.oc * w.kh *
                          w.kw * p.ic / w.groups;
  return products < 2e6 ? p : random_conv(random);
}

Problem random_problem(Random& random) {
  Problem p = random_conv(random);
  if (random() % 2 == 0) return p;
  p.op = one_of<const char*>(random, {"add", "max_pool", "average_pool", "requantize", "concat",
                                      "pad", "quantize", "dequantize"});
  p.window.groups = 1;
  p.res = "none";
  p.oc = p.ic;
  if (p.op == "max_pool" || p.op == "average_pool") {
    graph::Window& w = p.window;
    w.pad_top = std::min(w.pad_top, w.kh - 1);
    w.pad_bottom = std::min(w.pad_bottom, w.kh - 1);
    w.pad_left = std::min(w.pad_left, w.kw - 1);
    w.pad_right = std::min(w.pad_right, w.kw - 1);
    w.count_include_pad = p.op == "average_pool" && random() % 2 == 0;
    p.ih = std::max(p.ih, w.kh);
    p.iw = std::max(p.iw, w.kw);
  }
  if (p.op == "concat") p.parts = pick(random, 1, 5);
  if (p.dst == "f32" && p.op != "average_pool") p.dst = "u8";
  return p;
}

Graph build(const Problem& p) {
  Random random(p.seed);
  Graph g;
  g.name = to_string(p);
  const DType src_type = p.op == "quantize" ? DType::kF32 : dtype_of(p.src);
  const DType dst_type = dtype_of(p.dst);
  const graph::Shape shape{p.ih, p.iw, p.ic};
  const ValueId src = g.add_value("src", src_type, shape);
  g.inputs = {src};
  const auto second = [&](const char* name, graph::Shape s) {
    g.inputs.push_back(g.add_value(name, src_type, s));
    return g.inputs.back();
  };
  arith::Range range = full_range(dst_type);
  const std::int32_t z_dst = zero_point(random, dst_type);
  range = narrowed(p, range, z_dst);

  ValueId dst = graph::kNoValue;
  if (p.op == "conv") {
    dst = build_conv(p, random, g, src);
  } else if (p.op == "average_pool") {
    dst = build_average_pool(p, random, g, src);
  } else if (p.op == "max_pool") {
    dst = g.add_node(Op::kMaxPool, "pool", {src}, p.window, src_type);
  } else if (p.op == "add") {
    const graph::QAdd q{zero_point(random, src_type),    zero_point(random, src_type),    z_dst,
                        multiplier(random, p.fill, 128), multiplier(random, p.fill, 128), range};
    dst = g.add_node(Op::kQAdd, "add", {src, second("b", shape)}, q, dst_type);
  } else if (p.op == "requantize") {
    const graph::Requantize q{zero_point(random, src_type), z_dst, multiplier(random, p.fill, 128),
                              range};
    dst = g.add_node(Op::kRequantize, "requantize", {src}, q, dst_type);
  } else if (p.op == "concat") {
    std::vector<ValueId> parts{src};
    while (static_cast<int>(parts.size()) < p.parts) {
      parts.push_back(second("part", {p.ih, p.iw, pick(random, 1, 40)}));
    }
    dst = g.add_node(Op::kConcat, "concat", parts, {}, src_type);
  } else if (p.op == "pad") {
    const graph::Window& w = p.window;
    dst = g.add_node(Op::kPad, "pad", {src},
                     graph::Pad{w.pad_top, w.pad_left, w.pad_bottom, w.pad_right,
                                static_cast<float>(zero_point(random, src_type))},
                     src_type);
  } else if (p.op == "quantize") {
    dst = g.add_node(Op::kQuantize, "quantize", {src}, random_quant(p, random, dst_type), dst_type);
  } else {
    dst = g.add_node(Op::kDequantize, "dequantize", {src}, random_quant(p, random, src_type));
  }
  g.outputs = {dst};
  graph::verify(g);
  return g;
}

std::vector<std::vector<std::byte>> make_inputs(const Graph& g, int batch, const std::string& fill,
                                                std::uint32_t seed) {
  Random random(seed ^ 0x9e3779b9u);
  std::vector<std::vector<std::byte>> inputs;
  for (const ValueId id : g.inputs) {
    const graph::Value& v = g.value(id);
    const auto size = static_cast<std::size_t>(v.shape.size() * batch);
    std::vector<std::byte> bytes(size * graph::size_of(v.dtype));
    if (v.dtype == DType::kF32) {
      auto* values = reinterpret_cast<float*>(bytes.data());
      for (std::size_t i = 0; i < size; ++i) {
        values[i] = static_cast<float>(pick(random, -3000, 3000)) / 512.0f;
      }
    } else {
      const arith::Range r = full_range(v.dtype);
      const auto end = static_cast<std::byte>(fill == "low" && random() % 2 == 0 ? r.lo : r.hi);
      for (std::byte& b : bytes) {
        b = fill == "high" || fill == "low" ? end : static_cast<std::byte>(random());
      }
    }
    inputs.push_back(std::move(bytes));
  }
  return inputs;
}

}  // namespace pronghorn::exact
