// SPDX-License-Identifier: Apache-2.0
// Minimisation of a smooth convex function plus a weighted sum of absolute values.
#pragma once

#include <vector>

#include "ml/lbfgs.h"

namespace pronghorn::ml {

// A proximal quasi-Newton method: in every step the least of g.d + d.B d / 2 + sum l1_i |x_i + d_i|
// is found by coordinate descent, B being the matrix of L-BFGS in its compact form (R. Byrd,
// J. Nocedal, R. Schnabel, 1994), so that a step takes one evaluation of the function and a
// coordinate few operations (K. Scheinberg, X. Tang, "Practical inexact proximal quasi-Newton
// method", 2016; coordinate descent on a quadratic model is that of G.-X. Yuan, C.-H. Ho, C.-J.
// Lin, "An improved GLMNET for L1-regularized logistic regression", 2012). Zeros are exact.
// options.l1: one weight an unknown, some may be 0. x: the start, then the minimum.
Minimum minimise_proximal(const Objective& objective, const Finished& finished,
                          const MinimiserOptions& options, std::vector<double>& x);

}  // namespace pronghorn::ml
