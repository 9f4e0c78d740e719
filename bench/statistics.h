// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace pronghorn::bench {

// Nearest-rank quantile: the smallest sample with at least `q` of all samples at or below it.
// q in [0, 1]; 0 for no samples.
double quantile(std::vector<double> samples, double q);

struct Latency {  // milliseconds
  double p50 = 0, p90 = 0, p99 = 0, p999 = 0, min = 0;
  std::size_t samples = 0;  // p999 of fewer than 1,000 samples is their maximum
};
Latency summarize(const std::vector<double>& seconds);

}  // namespace pronghorn::bench
