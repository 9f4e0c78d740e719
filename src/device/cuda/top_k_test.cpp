// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/kernels/top_k.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <random>
#include <vector>

#include "device/cuda/cuda_device.h"
#include "device/cuda/driver.h"

namespace pronghorn::device::cuda {
namespace {

TEST(TopK, OrderIsScoreThenIndex) {
  EXPECT_TRUE(before({3, 2.0f}, {1, 1.0f}));
  EXPECT_TRUE(before({1, 1.0f}, {3, 1.0f}));
  EXPECT_FALSE(before({1, 1.0f}, {1, 1.0f}));
  EXPECT_TRUE(before({1, -0.0f}, {2, 0.0f}));  // equal scores
  EXPECT_FALSE(before({2, 0.0f}, {1, -0.0f}));
}

// Few different scores, so that nearly every place is decided by the index; every k.
TEST(TopK, EqualsASort) {
  if (device_names().empty()) GTEST_SKIP() << "no GPU";
  constexpr std::uint32_t kSeed = 20261125;
  std::mt19937 random(kSeed);
  const float values[] = {0.0f,
                          -0.0f,
                          1.5f,
                          -3.0f,
                          65504.0f,
                          std::numeric_limits<float>::min(),
                          -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::infinity()};
  for (const std::int32_t n : {1, 2, 5, 31, 32, 33, 200, 1000, 4097}) {
    const std::int64_t rows = n == 4097 ? 3 : 37;
    for (const bool few : {true, false}) {
      std::vector<float> scores(static_cast<std::size_t>(rows * n));
      for (float& score : scores) {
        score = few ? values[random() % std::size(values)]
                    : static_cast<float>(static_cast<std::int32_t>(random())) * 1e-6f;
      }
      const Memory device_scores(scores.size() * sizeof(float), Where::kDevice);
      upload(device_scores, scores.data(), scores.size() * sizeof(float));
      for (const std::int32_t k : {1, 5, 33, n}) {
        if (k > n || k > 200) continue;
        const Memory best(static_cast<std::size_t>(rows * k) * sizeof(Scored), Where::kDevice);
        const StreamHandle stream;
        check(launch_top_k(rows, n, k, reinterpret_cast<const float*>(device_scores.data()),
                           reinterpret_cast<Scored*>(best.data()), stream.get()),
              "top_k");
        std::vector<Scored> have(static_cast<std::size_t>(rows * k));
        check(cudaMemcpyAsync(have.data(), best.data(), best.size(), cudaMemcpyDeviceToHost,
                              stream.get()),
              "copy");
        check(cudaStreamSynchronize(stream.get()), "top_k");
        for (std::int64_t row = 0; row < rows; ++row) {
          std::vector<Scored> want;
          for (std::int32_t i = 0; i < n; ++i) {
            want.push_back({i, scores[static_cast<std::size_t>(row * n + i)]});
          }
          std::sort(want.begin(), want.end(), before);
          for (std::int32_t i = 0; i < k; ++i) {
            const Scored& got = have[static_cast<std::size_t>(row * k + i)];
            const Scored& wanted = want[static_cast<std::size_t>(i)];
            ASSERT_EQ(got.index, wanted.index)
                << "seed " << kSeed << ", n " << n << ", k " << k << ", row " << row << ", " << i;
            ASSERT_EQ(got.score, wanted.score);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace pronghorn::device::cuda
