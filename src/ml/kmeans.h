// SPDX-License-Identifier: Apache-2.0
// K-means: Lloyd's iteration over device passes, seeding, mini-batch steps. docs/ml.md.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "device/learner.h"

namespace pronghorn::ml {

// Called once an iteration with what is minimised; throws to stop.
using Progress = std::function<void(int iteration, int max_iter, double objective)>;

enum class KMeansInit { kPlusPlus, kRandom };

struct KMeansOptions {
  int clusters = 8;
  int max_iter = 300;
  double tol = 1e-4;  // times the mean of the columns' variances
  bool bounds = true;
  KMeansInit init = KMeansInit::kPlusPlus;
  std::uint64_t seed = 0;
  int n_init = 1;
};

struct KMeansResult {
  std::vector<double> centers;  // clusters x cols, representable in x's type
  double inertia = 0;
  int n_iter = 0;
  bool converged = false;
  int distinct = 0;
};

// init_centers: clusters x cols, or null. labels: the caller's array of rows, or null.
KMeansResult kmeans_fit(device::Learner& learner, const device::Matrix& x, const double* weight,
                        const double* init_centers, const KMeansOptions& options,
                        std::int32_t* labels, const Progress& progress);

// Greedy k-means++ (D. Arthur, S. Vassilvitskii, SODA 2007; best of `trials` candidates a step).
// uniforms: (clusters - 1) * trials numbers in [0, 1).
std::vector<std::int64_t> kmeans_plusplus(device::Learner& learner, const device::Matrix& x,
                                          const double* weight, int clusters, std::int64_t first,
                                          int trials, const double* uniforms);

// 2 + ln clusters, rounded down: how many candidates a step of k-means++ tries.
int default_trials(int clusters);

// Rows drawn from a seed, for k-means++ or (distinct) as random centres.
std::vector<std::int64_t> seed_rows(device::Learner& learner, const device::Matrix& x,
                                    const double* weight, int clusters, KMeansInit init,
                                    std::uint64_t seed);

}  // namespace pronghorn::ml
