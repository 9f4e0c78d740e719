// SPDX-License-Identifier: Apache-2.0
// What is written reads back as the same graph, from the same bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "import/onnx_test_model.h"

namespace pronghorn::import::test {
namespace {

using graph::DType;
using graph::Graph;
using graph::Op;
using graph::Quant;
using graph::Tensor;
using graph::ValueId;
using graph::Window;

std::vector<float> noise(std::mt19937& random, std::size_t n) {
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

ValueId add_conv(Graph& g, std::mt19937& random, const std::string& name, ValueId src,
                 std::int64_t oc, Window w) {
  const std::int64_t ic = g.value(src).shape.c / w.groups;
  const auto weights = g.add_constant(
      name + ".w", Tensor::from({oc, w.kh, w.kw, ic},
                                noise(random, static_cast<std::size_t>(oc * w.kh * w.kw * ic))));
  const auto bias =
      g.add_constant(name + ".b", Tensor::from({oc}, noise(random, static_cast<std::size_t>(oc))));
  return g.add_node(Op::kConv, name, {src, weights, bias}, w);
}

// Each float op once.
Graph float_graph() {
  std::mt19937 random(7);
  Graph g;
  g.name = "all ops";
  const auto x = g.add_value("x", DType::kF32, {8, 9, 3});
  g.inputs = {x};
  auto v = add_conv(g, random, "stem", x, 4,
                    {.kh = 3, .kw = 3, .sh = 2, .sw = 1, .pad_top = 1, .pad_right = 2});
  v = g.add_node(Op::kRelu, "relu", {v});
  const auto depthwise = add_conv(g, random, "depthwise", v, 4,
                                  {.kh = 3,
                                   .kw = 3,
                                   .pad_top = 1,
                                   .pad_left = 1,
                                   .pad_bottom = 1,
                                   .pad_right = 1,
                                   .groups = 4});
  const auto sum = g.add_node(Op::kAdd, "sum", {v, depthwise});
  const auto clip = g.add_node(Op::kClip, "clip", {sum}, graph::Clip{0, 6});
  const auto scale = g.add_constant("scale", Tensor::from({4}, noise(random, 4)));
  const auto shift = g.add_constant("shift", Tensor::from({4}, noise(random, 4)));
  const auto norm = g.add_node(Op::kBatchNorm, "norm", {clip, scale, shift});
  v = g.add_node(Op::kConcat, "concat", {norm, v});
  v = g.add_node(Op::kPad, "pad", {v}, graph::Pad{1, 0, 2, 0, 1.5f});
  v = g.add_node(Op::kMaxPool, "max", {v}, Window{.kh = 2, .kw = 2, .pad_bottom = 1});
  v = g.add_node(
      Op::kAveragePool, "average", {v},
      Window{.kh = 2, .kw = 2, .sh = 2, .sw = 2, .pad_left = 1, .count_include_pad = true});
  v = g.add_node(Op::kRelu, "relu2", {v});
  const auto shape = g.value(v).shape;
  v = add_conv(g, random, "fc", v, 6,
               {.kh = static_cast<int>(shape.h), .kw = static_cast<int>(shape.w)});
  v = add_conv(g, random, "fc2", v, 5, {});
  v = g.add_node(Op::kSoftmax, "probabilities", {v});
  g.outputs = {v};
  g.preprocess = graph::Preprocess{{123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}, true};
  g.resize = "direct:8";
  g.labels = {"a", "b\n\"c\"", "d", "e", "f"};
  g.label_ids = {"n1", "n2", "n3", "n4", "n5"};
  g.metadata = {{"author", "nobody"}, {"zebra", "1"}};
  return g;
}

// u8 image -> conv + relu -> residual -> pool -> logits
Graph quantized_graph() {
  Graph g;
  g.name = "quantized";
  const auto x = g.add_value("x", DType::kU8, {6, 6, 3});
  g.inputs = {x};
  const auto conv = [&](const std::string& name, ValueId src, std::int64_t oc, Window w) {
    const std::int64_t ic = g.value(src).shape.c;
    std::vector<std::int8_t> values(static_cast<std::size_t>(oc * w.kh * w.kw * ic));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<std::int8_t>(i * 37 % 255 - 127);
    auto weights = g.add_constant(name + ".w", Tensor::from({oc, w.kh, w.kw, ic}, values));
    Quant quant;
    for (std::int64_t c = 0; c < oc; ++c)
      quant.scale.push_back(0.01f + 0.001f * static_cast<float>(c));
    quant.zero_point.assign(static_cast<std::size_t>(oc), 0);
    weights = g.add_node(Op::kDequantize, name + ".w.dq", {weights}, quant);
    auto bias = g.add_constant(
        name + ".b",
        Tensor::from({oc}, std::vector<std::int32_t>(static_cast<std::size_t>(oc), 100)));
    for (float& s : quant.scale) s *= 0.5f;
    bias = g.add_node(Op::kDequantize, name + ".b.dq", {bias}, quant);
    return g.add_node(Op::kConv, name, {src, weights, bias}, w);
  };
  const auto requantize = [&](const std::string& name, ValueId src, float scale, int zero) {
    const auto q =
        g.add_node(Op::kQuantize, name + ".q", {src}, Quant{{scale}, {zero}}, DType::kU8);
    return g.add_node(Op::kDequantize, name + ".dq", {q}, Quant{{scale}, {zero}});
  };
  auto v = g.add_node(Op::kDequantize, "x.dq", {x}, Quant{{1, 1, 1}, {124, 116, 104}});
  v = conv("stem", v, 4,
           {.kh = 3, .kw = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1});
  v = g.add_node(Op::kRelu, "relu", {v});
  const auto first = requantize("stem", v, 0.5f, 0);
  v = conv("second", first, 4, {});
  v = g.add_node(Op::kAdd, "sum", {v, first});
  v = requantize("sum", v, 0.7f, 128);
  v = g.add_node(Op::kMaxPool, "max", {v}, Window{.kh = 2, .kw = 2, .sh = 2, .sw = 2});
  v = requantize("max", v, 0.7f, 128);
  v = g.add_node(Op::kAveragePool, "mean", {v}, Window{.kh = 3, .kw = 3});
  v = requantize("mean", v, 0.3f, 128);
  v = conv("fc", v, 3, {});
  g.outputs = {v};
  return g;
}

struct Printed {  // a node with everything that counts
  std::string text;
  explicit Printed(const Graph& g) {
    const auto tensor = [&](ValueId id) {
      const auto& v = g.value(id);
      std::string out = fmt::format(" {}", graph::name_of(v.dtype));
      for (const auto d : v.dims) out += fmt::format("[{}]", d);
      if (!v.constant)
        return out + fmt::format(" {} {}x{}x{}", v.name, v.shape.h, v.shape.w, v.shape.c);
      std::uint64_t hash = 1469598103934665603ull;
      for (const auto b : v.constant->bytes())
        hash = (hash ^ static_cast<std::uint64_t>(b)) * 1099511628211ull;
      return out + fmt::format(" {} #{}", v.name, hash);
    };
    for (const auto id : g.inputs) text += "input" + tensor(id) + "\n";
    std::vector<std::string> lines;  // parameters may stand anywhere before their use
    for (const auto& node : g.nodes) {
      std::string line = fmt::format("{} {}", graph::name_of(node.op), node.name);
      for (const auto id : node.inputs) line += tensor(id);
      line += " ->" + tensor(node.output);
      if (const auto* w = std::get_if<Window>(&node.attributes)) {
        line +=
            fmt::format(" {}x{} {}x{} {} {} {} {} g{} {}", w->kh, w->kw, w->sh, w->sw, w->pad_top,
                        w->pad_left, w->pad_bottom, w->pad_right, w->groups, w->count_include_pad);
      } else if (const auto* q = std::get_if<Quant>(&node.attributes)) {
        for (std::size_t i = 0; i < q->scale.size(); ++i)
          line += fmt::format(" {}:{}", q->scale[i], q->zero_point[i]);
      } else if (const auto* c = std::get_if<graph::Clip>(&node.attributes)) {
        line += fmt::format(" {} {}", c->lo, c->hi);
      } else if (const auto* p = std::get_if<graph::Pad>(&node.attributes)) {
        line += fmt::format(" {} {} {} {} {}", p->top, p->left, p->bottom, p->right, p->value);
      }
      lines.push_back(line);
    }
    std::sort(lines.begin(), lines.end());
    for (const auto& line : lines) text += line + "\n";
    for (const auto id : g.outputs) text += "output" + tensor(id) + "\n";
  }
};

Graph read_text(const std::string& bytes) {
  auto owner = std::make_shared<const std::string>(bytes);
  return read_onnx(bytes_of(*owner), owner, "written.onnx");
}

TEST(ExportOnnx, FloatGraphReadsBackEqual) {
  const Graph g = float_graph();
  graph::verify(g);
  const std::string bytes = export_onnx(g);
  const Graph back = read_text(bytes);
  graph::verify(back);
  EXPECT_EQ(Printed(g).text, Printed(back).text);
  EXPECT_EQ(g.name, back.name);
  EXPECT_EQ(g.preprocess, back.preprocess);
  EXPECT_EQ(g.resize, back.resize);
  EXPECT_EQ(g.labels, back.labels);
  EXPECT_EQ(g.label_ids, back.label_ids);
  EXPECT_EQ(g.metadata, back.metadata);
}

TEST(ExportOnnx, QuantizedGraphReadsBackEqual) {
  const Graph g = quantized_graph();
  graph::verify(g);
  const Graph back = read_text(export_onnx(g));
  graph::verify(back);
  EXPECT_EQ(Printed(g).text, Printed(back).text);
}

TEST(ExportOnnx, SameGraphSameBytes) {
  for (const Graph& g : {float_graph(), quantized_graph()}) {
    const std::string bytes = export_onnx(g);
    EXPECT_TRUE(bytes == export_onnx(g));  // not _EQ, which would print them
    EXPECT_TRUE(bytes == export_onnx(read_text(bytes)));
  }
}

TEST(ExportOnnx, WritesNchwWithStandardOps) {
  onnx::ModelProto proto;
  ASSERT_TRUE(proto.ParseFromString(export_onnx(quantized_graph())));
  EXPECT_EQ(proto.opset_import(0).version(), 13);
  EXPECT_EQ(proto.producer_name(), "pronghorn");
  const auto& graph = proto.graph();
  EXPECT_EQ(graph.node(0).op_type(), "DequantizeLinear");
  EXPECT_EQ(graph.node(1).op_type(), "Transpose");
  EXPECT_EQ(graph.node(graph.node_size() - 1).op_type(), "Gemm");
  EXPECT_EQ(graph.output(0).type().tensor_type().shape().dim_size(), 2);
  for (const auto& node : graph.node()) EXPECT_TRUE(node.domain().empty()) << node.name();
  for (const auto& tensor : graph.initializer()) {
    if (tensor.name() != "stem.w") continue;
    EXPECT_EQ((Dims{tensor.dims().begin(), tensor.dims().end()}), (Dims{4, 3, 3, 3}));
    // [oc 0][ic 1][kh 0][kw 0] was [oc 0][kh 0][kw 0][ic 1]
    EXPECT_EQ(static_cast<std::int8_t>(tensor.raw_data()[9]), 37 - 127);
  }
}

TEST(ExportOnnx, IntegerGraphsAreRefused) {
  const Graph lowered = graph::passes::lower_quantized(quantized_graph());
  try {
    export_onnx(lowered);
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.status(), base::Status::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("QConv"));
  }
}

TEST(ExportOnnx, ComputesTheSame) {
  const Graph g = quantized_graph();
  std::vector<std::uint8_t> image(6 * 6 * 3);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(i * 91);
  EXPECT_EQ(run(g, image), run(import_text(export_onnx(g)), image));
  std::mt19937 random(3);
  const auto tensor = noise(random, 8 * 9 * 3);
  EXPECT_EQ(run(float_graph(), tensor), run(read_text(export_onnx(float_graph())), tensor));
}

}  // namespace
}  // namespace pronghorn::import::test
