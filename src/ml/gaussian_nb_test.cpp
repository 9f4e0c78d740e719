// SPDX-License-Identifier: Apache-2.0
#include "ml/gaussian_nb.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "ml/data_for_test.h"
#include "ml/moments.h"

namespace pronghorn::ml {
namespace {

constexpr unsigned kSeed = 20261124;
constexpr int kClasses = 5;

template <class T>
struct Plain {  // moments in two passes of long double
  Plain(const Data<T>& data, const std::vector<std::int32_t>& y, const double* weight)
      : means(static_cast<std::size_t>(kClasses * data.cols())), variances(means.size()) {
    for (int c = 0; c < kClasses; ++c) {
      for (std::int64_t j = 0; j < data.cols(); ++j) {
        long double sum = 0, total = 0, squares = 0;
        for (const bool second : {false, true}) {
          for (std::int64_t r = 0; r < data.rows(); ++r) {
            if (y[static_cast<std::size_t>(r)] != c) continue;
            const long double w = weight == nullptr ? 1 : weight[r];
            const long double value = data.at(r, j);
            if (second) {
              const long double t = value - sum / total;
              squares += w * t * t;
            } else {
              sum += w * value;
              total += w;
            }
          }
        }
        const auto i = static_cast<std::size_t>(c * data.cols() + j);
        means[i] = static_cast<double>(sum / total);
        variances[i] = static_cast<double>(squares / total);
      }
    }
  }
  std::vector<double> means, variances;
};

template <class T>
class GaussianNb : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(GaussianNb, Types);

// Also with values far from the origin, and in an order in which the first rows of a class say
// little about the rest.
TYPED_TEST(GaussianNb, MomentsAreExactToTwelveDigitsOrAFloats) {
  for (const double offset : {0.0, 1e4}) {
    for (const double drift : {0.0, 40.0}) {
      std::vector<std::int32_t> y;
      Data<TypeParam> data = blobs<TypeParam>(kSeed, 6001, 19, kClasses, 1.0, &y);
      std::vector<double> weight;
      for (std::int64_t r = 0; r < data.rows(); ++r) {
        weight.push_back(0.25 + static_cast<double>(r % 7));
        for (std::int64_t c = 0; c < data.cols(); ++c) {
          data.at(r, c) += static_cast<TypeParam>(offset + drift * (r > 300 ? 1 : 0));
        }
      }
      for (const bool weighted : {false, true}) {
        const double* w = weighted ? weight.data() : nullptr;
        const Plain<TypeParam> plain(data, y, w);
        for (const device::Matrix& x :
             {data.rows_view(), data.columns_view(), data.sparse_view()}) {
          std::vector<double> total(kClasses), means(plain.means.size()), variances(means.size());
          const auto learner = cpu();
          gaussian_nb_fit(*learner, x, y.data(), w, kClasses, total.data(), means.data(),
                          variances.data());
          // Float data without weights are summed in float, a thousand rows at a time.
          const bool brief = sizeof(TypeParam) == 4 && !weighted;
          for (std::size_t i = 0; i < means.size(); ++i) {
            ASSERT_NEAR(means[i], plain.means[i],
                        brief ? 1e-6 * std::sqrt(plain.variances[i])
                              : 1e-12 * (std::abs(plain.means[i]) + 1));
            ASSERT_NEAR(variances[i], plain.variances[i],
                        (brief ? 3e-6 : 1e-12) * plain.variances[i]);
          }
        }
      }
    }
  }
}

TYPED_TEST(GaussianNb, ConstantColumnsHaveNoVariance) {
  Data<TypeParam> data(101, 3);
  std::vector<std::int32_t> y(101, 0);
  for (std::int64_t r = 0; r < 101; ++r) data.at(r, 1) = TypeParam(0.1);
  std::vector<double> total(1), means(3), variances(3);
  const auto learner = cpu();
  gaussian_nb_fit(*learner, data.rows_view(), y.data(), nullptr, 1, total.data(), means.data(),
                  variances.data());
  EXPECT_EQ(variances, (std::vector<double>(3, 0.0)));
  EXPECT_EQ(means[1], static_cast<double>(TypeParam(0.1)));
}

// Where squares of floats overflow, doubles are summed.
TEST(GaussianNbFloat, LargeValues) {
  Data<float> data(64, 3);
  std::vector<std::int32_t> y;
  for (std::int64_t r = 0; r < 64; ++r) {
    y.push_back(static_cast<std::int32_t>(r % 2));
    for (std::int64_t c = 0; c < 3; ++c) data.at(r, c) = (r / 2 % 2 == 0 ? 1e30F : -1e30F);
  }
  std::vector<double> total(2), means(6), variances(6);
  gaussian_nb_fit(*cpu(), data.rows_view(), y.data(), nullptr, 2, total.data(), means.data(),
                  variances.data());
  for (std::size_t i = 0; i < means.size(); ++i) {
    EXPECT_NEAR(means[i], 0, 1e18);
    EXPECT_NEAR(variances[i] / 1e60, 1, 1e-6);
  }
}

TYPED_TEST(GaussianNb, PartsMergeToTheWhole) {
  std::vector<std::int32_t> y;
  const Data<TypeParam> data = blobs<TypeParam>(kSeed, 3000, 7, kClasses, 1.0, &y);
  const Plain<TypeParam> plain(data, y, nullptr);
  std::vector<double> total(kClasses), means(plain.means.size()), variances(means.size());
  const auto learner = cpu();
  for (std::int64_t first = 0; first < 3000; first += 500) {
    device::Matrix part = data.rows_view();
    part.data = static_cast<const TypeParam*>(part.data) + first * data.cols();
    part.rows = 500;
    gaussian_nb_fit(*learner, part, y.data() + first, nullptr, kClasses, total.data(), means.data(),
                    variances.data());
  }
  const bool brief = sizeof(TypeParam) == 4;
  for (std::size_t i = 0; i < means.size(); ++i) {
    EXPECT_NEAR(means[i], plain.means[i], (brief ? 1e-7 : 1e-12) * (std::abs(plain.means[i]) + 1));
    EXPECT_NEAR(variances[i], plain.variances[i], (brief ? 3e-6 : 1e-12) * plain.variances[i]);
  }
}

TYPED_TEST(GaussianNb, LikelihoodsAreThoseOfTheDefinition) {
  std::vector<std::int32_t> y;
  const Data<TypeParam> data = blobs<TypeParam>(kSeed, 500, 11, kClasses, 1.0, &y);
  const Plain<TypeParam> plain(data, y, nullptr);
  const std::vector<double> prior = {-1, -2, -0.5, -3, -1.5};
  const auto learner = cpu();
  std::vector<double> joint(500 * kClasses), proba(joint), log_proba(joint);
  std::vector<std::int32_t> labels(500);
  const auto predict = [&](device::Output output, void* out) {
    gaussian_nb_predict(*learner, data.rows_view(), prior.data(), plain.means.data(),
                        plain.variances.data(), kClasses, output, out);
  };
  predict(device::Output::kScores, joint.data());
  predict(device::Output::kProba, proba.data());
  predict(device::Output::kLogProba, log_proba.data());
  predict(device::Output::kLabel, labels.data());
  for (std::int64_t r = 0; r < 500; ++r) {
    std::vector<double> expected;
    for (int c = 0; c < kClasses; ++c) {
      double sum = prior[static_cast<std::size_t>(c)];
      for (std::int64_t j = 0; j < 11; ++j) {
        const auto i = static_cast<std::size_t>(c * 11 + j);
        const double t = static_cast<double>(data.at(r, j)) - plain.means[i];
        sum -= 0.5 *
               (std::log(2 * std::numbers::pi * plain.variances[i]) + t * t / plain.variances[i]);
      }
      expected.push_back(sum);
    }
    double total = 0;
    for (const double value : expected) total += std::exp(value);
    std::size_t best = 0;
    for (std::size_t c = 0; c < kClasses; ++c) {
      const std::size_t i = static_cast<std::size_t>(r) * kClasses + c;
      EXPECT_NEAR(joint[i], expected[c], 1e-12 * std::abs(expected[c]) + 1e-12);
      EXPECT_NEAR(proba[i], std::exp(expected[c]) / total, 1e-12);
      EXPECT_NEAR(log_proba[i], expected[c] - std::log(total), 1e-10);
      if (expected[c] > expected[best]) best = c;
    }
    EXPECT_EQ(labels[static_cast<std::size_t>(r)], static_cast<std::int32_t>(best));
  }
}

}  // namespace
}  // namespace pronghorn::ml
