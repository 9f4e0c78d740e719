// SPDX-License-Identifier: Apache-2.0
// Naive Bayes on Gaussian features, over device passes. docs/ml.md.
#pragma once

#include <cstdint>

#include "device/learner.h"

namespace pronghorn::ml {

// Merges weighted moments of x into those that the arrays hold, by the pairwise update of T. Chan,
// G. Golub, R. LeVeque (1979). Shapes as in ph_gaussian_nb_fit.
void gaussian_nb_fit(device::Learner& learner, const device::Matrix& x, const std::int32_t* y,
                     const double* weight, int classes, double* class_weight, double* means,
                     double* variances);

void gaussian_nb_predict(device::Learner& learner, const device::Matrix& x, const double* log_prior,
                         const double* means, const double* variances, int classes,
                         device::Output output, void* out);

}  // namespace pronghorn::ml
