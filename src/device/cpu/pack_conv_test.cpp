// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/pack_conv.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

namespace pronghorn::device::cpu {
namespace {

constexpr int kDepths[] = {4, 3, 2, 1};

// Sums of one output channel and half over a group; what the packer promises of them.
void expect_promise(const std::int8_t* group, int depth) {
  for (int lane = 0; lane < 2 * kPanel; ++lane) {
    int positive = 0;
    int negative = 0;
    for (int q = 0; q < depth; ++q) {
      for (int i = 0; i < 2; ++i) {
        const int w = group[q * kQuadBytes + 2 * lane + i];
        (w > 0 ? positive : negative) += w;
      }
    }
    ASSERT_LE(positive, 128);
    ASSERT_GE(negative, -128);
  }
}

// Quads may be split and reordered; their sum at each tap must be the weights.
TEST(PackConv, GroupsKeepThePromiseAndLoseNothing) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  base::ThreadPool pool(2);
  constexpr KernelSet kPairs{.name = "pairs", .packing = ConvPacking::kPairSums};
  for (const double sigma : {10.0, 35.0, 300.0}) {
    const graph::Window window{3, 3, 1, 1, 1, 1, 1, 1};
    const std::int64_t ic = 24, oc = 37, size = 9 * ic;
    std::normal_distribution<double> normal(0.0, sigma);
    std::vector<std::int8_t> weights(static_cast<std::size_t>(oc * size));
    for (auto& w : weights) {
      w = static_cast<std::int8_t>(std::min(std::max(normal(random), -128.0), 127.0));
    }
    const std::vector<std::int32_t> bias(static_cast<std::size_t>(oc), 5);
    const std::vector<float> m(static_cast<std::size_t>(oc), 0.5f);
    const std::vector<std::int32_t> z = {0};
    const Layout src{graph::DType::kU8, {10, 10, ic}, {1, 1, 1, 1, {0}}};
    const PackedConv packed = pack_conv({window, oc, ic, weights, bias, m, z}, src, kPairs, pool);
    ASSERT_EQ(packed.panels.size(), 3u);
    for (const PackedPanel& panel : packed.panels) {
      const std::int8_t* at = panel.conv.weights;
      for (int d = 0; d < kDepthCount; ++d) {
        for (std::int32_t g = 0; g < panel.conv.groups[d]; ++g, at += kDepths[d] * kQuadBytes) {
          expect_promise(at, kDepths[d]);
        }
      }
      ASSERT_EQ(at, panel.conv.weights + std::int64_t{panel.conv.quads} * kQuadBytes);
      std::map<std::int32_t, std::array<int, kQuadBytes>> sums;
      for (std::int32_t q = 0; q < panel.conv.quads; ++q) {
        for (int i = 0; i < kQuadBytes; ++i) {
          sums[panel.conv.taps[q]][static_cast<std::size_t>(i)] +=
              panel.conv.weights[q * kQuadBytes + i];
        }
      }
      for (std::int64_t k = 0; k < size; ++k) {
        const auto tap = static_cast<std::int32_t>(k / (3 * ic) * src.pitch() + k % (3 * ic));
        for (std::int64_t c = 0; c < panel.conv.channels; ++c) {
          const auto i = static_cast<std::size_t>(c * kQuad + tap % kQuad);
          ASSERT_EQ(sums[tap - tap % kQuad][i],
                    weights[static_cast<std::size_t>((panel.channel + c) * size + k)]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace pronghorn::device::cpu
