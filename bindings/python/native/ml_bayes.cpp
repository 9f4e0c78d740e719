// SPDX-License-Identifier: Apache-2.0
// Naive Bayes.
#include <nanobind/stl/optional.h>

#include "ml.h"

namespace pronghorn::python {
namespace {

using namespace nb::literals;

using Codes = Vector<const std::int32_t>;
using Numbers = Vector<const double>;

void gaussian_fit(const Matrix& x, const Codes& y, const Weights& weights,
                  Vector<double> class_weight, Table<double> means, Table<double> variances,
                  Run& run) {
  const auto classes = static_cast<std::int64_t>(class_weight.shape(0));
  check_length(y.shape(0), x.rows(), "y");
  double* mean = table_of(means, classes, x.cols(), "means");
  double* variance = table_of(variances, classes, x.cols(), "variances");
  const double* w = weights_of(weights, x);
  run([&] {
    return ph_gaussian_nb_fit(x.get(), y.data(), w, static_cast<std::int32_t>(classes),
                              class_weight.data(), mean, variance, run.get());
  });
}

void multinomial_fit(const Matrix& x, const Codes& y, const Weights& weights,
                     Vector<double> class_count, Table<double> feature_count, Run& run) {
  const auto classes = static_cast<std::int64_t>(class_count.shape(0));
  check_length(y.shape(0), x.rows(), "y");
  double* to = table_of(feature_count, classes, x.cols(), "feature_count");
  const double* w = weights_of(weights, x);
  run([&] {
    return ph_multinomial_nb_fit(x.get(), y.data(), w, static_cast<std::int32_t>(classes),
                                 class_count.data(), to, run.get());
  });
}

// The array that an output of this kind goes to.
void* output_of(const nb::object& output, int what, std::int64_t rows, std::int64_t classes) {
  if (what == PH_NB_LABEL) {
    const auto labels = nb::cast<Vector<std::int32_t>>(output, false);
    check_length(labels.shape(0), rows, "output");
    return labels.data();
  }
  return table_of(nb::cast<Table<double>>(output, false), rows, classes, "output");
}

void gaussian_predict(const Matrix& x, const Numbers& log_prior, const Table<const double>& means,
                      const Table<const double>& variances, int what, const nb::object& output,
                      Run& run) {
  const auto classes = static_cast<std::int64_t>(log_prior.shape(0));
  const double* mean = table_of(means, classes, x.cols(), "means");
  const double* variance = table_of(variances, classes, x.cols(), "variances");
  void* to = output_of(output, what, x.rows(), classes);
  run([&] {
    return ph_gaussian_nb_predict(x.get(), log_prior.data(), mean, variance,
                                  static_cast<std::int32_t>(classes), what, to, run.get());
  });
}

void multinomial_predict(const Matrix& x, const Numbers& log_prior,
                         const Table<const double>& feature_log_prob, int what,
                         const nb::object& output, Run& run) {
  const auto classes = static_cast<std::int64_t>(log_prior.shape(0));
  const double* from = table_of(feature_log_prob, classes, x.cols(), "feature_log_prob");
  void* to = output_of(output, what, x.rows(), classes);
  run([&] {
    return ph_multinomial_nb_predict(x.get(), log_prior.data(), from,
                                     static_cast<std::int32_t>(classes), what, to, run.get());
  });
}

}  // namespace

void bind_ml_bayes(nb::module_& ml) {
  ml.attr("JOINT") = static_cast<int>(PH_NB_JOINT);
  ml.attr("LOG_PROBA") = static_cast<int>(PH_NB_LOG_PROBA);
  ml.attr("PROBA") = static_cast<int>(PH_NB_PROBA);
  ml.attr("LABEL") = static_cast<int>(PH_NB_LABEL);
  ml.def("gaussian_nb_fit", &gaussian_fit, "x"_a, "y"_a, "sample_weight"_a.none(), "class_weight"_a,
         "means"_a, "variances"_a, "run"_a,
         "Merges with what the arrays hold; class_weight 0: nothing");
  ml.def("gaussian_nb_predict", &gaussian_predict, "x"_a, "log_prior"_a, "means"_a, "variances"_a,
         "what"_a, "output"_a, "run"_a);
  ml.def("multinomial_nb_fit", &multinomial_fit, "x"_a, "y"_a, "sample_weight"_a.none(),
         "class_count"_a, "feature_count"_a, "run"_a, "Adds to class_count and feature_count");
  ml.def("multinomial_nb_predict", &multinomial_predict, "x"_a, "log_prior"_a, "feature_log_prob"_a,
         "what"_a, "output"_a, "run"_a);
}

}  // namespace pronghorn::python
