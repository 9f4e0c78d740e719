// SPDX-License-Identifier: Apache-2.0
#include "bench/loadgen.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "bench/statistics.h"
#include "bench/verdict.h"

namespace pronghorn::bench {
namespace {

using Seconds = std::chrono::duration<double>;

bool stop(const LoadSettings& settings) { return settings.cancelled && settings.cancelled(); }

// Uniform samples by a generator whose numbers the standard fixes.
class Sampler {
 public:
  Sampler(std::uint64_t seed, std::uint32_t count) : engine_(seed), count_(count) {}
  void fill(std::span<std::uint32_t> samples) {
    for (std::uint32_t& sample : samples) {
      sample = static_cast<std::uint32_t>((engine_() >> 32) * count_ >> 32);
    }
  }

 private:
  std::mt19937_64 engine_;
  std::uint64_t count_;
};

struct Stream {  // what one closed loop recorded
  std::vector<double> latencies, ended_at;
  std::int64_t queries = 0, failures = 0;
  std::string first_failure;
  Clock::time_point last{};
  bool interrupted = false;
};

// The next query after the last one. `ended` counts queries of all streams.
Stream closed_loop(SystemUnderTest& system, const LoadSettings& settings, std::uint64_t seed,
                   Clock::time_point start, std::atomic<std::int64_t>& ended) {
  Stream stream;
  std::vector<std::uint32_t> samples(static_cast<std::size_t>(settings.samples_per_query));
  Sampler sampler(seed, system.sample_count());
  const auto expected = static_cast<std::size_t>(settings.min_queries);
  stream.latencies.reserve(expected);
  stream.ended_at.reserve(expected);
  QueryEnd end;
  Clock::time_point now = Clock::now();
  while (true) {
    const double elapsed = Seconds(now - start).count();
    if (elapsed >= settings.min_seconds &&
        ended.load(std::memory_order_relaxed) >= settings.min_queries) {
      break;
    }
    if (stop(settings) || (settings.max_seconds > 0 && elapsed >= settings.max_seconds)) {
      stream.interrupted = true;
      break;
    }
    sampler.fill(samples);
    end.reset();
    const Clock::time_point begin = Clock::now();
    system.issue(samples, end);
    end.wait();
    now = end.at();
    ++stream.queries;
    ended.fetch_add(1, std::memory_order_relaxed);
    if (end.message().empty()) {
      stream.latencies.push_back(Seconds(now - begin).count());
      stream.ended_at.push_back(Seconds(now - start).count());
    } else if (stream.failures++ == 0) {
      stream.first_failure = end.message();
    }
  }
  stream.last = now;
  return stream;
}

void add(LoadResult& result, const Stream& stream, Clock::time_point start) {
  result.latencies.insert(result.latencies.end(), stream.latencies.begin(), stream.latencies.end());
  result.ended_at.insert(result.ended_at.end(), stream.ended_at.begin(), stream.ended_at.end());
  result.queries += stream.queries;
  result.failures += stream.failures;
  if (result.first_failure.empty()) result.first_failure = stream.first_failure;
  result.interrupted = result.interrupted || stream.interrupted;
  result.seconds = std::max(result.seconds, Seconds(stream.last - start).count());
}

void run_streams(SystemUnderTest& system, LoadResult& result) {
  const LoadSettings& settings = result.settings;
  std::atomic<std::int64_t> ended{0};
  const Clock::time_point start = Clock::now();
  if (settings.concurrency == 1) {
    add(result, closed_loop(system, settings, settings.sample_seed, start, ended), start);
  } else {
    std::vector<Stream> streams(static_cast<std::size_t>(settings.concurrency));
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      threads.emplace_back([&, i] {
        streams[i] = closed_loop(system, settings, settings.sample_seed + i, start, ended);
      });
    }
    threads.clear();
    for (const Stream& stream : streams) add(result, stream, start);
  }
  result.samples = static_cast<std::int64_t>(result.latencies.size()) * settings.samples_per_query;
}

void run_scheduled(SystemUnderTest& system, LoadResult& result, const std::vector<double>& times) {
  const LoadSettings& settings = result.settings;
  const std::size_t count = times.size();
  std::vector<std::uint32_t> samples(count);
  Sampler(settings.sample_seed, system.sample_count()).fill(samples);
  const auto ends = std::make_unique<QueryEnd[]>(count);
  prctl(PR_SET_TIMERSLACK, 1UL);  // of this thread: wake at the scheduled microsecond
  const Clock::time_point start = Clock::now();
  std::size_t issued = 0;
  for (; issued < count; ++issued) {
    const auto due = start + std::chrono::duration_cast<Clock::duration>(Seconds(times[issued]));
    // In slices, so that Ctrl-C is seen while a slow trace waits.
    while (Clock::now() < due && !stop(settings)) {
      std::this_thread::sleep_until(std::min(due, Clock::now() + std::chrono::milliseconds(50)));
    }
    const Clock::time_point now = Clock::now();
    if (stop(settings) ||
        (settings.max_seconds > 0 && Seconds(now - start).count() >= settings.max_seconds)) {
      result.interrupted = true;
      break;
    }
    result.worst_lateness = std::max(result.worst_lateness, Seconds(now - due).count());
    system.issue(std::span(&samples[issued], 1), ends[issued]);
  }
  prctl(PR_SET_TIMERSLACK, 0UL);
  for (std::size_t i = 0; i < issued; ++i) {
    ends[i].wait();
    const double at = Seconds(ends[i].at() - start).count();
    result.seconds = std::max(result.seconds, at);
    ++result.queries;
    if (ends[i].message().empty()) {
      result.latencies.push_back(at - times[i]);
      result.ended_at.push_back(at);
    } else if (result.failures++ == 0) {
      result.first_failure = ends[i].message();
    }
  }
  result.samples = static_cast<std::int64_t>(result.latencies.size());
}

void run_offline(SystemUnderTest& system, LoadResult& result) {
  const LoadSettings& settings = result.settings;
  std::vector<std::uint32_t> samples(static_cast<std::size_t>(settings.min_samples));
  Sampler(settings.sample_seed, system.sample_count()).fill(samples);
  QueryEnd end;
  const Clock::time_point start = Clock::now();
  system.issue(samples, end);
  end.wait();
  result.queries = 1;
  result.seconds = Seconds(end.at() - start).count();
  if (end.message().empty()) {
    result.samples = settings.min_samples;
    result.latencies = {result.seconds};
    result.ended_at = {result.seconds};
  } else {
    result.failures = 1;
    result.first_failure = end.message();
  }
  result.interrupted = stop(settings);
}

}  // namespace

