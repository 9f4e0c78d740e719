// SPDX-License-Identifier: Apache-2.0
// The kernels on the host (emulate.h) against plain loops: indices, tails, ties, sorting, sums.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "device/cuda/learn/kernels/group_sums.cuh"
#include "device/cuda/learn/kernels/logistic.cuh"
#include "device/cuda/learn/kernels/logistic_mma_sm80.cuh"
#include "device/cuda/learn/kernels/nearest_mma_sm80.cuh"
#include "device/cuda/learn/kernels/product.cuh"
#include "device/cuda/learn/kernels/rows.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr unsigned kSeed = 20261124;

template <class T>
struct AlignedRows {
  AlignedRows(std::int64_t rows, int cols, std::mt19937& random) : rows(rows), cols(cols) {
    constexpr int kPer = 16 / static_cast<int>(sizeof(T));
    padded = (cols + kPer - 1) / kPer * kPer;
    packs.resize(static_cast<std::size_t>(rows * padded / kPer));
    std::normal_distribution<double> normal;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) at(r, c) = static_cast<T>(normal(random));
    }
  }
  T* data() { return reinterpret_cast<T*>(packs.data()); }
  T& at(std::int64_t r, int c) { return data()[r * padded + c]; }
  std::int64_t rows;
  int cols, padded;
  std::vector<Pack<T>> packs;
};

// The matrix unit's labels, and the exact ones of the rows that it leaves open, of which it returns
// how many there were.
unsigned filtered(ProductJob product) {
  std::vector<unsigned> open(static_cast<std::size_t>(product.rows));
  unsigned count = 0;
  NearestJob job{};
  job.x = static_cast<const float*>(product.x);
  job.rows = product.rows;
  job.ld = product.ld;
  job.cols = product.cols;
  job.padded = product.padded;
  job.shift = static_cast<const float*>(product.shift);
  job.b = static_cast<const float*>(product.b);
  job.bias = static_cast<const float*>(product.bias);
  for (int k = 0; k < product.count; ++k) job.radius = std::max(job.radius, job.bias[k]);
  job.radius = std::sqrt(job.radius) * 1.0001f;
  job.labels = product.labels;
  job.before = product.before;
  job.changed = product.changed;
  job.open = open.data();
  job.open_count = &count;
  const int panels = product.padded / kPanel;
  const int warps = NearestTile::warps(panels, 227 << 10);
  emulate::run({2, 1}, {static_cast<unsigned>(32 * warps), 1},
               static_cast<std::size_t>(NearestTile::shared_bytes(panels, warps)),
               [&] { warps == 12 ? nearest_kernel<12>(job) : nearest_kernel<8>(job); });
  product.list = open.data();
  product.list_count = &count;
  emulate::run({2, 1}, {128, 1}, static_cast<std::size_t>(ProductTile<float>::shared_bytes(false)),
               [&] { product_kernel<float, float, Product::kNearest, true, 2>(product); });
  return count;
}

template <class T>
class LearnKernelsOnHost : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(LearnKernelsOnHost, Types);

