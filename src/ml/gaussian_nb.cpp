// SPDX-License-Identifier: Apache-2.0
#include "ml/gaussian_nb.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "ml/moments.h"

namespace pronghorn::ml {

void gaussian_nb_fit(device::Learner& learner, const device::Matrix& x, const std::int32_t* y,
                     const double* weight, int classes, double* class_weight, double* means,
                     double* variances) {
  const Moments fresh = group_moments(learner, x, y, weight, classes);
  for (std::int64_t c = 0; c < classes; ++c) {
    const double added = fresh.weights[static_cast<std::size_t>(c)];
    const double had = class_weight[c];
    if (added <= 0) continue;
    const double total = had + added;
    for (std::int64_t j = 0; j < x.cols; ++j) {
      const std::int64_t i = c * x.cols + j;
      const double mean = fresh.means[static_cast<std::size_t>(i)];
      const double variance = fresh.variances[static_cast<std::size_t>(i)];
      if (had <= 0) {
        means[i] = mean;
        variances[i] = variance;
        continue;
      }
      const double apart = means[i] - mean;
      variances[i] =
          (had * variances[i] + added * variance + had * added / total * apart * apart) / total;
      means[i] = (added * mean + had * means[i]) / total;
    }
    class_weight[c] = total;
  }
}

void gaussian_nb_predict(device::Learner& learner, const device::Matrix& x, const double* log_prior,
                         const double* means, const double* variances, int classes,
                         device::Output output, void* out) {
  std::vector<double> bias(log_prior, log_prior + classes);
  std::vector<double> scale(static_cast<std::size_t>(classes * x.cols));
  for (std::int64_t c = 0; c < classes; ++c) {
    double logs = 0;
    for (std::int64_t j = 0; j < x.cols; ++j) {
      const double variance = variances[c * x.cols + j];
      logs += std::log(2 * std::numbers::pi * variance);
      scale[static_cast<std::size_t>(c * x.cols + j)] = 0.5 / variance;
    }
    bias[static_cast<std::size_t>(c)] -= 0.5 * logs;
  }
  learner.gauss(x, bias.data(), means, scale.data(), classes, output, out);
}

}  // namespace pronghorn::ml
