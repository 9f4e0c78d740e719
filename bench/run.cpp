// SPDX-License-Identifier: Apache-2.0
#include "bench/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "bench/handover.h"
#include "bench/photographs.h"

namespace pronghorn::bench {
namespace {

constexpr int kGenerated = 64;
// Distinct images, a batch or so: with fewer the processor's caches hold all of them.
constexpr std::int64_t kFewest = 32;

Source in_memory(const std::vector<Photograph>& photographs) {
  std::vector<std::span<const std::byte>> images;
  std::vector<std::string> names;
  for (const Photograph& photograph : photographs) {
    images.emplace_back(photograph.jpeg);
    names.push_back(fmt::format("generated-{}.jpg", names.size()));
  }
  return Source::memory(images, names);
}

double mean_bytes(const std::vector<Photograph>& photographs) {
  double sum = 0;
  for (const Photograph& photograph : photographs) {
    sum += static_cast<double>(photograph.jpeg.size());
  }
  return sum / static_cast<double>(photographs.size());
}

// Counts each labelled image once, however often the measurements repeat it.
class Judge {
 public:
  explicit Judge(const std::function<std::int64_t(const std::string&)>& class_of)
      : class_of_(class_of) {}

  void see(const Result& result) {
    if (!class_of_ || result.label.empty() || !seen_.insert(result.index).second) return;
    const std::int64_t truth = class_of_(std::string(result.label));
    if (truth < 0) return;
    const Top top =
        top_k(result.outputs, static_cast<int>(std::min<std::size_t>(5, result.outputs.size())));
    ++images_;
    top1_ += top.indices[0] == truth ? 1 : 0;
    top5_ += std::count(top.indices.begin(), top.indices.end(), truth);
  }

  std::optional<Accuracy> accuracy() const {
    if (images_ == 0) return std::nullopt;
    const auto n = static_cast<double>(images_);
    return Accuracy{images_, static_cast<double>(top1_) / n, static_cast<double>(top5_) / n};
  }

