// SPDX-License-Identifier: Apache-2.0
// Machine learning on the CUDA device against the CPU device, whose kernels have a fused
// multiply-add: k-means labels are equal, sums agree to their rounding, and whole fits end alike.
// Skipped, with the reason, where there is no GPU. PRONGHORN_TEST_SHARES=2 gives the first GPU the
// rows in that many shares, which are kept, computed and added up as those of so many GPUs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <tuple>

#include "base/error.h"
#include "device/cpu/cpu_device.h"
#include "device/cuda/cuda_device.h"
#include "device/cuda/learn/cuda_learner.h"
#include "ml/data_for_test.h"
#include "ml/gaussian_nb.h"
#include "ml/kmeans.h"
#include "ml/logistic_regression.h"
#include "ml/moments.h"

namespace pronghorn::ml {
namespace {

constexpr unsigned kSeed = 20261124;

template <class T>
class CudaLearn : public testing::Test {
 protected:
  void SetUp() override {
    try {
      gpu_ = device::cuda::make_device("cuda")->learner(4);
      const char* shares = std::getenv("PRONGHORN_TEST_SHARES");
      if (shares != nullptr) {
        gpu_ = device::cuda::make_learner(
            std::vector<int>(static_cast<std::size_t>(std::atoi(shares)), 0), 4);
      }
    } catch (const base::Error& error) {
      GTEST_SKIP() << error.what();
    }
  }

  // Largest difference of two arrays, over the largest value.
  static double apart(const std::vector<double>& a, const std::vector<double>& b) {
    double most = 0, size = 1e-300;
    for (std::size_t i = 0; i < a.size(); ++i) {
      most = std::max(most, std::abs(a[i] - b[i]));
      size = std::max(size, std::abs(b[i]));
    }
    return most / size;
  }
  static std::vector<double> random_weights(std::int64_t rows) {
    std::mt19937 random(kSeed);
    std::vector<double> weight;
    for (std::int64_t r = 0; r < rows; ++r) {
      weight.push_back(static_cast<double>(random() % 50) / 16);
    }
    return weight;
  }

