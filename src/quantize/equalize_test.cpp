// SPDX-License-Identifier: Apache-2.0
#include "quantize/equalize.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/buffer.h"
#include "device/reference/reference_device.h"
#include "quantize/test_nets.h"

namespace pronghorn::quantize {
namespace {

std::vector<float> run(const graph::Graph& g, const std::vector<std::uint8_t>& pixels) {
  const auto device = device::reference::make_device();
  const auto program = device::compile_or_throw(*device, std::make_shared<graph::Graph>(g));
  std::vector<float> input(pixels.begin(), pixels.end());
  std::vector<float> output(static_cast<std::size_t>(g.value(g.outputs[0]).shape.size()));
  const void* in = input.data();
  void* out = output.data();
  program->submit({{&in, 1}, {&out, 1}, 1, 1});
  return output;
}

std::vector<TensorStatistics> statistics_of(const Prepared& prepared,
                                            const std::vector<Chain>& chains,
                                            const std::vector<std::uint8_t>& pixels) {
  const auto device = device::reference::make_device();
  std::vector<graph::ValueId> between;
  for (const Chain& chain : chains) between.push_back(chain.between);
  return observe(prepared, between, {pixels.data(), 4}, 4, 1, *device, nullptr, [] {});
}

TEST(Equalize, FindsChainsThroughReluOnly) {
  // stem-dw1-pw1-dw2-pw2: four pairs; a Clip between them makes none.
  EXPECT_EQ(find_chains(prepare(testing::mobile_net(3, false)).graph).size(), 4u);
  EXPECT_TRUE(find_chains(prepare(testing::mobile_net(3, true)).graph).empty());
  // Two dense convolutions are left alone.
  EXPECT_TRUE(find_chains(prepare(testing::residual_net(3)).graph).empty());
  // So is a tensor with two readers, and one that a sum takes.
  testing::NetBuilder b(3, 8, testing::kTorch);
  const auto x = b.relu(b.conv("stem", b.input(), 4, 3));
  const auto y = b.conv("dw", x, 4, 3, 1, -1);
  EXPECT_TRUE(find_chains(prepare(b.finish(b.add("sum", x, y))).graph).empty());
}

TEST(Equalize, KeepsTheFloatFunctionToTheLastBit) {
  const auto pixels = testing::images(11, 4, 20);
  Prepared prepared = prepare(testing::mobile_net(4, false));
  const std::vector<float> before = run(prepared.graph, {pixels.begin(), pixels.begin() + 1200});
  const auto chains = find_chains(prepared.graph);
  const auto statistics = statistics_of(prepared, chains, pixels);
  int applied = 0;
  for (std::size_t i = 0; i < chains.size(); ++i) {
    const auto factors = equalizing_factors(prepared.graph, chains[i], statistics[i]);
    if (factors.empty()) continue;
    ++applied;
    apply_factors(prepared.graph, chains[i], factors);
  }
  EXPECT_GE(applied, 2);
  // Factors are powers of two, so scaling and unscaling is exact.
  EXPECT_EQ(run(prepared.graph, {pixels.begin(), pixels.begin() + 1200}), before);
}

TEST(Equalize, LeavesEvenChannelsAlone) {
  testing::NetBuilder b(12, 20, testing::kTorch);
  auto x = b.relu(b.conv("one", b.input(), 4, 3));
  const Prepared prepared = prepare(b.finish(b.conv("two", x, 4, 3, 1, -1)));
  const auto chains = find_chains(prepared.graph);
  ASSERT_EQ(chains.size(), 1u);
  TensorStatistics even;
  even.mean.assign(4, 0.0);
  even.square.assign(4, 1.0);
  even.largest.assign(4, 4.0f);
  EXPECT_TRUE(equalizing_factors(prepared.graph, chains[0], even).empty());
  even.largest = {4.0f, 0.004f, 0.005f, 0.003f};
  even.square = {1.0, 1e-6, 1e-6, 1e-6};
  EXPECT_FALSE(equalizing_factors(prepared.graph, chains[0], even).empty());
}

TEST(Equalize, RaisesTheAccuracyOfAnUnevenNet) {
  const auto pixels = testing::images(13, 16, 20);
  const auto device = device::reference::make_device();
  Options options;
  Report with, without;
  quantize(testing::mobile_net(5, false), {pixels.data(), 16}, options, *device, &with);
  options.equalize = false;
  quantize(testing::mobile_net(5, false), {pixels.data(), 16}, options, *device, &without);
  EXPECT_GT(with.layers.back().sqnr_accumulated_db, without.layers.back().sqnr_accumulated_db + 3);
}

}  // namespace
}  // namespace pronghorn::quantize
