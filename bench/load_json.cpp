// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "bench/section.h"
#include "bench/statistics.h"
#include "bench/sut_null.h"

namespace pronghorn::bench {

using nlohmann::ordered_json;

namespace {
constexpr double kLeastNullRate = 200000, kMostOwnShare = 0.01;
}  // namespace

ordered_json to_json(const LoadResult& result, const std::string& kind) {
  const LoadSettings& settings = result.settings;
  const Latency latency = summarize(result.latencies);
  ordered_json asked{{"min_seconds", settings.min_seconds},
                     {"min_queries", settings.min_queries},
                     {"samples_per_query", settings.samples_per_query},
                     {"quantile", settings.quantile},
                     {"sample_seed", settings.sample_seed},
                     {"schedule_seed", settings.schedule_seed}};
  if (settings.scenario == Scenario::kOffline) asked["min_samples"] = settings.min_samples;
  if (settings.latency_bound > 0) asked["latency_bound_ms"] = 1e3 * settings.latency_bound;
  if (settings.rate > 0) asked["rate"] = settings.rate;
  if (settings.concurrency > 1) asked["concurrency"] = settings.concurrency;
  ordered_json json{
      {"scenario", name_of(settings.scenario)},
      {"kind", kind},
      {"verdict", result.valid ? "VALID" : "INVALID"},
      {"reasons", result.reasons},
      {"metric", {{"name", result.metric_name}, {"value", result.metric}, {"unit", result.unit}}},
      {"settings", asked},
      {"queries", result.queries},
      {"samples", result.samples},
      {"seconds", result.seconds},
      {"samples_per_second", result.samples_per_second()},
      {"failures", result.failures},
      {"first_failure", result.first_failure},
      {"worst_lateness_ms", 1e3 * result.worst_lateness}};
  const auto ended = static_cast<std::int64_t>(result.latencies.size());
  const std::int64_t place = early_stopping_discards(ended, settings.quantile);
  // The `place`-th largest is the estimate: as LoadGen counts, those above it are discarded.
  json["discarded"] = place > 0 ? ordered_json(place - 1) : ordered_json();
  json["latency_ms"] = {{"p50", latency.p50}, {"p90", latency.p90},   {"p95", latency.p95},
                        {"p99", latency.p99}, {"p999", latency.p999}, {"min", latency.min},
                        {"max", latency.max}, {"mean", latency.mean}, {"samples", latency.samples}};
  if (result.latencies.size() > 1) {
    const Distribution shape = distribution(result.latencies);
    json["histogram"] = {{"edges_ms", shape.edges}, {"counts", shape.counts}};
    json["quantiles_ms"] = shape.quantiles;
    const double slot = std::max(0.05, std::round(result.seconds * 2) / 100);
    const Series over = series(result.ended_at, result.latencies, settings.samples_per_query, slot);
    json["series"] = {{"slot_seconds", over.slot_seconds},
                      {"samples_per_second", over.rate},
                      {"p50_ms", over.p50_ms},
                      {"max_ms", over.max_ms}};
  }
  return json;
}

ordered_json measure_own_overhead(double query_seconds) {
  NullSystem null;
  double best = 0;  // of three: other work on the machine is not the generator's cost
  for (int i = 0; i < 3; ++i) {
    const LoadSettings settings = short_settings(Scenario::kSingleStream, 0.05);
    best = std::max(best, generate_load(null, settings).samples_per_second());
  }
  const double each = best > 0 ? 1 / best : 0;
  const double share = query_seconds > 0 ? each / query_seconds : 0;
  return {{"null_queries_per_second", best},
          {"null_queries_per_second_asked", kLeastNullRate},
          {"seconds_a_query", each},
          {"share_of_batch_1", query_seconds > 0 ? nlohmann::ordered_json(share) : nullptr},
          {"share_of_batch_1_allowed", kMostOwnShare},
          {"kept", best >= kLeastNullRate && share < kMostOwnShare}};
}

}  // namespace pronghorn::bench
