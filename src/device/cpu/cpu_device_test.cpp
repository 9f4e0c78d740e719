// SPDX-License-Identifier: Apache-2.0
// The CPU device against the reference device, byte for byte, for every kernel set of this machine.
#include "device/cpu/cpu_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <limits>
#include <random>

#include "device/cpu/kernels/kernel_table.h"
#include "device/reference/reference_device.h"

namespace pronghorn::device::cpu {
namespace {

using graph::DType;
using graph::Graph;
using graph::Op;
using graph::ValueId;

// Forces a kernel set for as long as it lives.
class ForcedIsa {
 public:
  explicit ForcedIsa(const char* name) { ::setenv("PRONGHORN_ISA", name, 1); }
  ~ForcedIsa() { ::unsetenv("PRONGHORN_ISA"); }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;
};

std::vector<const char*> available_sets() {
  std::vector<const char*> names;
  for (std::int32_t i = 0; i < kKernelRowCount; ++i) {
    if (kKernelRows[i].available()) names.push_back(kKernelRows[i].set->name);
  }
  return names;
}

using Bytes = std::vector<std::byte>;
using Images = std::vector<Bytes>;  // one a graph input or output, `batch` images each

std::size_t image_bytes(const graph::Value& v) {
  return static_cast<std::size_t>(v.shape.size()) * graph::size_of(v.dtype);
}

Images run(Program& program, const Images& inputs, int batch, int threads) {
  const Graph& graph = program.graph();
  std::vector<const void*> in;
  for (const Bytes& image : inputs) in.push_back(image.data());
  Images results;
  std::vector<void*> out;
  for (const ValueId id : graph.outputs) {
    results.emplace_back(image_bytes(graph.value(id)) * static_cast<std::size_t>(batch),
                         std::byte{0xA5});
  }
  for (Bytes& result : results) out.push_back(result.data());
  program.submit({in, out, batch, threads});
  return results;
}

Images random_inputs(const Graph& graph, int batch, std::mt19937& random) {
  Images inputs;
  for (const ValueId id : graph.inputs) {
    const graph::Value& v = graph.value(id);
    Bytes bytes(image_bytes(v) * static_cast<std::size_t>(batch));
    if (v.dtype == DType::kF32) {
      std::normal_distribution<float> normal(0.0f, 60.0f);
      for (std::size_t i = 0; i < bytes.size(); i += sizeof(float)) {
        const float x = normal(random);
        std::memcpy(&bytes[i], &x, sizeof x);
      }
    } else {
      for (auto& b : bytes) b = static_cast<std::byte>(random());
    }
    inputs.push_back(std::move(bytes));
  }
  return inputs;
}

// Runs on every kernel set, alone and on two threads, and compares.
void expect_equal(Graph graph, const Images& inputs, int batch) {
  graph::verify(graph);
  const auto shared = std::make_shared<const Graph>(std::move(graph));
  const auto judge = compile_or_throw(*reference::make_device(), shared, {1});
  const Images want = run(*judge, inputs, batch, 1);
  for (const char* name : available_sets()) {
    const ForcedIsa isa(name);
    const auto program = compile_or_throw(*make_device(), shared, {2});
    for (const int threads : {1, 0}) {
      EXPECT_EQ(run(*program, inputs, batch, threads), want)
          << name << ", threads " << threads << ", batch " << batch << "\n"
          << graph::to_string(*shared);
    }
  }
}

void expect_equal(const Graph& graph, std::mt19937& random, int batch = 1) {
  expect_equal(graph, random_inputs(graph, batch, random), batch);
}

int pick(std::mt19937& random, int lo, int hi) {
  return std::uniform_int_distribution<int>(lo, hi)(random);
}

DType pick_bytes(std::mt19937& random) { return pick(random, 0, 1) == 0 ? DType::kU8 : DType::kS8; }

arith::Range full(DType dtype) { return dtype == DType::kU8 ? arith::kU8 : arith::kS8; }

arith::Range pick_range(DType dtype, std::mt19937& random) {
  arith::Range range = full(dtype);
  if (pick(random, 0, 1) == 0) range.lo += pick(random, 0, 127);
  if (pick(random, 0, 3) == 0) range.hi -= pick(random, 0, 127);
  return range;
}

// Often the least value, as after a Relu: kernels have a shorter way out then.
std::int32_t pick_zero(DType dtype, std::mt19937& random) {
  if (pick(random, 0, 2) == 0) return full(dtype).lo;
  return pick(random, full(dtype).lo, full(dtype).hi);
}

ValueId add_input(Graph& graph, DType dtype, graph::Shape shape) {
  const ValueId id = graph.add_value("in" + std::to_string(graph.inputs.size()), dtype, shape);
  graph.inputs.push_back(id);
  return id;
}

struct ConvCase {
  int oc = 1;
  graph::Window window;
  std::vector<std::int8_t> weights;  // drawn at random when empty
  std::vector<std::int32_t> z_src;   // likewise
  DType dst = DType::kU8;
  bool residual = false;
};

ValueId add_conv(Graph& graph, ValueId src, ConvCase c, std::mt19937& random) {
  const graph::Shape shape = graph.value(src).shape;
  const std::int64_t ic = shape.c / c.window.groups;
  const std::int64_t size = c.window.kh * c.window.kw * ic;
  if (c.weights.empty()) {
    const double sigma = pick(random, 0, 2) == 0 ? 90.0 : 30.0;
    std::normal_distribution<double> normal(0.0, sigma);
    for (std::int64_t i = 0; i < c.oc * size; ++i) {
      const double w = std::nearbyint(normal(random));
      c.weights.push_back(static_cast<std::int8_t>(std::min(std::max(w, -128.0), 127.0)));
    }
  }
  if (c.z_src.empty()) {
    const int count = pick(random, 0, 3) == 0 ? static_cast<int>(shape.c) : 1;
    for (int i = 0; i < count; ++i) {
      c.z_src.push_back(pick_zero(graph.value(src).dtype, random));
    }
  }
  graph::QConv q;
  q.window = c.window;
  q.z_src = c.z_src;
  std::vector<std::int32_t> bias;
  for (int i = 0; i < c.oc; ++i) {
    bias.push_back(pick(random, -100000, 100000));
    q.m.push_back(std::uniform_real_distribution<float>(0.2f, 2.0f)(random) /
                  (60.0f * std::sqrt(static_cast<float>(size))));
  }
  q.z_dst = c.dst == DType::kF32 ? 0 : pick_zero(c.dst, random);
  q.range = c.dst == DType::kF32 ? arith::kU8 : pick_range(c.dst, random);
  const std::string name = "conv" + std::to_string(graph.nodes.size());
  std::vector<ValueId> inputs = {
      src,
      graph.add_constant(name + ".weights", graph::Tensor::from<std::int8_t>(
                                                {c.oc, c.window.kh, c.window.kw, ic}, c.weights)),
      graph.add_constant(name + ".bias", graph::Tensor::from<std::int32_t>({c.oc}, bias))};
  if (c.residual) {
    const graph::Shape dst{
        graph::window_out(shape.h, c.window.kh, c.window.sh, c.window.pad_top, c.window.pad_bottom),
        graph::window_out(shape.w, c.window.kw, c.window.sw, c.window.pad_left, c.window.pad_right),
        c.oc};
    const DType dtype = pick_bytes(random);
    q.z_res = pick_zero(dtype, random);
    q.m_res = std::uniform_real_distribution<float>(-1.5f, 1.5f)(random);
    inputs.push_back(add_input(graph, dtype, dst));
  }
  return graph.add_node(Op::kQConv, name, inputs, q, c.dst);
}

Graph random_conv(std::mt19937& random) {
  for (;;) {
    Graph graph;
    graph.name = "conv";
    ConvCase c;
    c.window.groups = pick(random, 0, 2) == 0 ? pick(random, 2, 5) : 1;
    const bool depthwise = pick(random, 0, 4) == 0;
    const int ic = depthwise ? 1 : pick(random, 1, pick(random, 0, 3) == 0 ? 70 : 12);
    if (depthwise) c.window.groups = pick(random, 2, 50);
    c.oc = c.window.groups * (depthwise && pick(random, 0, 3) != 0 ? 1 : pick(random, 1, 20));
    c.window.kh = pick(random, 1, 4);
    c.window.kw = pick(random, 1, 4);
    c.window.sh = pick(random, 1, 3);
    c.window.sw = pick(random, 1, 3);
    c.window.pad_top = pick(random, 0, c.window.kh - 1);
    c.window.pad_left = pick(random, 0, c.window.kw - 1);
    c.window.pad_bottom = pick(random, 0, c.window.kh - 1);
    c.window.pad_right = pick(random, 0, c.window.kw - 1);
    const graph::Shape shape{pick(random, 1, 14), pick(random, 1, 14), ic * c.window.groups};
    if (graph::window_out(shape.h, c.window.kh, c.window.sh, c.window.pad_top,
                          c.window.pad_bottom) < 1 ||
        graph::window_out(shape.w, c.window.kw, c.window.sw, c.window.pad_left,
                          c.window.pad_right) < 1) {
      continue;
    }
    const int result = pick(random, 0, 5);
    c.dst = result == 0 ? DType::kF32 : pick_bytes(random);
    c.residual = result > 3;
    const ValueId src = add_input(graph, pick_bytes(random), shape);
    graph.outputs = {add_conv(graph, src, c, random)};
    return graph;
  }
}

TEST(CpuDevice, ConvolutionsEqualTheReference) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 300 && !HasFailure(); ++i) expect_equal(random_conv(random), random);
}

