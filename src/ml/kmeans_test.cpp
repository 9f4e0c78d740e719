// SPDX-License-Identifier: Apache-2.0
#include "ml/kmeans.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ml/data_for_test.h"

namespace pronghorn::ml {
namespace {

constexpr unsigned kSeed = 20261124;

template <class T>
std::vector<double> first_rows(const Data<T>& data, int count) {
  std::vector<double> rows;
  for (int r = 0; r < count; ++r) {
    for (std::int64_t c = 0; c < data.cols(); ++c)
      rows.push_back(static_cast<double>(data.at(r, c)));
  }
  return rows;
}

// Lloyd's iteration as its definition has it, in double.
template <class T>
std::vector<std::int32_t> plain_lloyd(const Data<T>& data, std::vector<double> centers, int k,
                                      int iterations) {
  const std::int64_t cols = data.cols();
  std::vector<std::int32_t> labels(static_cast<std::size_t>(data.rows()));
  for (int i = 0; i <= iterations; ++i) {
    std::vector<double> sums(centers.size()), counts(static_cast<std::size_t>(k));
    for (std::int64_t r = 0; r < data.rows(); ++r) {
      double best = std::numeric_limits<double>::infinity();
      for (int c = 0; c < k; ++c) {
        double d = 0;
        for (std::int64_t j = 0; j < cols; ++j) {
          const double t =
              static_cast<double>(data.at(r, j)) - centers[static_cast<std::size_t>(c * cols + j)];
          d += t * t;
        }
        if (d < best) {
          best = d;
          labels[static_cast<std::size_t>(r)] = c;
        }
      }
      const std::int32_t label = labels[static_cast<std::size_t>(r)];
      counts[static_cast<std::size_t>(label)] += 1;
      for (std::int64_t j = 0; j < cols; ++j) {
        sums[static_cast<std::size_t>(label * cols + j)] += static_cast<double>(data.at(r, j));
      }
    }
    for (std::size_t c = 0; c < sums.size(); ++c) {
      centers[c] = sums[c] / counts[c / static_cast<std::size_t>(cols)];
    }
  }
  return labels;
}

struct Fitted {
  KMeansResult result;
  std::vector<std::int32_t> labels;
};

Fitted fit(const device::Matrix& x, const std::vector<double>& start, int k, bool bounds,
           int threads = 2, const double* weight = nullptr, int max_iter = 300) {
  Fitted fitted;
  fitted.labels.resize(static_cast<std::size_t>(x.rows));
  KMeansOptions options;
  options.clusters = k;
  options.bounds = bounds;
  options.tol = 0;
  options.max_iter = max_iter;
  const auto learner = cpu(threads);
  fitted.result = kmeans_fit(*learner, x, weight, start.data(), options, fitted.labels.data(), {});
  return fitted;
}

template <class T>
class KMeans : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(KMeans, Types);

TYPED_TEST(KMeans, LabelsAreThoseOfTheDefinition) {
  const Data<TypeParam> data = blobs<TypeParam>(kSeed, 3000, 9, 7, 2.0);
  const auto start = first_rows(data, 7);
  const Fitted fitted = fit(data.rows_view(), start, 7, false, 2, nullptr, 5);
  EXPECT_EQ(fitted.labels, plain_lloyd(data, start, 7, 5));
}

// Nothing cancels, however near a row is to a centre and however far both are from the origin.
TYPED_TEST(KMeans, DistancesAreThoseOfTheDefinition) {
  Data<TypeParam> data = blobs<TypeParam>(kSeed, 200, 9, 7, 2.0);
  for (std::int64_t r = 0; r < 200; ++r) {
    for (std::int64_t c = 0; c < 9; ++c) {
      data.at(r, c) += TypeParam(1000);
      if (r >= 7) continue;
      data.at(r + 50, c) = data.at(r, c) + TypeParam(c == 3 ? 0.0625 : 0);
    }
  }
  const auto centers = first_rows(data, 7);
  std::vector<TypeParam> out(200 * 7);
  cpu()->distances(data.rows_view(), centers.data(), 7, out.data());
  for (std::int64_t r = 0; r < 200; ++r) {
    for (std::int64_t k = 0; k < 7; ++k) {
      double square = 0;
      for (std::int64_t c = 0; c < 9; ++c) {
        const double t =
            static_cast<double>(data.at(r, c)) - centers[static_cast<std::size_t>(k * 9 + c)];
        square += t * t;
      }
      const double want = std::sqrt(square);
      ASSERT_NEAR(static_cast<double>(out[static_cast<std::size_t>(r * 7 + k)]), want,
                  (sizeof(TypeParam) == 4 ? 1e-7 : 1e-9) * want);
    }
  }
}

// Overlapping clusters, so that most rows are open for long; an offset makes distances cancel.
TYPED_TEST(KMeans, BoundsChangeNothing) {
  for (const double offset : {0.0, 300.0}) {
    Data<TypeParam> data = blobs<TypeParam>(kSeed, 20000, 17, 30, 0.7);
    for (std::int64_t r = 0; r < data.rows(); ++r) {
      for (std::int64_t c = 0; c < data.cols(); ++c)
        data.at(r, c) += static_cast<TypeParam>(offset);
    }
    const auto start = first_rows(data, 30);
    const Fitted lloyd = fit(data.rows_view(), start, 30, false);
    const Fitted bounds = fit(data.rows_view(), start, 30, true);
    EXPECT_GT(lloyd.result.n_iter, 10);
    EXPECT_EQ(lloyd.labels, bounds.labels);
    EXPECT_EQ(lloyd.result.centers, bounds.result.centers);
    EXPECT_EQ(lloyd.result.n_iter, bounds.result.n_iter);
    EXPECT_EQ(lloyd.result.inertia, bounds.result.inertia);
  }
}

TYPED_TEST(KMeans, LayoutAndThreadsChangeNothing) {
  Data<TypeParam> data = blobs<TypeParam>(kSeed, 9000, 13, 8, 0.8);
  const auto start = first_rows(data, 8);
  const Fitted one = fit(data.rows_view(), start, 8, true, 1);
  const Fitted five = fit(data.rows_view(), start, 8, true, 5);
  const Fitted columns = fit(data.columns_view(), start, 8, true, 2);
  const Fitted sparse = fit(data.sparse_view(), start, 8, true, 2);
  EXPECT_EQ(one.labels, five.labels);
  EXPECT_EQ(one.result.centers, five.result.centers);
  EXPECT_EQ(one.labels, columns.labels);
  EXPECT_EQ(one.result.centers, columns.result.centers);
  EXPECT_EQ(one.labels, sparse.labels);
}

TYPED_TEST(KMeans, AWeightOfTwoIsARowTwice) {
  const Data<TypeParam> data = blobs<TypeParam>(kSeed, 500, 4, 5, 1.5);
  Data<TypeParam> twice(800, 4);
  std::vector<double> weight(500, 1.0);
  for (std::int64_t r = 0; r < 800; ++r) {
    const std::int64_t from = r < 500 ? r : r - 500;
    if (r >= 500) weight[static_cast<std::size_t>(from)] = 2;
    for (std::int64_t c = 0; c < 4; ++c) twice.at(r, c) = data.at(from, c);
  }
  const auto start = first_rows(data, 5);
  const Fitted weighted = fit(data.rows_view(), start, 5, true, 2, weight.data());
  const Fitted repeated = fit(twice.rows_view(), start, 5, true);
  EXPECT_TRUE(std::equal(weighted.labels.begin(), weighted.labels.end(), repeated.labels.begin()));
  EXPECT_NEAR(weighted.result.inertia, repeated.result.inertia, 1e-5 * repeated.result.inertia);
}

TYPED_TEST(KMeans, EmptyClustersTakeTheFarthestRow) {
  Data<TypeParam> data(9, 1);
  for (std::int64_t r = 0; r < 9; ++r) data.at(r, 0) = static_cast<TypeParam>(r < 8 ? r % 2 : 50);
  // The second centre is nobody's nearest; row 8 is farthest from its own.
  const Fitted fitted = fit(data.rows_view(), {0.5, 1000}, 2, true);
  EXPECT_EQ(fitted.result.centers, (std::vector<double>{0.5, 50}));
  EXPECT_EQ(fitted.result.distinct, 2);
  EXPECT_EQ(fitted.labels[8], 1);
}

TYPED_TEST(KMeans, FewerDistinctRowsThanClusters) {
  const Data<TypeParam> data(20, 3);  // zeros
  const Fitted fitted = fit(data.rows_view(), first_rows(data, 4), 4, true);
  EXPECT_EQ(fitted.result.distinct, 1);
  EXPECT_EQ(fitted.result.inertia, 0);
}

TYPED_TEST(KMeans, PlusPlusTakesTheBestCandidate) {
  const Data<TypeParam> data = blobs<TypeParam>(kSeed, 400, 3, 6, 6.0);
  const std::vector<double> uniforms = {0.1, 0.7, 0.3, 0.95, 0.5, 0.2, 0.8, 0.05, 0.6, 0.4};
  const auto learner = cpu();
  const auto rows = kmeans_plusplus(*learner, data.rows_view(), nullptr, 6, 17, 2, uniforms.data());
  std::vector<std::int64_t> plain{17};
  std::vector<double> closest(400, std::numeric_limits<double>::infinity());
  const auto distance = [&](std::int64_t a, std::int64_t b) {
    double sum = 0;
    for (std::int64_t j = 0; j < 3; ++j) {
      const double t = static_cast<double>(data.at(a, j)) - static_cast<double>(data.at(b, j));
      sum += t * t;
    }
    return sum;
  };
  for (std::size_t c = 1; c < 6; ++c) {
    double total = 0;
    for (std::int64_t r = 0; r < 400; ++r) {
      double& d = closest[static_cast<std::size_t>(r)];
      d = std::min(d, distance(r, plain.back()));
      total += d;
    }
    std::int64_t best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t t = 0; t < 2; ++t) {
      double sum = 0;
      std::int64_t row = 0;
      while (row < 399 &&
             (sum += closest[static_cast<std::size_t>(row)]) < uniforms[2 * (c - 1) + t] * total) {
        ++row;
      }
      double potential = 0;
      for (std::int64_t r = 0; r < 400; ++r) {
        potential += std::min(closest[static_cast<std::size_t>(r)], distance(r, row));
      }
      if (potential < least) {
        least = potential;
        best = row;
      }
    }
    plain.push_back(best);
  }
  EXPECT_EQ(rows, plain);
}

TYPED_TEST(KMeans, SeedsGiveTheSameAgain) {
  const Data<TypeParam> data = blobs<TypeParam>(kSeed, 600, 5, 4, 3.0);
  KMeansOptions options;
  options.clusters = 4;
  options.seed = 7;
  options.n_init = 3;
  const auto learner = cpu();
  for (const KMeansInit init : {KMeansInit::kPlusPlus, KMeansInit::kRandom}) {
    options.init = init;
    const auto a = kmeans_fit(*learner, data.rows_view(), nullptr, nullptr, options, nullptr, {});
    const auto b = kmeans_fit(*learner, data.rows_view(), nullptr, nullptr, options, nullptr, {});
    EXPECT_EQ(a.centers, b.centers);
    EXPECT_TRUE(a.converged);
    // Every blob has its centre: rows are within a few deviations of it.
    EXPECT_LT(a.inertia / 600, 2 * 5);
  }
}

TYPED_TEST(KMeans, ProgressFallsAndMayStop) {
  const Data<TypeParam> data = blobs<TypeParam>(kSeed, 4000, 6, 12, 0.8);
  const auto start = first_rows(data, 12);
  KMeansOptions options;
  options.clusters = 12;
  options.tol = 0;
  const auto learner = cpu();
  std::vector<double> seen;
  kmeans_fit(*learner, data.rows_view(), nullptr, start.data(), options, nullptr,
             [&](int, int, double objective) { seen.push_back(objective); });
  ASSERT_GT(seen.size(), 3u);
  EXPECT_TRUE(std::is_sorted(seen.rbegin(), seen.rend()));
  EXPECT_THROW(kmeans_fit(*learner, data.rows_view(), nullptr, start.data(), options, nullptr,
                          [](int iteration, int, double) {
                            if (iteration == 2) throw std::runtime_error("stop");
                          }),
               std::runtime_error);
}

template <class T>
void expect_refused(double value) {
  SCOPED_TRACE(value);
  const auto learner = cpu();
  Data<T> data = blobs<T>(kSeed, 700, 19, 5, 3);
  std::vector<double> centers = first_rows(data, 21);
  // A centre at 0 turns infinity into NaN, others into infinities of both signs.
  std::fill_n(centers.begin(), 2 * 19, 0.0);
  std::vector<std::int32_t> labels(700);
  double inertia = 0;
  EXPECT_TRUE(
      learner->nearest(data.rows_view(), nullptr, centers.data(), 21, labels.data(), &inertia));
  for (const auto& [row, col] : {std::pair{0, 0}, {350, 7}, {699, 18}}) {
    const T kept = data.at(row, col);
    data.at(row, col) = static_cast<T>(value);
    EXPECT_FALSE(
        learner->nearest(data.rows_view(), nullptr, centers.data(), 21, labels.data(), &inertia));
    for (const std::int32_t label : labels) ASSERT_TRUE(label >= 0 && label < 21) << label;
    data.at(row, col) = kept;
  }
}

TEST(KMeans, NearestTellsOfValuesThatAreNotFinite) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double value : {std::nan(""), kInfinity, -kInfinity}) {
    expect_refused<float>(value);
    expect_refused<double>(value);
  }
}

}  // namespace
}  // namespace pronghorn::ml