 private:
  const std::function<std::int64_t(const std::string&)>& class_of_;
  std::unordered_set<std::int64_t> seen_;
  std::int64_t images_ = 0, top1_ = 0, top5_ = 0;
};

void show(const Options& options, const Report& report) {
  if (!options.on_measurement) return;
  for (const Measurement& measurement : report.results) options.on_measurement(measurement);
}

using Figures = std::vector<std::unique_ptr<Figure>>;

// Rounds count in the placement of the processors that most rounds of the run had, so that all
// figures are of one.
void keep_to_one_placement(const Figures& figures) {
  std::vector<double> handovers;
  for (const auto& figure : figures) {
    for (const Round& round : figure->rounds()) {
      if (round.handover_ns > 0) handovers.push_back(round.handover_ns);
    }
  }
  for (const auto& figure : figures) figure->keep_to(quantile(handovers, 0.5));
}

// Every batch, device and real, in rounds that take turns, so that a slow minute of the machine
// hits all figures alike; each until it has settled. When all have, each is measured once more.
void measure_all(const Options& options, const Setting& setting,
                 const std::vector<std::uint8_t>& pixels, Judge& judge, Report& report) {
  const bool device = std::count(options.kinds.begin(), options.kinds.end(), "device") > 0;
  const bool real = std::count(options.kinds.begin(), options.kinds.end(), "real") > 0;
  Figures figures;
  for (const int batch : options.batches) {
    const Figure* beside = nullptr;
    if (device) {
      figures.push_back(device_figure(setting, batch, pixels));
      beside = figures.back().get();
    }
    if (!real) continue;
    // A guess at the rate sizes the first round.
    const auto guess = [beside, &setting, batch, &pixels] {
      if (beside != nullptr) return 0.8 * beside->rate();
      Setting brief = setting;
      brief.plan.seconds = 0;
      const auto once = device_figure(brief, batch, pixels);
      once->round();
      return 0.8 * once->rate();
    };
    figures.push_back(
        real_figure(setting, batch, guess, [&](const Result& result) { judge.see(result); }));
  }
  const Counters before = read_counters();
  const auto keep = [&] {
    keep_to_one_placement(figures);
    report.results.clear();
    for (const auto& figure : figures) {
      if (figure->has_rounds()) report.results.push_back(figure->result());
    }
    report.disturbance = between(before, read_counters());
  };
  try {
    bool again = false;
    const auto due = [&](const auto& figure) {
      return again ? figure->wants_again() : figure->wants_more();
    };
    for (bool any = true; any || !again;) {
      again = again || !any;
      any = false;
      keep_to_one_placement(figures);
      for (const auto& figure : figures) {
        if (!due(figure)) continue;
        any = true;
        if (options.progress) {
          const auto settled =
              std::count_if(figures.begin(), figures.end(), [&](const auto& f) { return !due(f); });
          options.progress(fmt::format("{} throughput, batch {}{}", figure->kind(), figure->batch(),
                                       again ? " again" : ""),
                           static_cast<int>(settled), static_cast<int>(figures.size()));
        }
        again ? figure->round_again() : figure->round();
      }
    }
  } catch (...) {
    keep();
    show(options, report);
    throw;
  }
  keep();
  show(options, report);
}

// Two runs that are both called stable should agree within 3 %.
void judge_stability(Report& report) {
  const auto unstable = [&](const Measurement& m, const std::string& what) {
    report.stability.stable = false;
    report.stability.reasons.push_back(
        fmt::format("{} throughput at batch {}: {}", m.kind, m.batch, what));
  };
  double disturbed = 0, rounds = 0, speed_range = 0;
  std::vector<double> speeds, handovers, ends;
  for (const Measurement& m : report.results) {
    rounds += static_cast<double>(m.rounds.size());
    disturbed +=
        static_cast<double>(std::count_if(m.judged.disturbed.begin(), m.judged.disturbed.end(),
                                          [](const auto& why) { return !why.empty(); }));
    speed_range = std::max(speed_range, m.judged.speed_range);
    speeds.push_back(m.judged.speed);
    if (m.judged.handover_ns > 0) {
      handovers.push_back(m.judged.handover_ns);
      ends.insert(ends.end(), {m.judged.nearest_ns, m.judged.farthest_ns});
    }
    if (m.rounds.size() < 2) {
      unstable(m, "one round says nothing of its spread");
      continue;
    }
    if (m.judged.all_disturbed) {
      unstable(m,
               fmt::format("too few of {} rounds were undisturbed, so all count", m.rounds.size()));
    }
    if (m.judged.again_difference > m.plan.repeat_tolerance) {
      unstable(m, fmt::format("at the end of the run it was {:.1f} images/s, {:.1f} % from before",
                              m.judged.again_rate, 100 * m.judged.again_difference));
    } else if (m.judged.repeat_difference > m.plan.repeat_tolerance) {
      unstable(m, fmt::format("repeats differ by {:.1f} %", 100 * m.judged.repeat_difference));
    } else if (m.judged.half_width > m.plan.tolerance) {
      unstable(m, fmt::format("its 95 % interval is ±{:.1f} % after {} rounds",
                              100 * m.judged.half_width, m.rounds.size()));
    }
  }
  if (!report.stability.stable && disturbed > 0) {
    report.stability.reasons.push_back(
        fmt::format("{:.0f} of {:.0f} rounds were disturbed", disturbed, rounds));
  }
  if (!report.stability.stable && speed_range > 0.03) {
    report.stability.reasons.push_back(
        fmt::format("the processors' own speed varied by {:.0f} % (clock, or a neighbour on the "
                    "same core)",
                    100 * speed_range));
  }
  const double nearest = quantile(ends, 0), farthest = quantile(ends, 1);
  if (!report.stability.stable && !same_placement(nearest, farthest)) {
    report.stability.reasons.push_back(fmt::format(
        "the host moved the processors: a cache line took from {:.0f} to {:.0f} ns from "
        "thread to thread",
        nearest, farthest));
  }
  report.stability.processor_speed = quantile(speeds, 0.5);
  report.stability.handover_ns = quantile(handovers, 0.5);
  std::string placement = placement_problem(report.stability.handover_ns);
  if (!placement.empty()) {
    report.stability.stable = false;
    report.stability.reasons.push_back(std::move(placement));
  }
  bench::judge(report.disturbance, report.stability);
}

void measure_sections(const Model& model, const Setting& setting,
                      const std::vector<std::uint8_t>& pixels, Meters& meters,
                      std::vector<double> idle, const Options& options, Report& report) {
  judge_stability(report);
  Bench bench{model,  setting.session, setting.images, setting.resize,
              pixels, meters,          options.device, setting.threads};
  bench.seconds = options.seconds;
  bench.real = std::count(options.kinds.begin(), options.kinds.end(), "real") > 0;
  bench.idle = std::move(idle);
  bench.cancelled = options.cancelled;
  bench.say = [&](const std::string& line) {
    if (options.say) options.say(line);
  };
  bench.on_second = options.on_second;
  double query_seconds = 0;
  for (const Measurement& measurement : report.results) {
    double& rate = measurement.kind == "real" ? bench.real_rate : bench.device_rate;
    if (measurement.kind == report.results.back().kind && measurement.images_per_second > rate) {
      bench.batch = measurement.batch;
    }
    rate = std::max(rate, measurement.images_per_second);
    if (measurement.batch == 1) query_seconds = 1e-3 * measurement.latency.p50;
  }
  const double device_measured = bench.device_rate;  // 0: not asked for
  if (bench.real_rate == 0) bench.real_rate = bench.device_rate;
  if (bench.device_rate == 0) bench.device_rate = bench.real_rate;
  nlohmann::ordered_json& sections = report.sections;
  const auto cancelled = [&] { return options.cancelled && options.cancelled(); };
  // `wanted` sections in the order that the report shows them; an interruption ends the series.
  const auto section = [&](const char* key, bool wanted, const auto& measure) {
    if (!wanted || cancelled()) return;
    if (options.progress) options.progress(key, 0, 0);
    sections[key] = measure();
  };
  section("own_overhead", true, [&] {
    auto json = measure_own_overhead(query_seconds);
    bench.say(fmt::format(
        "\nown overhead {:.0f} null queries/s{}{}\n", json["null_queries_per_second"].get<double>(),
        query_seconds > 0 ? fmt::format(", {:.4f} % of a batch-1 query",
                                        100 * json["share_of_batch_1"].get<double>())
                          : "",
        json["kept"].get<bool>() ? "" : ": too much, at least 200000 and less than 1 % are asked"));
    return json;
  });
  section("scenarios", !options.scenarios.scenarios.empty(),
          [&] { return measure_scenarios(bench, options.scenarios); });
  section("concurrency", !options.concurrency.empty(),
          [&] { return sweep_concurrency(bench, options.concurrency); });
  section("rates", options.rate_sweep || !options.rates.empty(),
          [&] { return sweep_rates(bench, options.rates, options.scenarios.latency_bound); });
  section("threads", !options.thread_counts.empty(),
          [&] { return sweep_threads(bench, options.thread_counts); });
  section("devices", options.device_scaling, [&] { return sweep_devices(bench); });
  section("trace", !options.trace.empty(), [&] {
    return replay_trace(bench, options.trace, read_trace(options.trace),
                        options.scenarios.latency_bound);
  });
  section("cold_start", options.cold_starts > 0, [&] {
    auto json = measure_cold_start(options.cold_start_command, options.cold_starts);
    bench.say(fmt::format("\ncold start   {:.3f} s, median of {}: {}\n",
                          json["median_seconds"].get<double>(), options.cold_starts,
                          json["what"].get<std::string>()));
    return json;
  });
  section("sustained", options.sustained > 0,
          [&] { return measure_sustained(bench, options.sustained); });
  section("ceiling", options.layers, [&] {
    const double macs = device_ceiling(options.device, setting.threads);
    nlohmann::ordered_json json{{"gmac_per_second", 1e-9 * macs}, {"threads", setting.threads}};
    json["what"] = "8-bit multiply-adds from registers on all threads, measured in this run";
    if (macs == 0) json["missing"] = "the ceiling of this device is not measured";
    if (device_measured > 0 && macs > 0) {
      json["share_reached"] = device_measured * static_cast<double>(report.model.macs) / macs;
    }
    return json;
  });
  // One image hardly fills a card.
  section("layers", options.layers, [&] {
    return measure_layers(bench, report.device.name.rfind("cuda", 0) == 0 ? bench.batch : 1);
  });
  section("energy", true, [&] { return measure_energy(bench); });
}

}  // namespace

Report run(const Model& model, const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  Report report;
  report.model = model.info();
  report.resize = options.resize;
  report.images.generated = options.images.empty();
  const Session session(model, options.device, options.threads, options.hint, options.precision);
  report.threads = options.threads > 0 ? options.threads : available_cores();
  report.precision = options.precision == "fp16" ? "fp16"
                     : model.info().quantized    ? "int8"
                                                 : "float32";
  report.device = session.device();

  // The first result, before anything that only the benchmark needs.
  Source images = options.images.empty() ? in_memory({make_photograph(kDefaultSeed, 0)})
                                         : Source::open(options.images);
  const std::vector<std::uint8_t> first =
      decode_some(images, options.resize, session.pixel_bytes(), 1);
  top_k(session.run(first), static_cast<int>(std::min<std::int64_t>(5, session.classes())));
  report.first_result_seconds = seconds_since_start();

  report.decoders = nlohmann::ordered_json::parse(session.decoders());
  if (options.processor_decodes && !report.decoders["engine"].is_null()) {
    report.decoders["engine"] = nullptr;
    report.decoders["missing"] = "left out by --decoders processor";
  }
  report.machine = this_machine();
  if (options.images.empty()) {
    const std::vector<Photograph> photographs =
        make_photographs(kDefaultSeed, 0, kGenerated, report.threads);
    images = in_memory(photographs);
    report.images.seed = kDefaultSeed;
    report.images.mean_bytes = mean_bytes(photographs);
  } else {
    report.images.path = options.images;
  }
  report.images.count = images.size();

  const std::int64_t fewest = *std::max_element(options.batches.begin(), options.batches.end());
  if (images.size() < std::min<std::int64_t>(fewest, kFewest)) {
    report.images.note = fmt::format(
        "{} of them repeat in each batch of {}: they stay in the caches, and decoding looks "
        "cheaper than it is; give {} or more",
        images.size(), fewest, std::min<std::int64_t>(fewest, kFewest));
  }
  if (options.on_ready) options.on_ready(report);

  const int largest = *std::max_element(options.batches.begin(), options.batches.end());
  const std::vector<std::uint8_t> pixels =
      decode_some(images, options.resize, session.pixel_bytes(), std::clamp(largest, 2, 64));
  report.verified = verify(model, session, pixels, options.precision);
  if (options.on_verified) options.on_verified(report.verified);

  RoundPlan plan;
  plan.seconds = options.seconds;
  plan.most_seconds = options.most_seconds > 0 ? options.most_seconds : 4 * options.seconds;
  plan.repeats = options.repeats;
  const Setting setting{.session = session,
                        .images = images,
                        .resize = options.resize,
                        .threads = report.threads,
                        .plan = plan,
                        .dataset = options.dataset,
                        .cancelled = options.cancelled,
                        .processor_decodes = options.processor_decodes,
                        .decode_limit = report.decoders.value("resize", "") == "device"};
  Judge judge(options.class_of);
  Meters meters = open_rapl();
  if (session.energy()) {
    meters.meters.push_back(
        device_meter(report.device.name, [&] { return session.energy().value_or(0); }));
  }
  try {
    const std::vector<double> idle = idle_watts(meters, std::min(3.0, options.seconds));
    measure_all(options, setting, pixels, judge, report);
    measure_sections(model, setting, pixels, meters, idle, options, report);
  } catch (const Error& error) {
    if (error.status() != PH_CANCELLED) throw;
    report.partial = true;
    if (report.sections.empty()) judge_stability(report);  // interrupted before that
  }
  report.partial = report.partial || (options.cancelled && options.cancelled());
  report.accuracy = judge.accuracy();
  report.session_memory_bytes = session.memory_bytes();
  report.peak_rss_bytes = peak_rss_bytes();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace pronghorn::bench
