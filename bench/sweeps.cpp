// SPDX-License-Identifier: Apache-2.0
// How throughput and latency change with concurrency, arrival rate and threads.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "bench/measure.h"
#include "bench/section.h"
#include "bench/sut_session.h"

namespace pronghorn::bench {

using nlohmann::ordered_json;

namespace {

const char* kind_of(const Bench& bench) { return bench.real ? "real" : "device"; }

SessionSystem system_of(const Bench& bench, bool queued) {
  return {bench.session,
          bench.images,
          bench.resize,
          bench.pixels,
          {.kind = bench.real ? SessionSystem::Kind::kReal : SessionSystem::Kind::kDevice,
           .batch = bench.batch,
           .threads = bench.threads,
           .queued = queued}};
}

bool stop(const Bench& bench) { return bench.cancelled && bench.cancelled(); }

}  // namespace

ordered_json sweep_concurrency(const Bench& bench, const std::vector<int>& streams) {
  ordered_json rows = ordered_json::array();
  bench.say(
      fmt::format("\nstreams at once   images/s    p50 ms    p99 ms   ({})\n", kind_of(bench)));
  for (const int count : streams) {
    SessionSystem system = system_of(bench, false);
    LoadSettings settings = short_settings(Scenario::kConcurrency, bench.seconds / 2);
    settings.concurrency = count;
    settings.cancelled = bench.cancelled;
    const LoadResult result = generate_load(system, settings);
    ordered_json row{{"concurrency", count}};
    row.update(to_json(result, kind_of(bench)));
    bench.say(fmt::format("{:>15} {:>10.1f} {:>9.2f} {:>9.2f}\n", count,
                          result.samples_per_second(), row["latency_ms"]["p50"].get<double>(),
                          row["latency_ms"]["p99"].get<double>()));
    rows.push_back(std::move(row));
    if (stop(bench)) break;
  }
  return rows;
}

ordered_json sweep_rates(const Bench& bench, std::vector<double> rates, double latency_bound) {
  if (rates.empty()) {
    for (const double part : {0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0, 1.1}) {
      rates.push_back(part * bench.real_rate);
    }
  }
  std::sort(rates.begin(), rates.end());
  ordered_json rows = ordered_json::array();
  double best_power = 0;
  std::size_t knee = 0;
  bench.say(
      fmt::format("\nrequests a second  completed    p50 ms    p99 ms   ({}, open loop, Poisson)\n",
                  kind_of(bench)));
  for (const double rate : rates) {
    SessionSystem system = system_of(bench, true);
    LoadSettings settings = short_settings(Scenario::kServer, std::max(1.0, bench.seconds / 2));
    settings.rate = rate;
    settings.min_queries = 1;
    settings.latency_bound = latency_bound;
    settings.cancelled = bench.cancelled;
    const LoadResult result = generate_load(system, settings);
    ordered_json row{{"rate", rate}};
    row.update(to_json(result, kind_of(bench)));
    const double mean = row["latency_ms"]["mean"];
    // Kleinrock's power: throughput divided by mean response time is greatest at the knee.
    const double power = mean > 0 ? result.samples_per_second() / mean : 0;
    if (power > best_power) {
      best_power = power;
      knee = rows.size();
    }
    bench.say(fmt::format("{:>17.1f} {:>10.1f} {:>9.2f} {:>9.2f}\n", rate,
                          result.samples_per_second(), row["latency_ms"]["p50"].get<double>(),
                          row["latency_ms"]["p99"].get<double>()));
    rows.push_back(std::move(row));
    if (stop(bench)) break;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i]["knee"] = i == knee;
  return rows;
}

ordered_json sweep_threads(const Bench& bench, const std::vector<int>& threads) {
  ordered_json rows = ordered_json::array();
  bench.say("\nthreads   device images/s   real images/s   efficiency (real, to the first row)\n");
  double first = 0;
  for (const int count : threads) {
    const Session session(bench.model, bench.device, count);
    RoundPlan plan;
    plan.seconds = bench.seconds / 2;
    plan.most_seconds = bench.seconds;
    const Setting setting{session, bench.images, bench.resize, count, plan, 0, bench.cancelled};
    const Measurement device = measure_whole(*device_figure(setting, bench.batch, bench.pixels));
    const auto guess = [&] { return 0.8 * device.images_per_second; };
    const Measurement real =
        measure_whole(*real_figure(setting, bench.batch, guess, [](const Result&) {}));
    const double each = real.images_per_second / count;
    if (first == 0) first = each;
    rows.push_back({{"threads", count},
                    {"batch", bench.batch},
                    {"device_images_per_second", device.images_per_second},
                    {"real_images_per_second", real.images_per_second},
                    {"efficiency", each / first}});
    bench.say(fmt::format("{:>7} {:>17.1f} {:>15.1f} {:>12.2f}\n", count, device.images_per_second,
                          real.images_per_second, each / first));
  }
  return rows;
}

ordered_json sweep_devices(const Bench& bench) {
  const std::string name = bench.session.device().name;
  const std::string kind = name.substr(0, name.find(':'));
  std::vector<std::string> cards;
  for (const DeviceInfo& info : devices()) {
    if (info.name.rfind(kind + ":", 0) == 0) cards.push_back(info.name);
  }
  ordered_json json{{"batch", bench.batch}, {"rows", ordered_json::array()}};
  if (cards.size() < 2) {
    json["note"] =
        cards.empty() ? fmt::format("{} is one device: --thread-scaling shows how it scales", name)
                      : fmt::format("this machine has one card, {}: there is nothing to scale over",
                                    cards[0]);
    bench.say("\ndevices      " + json["note"].get<std::string>() + "\n");
  }
  std::vector<std::string> each = cards.empty() ? std::vector<std::string>{name} : cards;
  const std::size_t alone = each.size();
  if (alone > 1) each.push_back(kind);
  bench.say("\ndevice     images   device images/s   real images/s   efficiency (real)\n");
  double sum = 0;
  for (std::size_t i = 0; i < each.size() && !stop(bench); ++i) {
    const auto used = static_cast<int>(i < alone ? 1 : alone);
    // As many images for each card as one card had.
    const int batch = bench.batch * used;
    const Session session(bench.model, each[i], bench.threads);
    RoundPlan plan;
    plan.seconds = bench.seconds / 2;
    plan.most_seconds = bench.seconds;
    const Setting setting{session, bench.images,   bench.resize, bench.threads, plan,
                          0,       bench.cancelled};
    const Measurement device = measure_whole(*device_figure(setting, batch, bench.pixels));
    const auto guess = [&] { return 0.8 * device.images_per_second; };
    const Measurement real =
        measure_whole(*real_figure(setting, batch, guess, [](const Result&) {}));
    if (i < alone) sum += real.images_per_second;
    const double efficiency = used > 1 && sum > 0 ? real.images_per_second / sum : 1;
    json["rows"].push_back({{"device", each[i]},
                            {"cards", used},
                            {"batch", batch},
                            {"device_images_per_second", device.images_per_second},
                            {"real_images_per_second", real.images_per_second},
                            {"efficiency", efficiency}});
    bench.say(fmt::format("{:<10} {:>6} {:>17.1f} {:>15.1f} {:>12.2f}\n", each[i], batch,
                          device.images_per_second, real.images_per_second, efficiency));
  }
  return json;
}

std::vector<double> read_trace(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(PH_NOT_FOUND, fmt::format("{}: no such trace file", path));
  std::vector<double> times;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line.erase(std::min(line.find('#'), line.size()));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    char* end = nullptr;
    const double time = std::strtod(line.c_str(), &end);
    const bool whole = std::string(end).find_first_not_of(" \t\r") == std::string::npos;
    const double least = times.empty() ? 0 : times.back();
    if (!whole || !(time >= least) || time > 1e6) {
      throw Error(PH_CORRUPT,
                  fmt::format("{}:{}: \"{}\" is not a time in seconds from {:g} on (ascending)",
                              path, number, line, least));
    }
    times.push_back(time);
  }
  if (times.empty()) throw Error(PH_CORRUPT, fmt::format("{}: no times in it", path));
  return times;
}

ordered_json replay_trace(const Bench& bench, const std::string& name,
                          const std::vector<double>& times, double latency_bound) {
  SessionSystem system = system_of(bench, true);
  LoadSettings settings = short_settings(Scenario::kTrace, bench.seconds);
  settings.trace = times;
  settings.max_seconds = 0;
  settings.latency_bound = latency_bound;
  settings.cancelled = bench.cancelled;
  const LoadResult result = generate_load(system, settings);
  ordered_json json{{"file", name}, {"requests", times.size()}};
  json.update(to_json(result, kind_of(bench)));
  bench.say(
      fmt::format("\ntrace {}: {} requests in {:.1f} s, p50 {:.2f} ms, p99 {:.2f} ms  {}\n", name,
                  result.queries, result.seconds, json["latency_ms"]["p50"].get<double>(),
                  json["latency_ms"]["p99"].get<double>(), result.valid ? "VALID" : "INVALID"));
  for (const std::string& reason : result.reasons) bench.say("  " + reason + "\n");
  return json;
}

}  // namespace pronghorn::bench
