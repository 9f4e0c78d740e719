// SPDX-License-Identifier: Apache-2.0
#include "bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pronghorn::bench {
namespace {

// The same of ascending samples.
double quantile_sorted(const std::vector<double>& samples, double q) {
  if (samples.empty()) return 0;
  const double rank = std::ceil(q * static_cast<double>(samples.size()));
  return samples[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

}  // namespace

double quantile(std::vector<double> samples, double q) {
  if (samples.empty()) return 0;
  const double rank = std::ceil(q * static_cast<double>(samples.size()));
  const auto place = samples.begin() + static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(samples.begin(), place, samples.end());
  return *place;
}

double mean(const std::vector<double>& samples) {
  if (samples.empty()) return 0;
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double coefficient_of_variation(const std::vector<double>& samples) {
  if (samples.size() < 2) return 0;
  const double centre = mean(samples);
  double squares = 0;
  for (const double sample : samples) squares += (sample - centre) * (sample - centre);
  return centre == 0 ? 0 : std::sqrt(squares / static_cast<double>(samples.size() - 1)) / centre;
}

double relative_spread(const std::vector<double>& samples) {
  const double middle = quantile(samples, 0.5);
  return middle == 0 ? 0 : (quantile(samples, 1) - quantile(samples, 0)) / middle;
}

Interval median_interval(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const auto n = static_cast<double>(samples.size());
  // The largest k with P(Binomial(n, 1/2) < k) <= 0.025: ranks k and n + 1 - k enclose the median.
  double below = 0;
  std::size_t k = 0;
  for (std::size_t i = 0; i < samples.size() / 2; ++i) {
    const auto x = static_cast<double>(i);
    below += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) -
                      n * std::log(2.0));
    if (below > 0.025) break;
    k = i + 1;
  }
  if (k == 0) return {samples.front(), samples.back()};
  return {samples[k - 1], samples[samples.size() - k]};
}

Latency summarize(const std::vector<double>& seconds) {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const auto ms = [&](double q) { return 1e3 * quantile_sorted(sorted, q); };
  return {ms(0.5), ms(0.9), ms(0.95),           ms(0.99),     ms(0.999),
          ms(0),   ms(1),   1e3 * mean(sorted), sorted.size()};
}

Distribution distribution(std::vector<double> seconds) {
  Distribution result;
  if (seconds.empty()) return result;
  std::sort(seconds.begin(), seconds.end());
  for (int percent = 0; percent <= 100; ++percent) {
    result.quantiles.push_back(1e3 * quantile_sorted(seconds, percent / 100.0));
  }
  // Bins over the body; the last one takes the tail, so that one outlier does not flatten the rest.
  constexpr int kBins = 40;
  const double low = 1e3 * seconds.front();
  const double high =
      std::max(1e3 * quantile_sorted(seconds, 0.995), low + 1e-6) + (low == 0 ? 1e-6 : 0);
  const double width = (high - low) / kBins;
  result.counts.assign(kBins, 0);
  for (int i = 0; i <= kBins; ++i) result.edges.push_back(low + i * width);
  for (const double sample : seconds) {
    const auto bin = static_cast<std::size_t>(std::max(0.0, (1e3 * sample - low) / width));
    ++result.counts[std::min<std::size_t>(bin, kBins - 1)];
  }
  result.edges.back() = std::max(result.edges.back(), 1e3 * seconds.back());
  return result;
}

Series series(const std::vector<double>& ended_at, const std::vector<double>& latencies,
              double samples_each, double slot_seconds) {
  Series result;
  if (ended_at.empty()) return result;
  const double last = *std::max_element(ended_at.begin(), ended_at.end());
  result.slot_seconds = std::max(slot_seconds, last / 240);
  // A part of a slot at the end would show a drop that was none.
  const auto slots = static_cast<std::size_t>(std::max(1.0, last / result.slot_seconds));
  std::vector<std::vector<double>> in_slot(slots);
  for (std::size_t i = 0; i < ended_at.size(); ++i) {
    const auto slot = static_cast<std::size_t>(ended_at[i] / result.slot_seconds);
    if (slot < slots) in_slot[slot].push_back(latencies[i]);
  }
  for (const std::vector<double>& inside : in_slot) {
    const double length = slots == 1 ? std::min(last, result.slot_seconds) : result.slot_seconds;
    result.rate.push_back(static_cast<double>(inside.size()) * samples_each / length);
    result.p50_ms.push_back(1e3 * quantile(inside, 0.5));
    result.max_ms.push_back(1e3 * quantile(inside, 1));
  }
  return result;
}

}  // namespace pronghorn::bench
