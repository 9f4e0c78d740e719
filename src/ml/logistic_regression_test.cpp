// SPDX-License-Identifier: Apache-2.0
#include "ml/logistic_regression.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "ml/data_for_test.h"

namespace pronghorn::ml {
namespace {

constexpr unsigned kSeed = 20261124;

// The objective as its definition has it, in double.
template <class T>
double plain_objective(const Data<T>& data, const std::vector<std::int32_t>& y,
                       const std::vector<double>& weight, const LogisticOptions& options,
                       const std::vector<double>& coef, const std::vector<double>& bias) {
  const int k = options.outputs();
  double loss = 0, total = 0;
  for (std::int64_t r = 0; r < data.rows(); ++r) {
    std::vector<double> z(bias);
    for (int c = 0; c < k; ++c) {
      for (std::int64_t j = 0; j < data.cols(); ++j) {
        z[static_cast<std::size_t>(c)] += coef[static_cast<std::size_t>(c * data.cols() + j)] *
                                          static_cast<double>(data.at(r, j));
      }
    }
    if (k == 1) z = {0, z[0]};
    const double high = *std::max_element(z.begin(), z.end());
    double sum = 0;
    for (const double v : z) sum += std::exp(v - high);
    const double w = weight.empty() ? 1 : weight[static_cast<std::size_t>(r)];
    const auto label = static_cast<std::size_t>(y[static_cast<std::size_t>(r)]);
    loss += w * (high + std::log(sum) - z[label]);
    total += w;
  }
  double penalty = 0;
  for (const double c : coef) {
    penalty += options.l1_ratio * std::abs(c) + (1 - options.l1_ratio) * 0.5 * c * c;
  }
  return loss / total + penalty / (options.c * total);
}

template <class T>
class Logistic : public testing::Test {
 protected:
  // Classes overlap, so that the optimum is finite; features of very different scales and offsets.
  void make(int classes) {
    y.clear();
    data = blobs<T>(kSeed, 1200, 6, classes, 0.6, &y);
    for (std::int64_t r = 0; r < data.rows(); ++r) {
      data.at(r, 1) = data.at(r, 1) * T(30) + T(100);
      data.at(r, 2) *= T(0.01);
    }
    std::mt19937 random(kSeed);
    for (std::int64_t r = 0; r < data.rows(); ++r) {
      weight.push_back(0.5 + static_cast<double>(random() % 100) / 50);
    }
    options.classes = classes;
  }
  LogisticResult fit(const device::Matrix& x, bool weighted = false) {
    const auto k = static_cast<std::size_t>(options.outputs());
    coef.assign(k * 6, 0.0);
    bias.assign(k, 0.0);
    const auto learner = cpu();
    return logistic_fit(*learner, x, y.data(), weighted ? weight.data() : nullptr, options,
                        coef.data(), bias.data(), {});
  }
  double objective(bool weighted = false) {
    return plain_objective(data, y, weighted ? weight : std::vector<double>(), options, coef, bias);
  }

