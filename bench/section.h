// SPDX-License-Identifier: Apache-2.0
// Parts of a benchmark beside the plain throughput. Each is a file; takes the same context; returns
// its piece of the JSON (docs/benchmark_json.md), with every figure that the report shows.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <pronghorn/pronghorn.hpp>
#include <string>
#include <vector>

#include "bench/loadgen.h"
#include "bench/monitor.h"

namespace pronghorn::bench {

struct Bench {
  const Model& model;
  const Session& session;
  const Source& images;
  const Resize& resize;
  const std::vector<std::uint8_t>& pixels;  // of one or more decoded images
  Meters& meters;
  std::string device;
  int threads = 1;
  double seconds = 3;
  bool real = true;  // kind of the sweeps and of the trace: real, or device when real is not asked
  int batch = 32;    // for what takes one batch size: the fastest
  double device_rate = 0, real_rate = 0;  // images a second at that batch
  std::vector<double> idle;               // watts of each meter before anything ran
  std::function<bool()> cancelled;
  std::function<void(const std::string& line)> say;  // for people; a whole line or more
  // Of a sustained run, once a second: seconds since its start, images in the last second.
  std::function<void(double seconds, double images)> on_second;
};

struct ScenarioOptions {
  std::vector<Scenario> scenarios;  // the four of MLPerf
  std::vector<std::string> kinds = {"device", "real"};
  bool official = false;
  double latency_bound = 0.015;  // seconds, of Server and Trace
};
nlohmann::ordered_json measure_scenarios(const Bench& bench, const ScenarioOptions& options);

// Rows of streams at once, of open-loop Poisson rates (images a second; the knee marked), of
// threads with efficiency. Of bench.real's kind.
nlohmann::ordered_json sweep_concurrency(const Bench& bench, const std::vector<int>& streams);
nlohmann::ordered_json sweep_rates(const Bench& bench, std::vector<double> rates,
                                   double latency_bound);
nlohmann::ordered_json sweep_threads(const Bench& bench, const std::vector<int>& threads);
// Each card of the session's kind alone, then all of them as one device; efficiency is what all
// give to the sum of what each gives. With one card, or a device that is no card, one row and
// `note`.
nlohmann::ordered_json sweep_devices(const Bench& bench);
nlohmann::ordered_json replay_trace(const Bench& bench, const std::string& name,
                                    const std::vector<double>& times, double latency_bound);
// Ascending seconds, one a line; '#' begins a comment. Throws Error naming file and line.
std::vector<double> read_trace(const std::string& path);

// `command` is run `times` times; wall seconds from its start to its end. It should classify one
// photograph, so that the figure holds everything that a user waits for.
nlohmann::ordered_json measure_cold_start(const std::vector<std::string>& command, int times);

// Real throughput for `seconds`, second by second: drift, clock, power and energy, neighbours.
nlohmann::ordered_json measure_sustained(const Bench& bench, double seconds);

// Joules an image of the fastest real and device throughput. Nothing is run without a meter.
nlohmann::ordered_json measure_energy(const Bench& bench);

// Time, products and traffic of each layer at `batch`; on a card its copies too.
nlohmann::ordered_json measure_layers(const Bench& bench, int batch);

// What the load generator costs: the null device's rate, and its share of one query.
nlohmann::ordered_json measure_own_overhead(double query_seconds);

// One load run as JSON.
nlohmann::ordered_json to_json(const LoadResult& result, const std::string& kind);

}  // namespace pronghorn::bench