// Rows of every length up to more than two of the widest tiles, panels with and without a partner.
TEST(CpuDevice, LongRowsEqualTheReference) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int width = 1; width <= 30 && !HasFailure(); ++width) {
    Graph graph;
    graph.name = "rows";
    const DType dtype = pick_bytes(random);
    const ValueId src = add_input(graph, DType::kU8, {3, width, pick(random, 1, 20)});
    ConvCase c{pick(random, 1, 80), {2, 2, 1, pick(random, 1, 2), 1, 0, 0, 1}, {}, {}, dtype};
    c.residual = width % 3 == 0;
    if (width % 3 == 1 && width % 4 == 0) c.dst = DType::kF32;
    graph.outputs = {add_conv(graph, src, c, random)};
    expect_equal(graph, random);
  }
}

// Weights that outgrow the second cache, so that a matrix unit takes images in groups, and channels
// in whole tiles; rows that end within a tile, blocks that end early, all ways out.
TEST(CpuDevice, GroupsEqualTheReference) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (const int batch : {1, 9}) {
    Graph graph;
    graph.name = "group";
    const DType dtype = pick_bytes(random);
    const ValueId src = add_input(graph, DType::kU8, {pick(random, 4, 6), pick(random, 4, 6), 3});
    const std::int32_t z = pick_zero(dtype, random);
    const ValueId x = add_conv(graph, src, {64, {3, 3, 1, 1, 1, 1, 1, 1}, {}, {}, dtype}, random);
    const ValueId y = add_conv(graph, x, {600, {3, 3, 1, 1, 1, 1, 1, 1}, {}, {z}, dtype}, random);
    const ValueId u = add_conv(graph, y, {256, {3, 3, 1, 1, 1, 1, 1, 1}, {}, {}, dtype}, random);
    ConvCase last{520, {1, 1, 2, 2}, {}, {}, dtype};
    last.residual = true;
    const ValueId v = add_conv(graph, u, last, random);
    const ValueId w =
        add_conv(graph, u, {33, {2, 2, 1, 1, 0, 1, 1, 0}, {}, {}, DType::kF32}, random);
    graph.outputs = {x, v, w};
    expect_equal(graph, random, batch);
  }
}