TYPED_TEST(LearnKernelsOnHost, NearestIsThatOfSumsInOrder) {
  using T = TypeParam;
  std::mt19937 random(kSeed);
  for (const auto& [rows, cols, count] :
       {std::tuple{300, 64, 64}, {131, 7, 3}, {70, 150, 65}, {5, 1, 200}, {129, 66, 64}}) {
    AlignedRows<T> x(rows, cols, random);
    AlignedRows<T> centers(count, cols, random);
    for (int c = 0; c < cols; ++c) centers.at(count - 1, c) = centers.at(0, c);  // a tie
    AlignedRows<T> shift(1, cols, random);
    const int padded = (count + kPanel - 1) / kPanel * kPanel;
    std::vector<Pack<T>> b(static_cast<std::size_t>(x.padded * padded * sizeof(T) / 16));
    std::vector<T> bias(static_cast<std::size_t>(padded), std::numeric_limits<T>::infinity());
    T* const to = reinterpret_cast<T*>(b.data());
    for (int k = 0; k < count; ++k) {
      double norm = 0;
      for (int c = 0; c < cols; ++c) {
        to[c * padded + k] = -2 * centers.at(k, c);
        norm += static_cast<double>(centers.at(k, c)) * static_cast<double>(centers.at(k, c));
      }
      bias[static_cast<std::size_t>(k)] = static_cast<T>(norm);
    }
    std::vector<std::int32_t> labels(static_cast<std::size_t>(rows), -7), before(labels.size());
    std::vector<std::int32_t> expected(labels.size());
    std::vector<T> scores(static_cast<std::size_t>(rows * count)), expected_scores(scores);
    unsigned long long changed = 0, expected_changed = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      T best = std::numeric_limits<T>::infinity();
      const auto i = static_cast<std::size_t>(r);
      for (int k = 0; k < count; ++k) {
        T sum = bias[static_cast<std::size_t>(k)];
        for (int c = 0; c < cols; ++c) {
          sum = std::fma(static_cast<T>(x.at(r, c) - shift.at(0, c)), to[c * padded + k], sum);
        }
        expected_scores[i * static_cast<std::size_t>(count) + static_cast<std::size_t>(k)] = sum;
        if (sum < best) {
          best = sum;
          expected[i] = k;
        }
      }
      before[i] = r % 3 == 0 ? expected[i] : -1;
      expected_changed += r % 3 == 0 ? 0 : 1;
    }
    ProductJob job{};
    job.x = x.data();
    job.rows = rows;
    job.ld = x.padded;
    job.cols = x.padded;
    job.count = count;
    job.padded = padded;
    job.shift = shift.data();
    job.b = b.data();
    job.bias = bias.data();
    job.labels = labels.data();
    job.before = before.data();
    job.changed = &changed;
    job.out = scores.data();
    const auto shared = static_cast<std::size_t>(ProductTile<T>::shared_bytes(false));
    constexpr int kAll = ProductTile<T>::kVectors;
    emulate::run({2, 1}, {128, 1}, shared,
                 [&] { product_kernel<T, T, Product::kNearest, false, kAll>(job); });
    EXPECT_EQ(labels, expected) << rows << " x " << cols << ", " << count;
    EXPECT_EQ(changed, expected_changed);
    if constexpr (sizeof(T) == 4) {
      if (cols <= 64 && padded <= 256) {
        std::fill(labels.begin(), labels.end(), -7);
        changed = 0;
        EXPECT_LT(filtered(job), static_cast<unsigned>(rows));
        EXPECT_EQ(labels, expected) << rows << " x " << cols << ", " << count;
        EXPECT_EQ(changed, expected_changed);
      }
    }
    emulate::run({2, 1}, {128, 1}, shared,
                 [&] { product_kernel<T, T, Product::kScores, false, kAll>(job); });
    EXPECT_EQ(scores, expected_scores) << rows << " x " << cols << ", " << count;
    if (count > kPanel / kAll) continue;
    std::fill(scores.begin(), scores.end(), T{});
    emulate::run({2, 1}, {128, 1}, shared,
                 [&] { product_kernel<T, T, Product::kScores, false, 1>(job); });
    EXPECT_EQ(scores, expected_scores) << rows << " x " << cols << ", " << count;
  }
}

TYPED_TEST(LearnKernelsOnHost, GaussIsThatOfItsDefinition) {
  using T = TypeParam;
  std::mt19937 random(kSeed);
  for (const int count : {5, 16, 17}) {
    const int rows = 90, cols = 37;
    AlignedRows<T> x(rows, cols, random);
    AlignedRows<double> mean(kPanel, x.padded, random), scale(kPanel, x.padded, random);
    AlignedRows<double> b(x.padded, kPanel, random), s(x.padded, kPanel, random);
    std::vector<double> bias(kPanel, 0.5), out(rows * count);
    ProductJob job{};
    job.x = x.data();
    job.rows = rows;
    job.ld = job.cols = x.padded;
    job.count = count;
    job.padded = kPanel;
    job.b = b.data();
    job.scale = s.data();
    job.bias = bias.data();
    job.out = out.data();
    emulate::run({1, 1}, {128, 1},
                 static_cast<std::size_t>(ProductTile<double>::shared_bytes(true)), [&] {
                   count <= 16 ? product_kernel<T, double, Product::kGauss, false, 1>(job)
                               : product_kernel<T, double, Product::kGauss, false, 4>(job);
                 });
    for (int r = 0; r < rows; ++r) {
      for (int k = 0; k < count; ++k) {
        double sum = 0.5;
        for (int c = 0; c < x.padded; ++c) {
          const double off = static_cast<double>(x.at(r, c)) - b.at(c, k);
          sum -= off * off * s.at(c, k);
        }
        EXPECT_NEAR(out[static_cast<std::size_t>(r * count + k)], sum, 1e-11 * cols);
      }
    }
  }
}

