// SPDX-License-Identifier: Apache-2.0
#include "bench/statistics.h"

#include <algorithm>
#include <cmath>

namespace pronghorn::bench {

double quantile(std::vector<double> samples, double q) {
  if (samples.empty()) return 0;
  const double rank = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(samples.size()));
  const auto place = samples.begin() + static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(samples.begin(), place, samples.end());
  return *place;
}

Latency summarize(const std::vector<double>& seconds) {
  const auto ms = [&](double q) { return 1e3 * quantile(seconds, q); };
  return {ms(0.5), ms(0.9), ms(0.99), ms(0.999), ms(0), seconds.size()};
}

}  // namespace pronghorn::bench
