// SPDX-License-Identifier: Apache-2.0
#include "quantize/points.h"

#include <gtest/gtest.h>

#include <string>

#include "quantize/test_nets.h"

namespace pronghorn::quantize {
namespace {

using graph::Graph;
using graph::Op;

Point kind(const Graph& g, const Points& p, const std::string& node) {
  for (const graph::Node& n : g.nodes) {
    if (n.name == node) return p.kind[static_cast<std::size_t>(n.output)];
  }
  ADD_FAILURE() << "no node " << node;
  return Point::kNone;
}

TEST(FindPoints, OnePointEachCluster) {
  const Graph g = testing::residual_net(1);
  const Points p = find_points(g);
  EXPECT_EQ(kind(g, p, "stem"), Point::kNone);
  EXPECT_EQ(kind(g, p, "stem_relu"), Point::kOwn);
  EXPECT_EQ(kind(g, p, "max"), Point::kShared);
  // Of the two convolutions that are added, the later one takes the sum.
  EXPECT_EQ(kind(g, p, "a2"), Point::kOwn);
  EXPECT_EQ(kind(g, p, "a_down"), Point::kNone);
  EXPECT_EQ(kind(g, p, "a"), Point::kNone);
  EXPECT_EQ(kind(g, p, "a_relu"), Point::kOwn);
  EXPECT_EQ(kind(g, p, "b2"), Point::kNone);
  EXPECT_EQ(kind(g, p, "pool"), Point::kOwn);
  EXPECT_EQ(kind(g, p, "flat"), Point::kShared);
  EXPECT_EQ(kind(g, p, "logits"), Point::kNone);
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    if (g.nodes[n].name == "b2") {
      EXPECT_EQ(g.nodes[cluster_end(g, p, n)].name, "b_relu");
    }
    if (g.nodes[n].name == "a2") {
      EXPECT_EQ(cluster_end(g, p, n), n);
    }
  }
}

TEST(FindPoints, SignsFollowFromTheOps) {
  testing::NetBuilder b(2, 8, testing::kTorch);
  const auto conv = b.conv("conv", b.input(), 4, 3);
  const auto relu = b.relu(conv);
  const auto both = b.node(Op::kConcat, "both", {relu, conv});
  const auto six = b.clip(both, 0, 6), shifted = b.clip(six, -1, 1);
  const auto pooled = b.node(Op::kMaxPool, "max", {six}, graph::Window{2, 2, 2, 2});
  const Graph g = b.finish(b.add("sum", shifted, six));
  const Points p = find_points(g);
  const auto sign = [&](graph::ValueId id) { return p.non_negative[static_cast<std::size_t>(id)]; };
  EXPECT_FALSE(sign(conv));
  EXPECT_TRUE(sign(relu));
  EXPECT_FALSE(sign(both));
  EXPECT_TRUE(sign(six));
  EXPECT_FALSE(sign(shifted));
  EXPECT_TRUE(sign(pooled));
  // Two readers: the convolution is quantized for itself and the Relu again.
  EXPECT_EQ(kind(g, p, "conv"), Point::kOwn);
}

TEST(FindPoints, TheWayOutStaysFloat) {
  testing::NetBuilder b(3, 8, testing::kTorch);
  auto x = b.conv("scores", b.relu(b.conv("stem", b.input(), 4, 3)), 5, 8);
  x = b.node(Op::kFlatten, "flat", {x});
  const Graph g = b.finish(b.node(Op::kSoftmax, "shares", {x}));
  const Points p = find_points(g);
  for (const char* node : {"scores", "flat", "shares"}) EXPECT_EQ(kind(g, p, node), Point::kNone);
  // A sum cannot leave the integers by itself, so it is quantized first.
  testing::NetBuilder c(4, 8, testing::kTorch);
  const auto stem = c.relu(c.conv("stem", c.input(), 4, 3));
  const Graph h = c.finish(c.add("sum", c.conv("next", stem, 4, 1), stem));
  EXPECT_EQ(kind(h, find_points(h), "sum"), Point::kOwn);
  EXPECT_EQ(kind(h, find_points(h), "next"), Point::kNone);
}

}  // namespace
}  // namespace pronghorn::quantize