// Groups of very different sizes, some empty; with and without weights, with a change of groups.
TYPED_TEST(LearnKernelsOnHost, GroupSumsAreThoseOfTheirRows) {
  using T = TypeParam;
  std::mt19937 random(kSeed);
  for (const auto& [rows, cols, groups] :
       {std::tuple{4500, 64, 16}, {2048, 5, 1}, {1500, 130, 3}, {2060, 9, 700}, {3000, 16, 64}}) {
    AlignedRows<T> x(rows, cols, random);
    AlignedRows<T> common(1, cols, random);
    AlignedRows<double> shift(groups, x.padded, random);
    std::vector<std::int32_t> group, before;
    std::vector<double> weight;
    for (int r = 0; r < rows; ++r) {
      const int g = static_cast<int>(random() % static_cast<unsigned>(groups));
      group.push_back(random() % 2 == 0 ? g : g / 5);
      before.push_back(random() % 4 == 0
                           ? static_cast<int>(random() % static_cast<unsigned>(groups + 1)) - 1
                           : group.back());
      weight.push_back(static_cast<double>(random() % 100) / 16);
    }
    for (const bool moves : {false, true}) {
      for (const bool weighted : {false, true}) {
        GroupJob job{};
        job.x = x.data();
        job.rows = rows;
        job.ld = job.cols = x.padded;
        job.groups = groups;
        job.group = groups == 1 && !moves ? nullptr : group.data();
        job.before = moves ? before.data() : nullptr;
        job.weight = weighted ? weight.data() : nullptr;
        job.group_shift = moves ? nullptr : shift.data();
        job.shift = moves ? common.data() : nullptr;
        job.squares = !moves;
        const GroupLayout layout(job);
        const int blocks = 2;
        std::vector<double> partial(static_cast<std::size_t>(blocks * layout.sum_count), 77.0);
        std::vector<double> sums(static_cast<std::size_t>(layout.sum_count));
        job.partial = partial.data();
        job.sums = sums.data();
        const auto shared = static_cast<std::size_t>(layout.bytes);
        emulate::run({blocks, 1}, {GroupTile::kThreads, 1}, shared, [&] {
          if (moves) {
            group_kernel<T, false, false>(job);
          } else if (weighted) {
            group_kernel<T, true, false>(job);
          } else {
            group_kernel<T, true, true>(job);
          }
        });
        const auto parts = static_cast<unsigned>((layout.sum_count + 31) / 32);
        emulate::run({parts, 1}, {kAddColumns, kAddParts}, 8 * kAddColumns * kAddParts, [&] {
          add_parts_kernel(partial.data(), blocks, layout.sum_count, sums.data(), false);
        });
        std::vector<double> expected(sums.size());
        const std::int64_t size = std::int64_t{groups} * x.padded;
        const std::int64_t totals = size * (moves ? 1 : 2);
        const auto add = [&](int r, int g, double sign) {
          const double w = sign * (weighted ? weight[static_cast<std::size_t>(r)] : 1.0);
          for (int c = 0; c < x.padded; ++c) {
            const auto i = static_cast<std::size_t>(g * x.padded + c);
            double t = static_cast<double>(x.at(r, c));
            if (moves) {
              t = static_cast<double>(static_cast<T>(x.at(r, c) - common.at(0, c)));
            } else {
              t -= shift.at(g, c);
              expected[i + static_cast<std::size_t>(size)] += w * t * t;
            }
            expected[i] += w * t;
          }
          if (moves || weighted) expected[static_cast<std::size_t>(totals + g)] += w;
          expected[static_cast<std::size_t>(totals + groups + g)] += sign;
        };
        for (int r = 0; r < rows; ++r) {
          const auto i = static_cast<std::size_t>(r);
          if (!moves) {
            add(r, job.group == nullptr ? 0 : group[i], 1);
          } else if (group[i] != before[i]) {
            add(r, group[i], 1);
            if (before[i] >= 0) add(r, before[i], -1);
          }
        }
        for (std::size_t i = 0; i < sums.size(); ++i) {
          ASSERT_NEAR(sums[i], expected[i], 1e-10 * (1 + std::abs(expected[i])))
              << rows << " x " << cols << ", " << groups << " groups, moves " << moves
              << ", weighted " << weighted << ", sum " << i;
        }
      }
    }
  }
}

