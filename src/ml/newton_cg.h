// SPDX-License-Identifier: Apache-2.0
// Newton's method with its linear systems solved by conjugate gradients, as far as is worth it.
#pragma once

#include "ml/lbfgs.h"

namespace pronghorn::ml {

// The Hessian at the last evaluated point times a direction.
using Curvature =
    std::function<void(const std::vector<double>& direction, std::vector<double>& product)>;

// Truncated Newton (R. Dembo, T. Steihaug, 1983) with backtracking. x: the start, then the minimum.
Minimum minimise_newton(const Objective& objective, const Curvature& curvature,
                        const Finished& finished, int max_iter, double least_progress,
                        std::vector<double>& x);

}  // namespace pronghorn::ml