// Output channels in 64s on few input bytes: a matrix unit makes 64 of them at once.
TEST(CpuDevice, WideBlocksEqualTheReference) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 24 && !HasFailure(); ++i) {
    Graph graph;
    graph.name = "wide";
    const ValueId src =
        add_input(graph, pick_bytes(random), {pick(random, 1, 7), pick(random, 1, 40), 64});
    const int kernel = pick(random, 1, 2);
    const int stride = pick(random, 1, 2);
    ConvCase c{64 * pick(random, 1, 3), {kernel, kernel, stride, stride, 0, 0, 1, 1}};
    c.dst = pick_bytes(random);
    c.residual = i % 2 == 0;
    graph.outputs = {add_conv(graph, src, c, random)};
    auto& q = std::get<graph::QConv>(graph.nodes[0].attributes);
    if (i % 3 == 0) {  // the shortest way out
      q.z_dst = full(c.dst).lo;
      q.range = full(c.dst);
      if (c.residual) q.z_res = full(graph.value(graph.inputs[1]).dtype).lo;
    }
    expect_equal(graph, random, pick(random, 1, 3));
  }
}

// Rows of stride 2 that nearly fill tiles, in groups because of the second convolution's weights.
TEST(CpuDevice, StridedRowsEqualTheReference) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (const int width : {14, 16, 28, 33}) {
    Graph graph;
    graph.name = "strided";
    const DType dtype = pick_bytes(random);
    const ValueId src = add_input(graph, DType::kU8, {5, 2 * width, 64});
    ConvCase strided{40, {3, 3, 2, 2, 1, 1, 1, 1}, {}, {}, dtype};
    strided.residual = width % 2 == 0;
    const ValueId x = add_conv(graph, src, strided, random);
    graph.outputs = {x, add_conv(graph, x, {2400, {3, width}, {}, {}, DType::kF32}, random)};
    expect_equal(graph, random, width == 14 ? 10 : 1);
  }
}

