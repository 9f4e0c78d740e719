// SPDX-License-Identifier: Apache-2.0
// Traffic with the meaning that MLPerf's LoadGen gives it (docs/benchmark_method.md):
//   SingleStream  the next query after the last one; judged by the 90th percentile of latency
//   MultiStream   the same with 8 samples a query; the 99th percentile
//   Server        queries of one sample at Poisson times; the highest rate at which the 99th
//                 percentile stays under a bound. Latency counts from the scheduled time.
//   Offline       one query with every sample; samples a second
// and two more: Trace (given times) and Concurrency (so many streams at once).
// Results are "MLPerf-like, not verified by MLCommons".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/system_under_test.h"

namespace pronghorn::bench {

enum class Scenario { kSingleStream, kMultiStream, kServer, kOffline, kTrace, kConcurrency };
const char* name_of(Scenario scenario);

struct LoadSettings {
  Scenario scenario = Scenario::kSingleStream;
  double min_seconds = 3;         // a run ends when both this ...
  std::int64_t min_queries = 64;  // ... and this are reached (Offline: min_samples)
  std::int64_t min_samples = 64;  // Offline only
  double max_seconds = 0;         // ends a run whatever was reached; 0: never
  int samples_per_query = 1;
  double quantile = 0.9;      // of latency, that judges
  double latency_bound = 0;   // seconds; 0: none (Server, Trace)
  double rate = 0;            // Server: queries a second
  int concurrency = 1;        // Concurrency: streams
  std::vector<double> trace;  // Trace: seconds from the start, ascending
  std::uint64_t sample_seed = 0x9d2b7f1c35a8e647;
  std::uint64_t schedule_seed = 0x51f3c0de8b6a2794;
  std::function<bool()> cancelled;  // polled between queries
};

// What LoadGen 6.0.17 itself sets for resnet50, from the mlperf.conf inside it
// (bench/peers/loadgen.py
// --rules compares): 600 s each; 100 queries of SingleStream, 662 of MultiStream; 24,576 samples
// Offline. Server gets 662 queries, where LoadGen asks for 100 and then for early stopping, which
// takes 662. Everything else as `short_settings`.
LoadSettings official_settings(Scenario scenario);
// About `seconds`, enough queries for early stopping where that takes no longer than ten times
// that.
LoadSettings short_settings(Scenario scenario, double seconds);

struct LoadResult {
  LoadSettings settings;
  std::vector<double> latencies;  // seconds, of queries that went well, in order of issue
  std::vector<double> ended_at;   // seconds from the start, of the same
  std::int64_t queries = 0;       // ended, failed ones too
  std::int64_t samples = 0;       // of queries that went well
  double seconds = 0;             // from the first issue to the last end
  std::int64_t failures = 0;
  std::string first_failure;
  double worst_lateness = 0;  // seconds that a query was issued after its scheduled time
  bool interrupted = false;   // cancelled, or max_seconds ended it

  // Filled by judge().
  bool valid = false;
  std::vector<std::string> reasons;  // why not
  double metric = 0;                 // in `unit`
  std::string metric_name, unit;
  double samples_per_second() const {
    return seconds > 0 ? static_cast<double>(samples) / seconds : 0;
  }
};

// Drives `system` and judges. Failures of queries are counted, not thrown.
LoadResult generate_load(SystemUnderTest& system, const LoadSettings& settings);

// The times of `count` queries or more at Poisson rate `rate`, over at least `seconds`. The same
// seed gives the same times everywhere.
std::vector<double> poisson_schedule(double rate, double seconds, std::int64_t count,
                                     std::uint64_t seed);

// Early stopping, the order statistic that bounds a quantile with 99 % confidence: with `queries`
// latencies, the number t of largest ones to discard, so that the t-th largest is the estimate.
// 0 when there are too few. P(Binomial(queries, 1 - quantile) <= t) <= 0.01 holds for the largest
// t.
std::int64_t early_stopping_discards(std::int64_t queries, double quantile);
// The least number of queries for which that is 1 or more: 64 for 0.9, 662 for 0.99.
std::int64_t early_stopping_least(double quantile);

// Which rate a Server run can sustain: doubles or halves from `first_rate` until the verdict
// changes, then halves the interval until it is within 3 %, then confirms with the full settings,
// lower by 2 % each time that fails (by 20 % where they ask for a minute or more). `tried` sees
// every run.
struct ServerSearch {
  LoadResult best;  // of the confirmed rate; not valid when no rate was
  std::vector<LoadResult> tried;
};
ServerSearch search_server_rate(SystemUnderTest& system, LoadSettings settings, double first_rate,
                                double probe_seconds,
                                const std::function<void(const LoadResult&)>& on_try);

}  // namespace pronghorn::bench