TYPED_TEST(LearnKernelsOnHost, ResidualsTimesRowsAreTheGradient) {
  using T = TypeParam;
  std::mt19937 random(kSeed);
  const double close = sizeof(T) == 4 ? 1e-4 : 1e-10;
  for (const auto& [rows, cols, outputs] : {std::tuple{300, 70, 1}, {150, 5, 3}, {200, 64, 18}}) {
    AlignedRows<T> x(rows, cols, random);
    AlignedRows<T> z(rows * outputs, 16 / static_cast<int>(sizeof(T)), random);
    std::vector<T> scores(static_cast<std::size_t>(rows * outputs));
    std::normal_distribution<double> normal(0, 2);
    for (T& score : scores) score = static_cast<T>(normal(random));
    std::vector<std::int32_t> y;
    std::vector<double> weight, loss(static_cast<std::size_t>(rows));
    const int classes = outputs == 1 ? 2 : outputs;
    for (int r = 0; r < rows; ++r) {
      y.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(classes)));
      weight.push_back(0.5 + static_cast<double>(random() % 7));
    }
    const std::size_t width = static_cast<std::size_t>(x.padded) + 1;
    std::vector<double> expected(static_cast<std::size_t>(outputs) * width);
    std::vector<double> expected_loss;
    for (int r = 0; r < rows; ++r) {
      std::vector<double> own;
      for (int k = 0; k < outputs; ++k) {
        own.push_back(static_cast<double>(scores[static_cast<std::size_t>(r * outputs + k)]));
      }
      if (outputs == 1) own.insert(own.begin(), 0.0);
      double sum = 0;
      for (const double score : own) sum += std::exp(score);
      const auto label = static_cast<std::size_t>(y[static_cast<std::size_t>(r)]);
      const double w = weight[static_cast<std::size_t>(r)];
      expected_loss.push_back(w * (std::log(sum) - own[label]));
      for (int k = 0; k < outputs; ++k) {
        const auto which = static_cast<std::size_t>(outputs == 1 ? 1 : k);
        const double residual = w * (std::exp(own[which]) / sum - (which == label ? 1 : 0));
        double* to = expected.data() + static_cast<std::size_t>(k) * width;
        for (int c = 0; c < cols; ++c) to[c] += residual * static_cast<double>(x.at(r, c));
        to[x.padded] += residual;
      }
    }
    ResidualJob residuals{};
    residuals.z = scores.data();
    residuals.rows = rows;
    residuals.outputs = outputs;
    residuals.y = y.data();
    residuals.weight = weight.data();
    residuals.loss = loss.data();
    emulate::run({2, 1}, {kRowThreads, 1}, 0, [&] { residual_kernel<T>(residuals); });
    for (std::size_t r = 0; r < loss.size(); ++r) EXPECT_NEAR(loss[r], expected_loss[r], close);
    const unsigned blocks = 2;
    std::vector<double> partial(blocks * expected.size(), 55.0), sums(expected.size());
    OuterJob outer{};
    outer.x = x.data();
    outer.rows = rows;
    outer.ld = outer.cols = x.padded;
    outer.g = scores.data();
    outer.outputs = outputs;
    outer.partial = partial.data();
    const unsigned tiles = static_cast<unsigned>((outputs + 15) / 16 * ((x.padded + 63) / 64));
    emulate::run({blocks, tiles}, {OuterTile::kThreads, 1},
                 static_cast<std::size_t>(OuterTile::shared_bytes<T>()),
                 [&] { outer_kernel<T>(outer); });
    for (std::size_t i = 0; i < sums.size(); ++i) {
      EXPECT_NEAR(partial[i] + partial[i + sums.size()], expected[i], close * 100)
          << rows << " x " << cols << ", " << outputs << ", sum " << i;
    }
  }
}