// A Relu of sums on both sides of 0 and of 2^23, where what floats hold of them changes, with
// multipliers on both sides of those that put 255 there.
TEST(CpuDevice, LargeSumsEqualTheReference) {
  std::mt19937 random(3);
  for (const float m : {0.0f, 1e-40f, 1e-6f, 3.0e-5f, 3.1e-5f, 1e-3f, 0.4f, 200.0f, -1e-5f}) {
    Graph graph;
    graph.name = "sums";
    const ValueId src = add_input(graph, DType::kU8, {3, 32, 520});
    ConvCase c{32, {1, 1}, {}, {0}};
    for (int oc = 0; oc < 32; ++oc) {
      for (int i = 0; i < 520; ++i) {
        c.weights.push_back(static_cast<std::int8_t>(oc % 4 == 3 ? -127 : 127 - oc % 2));
      }
    }
    graph.outputs = {add_conv(graph, src, c, random)};
    auto& q = std::get<graph::QConv>(graph.nodes[0].attributes);
    q.m.assign(32, m);
    q.z_dst = 0;
    q.range = arith::kU8;
    // All pixels of a position alike: sums from 0 to 16.8 millions in steps.
    Bytes pixels;
    for (int i = 0; i < 96; ++i) {
      const int value = i < 16 ? i : i < 48 ? 111 + i : 255 - (i - 48);
      pixels.insert(pixels.end(), 520, static_cast<std::byte>(value));
    }
    expect_equal(graph, {pixels}, 1);
  }
}

