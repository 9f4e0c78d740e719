// SPDX-License-Identifier: Apache-2.0
// The four scenarios of MLPerf on a session.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/section.h"
#include "bench/statistics.h"
#include "bench/sut_session.h"

namespace pronghorn::bench {

using nlohmann::ordered_json;

namespace {

std::string line_of(const LoadResult& result, const std::string& kind) {
  std::string text = fmt::format("{:<13} {:<7} {:>10.2f} {:<10} {} ({} queries, {:.1f} s)  {}\n",
                                 name_of(result.settings.scenario), kind, result.metric,
                                 result.unit, result.metric_name, result.queries, result.seconds,
                                 result.valid ? "VALID" : "INVALID");
  for (const std::string& reason : result.reasons) text += "              " + reason + "\n";
  return text;
}

}  // namespace

ordered_json measure_scenarios(const Bench& bench, const ScenarioOptions& options) {
  ordered_json all = ordered_json::array();
  if (!options.scenarios.empty()) {
    bench.say(fmt::format("\n{} (MLPerf-like, not verified by MLCommons)\n",
                          options.official ? "scenarios, official durations" : "scenarios"));
  }
  for (const std::string& kind : options.kinds) {
    const bool real = kind == "real";
    for (const Scenario scenario : options.scenarios) {
      LoadSettings settings =
          options.official ? official_settings(scenario) : short_settings(scenario, bench.seconds);
      settings.cancelled = bench.cancelled;
      if (scenario == Scenario::kServer) settings.latency_bound = options.latency_bound;
      const double rate = std::max(1.0, real ? bench.real_rate : bench.device_rate);
      // Enough samples to fill the time, with LoadGen's margin of a tenth.
      settings.min_samples = std::max<std::int64_t>(
          options.official ? settings.min_samples : 1,
          static_cast<std::int64_t>(std::ceil(1.1 * settings.min_seconds * rate)));
      SessionSystem system(
          bench.session, bench.images, bench.resize, bench.pixels,
          {.kind = real ? SessionSystem::Kind::kReal : SessionSystem::Kind::kDevice,
           .batch = bench.batch,
           .threads = bench.threads,
           .queued = scenario == Scenario::kServer});
      ordered_json entry;
      if (scenario == Scenario::kServer) {
        const double probe_seconds =
            options.official ? settings.min_seconds / 30 : std::max(0.5, bench.seconds / 3);
        ServerSearch search =
            search_server_rate(system, settings, rate / 4, probe_seconds, nullptr);
        entry = to_json(search.best, kind);
        entry["search"] = ordered_json::array();
        for (const LoadResult& tried : search.tried) {
          const Latency latency = summarize(tried.latencies);
          entry["search"].push_back(
              {{"rate", tried.settings.rate},
               {"completed", tried.samples_per_second()},
               {"p50_ms", latency.p50},
               {"p99_ms", latency.p99},
               {"queries", tried.queries},
               {"kept", !tried.latencies.empty() && latency.p99 <= 1e3 * settings.latency_bound}});
        }
        bench.say(line_of(search.best, kind));
      } else {
        const LoadResult result = generate_load(system, settings);
        entry = to_json(result, kind);
        bench.say(line_of(result, kind));
      }
      entry["official"] = options.official;
      entry["label"] = "MLPerf-like, not verified by MLCommons";
      all.push_back(std::move(entry));
      if (bench.cancelled && bench.cancelled()) return all;
    }
  }
  return all;
}

}  // namespace pronghorn::bench