  Data<T> data{0, 0};
  std::vector<std::int32_t> y;
  std::vector<double> weight, coef, bias;
  LogisticOptions options;
};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(Logistic, Types);

TYPED_TEST(Logistic, LossAndGradientAreThoseOfTheDefinition) {
  const double close = sizeof(TypeParam) == 4 ? 2e-5 : 1e-7;
  for (const int classes : {2, 3, 11}) {
    this->make(classes);
    this->options.c = 0.3;
    std::mt19937 random(kSeed);
    std::normal_distribution<double> normal(0, 0.01);
    const auto k = static_cast<std::size_t>(this->options.outputs());
    this->coef.assign(k * 6, 0.0);
    this->bias.assign(k, 0.0);
    for (double& c : this->coef) c = normal(random);
    for (double& b : this->bias) b = normal(random);
    std::vector<double> gradient(k * 6), bias_gradient(k);
    const auto learner = cpu();
    const auto loss = [&](const device::Matrix& x) {
      return logistic_loss_gradient(*learner, x, this->y.data(), this->weight.data(), this->options,
                                    this->coef.data(), this->bias.data(), gradient.data(),
                                    bias_gradient.data());
    };
    EXPECT_NEAR(loss(this->data.columns_view()), this->objective(true), close);
    EXPECT_NEAR(loss(this->data.sparse_view()), this->objective(true), close);
    EXPECT_NEAR(loss(this->data.rows_view()), this->objective(true), close);
    for (std::size_t i = 0; i < gradient.size() + k; ++i) {
      double& value = i < gradient.size() ? this->coef[i] : this->bias[i - gradient.size()];
      const double was = value;
      value = was + 1e-5;
      const double above = this->objective(true);
      value = was - 1e-5;
      const double below = this->objective(true);
      value = was;
      const double slope = (above - below) / 2e-5;
      EXPECT_NEAR(i < gradient.size() ? gradient[i] : bias_gradient[i - gradient.size()], slope,
                  close * std::max(1.0, std::abs(slope)) * 100);
    }
  }
}

// At a minimum every small step is uphill.
TYPED_TEST(Logistic, SolversFindTheMinimum) {
  for (const int classes : {2, 4}) {
    for (const LogisticSolver solver :
         {LogisticSolver::kLbfgs, LogisticSolver::kNewtonCg, LogisticSolver::kProximal}) {
      this->make(classes);
      this->options.solver = solver;
      this->options.tol = 1e-5;
      this->options.max_iter = 500;
      this->options.l1_ratio = solver == LogisticSolver::kProximal ? 0.7 : 0;
      this->options.c = 0.05;
      const LogisticResult result = this->fit(this->data.rows_view(), true);
      EXPECT_TRUE(result.converged);
      const double least = this->objective(true);
      EXPECT_NEAR(result.objective, least, 1e-6 * least);
      std::mt19937 random(kSeed);
      std::normal_distribution<double> normal;
      const auto coef = this->coef;
      for (int i = 0; i < 30; ++i) {
        for (std::size_t j = 0; j < coef.size(); ++j) {
          const double scale = j % 6 == 1 ? 1e-4 : j % 6 == 2 ? 0.3 : 3e-3;
          this->coef[j] = coef[j] + scale * normal(random);
        }
        EXPECT_GT(this->objective(true), least - 1e-7);
      }
      if (solver == LogisticSolver::kProximal) {
        EXPECT_GT(std::count(coef.begin(), coef.end(), 0.0), 0);
      }
    }
  }
}

// The conditions of the minimum hold for each coefficient: the smooth part's slope is -l1 sign(c)
// where c is not 0, and within l1 where it is. Correlated columns, weak and strong penalties.
TYPED_TEST(Logistic, ProximalMeetsTheConditionsOfTheMinimum) {
  for (const int classes : {2, 3}) {
    for (const double c : {0.01, 1.0, 100.0}) {
      for (const double ratio : {0.4, 1.0}) {
        this->make(classes);
        for (std::int64_t r = 0; r < this->data.rows(); ++r) {
          this->data.at(r, 4) = this->data.at(r, 3) * TypeParam(0.9) + this->data.at(r, 4);
        }
        this->options.c = c;
        this->options.l1_ratio = ratio;
        this->options.tol = sizeof(TypeParam) == 4 ? 1e-5 : 1e-7;
        this->options.max_iter = 300;
        const LogisticResult result = this->fit(this->data.rows_view());
        EXPECT_TRUE(result.converged) << classes << ' ' << c << ' ' << ratio;
        EXPECT_LT(result.passes, 300);
        const double strength = 1 / (c * static_cast<double>(this->data.rows()));
        std::vector<double> gradient(this->coef.size()), bias_gradient(this->bias.size());
        logistic_loss_gradient(*cpu(), this->data.rows_view(), this->y.data(), nullptr,
                               this->options, this->coef.data(), this->bias.data(), gradient.data(),
                               bias_gradient.data());
        const double close = sizeof(TypeParam) == 4 ? 1e-3 : 1e-6;
        for (std::size_t i = 0; i < gradient.size(); ++i) {
          const double l1 = ratio * strength;
          if (this->coef[i] == 0) {
            EXPECT_LE(std::abs(gradient[i]), l1 + close);
          } else {
            EXPECT_NEAR(gradient[i], this->coef[i] > 0 ? -l1 : l1, close);
          }
        }
      }
    }
  }
}

// Columns that nearly repeat others, so that values differ by their rounding alone long before the
// gradient is small: the search goes on.
TYPED_TEST(Logistic, BadlyConditioned) {
  this->make(3);
  for (std::int64_t r = 0; r < this->data.rows(); ++r) {
    this->data.at(r, 4) = this->data.at(r, 3) + TypeParam(0.002) * this->data.at(r, 4);
    this->data.at(r, 5) = this->data.at(r, 0) - TypeParam(0.003) * this->data.at(r, 5);
  }
  this->options.c = 1e3;
  this->options.tol = 1e-6;
  this->options.max_iter = 2000;
  this->options.solver = LogisticSolver::kNewtonCg;
  this->fit(this->data.rows_view());
  const double least = this->objective();
  this->options.solver = LogisticSolver::kLbfgs;
  EXPECT_TRUE(this->fit(this->data.rows_view()).converged);
  EXPECT_NEAR(this->objective(), least, 1e-6 * least);
}

TYPED_TEST(Logistic, SolversAgree) {
  this->make(3);
  this->options.tol = 1e-6;
  this->options.max_iter = 300;
  this->options.solver = LogisticSolver::kLbfgs;
  this->fit(this->data.rows_view());
  const double lbfgs = this->objective();
  this->options.solver = LogisticSolver::kNewtonCg;
  this->fit(this->data.sparse_view());
  EXPECT_NEAR(this->objective(), lbfgs, 1e-6 * lbfgs);
}

TYPED_TEST(Logistic, ThreadsChangeNothing) {
  this->make(3);
  const auto fit_on = [&](int threads) {
    std::vector<double> coef(18), bias(3);
    const auto learner = cpu(threads);
    logistic_fit(*learner, this->data.rows_view(), this->y.data(), nullptr, this->options,
                 coef.data(), bias.data(), {});
    return coef;
  };
  EXPECT_EQ(fit_on(1), fit_on(3));
}

TYPED_TEST(Logistic, WithoutInterceptOrPenalty) {
  this->make(2);
  this->options.intercept = false;
  this->options.c = std::numeric_limits<double>::infinity();
  this->options.tol = 1e-4;
  this->options.max_iter = 500;
  const LogisticResult result = this->fit(this->data.rows_view());
  EXPECT_TRUE(result.converged);
  EXPECT_EQ(this->bias[0], 0.0);
  EXPECT_LE(result.gradient, 1e-3);
}

// Margins of thousands: nothing overflows, and the loss is the margin itself.
TYPED_TEST(Logistic, LargeMargins) {
  Data<TypeParam> data(4, 1);
  for (std::int64_t r = 0; r < 4; ++r) data.at(r, 0) = static_cast<TypeParam>(r < 2 ? -1 : 1);
  LogisticOptions options;
  options.c = std::numeric_limits<double>::infinity();
  const double coef = 5000, bias = 0;
  const auto learner = cpu();
  for (const bool right : {true, false}) {
    const std::int32_t y[] = {right ? 0 : 1, right ? 0 : 1, right ? 1 : 0, right ? 1 : 0};
    double gradient = 0, bias_gradient = 0;
    const double loss = logistic_loss_gradient(*learner, data.rows_view(), y, nullptr, options,
                                               &coef, &bias, &gradient, &bias_gradient);
    EXPECT_DOUBLE_EQ(loss, right ? 0 : 5000);
    EXPECT_DOUBLE_EQ(gradient, right ? 0 : 1);
  }
}

}  // namespace
}  // namespace pronghorn::ml