// Every product at its largest: what 16-bit sums would saturate on.
TEST(CpuDevice, ExtremesDoNotSaturate) {
  std::mt19937 random(1);
  for (const std::uint8_t pixel : {0, 255}) {
    for (const auto& [even, odd] : {std::pair{127, 127}, {-128, -128}, {127, -128}, {-127, 1}}) {
      Graph graph;
      const ValueId src = add_input(graph, DType::kU8, {7, 6, 20});
      ConvCase c{33, {3, 3, 1, 1, 1, 1, 1, 1}, {}, {0}, DType::kF32};
      for (int i = 0; i < 33 * 9 * 20; ++i) {
        c.weights.push_back(static_cast<std::int8_t>(i % 2 == 0 ? even : odd));
      }
      graph.outputs = {add_conv(graph, src, c, random)};
      expect_equal(graph, {Bytes(7 * 6 * 20, std::byte{pixel})}, 1);
    }
  }
}

// m so large that results leave s32: the clamp must come first.
TEST(CpuDevice, HugeMultipliersClamp) {
  std::mt19937 random(2);
  for (const float m : {1e30f, -1e30f, 3e38f, 1e5f}) {
    Graph graph;
    const ValueId src = add_input(graph, DType::kU8, {4, 4, 8});
    const ValueId dst = add_conv(graph, src, {16, {1, 1}}, random);
    std::get<graph::QConv>(graph.nodes[0].attributes).m.assign(16, m);
    graph.outputs = {dst};
    expect_equal(graph, random);
  }
}

TEST(CpuDevice, ByteOpsEqualTheReference) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 60 && !HasFailure(); ++i) {
    Graph graph;
    graph.name = "bytes";
    const DType dtype = pick_bytes(random);
    const graph::Shape shape{pick(random, 3, 9), pick(random, 3, 9), pick(random, 1, 70)};
    const ValueId a = add_input(graph, dtype, shape);
    const ValueId b = add_input(graph, pick_bytes(random), shape);
    const auto real = [&] { return std::uniform_real_distribution<float>(-1.5f, 1.5f)(random); };
    graph::Window window{pick(random, 1, 3), pick(random, 1, 3), pick(random, 1, 3),
                         pick(random, 1, 3)};
    window.pad_top = pick(random, 0, window.kh - 1);
    window.pad_right = pick(random, 0, window.kw - 1);
    window.count_include_pad = pick(random, 0, 1) == 0;
    const DType dst = pick_bytes(random);
    graph::QAdd add{pick_zero(dtype, random),
                    pick_zero(graph.value(b).dtype, random),
                    pick_zero(dst, random),
                    real(),
                    real(),
                    pick_range(dst, random)};
    const ValueId sum = graph.add_node(Op::kQAdd, "add", {a, b}, add, dst);
    const ValueId most = graph.add_node(Op::kMaxPool, "max", {a}, window, dtype);
    graph::QAveragePool pool{
        window, pick_zero(dtype, random), pick_zero(dst, random), {}, pick_range(dst, random)};
    for (int k = 1; k <= window.kh * window.kw; ++k) {
      pool.m.push_back(1.3f / static_cast<float>(k));
    }
    const ValueId mean = graph.add_node(Op::kQAveragePool, "mean", {a}, pool, dst);
    const ValueId means = graph.add_node(Op::kQAveragePool, "means", {a}, pool, DType::kF32);
    const ValueId scaled =
        graph.add_node(Op::kRequantize, "scale", {sum},
                       graph::Requantize{pick_zero(dst, random), pick_zero(dtype, random), real(),
                                         pick_range(dtype, random)},
                       dtype);
    const ValueId padded = graph.add_node(Op::kPad, "pad", {scaled},
                                          graph::Pad{pick(random, 0, 2), pick(random, 0, 2), 1, 0,
                                                     static_cast<float>(pick_zero(dtype, random))},
                                          dtype);
    const ValueId both = graph.add_node(Op::kConcat, "both", {scaled, a}, {}, dtype);
    const ValueId flat = graph.add_node(Op::kFlatten, "flat", {both}, {}, dtype);
    graph::Quant quant{{0.37f}, {pick_zero(dst, random)}};
    if (pick(random, 0, 1) == 0) {
      quant.scale.assign(static_cast<std::size_t>(shape.c), 0.6f);
      quant.zero_point.assign(static_cast<std::size_t>(shape.c), pick_zero(dst, random));
    }
    const ValueId floats = graph.add_node(Op::kDequantize, "floats", {sum}, quant, DType::kF32);
    const ValueId relu = graph.add_node(Op::kRelu, "relu", {floats}, {}, DType::kF32);
    const ValueId back = graph.add_node(Op::kQuantize, "back", {relu}, quant, dst);
    graph.outputs = {sum, most, mean, means, scaled, padded, both, flat, floats, relu, back};
    expect_equal(graph, random, pick(random, 1, 4));
  }
}

