// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "capi/ml_arguments.h"
#include "ml/logistic_regression.h"

using namespace pronghorn;
using base::Status;

namespace {

double work_of(const device::Matrix& x, int outputs) {
  return static_cast<double>(x.rows) * static_cast<double>(x.cols) * outputs;
}

ml::LogisticOptions options_of(const ph_logreg_options* options) {
  capi::require(options, "options");
  const ph_logreg_options given = capi::read_struct(options, "options");
  ml::LogisticOptions chosen;
  capi::require_count(given.classes, 2, "classes");
  chosen.classes = given.classes;
  chosen.multinomial = given.multinomial != 0;
  chosen.intercept = given.no_intercept == 0;
  if (given.c != 0) chosen.c = given.c;
  if (!(chosen.c > 0)) base::fail(Status::kInvalidArgument, "c is {}; above 0", given.c);
  chosen.l1_ratio = given.l1_ratio;
  if (!(given.l1_ratio >= 0 && given.l1_ratio <= 1)) {
    base::fail(Status::kInvalidArgument, "l1_ratio is {}; 0 to 1", given.l1_ratio);
  }
  if (given.tol != 0) chosen.tol = given.tol;
  if (!(chosen.tol > 0)) base::fail(Status::kInvalidArgument, "tol is {}; above 0", given.tol);
  if (given.max_iter != 0) chosen.max_iter = given.max_iter;
  capi::require_count(chosen.max_iter, 1, "max_iter");
  const std::string_view solver = given.solver == nullptr ? "auto" : given.solver;
  if (solver == "lbfgs") {
    chosen.solver = ml::LogisticSolver::kLbfgs;
  } else if (solver == "newton-cg") {
    chosen.solver = ml::LogisticSolver::kNewtonCg;
  } else if (solver == "proximal") {
    chosen.solver = ml::LogisticSolver::kProximal;
  } else if (solver != "auto") {
    base::fail(Status::kInvalidArgument, "solver \"{}\"; auto, lbfgs, newton-cg or proximal",
               solver);
  }
  const bool smooth = chosen.l1_ratio == 0 || std::isinf(chosen.c);
  if (!smooth && solver != "auto" && solver != "proximal") {
    base::fail(Status::kUnsupported, "solver \"{}\" with l1_ratio {}; auto or proximal", solver,
               chosen.l1_ratio);
  }
  return chosen;
}

// Scores of a linear model, then what `output` says.
ph_status linear(const ph_matrix* x, const double* coef, const double* intercept, int32_t outputs,
                 device::Output output, void* out, const ph_ml_run* run) {
  return capi::guard([&] {
    capi::require(coef, "coef");
    capi::require(out, "output");
    capi::require_count(outputs, 1, "outputs");
    const device::Matrix matrix = capi::matrix_of(x);
    capi::learner_of(run, work_of(matrix, outputs))
        ->linear(matrix, coef, intercept, outputs, output, out);
  });
}

}  // namespace

ph_status ph_logreg_fit(const ph_matrix* x, const int32_t* y, const double* sample_weight,
                        const ph_logreg_options* options, double* coef, double* intercept,
                        ph_logreg_result* result, const ph_ml_run* run) {
  return capi::guard([&] {
    const ml::LogisticOptions chosen = options_of(options);
    const bool warm = capi::read_struct(options, "options").warm_start != 0;
    const device::Matrix matrix = capi::matrix_of(x);
    capi::require(coef, "coef");
    if (chosen.intercept) capi::require(intercept, "intercept");
    capi::require_classes(y, matrix.rows, chosen.classes);
    capi::require_weights(sample_weight, matrix.rows);
    if (!warm) {
      std::fill_n(coef, chosen.outputs() * matrix.cols, 0.0);
      if (intercept != nullptr) std::fill_n(intercept, chosen.outputs(), 0.0);
    }
    const auto learner = capi::learner_of(run, work_of(matrix, chosen.outputs()));
    const ml::LogisticResult found =
        ml::logistic_fit(*learner, matrix, y, sample_weight, chosen, coef, intercept,
                         capi::progress_of(run, "logistic regression"));
    if (result == nullptr) return;
    ph_logreg_result filled{};
    filled.objective = found.objective;
    filled.gradient = found.gradient;
    filled.n_iter = found.n_iter;
    filled.passes = found.passes;
    filled.converged = found.converged ? 1 : 0;
    capi::write_struct(filled, result, "result");
  });
}

ph_status ph_logreg_loss_gradient(const ph_matrix* x, const int32_t* y, const double* sample_weight,
                                  const ph_logreg_options* options, const double* coef,
                                  const double* intercept, double* objective, double* coef_gradient,
                                  double* intercept_gradient, const ph_ml_run* run) {
  return capi::guard([&] {
    const ml::LogisticOptions chosen = options_of(options);
    const device::Matrix matrix = capi::matrix_of(x);
    capi::require(coef, "coef");
    capi::require(objective, "objective");
    if (chosen.intercept) capi::require(intercept, "intercept");
    capi::require_classes(y, matrix.rows, chosen.classes);
    capi::require_weights(sample_weight, matrix.rows);
    const auto learner = capi::learner_of(run, work_of(matrix, chosen.outputs()));
    *objective = ml::logistic_loss_gradient(*learner, matrix, y, sample_weight, chosen, coef,
                                            intercept, coef_gradient, intercept_gradient);
  });
}

ph_status ph_linear_decision(const ph_matrix* x, const double* coef, const double* intercept,
                             int32_t outputs, void* scores, const ph_ml_run* run) {
  return linear(x, coef, intercept, outputs, device::Output::kScores, scores, run);
}

ph_status ph_linear_predict(const ph_matrix* x, const double* coef, const double* intercept,
                            int32_t outputs, int32_t* labels, const ph_ml_run* run) {
  return linear(x, coef, intercept, outputs, device::Output::kLabel, labels, run);
}

ph_status ph_linear_proba(const ph_matrix* x, const double* coef, const double* intercept,
                          int32_t outputs, int32_t logarithm, void* proba, const ph_ml_run* run) {
  return linear(x, coef, intercept, outputs,
                logarithm != 0 ? device::Output::kLogProba : device::Output::kProba, proba, run);
}