// The fused pass: fragments, swizzle, tails of rows, columns and outputs; with large coefficients
// also rows whose label is so unlikely that exponentials relative to it overflow.
TEST(LogisticOnHost, LossAndGradientAreThoseOfTheDefinition) {
  std::mt19937 random(kSeed);
  for (const auto& [rows, cols, outputs, spread] : {std::tuple{500, 64, 10, 0.3},
                                                    {170, 61, 16, 0.3},
                                                    {37, 3, 1, 0.3},
                                                    {16, 64, 3, 0.3},
                                                    {300, 32, 5, 0.3},
                                                    {200, 64, 1, 0.3},
                                                    {100, 64, 10, 9.0},
                                                    {100, 64, 4, 9.0}}) {
    AlignedRows<float> x(rows, cols, random);
    std::normal_distribution<double> normal(0, spread);
    std::vector<float> coef(static_cast<std::size_t>(outputs * x.padded));
    std::vector<float> bias(static_cast<std::size_t>(outputs));
    for (float& value : coef) value = static_cast<float>(normal(random));
    for (float& value : bias) value = static_cast<float>(normal(random));
    std::vector<std::int32_t> y;
    std::vector<double> weight;
    for (int r = 0; r < rows; ++r) {
      y.push_back(
          static_cast<std::int32_t>(random() % static_cast<unsigned>(outputs == 1 ? 2 : outputs)));
      weight.push_back(static_cast<double>(random() % 9) / 4);
    }
    for (const bool weighted : {false, true}) {
      const auto width = static_cast<std::size_t>(x.padded + 1);
      std::vector<double> expected(static_cast<std::size_t>(outputs) * width + 1);
      for (int r = 0; r < rows; ++r) {
        std::vector<double> z;
        if (outputs == 1) z.push_back(0);
        for (int k = 0; k < outputs; ++k) {
          z.push_back(static_cast<double>(bias[static_cast<std::size_t>(k)]));
          for (int c = 0; c < cols; ++c) {
            z.back() += static_cast<double>(coef[static_cast<std::size_t>(k * x.padded + c)]) *
                        static_cast<double>(x.at(r, c));
          }
        }
        double sum = 0;
        for (const double margin : z) sum += std::exp(margin);
        ASSERT_TRUE(std::isfinite(sum));
        const auto label = static_cast<std::size_t>(y[static_cast<std::size_t>(r)]);
        const double w = weighted ? weight[static_cast<std::size_t>(r)] : 1.0;
        expected.back() += w * (std::log(sum) - z[label]);
        for (int k = 0; k < outputs; ++k) {
          const auto which = static_cast<std::size_t>(outputs == 1 ? 1 : k);
          const double residual = w * (std::exp(z[which]) / sum - (which == label ? 1 : 0));
          double* to = expected.data() + static_cast<std::size_t>(k) * width;
          for (int c = 0; c < cols; ++c) to[c] += residual * static_cast<double>(x.at(r, c));
          to[x.padded] += residual;
        }
      }
      const unsigned blocks = 2;
      // As many warps as fit, and as few as another GPU may have room for.
      const int warps = weighted ? 4 : LogisticTile::kMostWarps;
      const auto parts = blocks * static_cast<std::size_t>(warps);
      std::vector<double> partial(parts * expected.size(), 99.0);
      LogisticJob job{};
      job.x = x.data();
      job.rows = rows;
      job.ld = job.cols = x.padded;
      job.outputs = outputs;
      job.coef = coef.data();
      job.bias = bias.data();
      job.y = y.data();
      job.weight = weighted ? weight.data() : nullptr;
      job.partial = partial.data();
      const auto shared =
          static_cast<std::size_t>(warps * LogisticTile::warp_bytes(outputs <= 8 ? 1 : 2));
      emulate::run({blocks, 1}, {static_cast<unsigned>(32 * warps), 1}, shared, [&] {
        if (outputs == 1) {
          weighted ? logistic_kernel<1, true, true>(job) : logistic_kernel<1, false, true>(job);
        } else if (outputs <= 8) {
          weighted ? logistic_kernel<1, true, false>(job) : logistic_kernel<1, false, false>(job);
        } else {
          weighted ? logistic_kernel<2, true, false>(job) : logistic_kernel<2, false, false>(job);
        }
      });
      for (std::size_t i = 0; i < expected.size(); ++i) {
        double sum = 0;
        for (std::size_t part = 0; part < parts; ++part) sum += partial[part * expected.size() + i];
        EXPECT_NEAR(sum, expected[i], 4e-6 * spread * rows)
            << rows << " x " << cols << ", " << outputs << ", weighted " << weighted << ", " << i;
      }
    }
  }
}