// Halves, which round to even, and what no integer is near: NaN becomes the zero point.
TEST(CpuDevice, QuantizesEveryFloatAsTheReferenceDoes) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> odd = {std::numeric_limits<float>::quiet_NaN(),
                                  kInf,
                                  -kInf,
                                  3e38f,
                                  -3e38f,
                                  1e-42f,
                                  -0.0f,
                                  4194303.5f,
                                  -8388609.0f,
                                  2147483648.0f};
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20 && !HasFailure(); ++i) {
    Graph graph;
    graph.name = "floats";
    const DType dst = pick_bytes(random);
    const ValueId src = add_input(graph, DType::kF32, {8, pick(random, 1, 40), 3});
    graph::Quant quant{{pick(random, 0, 1) == 0 ? 0.25f : 0.37f}, {pick_zero(dst, random)}};
    graph.outputs = {graph.add_node(Op::kQuantize, "quantize", {src}, quant, dst)};
    Images inputs = random_inputs(graph, 1, random);
    for (std::size_t at = 0; at < inputs[0].size(); at += sizeof(float)) {
      const int kind = pick(random, 0, 2);
      if (kind == 0) continue;
      const float x = kind == 1 ? (static_cast<float>(pick(random, -300, 300)) + 0.5f) * 0.25f
                                : odd[static_cast<std::size_t>(pick(random, 0, 9))];
      std::memcpy(&inputs[0][at], &x, sizeof x);
    }
    expect_equal(graph, inputs, 1);
  }
}

// Values with borders as graph outputs, as inputs of other ops, and padded in two ways.
TEST(CpuDevice, BordersStayInside) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20 && !HasFailure(); ++i) {
    Graph graph;
    graph.name = "borders";
    const DType dtype = pick_bytes(random);
    const ValueId src = add_input(graph, dtype, {9, 8, 3});
    const ConvCase first{pick(random, 1, 40), {3, 3, 1, 1, 1, 1, 1, 1}, {}, {}, dtype};
    const ValueId x = add_conv(graph, src, first, random);
    const std::int32_t z = pick_zero(dtype, random);
    const ConvCase next{8, {3, 3, 2, 2, 1, 1, 1, 1}, {}, {z}, dtype};
    const ValueId y = add_conv(graph, x, next, random);
    ConvCase wide{5, {5, 5, 1, 1, 2, 2, 2, 2}, {}, {z}, dtype};
    const ValueId u = add_conv(graph, x, wide, random);
    wide.z_src = {z == 0 ? 1 : 0};
    const ValueId v = add_conv(graph, x, wide, random);
    const graph::Window pool{3, 3, 2, 2, 1, 1, 1, 1};
    const ValueId most = graph.add_node(Op::kMaxPool, "max", {x}, pool, dtype);
    const ValueId flat = graph.add_node(Op::kFlatten, "flat", {x}, {}, dtype);
    graph.outputs = {x, y, u, v, most, flat};
    if (pick(random, 0, 1) == 0) graph.outputs.erase(graph.outputs.begin());
    expect_equal(graph, random, pick(random, 1, 5));
  }
}

