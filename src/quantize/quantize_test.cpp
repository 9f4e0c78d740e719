// SPDX-License-Identifier: Apache-2.0
#include "quantize/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/buffer.h"
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

}  // namespace
}  // namespace pronghorn::quantize