TYPED_TEST(LearnKernelsOnHost, RowsAreMeasuredAndTurned) {
  using T = TypeParam;
  std::mt19937 random(kSeed);
  const int rows = 45, cols = 70, count = 3;
  AlignedRows<T> x(rows, cols, random);
  AlignedRows<double> points(count, x.padded, random);
  RowJob job{};
  job.x = x.data();
  job.rows = rows;
  job.ld = job.cols = x.padded;
  std::vector<double> square(rows * count);
  for (int r = 0; r < rows; ++r) {
    for (int k = 0; k < count; ++k) {
      for (int c = 0; c < x.padded; ++c) {
        const double off = static_cast<double>(x.at(r, c)) - points.at(k, c);
        square[static_cast<std::size_t>(r * count + k)] += off * off;
      }
    }
  }
  std::vector<T> distances(square.size());
  emulate::run({2, 1}, {32 * kRowWarps, 1}, 0,
               [&] { distance_kernel<T>(job, points.data(), count, distances.data()); });
  for (std::size_t i = 0; i < square.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(distances[i]), std::sqrt(square[i]), 1e-5);
  }
  std::vector<double> closest(rows, 1e9), partial(2 * 32);
  emulate::run({2, 1}, {32 * kRowWarps, 1}, 0,
               [&] { closest_kernel<T>(job, points.data(), closest.data()); });
  emulate::run({2, 1}, {32 * kRowWarps, 1}, 8 * 32 * kRowWarps, [&] {
    potential_kernel<T>(job, points.data(), count, closest.data(), partial.data());
  });
  for (int k = 0; k < count; ++k) {
    double expected = 0;
    for (int r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r * count);
      EXPECT_NEAR(closest[static_cast<std::size_t>(r)], square[i], 1e-9);
      expected += std::min(square[i], square[i + static_cast<std::size_t>(k)]);
    }
    const auto i = static_cast<std::size_t>(k);
    EXPECT_NEAR(partial[i] + partial[i + 32], expected, 1e-8);
  }
  std::vector<double> sums(2);
  emulate::run({2, 1}, {256, 1}, 64,
               [&] { weighted_sum_kernel(square.data(), square.data(), rows, sums.data()); });
  double expected = 0;
  for (std::size_t i = 0; i < rows; ++i) expected += square[i] * square[i];
  EXPECT_NEAR(sums[0] + sums[1], expected, 1e-12 * expected);
  std::vector<T> columns(rows * cols), turned(static_cast<std::size_t>(rows * x.padded), T(9));
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) columns[static_cast<std::size_t>(c * rows + r)] = x.at(r, c);
  }
  emulate::run({2, 3}, {256, 1}, 32 * 33 * sizeof(T),
               [&] { turn_kernel<T>(columns.data(), rows, rows, cols, turned.data(), x.padded); });
  EXPECT_EQ(turned, std::vector<T>(x.data(), x.data() + rows * x.padded));
}

}  // namespace
}  // namespace pronghorn::device::cuda