TEST(CpuDevice, ForcedSetRuns) {
  std::mt19937 random(3);
  Graph graph;
  const ValueId src = add_input(graph, DType::kU8, {4, 4, 8});
  graph.outputs = {add_conv(graph, src, {16, {1, 1}}, random)};
  const auto shared = std::make_shared<const Graph>(graph);
  for (const char* name : available_sets()) {
    const ForcedIsa isa(name);
    const auto device = make_device();
    EXPECT_EQ(device->properties().isa, name);
    const auto program = compile_or_throw(*device, shared);
    program->set_profiling(true);
    run(*program, random_inputs(graph, 1, random), 1, 1);
    ASSERT_EQ(program->profile().size(), 1u);
    EXPECT_THAT(program->profile()[0].kernel, testing::StartsWith(std::string(name) + "/conv"));
    EXPECT_EQ(program->profile()[0].calls, 1);
    EXPECT_GT(program->memory_bytes(), 16 * 8);
  }
}

TEST(CpuDevice, HintsChangeNoByte) {
  std::mt19937 random(5);
  Graph graph;
  graph.outputs = {add_conv(graph, add_input(graph, DType::kU8, {9, 9, 16}), {40, {3, 3}}, random)};
  const auto shared = std::make_shared<const Graph>(graph);
  constexpr int kBatch = 5;
  const Images inputs = random_inputs(graph, kBatch, random);
  const auto judge = compile_or_throw(*reference::make_device(), shared, {1});
  const Images want = run(*judge, inputs, kBatch, 1);
  for (const Hint hint : {Hint::kAuto, Hint::kThroughput, Hint::kLatency}) {
    const auto program = compile_or_throw(*make_device(), shared, {.threads = 3, .hint = hint});
    for (const int threads : {0, 1}) EXPECT_EQ(run(*program, inputs, kBatch, threads), want);
  }
}

TEST(CpuDevice, SetsHaveCeilings) {
  for (const char* name : available_sets()) {
    const ForcedIsa isa(name);
    const double ceiling = make_device()->measure_ceiling(1);
    if (choose_kernels().peak == nullptr) {
      EXPECT_EQ(ceiling, 0) << name;
    } else {
      EXPECT_GT(ceiling, 1e7) << name;  // emulated sets, a busy machine
      EXPECT_LT(ceiling, 1e14) << name;
    }
  }
}

TEST(CpuDevice, UnknownSetIsRefused) {
  const ForcedIsa isa("sse9");
  try {
    make_device();
    FAIL() << "accepted";
  } catch (const base::Error& e) {
    EXPECT_EQ(e.status(), base::Status::kInvalidArgument);
    EXPECT_NE(std::string(e.what()).find("portable"), std::string::npos) << e.what();
  }
}

TEST(CpuDevice, Int32ActivationsAreRefusedByName) {
  Graph graph;
  graph.name = "odd";
  const ValueId src = add_input(graph, DType::kS32, {4, 4, 3});
  graph.outputs = {
      graph.add_node(Op::kMaxPool, "the_pool", {src}, graph::Window{2, 2}, DType::kS32)};
  const CompileResult result = make_device()->compile(std::make_shared<const Graph>(graph), {});
  const auto* refusal = std::get_if<Refusal>(&result);
  ASSERT_NE(refusal, nullptr);
  ASSERT_EQ(refusal->ops.size(), 1u);
  EXPECT_EQ(refusal->ops[0].node, "the_pool");
  EXPECT_EQ(refusal->ops[0].op, "MaxPool");
  EXPECT_NE(refusal->message().find("int32"), std::string::npos) << refusal->message();
}

TEST(CpuDevice, WrongSubmissionsThrow) {
  std::mt19937 random(4);
  Graph graph;
  graph.outputs = {add_conv(graph, add_input(graph, DType::kU8, {4, 4, 8}), {16, {1, 1}}, random)};
  const auto program = compile_or_throw(*make_device(), std::make_shared<const Graph>(graph));
  EXPECT_THROW(program->submit({{}, {}, 1, 0}), base::Error);
}

}  // namespace
}  // namespace pronghorn::device::cpu
