// SPDX-License-Identifier: Apache-2.0
// Means and variances without the loss of digits of a plain single pass.
#pragma once

#include <cstdint>
#include <vector>

#include "device/learner.h"

namespace pronghorn::ml {

// Rounds to the values of a type.
double round_to(device::Dtype dtype, double value);

struct Moments {
  std::vector<double> weights;    // groups
  std::vector<double> means;      // groups x cols; 0 for a group without weight
  std::vector<double> variances;  // of the population
};

// Of the rows of each group (`group` null: all of group 0). One pass around means of a sample of
// each group; where a column's mean turns out far from its sample's, a second pass around the mean.
// Twelve digits; with float data, groups and no weights six of variances.
// deviations).
Moments group_moments(device::Learner& learner, const device::Matrix& x, const std::int32_t* group,
                      const double* weight, int groups);

}  // namespace pronghorn::ml
