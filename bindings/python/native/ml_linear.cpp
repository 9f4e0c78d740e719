// SPDX-License-Identifier: Apache-2.0
// Logistic regression, and what predictions of linear models need.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "ml.h"

namespace pronghorn::python {
namespace {

using namespace nb::literals;

using Classes = Vector<const std::int32_t>;
using Intercept = std::optional<Vector<const double>>;

// One row of coefficients for two classes, as scikit-learn has it.
std::int64_t outputs_of(int classes) { return classes == 2 ? 1 : classes; }

ph_logreg_options problem(int classes, bool fit_intercept, double c, double l1_ratio) {
  ph_logreg_options options{};
  options.struct_size = sizeof options;
  options.classes = classes;
  options.no_intercept = fit_intercept ? 0 : 1;
  options.c = c;
  options.l1_ratio = l1_ratio;
  return options;
}

nb::tuple fit(const Matrix& x, const Classes& y, const Weights& weights, int classes,
              bool fit_intercept, double c, double l1_ratio, double tol, int max_iter,
              const std::string& solver, Table<double> coef, Vector<double> intercept, Run& run) {
  check_length(y.shape(0), x.rows(), "y");
  double* to = table_of(coef, outputs_of(classes), x.cols(), "coef");
  check_length(intercept.shape(0), outputs_of(classes), "intercept");
  const double* w = weights_of(weights, x);
  ph_logreg_options options = problem(classes, fit_intercept, c, l1_ratio);
  options.warm_start = 1;
  options.tol = tol;
  options.max_iter = max_iter;
  options.solver = solver.c_str();
  ph_logreg_result result{};
  result.struct_size = sizeof result;
  run([&] {
    return ph_logreg_fit(x.get(), y.data(), w, &options, to, intercept.data(), &result, run.get());
  });
  return nb::make_tuple(result.objective, result.gradient, result.n_iter, result.passes,
                        result.converged != 0);
}

double loss_gradient(const Matrix& x, const Classes& y, const Weights& weights, int classes,
                     bool fit_intercept, double c, double l1_ratio, const Table<const double>& coef,
                     const Vector<const double>& intercept, Table<double> coef_gradient,
                     Vector<double> intercept_gradient, Run& run) {
  const std::int64_t outputs = outputs_of(classes);
  check_length(y.shape(0), x.rows(), "y");
  const double* from = table_of(coef, outputs, x.cols(), "coef");
  double* to = table_of(coef_gradient, outputs, x.cols(), "coef_gradient");
  check_length(intercept.shape(0), outputs, "intercept");
  check_length(intercept_gradient.shape(0), outputs, "intercept_gradient");
  const double* w = weights_of(weights, x);
  const ph_logreg_options options = problem(classes, fit_intercept, c, l1_ratio);
  double objective = 0;
  run([&] {
    return ph_logreg_loss_gradient(x.get(), y.data(), w, &options, from, intercept.data(),
                                   &objective, to, intercept_gradient.data(), run.get());
  });
  return objective;
}

const double* intercept_of(const Intercept& intercept, std::int64_t outputs) {
  if (!intercept) return nullptr;
  check_length(intercept->shape(0), outputs, "intercept");
  return intercept->data();
}

void decision(const Matrix& x, const Table<const double>& coef, const Intercept& intercept,
              AnyTable scores, Run& run) {
  const auto outputs = static_cast<std::int64_t>(coef.shape(0));
  const double* from = table_of(coef, outputs, x.cols(), "coef");
  const double* add = intercept_of(intercept, outputs);
  void* to = table_like(x, scores, x.rows(), outputs, "scores");
  run([&] {
    return ph_linear_decision(x.get(), from, add, static_cast<std::int32_t>(outputs), to,
                              run.get());
  });
}

void predict(const Matrix& x, const Table<const double>& coef, const Intercept& intercept,
             Vector<std::int32_t> labels, Run& run) {
  const auto outputs = static_cast<std::int64_t>(coef.shape(0));
  const double* from = table_of(coef, outputs, x.cols(), "coef");
  const double* add = intercept_of(intercept, outputs);
  check_length(labels.shape(0), x.rows(), "labels");
  run([&] {
    return ph_linear_predict(x.get(), from, add, static_cast<std::int32_t>(outputs), labels.data(),
                             run.get());
  });
}

void proba(const Matrix& x, const Table<const double>& coef, const Intercept& intercept,
           bool logarithm, AnyTable proba, Run& run) {
  const auto outputs = static_cast<std::int64_t>(coef.shape(0));
  const double* from = table_of(coef, outputs, x.cols(), "coef");
  const double* add = intercept_of(intercept, outputs);
  void* to = table_like(x, proba, x.rows(), outputs == 1 ? 2 : outputs, "proba");
  run([&] {
    return ph_linear_proba(x.get(), from, add, static_cast<std::int32_t>(outputs),
                           logarithm ? 1 : 0, to, run.get());
  });
}

}  // namespace

void bind_ml_linear(nb::module_& ml) {
  ml.def("logreg_fit", &fit, "x"_a, "y"_a, "sample_weight"_a.none(), "classes"_a, "fit_intercept"_a,
         "c"_a, "l1_ratio"_a, "tol"_a, "max_iter"_a, "solver"_a, "coef"_a, "intercept"_a, "run"_a,
         "Starts from what coef and intercept hold and leaves the optimum there: (objective, "
         "largest element of the gradient, iterations, passes over the data, converged)");
  ml.def("logreg_loss_gradient", &loss_gradient, "x"_a, "y"_a, "sample_weight"_a.none(),
         "classes"_a, "fit_intercept"_a, "c"_a, "l1_ratio"_a, "coef"_a, "intercept"_a,
         "coef_gradient"_a, "intercept_gradient"_a, "run"_a, "The objective");
  ml.def("linear_decision", &decision, "x"_a, "coef"_a, "intercept"_a.none(), "scores"_a, "run"_a);
  ml.def("linear_predict", &predict, "x"_a, "coef"_a, "intercept"_a.none(), "labels"_a, "run"_a);
  ml.def("linear_proba", &proba, "x"_a, "coef"_a, "intercept"_a.none(), "logarithm"_a, "proba"_a,
         "run"_a);
}

}  // namespace pronghorn::python