const char* name_of(Scenario scenario) {
  switch (scenario) {
    case Scenario::kSingleStream:
      return "SingleStream";
    case Scenario::kMultiStream:
      return "MultiStream";
    case Scenario::kServer:
      return "Server";
    case Scenario::kOffline:
      return "Offline";
    case Scenario::kTrace:
      return "Trace";
    case Scenario::kConcurrency:
      return "Concurrency";
  }
  return "";
}

LoadSettings short_settings(Scenario scenario, double seconds) {
  LoadSettings settings;
  settings.scenario = scenario;
  settings.min_seconds = seconds;
  settings.max_seconds = 10 * seconds;
  const bool tail = scenario == Scenario::kMultiStream || scenario == Scenario::kServer ||
                    scenario == Scenario::kTrace;
  settings.quantile = tail ? 0.99 : 0.9;
  settings.min_queries = early_stopping_least(settings.quantile);
  if (scenario == Scenario::kConcurrency) settings.min_queries = 1;
  if (scenario == Scenario::kMultiStream) settings.samples_per_query = 8;
  if (scenario == Scenario::kServer || scenario == Scenario::kTrace) settings.latency_bound = 0.015;
  return settings;
}

LoadSettings official_settings(Scenario scenario) {
  LoadSettings settings = short_settings(scenario, 600);
  settings.max_seconds = 0;
  settings.min_samples = 24576;
  if (scenario == Scenario::kSingleStream) settings.min_queries = 100;
  return settings;
}