  std::unique_ptr<device::Learner> cpu_ = cpu();
  std::unique_ptr<device::Learner> gpu_;
};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(CudaLearn, Types);

const std::tuple<int, int, int> kShapes[] = {{5000, 64, 64}, {3001, 7, 3},     {1000, 130, 70},
                                             {40, 1, 5},     {20000, 16, 200}, {4000, 96, 10}};

TYPED_TEST(CudaLearn, KMeansPassesLabelAsTheProcessorDoes) {
  for (const auto& [rows, cols, k] : kShapes) {
    auto data = blobs<TypeParam>(kSeed, rows, cols, k, 0.4);
    const std::vector<double> weight = this->random_weights(rows);
    std::vector<double> centers;
    for (int r = 0; r < k; ++r) {
      for (int c = 0; c < cols; ++c) centers.push_back(static_cast<double>(data.at(r, c)));
    }
    for (const bool columns : {false, true}) {
      for (const bool shifted : {false, true}) {
        device::KMeansSetup setup;
        setup.x = columns ? data.columns_view() : data.rows_view();
        setup.clusters = k;
        setup.weight = columns ? weight.data() : nullptr;
        if (shifted) setup.shift.assign(static_cast<std::size_t>(cols), 0.375);
        std::vector<std::int32_t> of_cpu(static_cast<std::size_t>(rows)), of_gpu(of_cpu);
        setup.labels = of_cpu.data();
        const auto expected = this->cpu_->kmeans(setup);
        setup.labels = of_gpu.data();
        const auto passes = this->gpu_->kmeans(setup);
        std::vector<double> points(centers);
        for (int iteration = 0; iteration < 3; ++iteration) {
          EXPECT_EQ(passes->assign(points.data()), expected->assign(points.data()));
          passes->labels();
          ASSERT_EQ(of_gpu, of_cpu) << rows << " x " << cols << ", " << k;
          const std::vector<double> sums(passes->sums(), passes->sums() + k * cols);
          EXPECT_LT(this->apart(sums, {expected->sums(), expected->sums() + k * cols}), 1e-13);
          for (int c = 0; c < k; ++c) {
            EXPECT_EQ(passes->counts()[c], expected->counts()[c]);
            EXPECT_NEAR(passes->weights()[c], expected->weights()[c], 1e-9);
            for (int j = 0; j < cols; ++j) {
              const auto i = static_cast<std::size_t>(c * cols + j);
              if (expected->weights()[c] > 0) {
                points[i] = round_to(setup.x.dtype, expected->sums()[i] / expected->weights()[c]);
              }
            }
          }
        }
        const double inertia = expected->inertia(points.data());
        EXPECT_NEAR(passes->inertia(points.data()), inertia, 2e-6 * inertia);
        EXPECT_EQ(passes->farthest(points.data(), 5), expected->farthest(points.data(), 5));
      }
    }
  }
}

TYPED_TEST(CudaLearn, KMeansFitsAlike) {
  auto data = blobs<TypeParam>(kSeed, 30000, 20, 12, 1.5);
  KMeansOptions options;
  options.clusters = 12;
  options.n_init = 2;
  const auto fit = [&](device::Learner& learner, std::vector<std::int32_t>& labels) {
    labels.resize(30000);
    return kmeans_fit(learner, data.rows_view(), nullptr, nullptr, options, labels.data(), {});
  };
  std::vector<std::int32_t> expected_labels, labels;
  const KMeansResult expected = fit(*this->cpu_, expected_labels);
  const KMeansResult result = fit(*this->gpu_, labels);
  EXPECT_EQ(result.n_iter, expected.n_iter);
  EXPECT_EQ(labels, expected_labels);
  EXPECT_LT(this->apart(result.centers, expected.centers), 1e-14);
  EXPECT_NEAR(result.inertia, expected.inertia, 1e-6 * expected.inertia);
}

TYPED_TEST(CudaLearn, MomentsAgree) {
  for (const auto& [rows, cols, groups] : kShapes) {
    std::vector<std::int32_t> group;
    auto data = blobs<TypeParam>(kSeed, rows, cols, groups, 1.0, &group);
    const std::vector<double> weight = this->random_weights(rows);
    for (const int kind : {0, 1, 2, 3}) {
      const int count = kind == 3 ? 1 : groups;
      const auto size = static_cast<std::size_t>(count * cols);
      const std::vector<double> shift(size, 0.25);
      std::vector<double> all(2 * size + static_cast<std::size_t>(count)), expected(all.size());
      this->gpu_->moments(kind == 1 ? data.columns_view() : data.rows_view(),
                          kind == 3 ? nullptr : group.data(), kind == 2 ? weight.data() : nullptr,
                          count, shift.data(), all.data() + 2 * size, all.data(),
                          all.data() + size);
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto g = static_cast<std::size_t>(kind == 3 ? 0 : group[static_cast<std::size_t>(r)]);
        const double w = kind == 2 ? weight[static_cast<std::size_t>(r)] : 1.0;
        expected[2 * size + g] += w;
        for (int c = 0; c < cols; ++c) {
          const double t = static_cast<double>(data.at(r, c)) - 0.25;
          const std::size_t i = g * static_cast<std::size_t>(cols) + static_cast<std::size_t>(c);
          expected[i] += w * t;
          expected[size + i] += w * t * t;
        }
      }
      EXPECT_LT(this->apart(all, expected), 1e-13);
    }
  }
}

TYPED_TEST(CudaLearn, GaussianNbFitsAndPredictsAlike) {
  std::vector<std::int32_t> y;
  auto data = blobs<TypeParam>(kSeed, 20000, 33, 9, 0.7, &y);
  const auto fit = [&](device::Learner& learner) {
    std::vector<double> count(9), means(9 * 33), variances(9 * 33);
    gaussian_nb_fit(learner, data.rows_view(), y.data(), nullptr, 9, count.data(), means.data(),
                    variances.data());
    std::vector<double> all(count);
    all.insert(all.end(), means.begin(), means.end());
    all.insert(all.end(), variances.begin(), variances.end());
    return all;
  };
  const std::vector<double> fitted = fit(*this->cpu_), on_gpu = fit(*this->gpu_);
  for (std::size_t i = 0; i < fitted.size(); ++i) {
    const double close = sizeof(TypeParam) == 4 ? 1e-6 : 1e-12;  // the processor's sums of floats
    EXPECT_NEAR(on_gpu[i], fitted[i], close * std::abs(fitted[i]) + close / 10);
  }
  const std::vector<double> prior(9, -2.0);
  for (const auto output : {device::Output::kScores, device::Output::kLogProba,
                            device::Output::kProba, device::Output::kLabel}) {
    const auto predict = [&](device::Learner& learner) {
      std::vector<double> out(20000 * 9);
      gaussian_nb_predict(learner, data.rows_view(), prior.data(), fitted.data() + 9,
                          fitted.data() + 9 + 9 * 33, 9, output, out.data());
      return out;
    };
    const auto expected = predict(*this->cpu_);
    const auto result = predict(*this->gpu_);
    if (output == device::Output::kLabel) {
      EXPECT_EQ(0, std::memcmp(result.data(), expected.data(), 20000 * 4));
    } else {
      EXPECT_LT(this->apart(result, expected), 1e-12);
    }
  }
}

TYPED_TEST(CudaLearn, LossGradientAndCurvatureAgree) {
  const double close = sizeof(TypeParam) == 4 ? 3e-5 : 1e-11;
  for (const auto& [rows, cols, classes] : kShapes) {
    std::vector<std::int32_t> y;
    auto data = blobs<TypeParam>(kSeed, rows, cols, classes, 0.3, &y);
    const std::vector<double> weight = this->random_weights(rows);
    for (const bool binary : {false, true}) {
      if (binary) {
        for (std::int32_t& label : y) label %= 2;
      }
      device::LogisticSetup setup;
      setup.x = data.rows_view();
      setup.y = y.data();
      setup.outputs = binary ? 1 : classes;
      setup.weight = binary ? weight.data() : nullptr;
      const auto size = static_cast<std::size_t>(setup.outputs * cols);
      const auto outputs = static_cast<std::size_t>(setup.outputs);
      std::mt19937 random(kSeed);
      std::normal_distribution<double> normal(0, 0.3 / std::sqrt(cols));
      std::vector<double> coef(size), bias(outputs), direction(size), direction_bias(outputs);
      for (auto* values : {&coef, &bias, &direction, &direction_bias}) {
        for (double& value : *values) value = normal(random);
      }
      const auto expected = this->cpu_->logistic(setup);
      const auto passes = this->gpu_->logistic(setup);
      std::vector<double> a(size + outputs), b(a);
      const double loss =
          expected->loss_gradient(coef.data(), bias.data(), a.data(), a.data() + size);
      EXPECT_NEAR(passes->loss_gradient(coef.data(), bias.data(), b.data(), b.data() + size), loss,
                  close * loss);
      EXPECT_LT(this->apart(b, a), close) << rows << " x " << cols << ", " << classes << binary;
      expected->hessian_product(direction.data(), direction_bias.data(), a.data(), a.data() + size);
      passes->hessian_product(direction.data(), direction_bias.data(), b.data(), b.data() + size);
      EXPECT_LT(this->apart(b, a), close);
    }
  }
}

TYPED_TEST(CudaLearn, LogisticRegressionReachesTheSameOptimum) {
  std::vector<std::int32_t> y;
  auto data = blobs<TypeParam>(kSeed, 20000, 64, 10, 0.3, &y);
  for (const int classes : {2, 10}) {
    std::vector<std::int32_t> labels(y);
    for (std::int32_t& label : labels) label %= classes;
    LogisticOptions options;
    options.classes = classes;
    options.max_iter = 300;
    options.tol = 1e-6;
    const auto fit = [&](device::Learner& learner) {
      std::vector<double> coef(static_cast<std::size_t>(options.outputs() * 64)),
          bias(static_cast<std::size_t>(options.outputs()));
      const auto result = logistic_fit(learner, data.rows_view(), labels.data(), nullptr, options,
                                       coef.data(), bias.data(), {});
      EXPECT_TRUE(result.converged);
      // The objective of both at the processor's own passes.
      return logistic_loss_gradient(*this->cpu_, data.rows_view(), labels.data(), nullptr, options,
                                    coef.data(), bias.data(), nullptr, nullptr);
    };
    const double best = fit(*this->cpu_);
    EXPECT_NEAR(fit(*this->gpu_), best, 1e-6 * best);
  }
}

TYPED_TEST(CudaLearn, PredictionsAgree) {
  using T = TypeParam;
  auto data = blobs<T>(kSeed, 3000, 37, 6, 1.0);
  std::mt19937 random(kSeed);
  std::normal_distribution<double> normal(0, 0.2);
  std::vector<double> coef(6 * 37), bias(6);
  for (double& value : coef) value = normal(random);
  for (double& value : bias) value = normal(random);
  for (const int outputs : {1, 6}) {
    for (const auto output : {device::Output::kScores, device::Output::kLogProba,
                              device::Output::kProba, device::Output::kLabel}) {
      std::vector<T> a(3000 * 6), b(a);
      this->cpu_->linear(data.rows_view(), coef.data(), bias.data(), outputs, output, a.data());
      this->gpu_->linear(data.columns_view(), coef.data(), bias.data(), outputs, output, b.data());
      if (output == device::Output::kLabel) {
        EXPECT_EQ(0, std::memcmp(a.data(), b.data(), 3000 * 4));
      } else {
        EXPECT_LT(this->apart({b.begin(), b.end()}, {a.begin(), a.end()}),
                  sizeof(T) == 4 ? 3e-6 : 1e-13);
      }
    }
  }
  std::vector<double> a(3000 * 6), b(a);
  this->cpu_->joint(data.rows_view(), coef.data(), bias.data(), 6, device::Output::kLogProba,
                    a.data());
  this->gpu_->joint(data.rows_view(), coef.data(), bias.data(), 6, device::Output::kLogProba,
                    b.data());
  EXPECT_LT(this->apart(b, a), 1e-12);

  std::vector<T> far(3000 * 6), expected_far(far);
  this->cpu_->distances(data.rows_view(), coef.data(), 6, expected_far.data());
  this->gpu_->distances(data.rows_view(), coef.data(), 6, far.data());
  EXPECT_LT(this->apart({far.begin(), far.end()}, {expected_far.begin(), expected_far.end()}),
            sizeof(T) == 4 ? 1e-6 : 1e-13);

  const std::vector<std::int64_t> list{5, 2999, 17, 17, 404};
  for (const bool all : {false, true}) {
    const std::int64_t count = all ? 3000 : 5;
    const auto batch = [&](device::Learner& learner) {
      std::vector<double> found(6 * 37 + 6 + 1 + static_cast<std::size_t>(count));
      std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
      learner.nearest_of(data.rows_view(), nullptr, all ? nullptr : list.data(), count, coef.data(),
                         6, labels.data(), found.data(), found.data() + 1, found.data() + 7);
      std::copy(labels.begin(), labels.end(), found.end() - count);
      return found;
    };
    EXPECT_LT(this->apart(batch(*this->gpu_), batch(*this->cpu_)), 1e-6);
  }
}

TYPED_TEST(CudaLearn, SeedingAndCountingAgree) {
  using T = TypeParam;
  auto data = blobs<T>(kSeed, 5000, 12, 8, 2.0);
  EXPECT_EQ(seed_rows(*this->gpu_, data.rows_view(), nullptr, 8, KMeansInit::kPlusPlus, 3),
            seed_rows(*this->cpu_, data.rows_view(), nullptr, 8, KMeansInit::kPlusPlus, 3));
  EXPECT_EQ(this->gpu_->find_not_finite(data.rows_view()), -1);
  std::vector<std::int32_t> group(5000);
  for (std::size_t r = 0; r < group.size(); ++r) group[r] = static_cast<std::int32_t>(r % 3);
  std::vector<double> weights(3), sums(36);
  EXPECT_EQ(
      this->gpu_->count(data.rows_view(), group.data(), nullptr, 3, weights.data(), sums.data()),
      this->cpu_->count(data.rows_view(), group.data(), nullptr, 3, weights.data(), sums.data()));
  // A learner holds its last matrix, so changed data need another one.
  data.at(4321, 7) = std::numeric_limits<T>::quiet_NaN();
  data.at(4400, 0) = std::numeric_limits<T>::infinity();
  const auto fresh = device::cuda::make_device("cuda")->learner(4);
  EXPECT_EQ(fresh->find_not_finite(data.columns_view()), 4321 * 12 + 7);
  const auto refused = [&] { fresh->find_not_finite(data.sparse_view()); };
  EXPECT_THROW(refused(), base::Error);
}

}  // namespace
}  // namespace pronghorn::ml
