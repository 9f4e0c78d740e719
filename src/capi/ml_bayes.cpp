// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "capi/ml_arguments.h"
#include "ml/gaussian_nb.h"
#include "ml/moments.h"

using namespace pronghorn;
using base::Status;

namespace {

double work_of(const device::Matrix& x, int classes) {
  return static_cast<double>(x.rows) * static_cast<double>(x.cols) * classes;
}

device::Output output_of(int32_t what) {
  switch (what) {
    case PH_NB_JOINT:
      return device::Output::kScores;
    case PH_NB_LOG_PROBA:
      return device::Output::kLogProba;
    case PH_NB_PROBA:
      return device::Output::kProba;
    case PH_NB_LABEL:
      return device::Output::kLabel;
    default:
      base::fail(Status::kInvalidArgument, "what is {}; a ph_nb_output", what);
  }
}

}  // namespace

ph_status ph_gaussian_nb_fit(const ph_matrix* x, const int32_t* y, const double* sample_weight,
                             int32_t classes, double* class_weight, double* means,
                             double* variances, const ph_ml_run* run) {
  return capi::guard([&] {
    capi::require(class_weight, "class_weight");
    capi::require(means, "means");
    capi::require(variances, "variances");
    capi::require_count(classes, 1, "classes");
    const device::Matrix matrix = capi::matrix_of(x);
    capi::require_classes(y, matrix.rows, classes);
    capi::require_weights(sample_weight, matrix.rows);
    const auto learner = capi::learner_of(run, work_of(matrix, 1));
    ml::gaussian_nb_fit(*learner, matrix, y, sample_weight, classes, class_weight, means,
                        variances);
  });
}

ph_status ph_gaussian_nb_predict(const ph_matrix* x, const double* log_prior, const double* means,
                                 const double* variances, int32_t classes, int32_t what,
                                 void* output, const ph_ml_run* run) {
  return capi::guard([&] {
    capi::require(log_prior, "log_prior");
    capi::require(means, "means");
    capi::require(variances, "variances");
    capi::require(output, "output");
    capi::require_count(classes, 1, "classes");
    const device::Output wanted = output_of(what);
    const device::Matrix matrix = capi::matrix_of(x);
    const auto learner = capi::learner_of(run, work_of(matrix, classes));
    ml::gaussian_nb_predict(*learner, matrix, log_prior, means, variances, classes, wanted, output);
  });
}

ph_status ph_multinomial_nb_fit(const ph_matrix* x, const int32_t* y, const double* sample_weight,
                                int32_t classes, double* class_count, double* feature_count,
                                const ph_ml_run* run) {
  return capi::guard([&] {
    capi::require(class_count, "class_count");
    capi::require(feature_count, "feature_count");
    capi::require_count(classes, 1, "classes");
    const device::Matrix matrix = capi::matrix_of(x);
    capi::require_classes(y, matrix.rows, classes);
    capi::require_weights(sample_weight, matrix.rows);
    const auto learner = capi::learner_of(run, work_of(matrix, 1));
    std::vector<double> weights(static_cast<std::size_t>(classes));
    std::vector<double> sums(static_cast<std::size_t>(classes * matrix.cols));
    const std::int64_t bad =
        learner->count(matrix, y, sample_weight, classes, weights.data(), sums.data());
    if (bad >= 0) {
      base::fail(Status::kInvalidArgument,
                 "x: a negative value at row {}, column {}; counts are 0 "
                 "or more",
                 bad / matrix.cols, bad % matrix.cols);
    }
    for (std::size_t c = 0; c < weights.size(); ++c) class_count[c] += weights[c];
    for (std::size_t i = 0; i < sums.size(); ++i) feature_count[i] += sums[i];
  });
}

ph_status ph_multinomial_nb_predict(const ph_matrix* x, const double* log_prior,
                                    const double* feature_log_prob, int32_t classes, int32_t what,
                                    void* output, const ph_ml_run* run) {
  return capi::guard([&] {
    capi::require(log_prior, "log_prior");
    capi::require(feature_log_prob, "feature_log_prob");
    capi::require(output, "output");
    capi::require_count(classes, 1, "classes");
    const device::Output wanted = output_of(what);
    const device::Matrix matrix = capi::matrix_of(x);
    const auto learner = capi::learner_of(run, work_of(matrix, classes));
    learner->joint(matrix, feature_log_prob, log_prior, classes, wanted, output);
  });
}

ph_status ph_matrix_moments(const ph_matrix* x, const double* sample_weight, double* means,
                            double* variances, const ph_ml_run* run) {
  return capi::guard([&] {
    const device::Matrix matrix = capi::matrix_of(x);
    capi::require_weights(sample_weight, matrix.rows);
    const auto learner = capi::learner_of(run, work_of(matrix, 1));
    const ml::Moments found = ml::group_moments(*learner, matrix, nullptr, sample_weight, 1);
    if (means != nullptr) std::copy(found.means.begin(), found.means.end(), means);
    if (variances != nullptr) std::copy(found.variances.begin(), found.variances.end(), variances);
  });
}

ph_status ph_matrix_check(const ph_matrix* x, int32_t finite, const ph_ml_run* run) {
  return capi::guard([&] {
    const device::Matrix matrix = capi::matrix_of(x);
    if (finite != 0) capi::require_finite(*capi::learner_of(run, work_of(matrix, 1)), matrix);
  });
}
