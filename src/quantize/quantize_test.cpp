// SPDX-License-Identifier: Apache-2.0
#include "quantize/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <thread>

#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "quantize/test_nets.h"

namespace pronghorn::quantize {
namespace {

using graph::Graph;
using graph::Op;
using ::testing::HasSubstr;

const std::vector<std::uint8_t>& pixels() {
  static const auto all = testing::images(7, 24, 20);
  return all;
}
Calibration calibration() { return {pixels().data(), 24}; }

// Every byte of a graph that matters: names, ops, constants, scales.
std::string fingerprint(const Graph& g) {
  std::string text = graph::to_string(g);
  for (const graph::Value& v : g.values) {
    text += v.name;
    if (!v.constant) continue;
    const auto bytes = v.constant->bytes();
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  for (const graph::Node& n : g.nodes) {
    if (!std::holds_alternative<graph::Quant>(n.attributes)) continue;
    for (const float s : n.as<graph::Quant>().scale) text += fmt::format(" {:a}", s);
    for (const int z : n.as<graph::Quant>().zero_point) text += fmt::format(" {}", z);
  }
  return text;
}

TEST(Quantize, SameBytesForAnyThreadCount) {
  const auto device = device::reference::make_device();
  for (const Method method : {Method::kMinMax, Method::kPercentile, Method::kMse}) {
    Options options;
    options.method = method;
    options.percentile = 99.0;
    Report one, two;
    options.threads = 1;
    const Graph a = quantize(testing::residual_net(1), calibration(), options, *device, &one);
    options.threads = 2;
    const Graph b = quantize(testing::residual_net(1), calibration(), options, *device, &two);
    EXPECT_EQ(fingerprint(a), fingerprint(b));
    EXPECT_EQ(to_json(one), to_json(two));
  }
}

TEST(Quantize, LowersToIntegersAndStaysCloseToFloat) {
  const auto device = device::reference::make_device();
  for (const unsigned seed : {1u, 2u, 3u}) {
    Report report;
    const Graph q = quantize(testing::residual_net(seed), calibration(), {}, *device, &report);
    const Graph lowered = graph::passes::lower_quantized(q);
    std::multiset<Op> ops;
    for (const graph::Node& node : lowered.nodes) ops.insert(node.op);
    EXPECT_EQ(ops.count(Op::kQConv), 7u) << graph::to_string(lowered);
    EXPECT_EQ(ops.count(Op::kMaxPool), 1u);
    EXPECT_EQ(ops.count(Op::kQAveragePool), 1u);
    EXPECT_EQ(lowered.nodes.size() - ops.count(Op::kFlatten), 9u) << graph::to_string(lowered);
    EXPECT_EQ(q.value(q.inputs[0]).dtype, graph::DType::kU8);
    EXPECT_EQ(q.value(q.outputs[0]).name, "logits");
    EXPECT_FALSE(q.preprocess.has_value());
    ASSERT_EQ(report.layers.size(), 8u);
    for (const LayerReport& layer : report.layers) {
      EXPECT_GT(layer.sqnr_alone_db, 28) << layer.node;
      EXPECT_GT(layer.sqnr_accumulated_db, 24) << layer.node;
    }
    EXPECT_EQ(report.layers.back().dtype, "float32");
    EXPECT_EQ(report.images, 24);
    EXPECT_GT(report.top1_agreement, 0.8);
  }
}

TEST(Quantize, HandlesEveryOp) {
  // Clip, Concat, Pad, a lone Relu, an Add of no convolution, groups, Softmax at the end.
  testing::NetBuilder b(20, 20, testing::kCaffe);
  auto x = b.clip(b.conv("stem", b.input(), 12, 3, 2), -1, 2);
  x = b.node(Op::kPad, "border", {x}, graph::Pad{1, 1, 1, 1, 0.0f});
  auto left = b.conv("left", x, 12, 3, 1, 3);
  auto right = b.relu(b.node(Op::kMaxPool, "max", {x}, graph::Window{3, 3, 1, 1, 1, 1, 1, 1}));
  x = b.node(Op::kConcat, "both", {left, right, left});
  x = b.add("twice", x, x);
  x = b.conv("logits", b.global_pool(x), 5, 1);
  const Graph net = b.finish(b.node(Op::kSoftmax, "probabilities", {x}));
  const auto device = device::reference::make_device();
  Report report;
  const Graph q = quantize(net, calibration(), {}, *device, &report);
  EXPECT_EQ(q.value(q.outputs[0]).name, "probabilities");
  graph::passes::lower_quantized(q);
  std::set<std::string> seen;
  for (const LayerReport& layer : report.layers) {
    seen.insert(layer.node);
    EXPECT_GT(layer.sqnr_alone_db, 25) << layer.node;
    EXPECT_GT(layer.sqnr_accumulated_db, 20) << layer.node;
  }
  EXPECT_TRUE(seen.contains("both") && seen.contains("twice") && seen.contains("logits"));
}

TEST(Quantize, QuantizedOutputKeepsItsName) {
  testing::NetBuilder b(21, 20, testing::kTorch);
  const Graph net = b.finish(b.relu(b.conv("only", b.input(), 4, 3)));
  const auto device = device::reference::make_device();
  const Graph q = quantize(net, calibration(), {}, *device);
  EXPECT_EQ(q.value(q.outputs[0]).name, net.value(net.outputs[0]).name);
  EXPECT_EQ(q.nodes.back().op, Op::kDequantize);
}

TEST(Quantize, KeepsLabelsResizeAndMetadata) {
  Graph net = testing::residual_net(1);
  net.labels.assign(10, "cat");
  net.label_ids.assign(10, "n01");
  net.resize = "direct:20";
  net.metadata["author"] = "somebody";
  const auto device = device::reference::make_device();
  const Graph q = quantize(net, calibration(), {}, *device);
  EXPECT_EQ(q.labels, net.labels);
  EXPECT_EQ(q.label_ids, net.label_ids);
  EXPECT_EQ(q.resize, "direct:20");
  EXPECT_EQ(q.metadata, net.metadata);
}

void expect_refusal(const Graph& net, const Calibration& images, const Options& options,
                    const std::string& words) {
  const auto device = device::reference::make_device();
  try {
    quantize(net, images, options, *device);
    ADD_FAILURE() << "accepted; should say " << words;
  } catch (const base::Error& e) {
    EXPECT_EQ(e.status(), base::Status::kInvalidArgument);
    EXPECT_THAT(e.what(), HasSubstr(words));
  }
}

TEST(Quantize, RefusesWhatItCannotUse) {
  const Graph net = testing::residual_net(1);
  expect_refusal(net, {}, {}, "needs calibration images");
  expect_refusal(net, {pixels().data(), 0}, {}, "needs calibration images");
  Options options;
  options.method = Method::kPercentile;
  options.percentile = 50;
  expect_refusal(net, calibration(), options, "percentile 50 is not in (50, 100]");
  options.percentile = 100.5;
  expect_refusal(net, calibration(), options, "percentile 100.5");
  const auto device = device::reference::make_device();
  expect_refusal(quantize(net, calibration(), {}, *device), calibration(), {}, "quantized already");
}

TEST(Quantize, NamesTheLayerWhoseValuesAreNotFinite) {
  testing::NetBuilder b(22, 20, testing::kTorch);
  const auto stem = b.relu(b.conv("stem", b.input(), 4, 3));
  const auto weights = b.graph().add_constant(
      "huge", graph::Tensor::from({4, 1, 1, 4}, std::vector<float>(16, 3e38f)));
  const auto boom = b.node(Op::kConv, "boom", {stem, weights}, graph::Window{});
  const Graph net = b.finish(b.conv("after", boom, 4, 1));
  for (const int threads : {1, 2}) {
    Options options;
    options.threads = threads;
    expect_refusal(net, calibration(), options, "value of boom that is not finite");
  }
}

TEST(Quantize, ProgressComesFromTheCallerAndEndsWhole) {
  const auto device = device::reference::make_device();
  Options options;
  options.threads = 2;
  Report report;
  std::int64_t last = 0, all = 0;
  const auto caller = std::this_thread::get_id();
  quantize(testing::mobile_net(1, false), calibration(), options, *device, &report,
           [&](std::int64_t done, std::int64_t total) {
             EXPECT_EQ(std::this_thread::get_id(), caller);
             EXPECT_GE(done, last);
             EXPECT_LE(done, total);
             last = done;
             all = total;
           });
  EXPECT_EQ(last, all);
  EXPECT_EQ(all, 24 + 24 + 24 + 24);  // equalise, calibrate, two measurements
}

TEST(Quantize, StopsWhenProgressThrows) {
  const auto device = device::reference::make_device();
  Options options;
  options.threads = 2;
  EXPECT_THROW(
      quantize(testing::residual_net(1), calibration(), options, *device, nullptr,
               [](std::int64_t, std::int64_t) { base::fail(base::Status::kCancelled, "enough"); }),
      base::Error);
}

}  // namespace
}  // namespace pronghorn::quantize