std::vector<double> poisson_schedule(double rate, double seconds, std::int64_t count,
                                     std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<double> times;
  double at = 0;
  while (at < seconds || static_cast<std::int64_t>(times.size()) < count) {
    // 53 random bits in (0, 1]; the standard's distributions differ between libraries.
    const double uniform = (static_cast<double>(engine() >> 11) + 1) * 0x1p-53;
    at += -std::log(uniform) / rate;
    times.push_back(at);
  }
  return times;
}

LoadResult generate_load(SystemUnderTest& system, const LoadSettings& settings) {
  LoadResult result;
  result.settings = settings;
  switch (settings.scenario) {
    case Scenario::kServer:
      run_scheduled(system, result,
                    poisson_schedule(settings.rate, settings.min_seconds, settings.min_queries,
                                     settings.schedule_seed));
      break;
    case Scenario::kTrace:
      run_scheduled(system, result, settings.trace);
      break;
    case Scenario::kOffline:
      run_offline(system, result);
      break;
    default:
      run_streams(system, result);
  }
  judge(result);
  return result;
}

ServerSearch search_server_rate(SystemUnderTest& system, LoadSettings settings, double first_rate,
                                double probe_seconds,
                                const std::function<void(const LoadResult&)>& on_try) {
  constexpr double kClose = 1.03;  // of the rates that enclose the answer
  constexpr int kMostSteps = 12;   // each way; a factor of 4,096
  constexpr int kMostConfirmations = 5;
  // A confirmation of minutes that fails costs as much as all probes: the next one is well below.
  const double lower = settings.min_seconds >= 60 ? 0.8 : 0.98;
  ServerSearch search;
  LoadSettings probe = settings;
  probe.min_seconds = probe_seconds;
  probe.min_queries = 1;
  probe.max_seconds = 4 * probe_seconds;
  const auto sustains = [&](const LoadSettings& tried) {
    search.tried.push_back(generate_load(system, tried));
    const LoadResult& last = search.tried.back();
    if (on_try) on_try(last);
    // A probe is too short for early stopping: its plain quantile decides.
    return tried.min_queries > 1 ? last.valid : last.failures == 0 && keeps_bound(last);
  };
  const auto cancelled = [&] { return settings.cancelled && settings.cancelled(); };

  double low = 0, high = 0;
  for (int i = 0; i < kMostSteps && (low == 0 || high == 0) && !cancelled(); ++i) {
    probe.rate = low > 0 ? 2 * low : high > 0 ? high / 2 : first_rate;
    // Fewer than twenty arrivals tell nothing about a rate.
    probe.min_seconds = std::max(probe_seconds, 20 / probe.rate);
    probe.max_seconds = 4 * probe.min_seconds;
    if (probe.min_seconds > 20 * probe_seconds) break;
    (sustains(probe) ? low : high) = probe.rate;
  }
  while (low > 0 && high > kClose * low && !cancelled()) {
    probe.rate = std::sqrt(low * high);
    (sustains(probe) ? low : high) = probe.rate;
  }
  for (int i = 0; low > 0 && i < kMostConfirmations && !cancelled(); ++i, low *= lower) {
    settings.rate = low;
    if (sustains(settings)) break;
    // The bound was kept, the time was not enough: at a lower rate as many queries take longer
    // still.
    const LoadResult& last = search.tried.back();
    if (last.interrupted && quantile(last.latencies, settings.quantile) <= settings.latency_bound) {
      break;
    }
  }
  search.best.settings = settings;
  if (!search.tried.empty()) search.best = search.tried.back();
  if (low == 0) {
    // The slowest rate tried shows what one query alone takes.
    const double alone =
        search.best.latencies.empty() ? 0 : 1e3 * quantile(search.best.latencies, 0.5);
    search.best.valid = false;
    search.best.reasons = {
        fmt::format("no rate kept the bound of {:g} ms: at {:.1f} queries/s half of them took "
                    "{:.2f} ms or more",
                    1e3 * settings.latency_bound, search.best.settings.rate, alone)};
  }
  return search;
}

}  // namespace pronghorn::bench
