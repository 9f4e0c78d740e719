// SPDX-License-Identifier: Apache-2.0
// Logistic regression over device passes. docs/ml.md.
#pragma once

#include <cstdint>
#include <vector>

#include "device/learner.h"
#include "ml/kmeans.h"

namespace pronghorn::ml {

enum class LogisticSolver { kAuto, kLbfgs, kNewtonCg, kProximal };

struct LogisticOptions {
  int classes = 2;
  bool multinomial = false;  // two outputs for two classes too
  bool intercept = true;
  double c = 1.0;  // may be infinite
  double l1_ratio = 0;
  double tol = 1e-4;
  int max_iter = 100;
  LogisticSolver solver = LogisticSolver::kAuto;

  int outputs() const { return classes == 2 && !multinomial ? 1 : classes; }
};

struct LogisticResult {
  double objective = 0;
  double gradient = 0;  // largest element
  int n_iter = 0;
  int passes = 0;
  bool converged = false;
};

// coef: outputs x cols, intercept: outputs, both the start and the result. y: class indices.
LogisticResult logistic_fit(device::Learner& learner, const device::Matrix& x,
                            const std::int32_t* y, const double* weight,
                            const LogisticOptions& options, double* coef, double* intercept,
                            const Progress& progress);

// The objective and the gradient of its smooth part. Gradients may be null.
double logistic_loss_gradient(device::Learner& learner, const device::Matrix& x,
                              const std::int32_t* y, const double* weight,
                              const LogisticOptions& options, const double* coef,
                              const double* intercept, double* coef_gradient,
                              double* intercept_gradient);

}  // namespace pronghorn::ml
