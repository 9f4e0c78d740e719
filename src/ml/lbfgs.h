// SPDX-License-Identifier: Apache-2.0
// Minimisation of smooth functions from values and gradients.
#pragma once

#include <functional>
#include <vector>

namespace pronghorn::ml {

struct MinimiserOptions {
  int max_iter = 100;
  int memory = 10;  // pairs of steps and gradient changes that are kept
  // Two steps in a row that lower the value by less than this, relative to it, end the search: what
  // is left is rounding.
  double least_progress = 0;
  // What rounding may do to the value, relative to it. Where a step changes no more than that, the
  // slopes alone say what it is worth.
  double noise = 0;
  // For minimise_proximal: the weights of |x_i|, and what may move a point to one of a lower value
  // where that is known without the function (null: nothing).
  std::vector<double> l1;
  std::function<void(std::vector<double>& x)> lower;
};

struct Minimum {
  double value = 0;  // with absolute values where there are any
  int n_iter = 0;
  int evaluations = 0;
  bool converged = false;
};

// The smooth part and its gradient.
using Objective =
    std::function<double(const std::vector<double>& x, std::vector<double>& gradient)>;
// Whether the (minimum-norm sub-)gradient at x is small enough. Also called with `iteration` 0.
// Throws to stop.
using Finished = std::function<bool(int iteration, double value, const std::vector<double>& x,
                                    const std::vector<double>& subgradient)>;

// L-BFGS with a line search for the strong Wolfe conditions (J. Nocedal, S. Wright, Numerical
// Optimization, 2nd ed., algorithms 7.4, 3.5, 3.6). x: the start, then the minimum.
Minimum minimise(const Objective& objective, const Finished& finished,
                 const MinimiserOptions& options, std::vector<double>& x);

}  // namespace pronghorn::ml
