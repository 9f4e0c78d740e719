// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pronghorn::bench {

// Nearest-rank quantile: the smallest sample with at least `q` of all samples at or below it.
// q in [0, 1]; 0 for no samples.
double quantile(std::vector<double> samples, double q);

double mean(const std::vector<double>& samples);
// Standard deviation (n - 1) divided by the mean; 0 for fewer than two samples.
double coefficient_of_variation(const std::vector<double>& samples);
// Largest minus smallest, divided by the median.
double relative_spread(const std::vector<double>& samples);

// 95 % confidence interval of the median, by order statistics (binomial), so that no shape is
// assumed. The extremes when there are fewer than six samples, where 95 % cannot be had.
struct Interval {
  double low = 0, high = 0;
};
Interval median_interval(std::vector<double> samples);

struct Latency {  // milliseconds
  double p50 = 0, p90 = 0, p95 = 0, p99 = 0, p999 = 0, min = 0, max = 0, mean = 0;
  std::size_t samples = 0;  // p999 of fewer than 1,000 samples is their maximum
};
Latency summarize(const std::vector<double>& seconds);

// What charts are drawn from, in milliseconds.
struct Distribution {
  std::vector<double> edges;         // of the bins, ascending; the last one closes the last bin
  std::vector<std::int64_t> counts;  // one fewer
  std::vector<double> quantiles;     // at 0, 1, ..., 100 percent
};
Distribution distribution(std::vector<double> seconds);

// One entry a slot of time: `slots` of at least `slot_seconds`, at most 240.
struct Series {
  double slot_seconds = 1;
  std::vector<double> rate;    // ends a second
  std::vector<double> p50_ms;  // 0 where nothing ended
  std::vector<double> max_ms;
};
Series series(const std::vector<double>& ended_at, const std::vector<double>& latencies,
              double samples_each, double slot_seconds);

}  // namespace pronghorn::bench
