// SPDX-License-Identifier: Apache-2.0
#include "bench/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/statistics.h"

namespace pronghorn::bench {
namespace {

// P(Binomial(n, p) <= t), summed from the logarithm of each term.
double binomial_tail(std::int64_t n, double p, std::int64_t t) {
  double sum = 0;
  const double log_p = std::log(p), log_q = std::log1p(-p);
  const auto count = static_cast<double>(n);
  for (std::int64_t k = 0; k <= t; ++k) {
    const auto x = static_cast<double>(k);
    sum += std::exp(std::lgamma(count + 1) - std::lgamma(x + 1) - std::lgamma(count - x + 1) +
                    x * log_p + (count - x) * log_q);
  }
  return sum;
}

constexpr double kRisk = 0.01;  // that the quantile is worse than the estimate

std::string percentile_text(double quantile) { return fmt::format("p{:g}", 100 * quantile); }

}  // namespace

std::int64_t early_stopping_discards(std::int64_t queries, double quantile) {
  if (binomial_tail(queries, 1 - quantile, 1) > kRisk) return 0;
  std::int64_t low = 1;  // holds
  std::int64_t high =
      1 + static_cast<std::int64_t>(std::ceil(static_cast<double>(queries) * (1 - quantile)));
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (binomial_tail(queries, 1 - quantile, middle) <= kRisk ? low : high) = middle;
  }
  return low;
}

std::int64_t early_stopping_least(double quantile) {
  std::int64_t queries = 2;
  while (early_stopping_discards(queries, quantile) == 0) ++queries;
  return queries;
}

bool keeps_bound(const LoadResult& result) {
  return !result.interrupted && !result.latencies.empty() &&
         quantile(result.latencies, result.settings.quantile) <= result.settings.latency_bound;
}

void judge(LoadResult& result) {
  const LoadSettings& settings = result.settings;
  const auto no = [&](std::string reason) { result.reasons.push_back(std::move(reason)); };
  result.reasons.clear();
  if (result.failures > 0) {
    no(fmt::format("{} of {} queries failed, the first with: {}", result.failures, result.queries,
                   result.first_failure));
  }
  if (settings.scenario == Scenario::kOffline) {
    result.metric_name = "samples a second";
    result.unit = "samples/s";
    result.metric = result.samples_per_second();
    // LoadGen makes the query long enough beforehand; so does the caller, from a measured rate.
    if (result.failures == 0 && result.seconds < settings.min_seconds) {
      no(fmt::format("ran {:.1f} s, at least {:g} s are asked: take {} samples or more",
                     result.seconds, settings.min_seconds,
                     static_cast<std::int64_t>(1.1 * settings.min_seconds * result.metric)));
    }
    if (result.interrupted) no("interrupted");
    result.valid = result.reasons.empty();
    return;
  }

  const auto count = static_cast<std::int64_t>(result.latencies.size());
  const std::int64_t discards = early_stopping_discards(count, settings.quantile);
  const double plain = quantile(result.latencies, settings.quantile);
  double estimate = plain;
  if (discards > 0) {
    std::vector<double> sorted = result.latencies;
    const auto place = sorted.end() - static_cast<std::ptrdiff_t>(discards);
    std::nth_element(sorted.begin(), place, sorted.end());
    estimate = *place;
  }
  const std::string percentile = percentile_text(settings.quantile);
  if (settings.scenario == Scenario::kServer || settings.scenario == Scenario::kTrace) {
    result.metric_name = settings.scenario == Scenario::kServer ? "queries a second scheduled"
                                                                : "queries a second completed";
    result.unit = "queries/s";
    result.metric =
        settings.scenario == Scenario::kServer ? settings.rate : result.samples_per_second();
    if (settings.latency_bound > 0 && estimate > settings.latency_bound) {
      no(plain > settings.latency_bound
             ? fmt::format("{} latency {:.2f} ms is over the bound of {:g} ms: lower the rate",
                           percentile, 1e3 * plain, 1e3 * settings.latency_bound)
             : fmt::format("{} latency {:.2f} ms keeps the bound of {:g} ms, but not with 99 % "
                           "confidence ({:.2f} ms): run longer or lower the rate",
                           percentile, 1e3 * plain, 1e3 * settings.latency_bound, 1e3 * estimate));
    }
    if (settings.latency_bound > 0 && result.worst_lateness > settings.latency_bound) {
      no(fmt::format(
          "the generator issued a query {:.1f} ms late: the machine is too busy to keep "
          "the schedule",
          1e3 * result.worst_lateness));
    }
  } else if (settings.scenario == Scenario::kConcurrency) {
    result.metric_name = "samples a second";
    result.unit = "samples/s";
    result.metric = result.samples_per_second();
  } else {
    result.metric_name = percentile + " latency";
    result.unit = "ms";
    result.metric = 1e3 * estimate;
  }
  if (result.interrupted) {
    no(fmt::format("ended after {:.1f} s and {} queries; {:g} s and {} queries are asked",
                   result.seconds, result.queries, settings.min_seconds, settings.min_queries));
  } else if (settings.scenario != Scenario::kConcurrency && discards == 0) {
    no(fmt::format("{} queries are too few for {} with 99 % confidence: {} are needed", count,
                   percentile, early_stopping_least(settings.quantile)));
  }
  result.valid = result.reasons.empty();
}

}  // namespace pronghorn::bench
