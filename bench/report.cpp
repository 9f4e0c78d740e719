// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <fmt/format.h>

namespace pronghorn::bench {
namespace {

using nlohmann::ordered_json;

std::string gibibytes(std::int64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

// `card`: the device has memory of its own, and copies to it are inside the inference.
ordered_json to_json(const Stages& stages, bool device_takes_part, bool card) {
  ordered_json json{{"images", stages.images},
                    {"wall_seconds", stages.wall_seconds},
                    {"read_seconds", stages.read_seconds},
                    {"decode_seconds", stages.decode_seconds},
                    {"resize_seconds", stages.resize_seconds},
                    {"copy_seconds", stages.copy_seconds},
                    {"infer_seconds", stages.infer_seconds},
                    {"top5_seconds", stages.top5_seconds}};
  if (card && stages.copy_seconds == 0) json["copy_seconds"] = nullptr;
  if (device_takes_part) {
    json["engine_seconds"] = stages.engine_seconds;
    json["lane_seconds"] = stages.lane_seconds;
    json["engine_images"] = stages.engine_images;
    json["engine_returned"] = stages.engine_returned;
  }
  return json;
}

double percent_of(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? 1e2 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

ordered_json to_json(const Machine& machine) {
  return {{"cpu", machine.cpu},
          {"cores", machine.cores},
          {"logical_cpus", machine.logical_cpus},
          {"mhz", machine.mhz},
          {"governor", machine.governor},
          {"hypervisor", machine.hypervisor},
          {"memory_bytes", machine.memory_bytes},
          {"l2_bytes", machine.l2_bytes},
          {"l3_bytes", machine.l3_bytes},
          {"os", machine.os},
          {"kernel", machine.kernel},
          {"load_average", machine.load_average},
          {"version", machine.version},
          {"commit", machine.commit},
          {"compiler", machine.compiler},
          {"time", machine.time}};
}

ordered_json to_json(const Measurement& measurement) {
  const Latency& latency = measurement.latency;
  ordered_json json{{"device", measurement.device},
                    {"kind", measurement.kind},
                    {"batch", measurement.batch},
                    {"images_per_second", measurement.images_per_second},
                    {"images_per_second_best", measurement.images_per_second_best},
                    {"rounds", measurement.rounds.size()},
                    {"latency_ms",
                     {{"p50", latency.p50},
                      {"p90", latency.p90},
                      {"p95", latency.p95},
                      {"p99", latency.p99},
                      {"p999", latency.p999},
                      {"min", latency.min},
                      {"max", latency.max},
                      {"mean", latency.mean},
                      {"samples", latency.samples}}}};
  if (latency.samples == 0) json["latency_ms"] = {{"samples", 0}};  // interrupted before the first
  const Judged& judged = measurement.judged;
  json["interval_95"] = {judged.interval.low, judged.interval.high};
  json["repeat_images_per_second"] = judged.repeat_rates;
  json["again_images_per_second"] =
      judged.again_rate > 0 ? ordered_json(judged.again_rate) : nullptr;
  json["settled"] = judged.settled;
  std::vector<double> clean;
  json["round_series"] = ordered_json::array();
  for (std::size_t i = 0; i < measurement.rounds.size(); ++i) {
    const Round& round = measurement.rounds[i];
    json["round_series"].push_back({{"images_per_second", round.rate},
                                    {"seconds", round.seconds},
                                    {"processor_speed", round.speed},
                                    {"handover_ns", round.handover_ns},
                                    {"steal_share", round.disturbance.steal_share},
                                    {"other_share", round.disturbance.other_share},
                                    {"disturbed", judged.disturbed[i]},
                                    {"again", round.again}});
  }
  for (const std::size_t i : judged.clean) clean.push_back(measurement.rounds[i].rate);
  json["rounds_counted"] = clean.size();
  json["coefficient_of_variation"] = coefficient_of_variation(clean);
  if (measurement.dataset) {
    json["dataset"] = {{"images", measurement.dataset->images},
                       {"asked", measurement.dataset->asked},
                       {"seconds", measurement.dataset->seconds}};
  }
  if (!measurement.warmup_ms.empty()) json["warmup_ms"] = measurement.warmup_ms;
  if (measurement.stages) {
    json["stages"] = to_json(*measurement.stages, measurement.stages->lane_seconds > 0,
                             measurement.device.rfind("cuda", 0) == 0);
    if (measurement.of_ideal > 0) json["of_ideal"] = measurement.of_ideal;
  }
  if (measurement.decode_limit && !measurement.decode_limit->rates.empty()) {
    const DecodeLimit& limit = *measurement.decode_limit;
    json["decode_limit"] = {{"images_per_second", quantile(limit.rates, 0.5)},
                            {"round_images_per_second", limit.rates},
                            {"reached", quantile(limit.shares, 0.5)},
                            {"round_reached", limit.shares},
                            {"stages", to_json(limit.stages, true, true)}};
  }
  return json;
}

ordered_json to_json(const Report& report, const std::string& command) {
  ordered_json json{{"schema", kSchema}, {"command", command}};
  json["machine"] = to_json(report.machine);
  json["device"] = {{"name", report.device.name},
                    {"description", report.device.description},
                    {"isa", report.device.isa},
                    {"threads", report.threads},
                    {"precision", report.precision},
                    {"decoders", report.decoders},
                    {"session_memory_bytes", report.session_memory_bytes}};
  json["model"] = {{"name", report.model.name},
                   {"format", report.model.format},
                   {"quantized", report.model.quantized},
                   {"input", {report.model.input_height, report.model.input_width, 3}},
                   {"classes", report.model.classes},
                   {"macs", report.model.macs},
                   {"parameter_bytes", report.model.parameter_bytes}};
  json["images"] = {{"generated", report.images.generated}, {"count", report.images.count}};
  if (report.images.generated) {
    json["images"]["seed"] = report.images.seed;
    json["images"]["mean_bytes"] = report.images.mean_bytes;
  } else {
    json["images"]["path"] = report.images.path;
  }
  if (!report.images.note.empty()) json["images"]["note"] = report.images.note;
  json["resize"] = {{"mode", report.resize.mode},
                    {"interpolation", report.resize.nearest ? "nearest" : "bilinear"},
                    {"scaled_decode", report.resize.scaled_decode}};
  json["verified"] = {{"device", report.verified.device},
                      {"images", report.verified.images},
                      {"exact", report.verified.exact},
                      {"tolerance", report.verified.tolerance},
                      {"max_error", report.verified.max_error}};
  json["results"] = ordered_json::array();
  for (const Measurement& measurement : report.results) {
    json["results"].push_back(to_json(measurement));
  }
  json["accuracy"] = nullptr;
  if (report.accuracy) {
    json["accuracy"] = {{"images", report.accuracy->images},
                        {"top1", report.accuracy->top1},
                        {"top5", report.accuracy->top5}};
  }
  json["stability"] = {{"verdict", report.stability.stable ? "STABLE" : "UNSTABLE"},
                       {"reasons", report.stability.reasons},
                       {"processor_speed", report.stability.processor_speed},
                       {"handover_ns", report.stability.handover_ns},
                       {"steal_share", report.disturbance.steal_share},
                       {"other_share", report.disturbance.other_share},
                       {"throttled_seconds", report.disturbance.throttled_seconds},
                       {"clock_problem", report.disturbance.clock_problem}};
  json["partial"] = report.partial;
  json.update(report.sections);
  json["first_result_seconds"] = report.first_result_seconds;
  json["peak_rss_bytes"] = report.peak_rss_bytes;
  json["seconds"] = report.seconds;
  return json;
}

std::string machine_card(const Machine& machine, const DeviceInfo& device, int threads) {
  const auto line = [](const char* name, const std::string& value) {
    return value.empty() ? std::string() : fmt::format("  {:<10} {}\n", name, value);
  };
  return "machine\n" +
         line("cpu",
              fmt::format("{}, {} of {} cores{}", machine.cpu, machine.cores, machine.logical_cpus,
                          machine.mhz > 0 ? fmt::format(", {:.0f} MHz", machine.mhz) : "")) +
         line("caches", fmt::format("L2 {} KiB, L3 {} KiB", machine.l2_bytes / 1024,
                                    machine.l3_bytes / 1024)) +
         line("memory", gibibytes(machine.memory_bytes)) + line("system", machine.os) +
         line("kernel", machine.kernel) + line("host", machine.hypervisor) +
         line("governor", machine.governor) +
         line("load",
              fmt::format("{:.2f}{}", machine.load_average,
                          machine.load_average > 0.5 ? " (other work disturbs figures)" : "")) +
         line("device", fmt::format("{}{}, {} threads", device.name,
                                    device.isa.empty() ? "" : " (" + device.isa + ")", threads)) +
         line("pronghorn",
              fmt::format("{}{}, {}", machine.version,
                          machine.commit.empty() ? "" : " " + machine.commit, machine.compiler));
}

std::string table_head() {
  return fmt::format("{:<8} {:>5} {:>12} {:>10}   {:>9} {:>9} {:>9} {:>9}  {}\n", "kind", "batch",
                     "images/s", "best", "p50 ms", "p90", "p99", "p99.9",
                     "read / decode / resize / copy / infer / top-5, ms an image");
}

std::string table_row(const Measurement& measurement) {
  const Latency& latency = measurement.latency;
  std::string stages;
  if (measurement.stages && measurement.stages->images > 0) {
    const double scale = 1e3 / static_cast<double>(measurement.stages->images);
    const Stages& s = *measurement.stages;
    const bool unknown = measurement.device.rfind("cuda", 0) == 0 && s.copy_seconds == 0;
    stages = fmt::format("{:.2f} / {:.2f} / {:.2f} / {} / {:.2f} / {:.3f}", s.read_seconds * scale,
                         s.decode_seconds * scale, s.resize_seconds * scale,
                         unknown ? "in infer" : fmt::format("{:.2f}", s.copy_seconds * scale),
                         s.infer_seconds * scale, s.top5_seconds * scale);
  }
  // An interruption can come before one batch alone was timed.
  const auto ms = [&](double value) {
    return latency.samples == 0 ? "-" : fmt::format("{:.2f}", value);
  };
  std::string row = fmt::format("{:<8} {:>5} {:>12.2f} {:>10.2f}   {:>9} {:>9} {:>9} {:>9}  {}\n",
                                measurement.kind, measurement.batch, measurement.images_per_second,
                                measurement.images_per_second_best, ms(latency.p50),
                                ms(latency.p90), ms(latency.p99), ms(latency.p999), stages);
  if (measurement.decode_limit && !measurement.decode_limit->rates.empty()) {
    const DecodeLimit& limit = *measurement.decode_limit;
    const Stages& real = *measurement.stages;
    row += fmt::format(
        "{:<8} {:>5} {:>12.2f} {:>10}   decoders alone: {:.1f} % of that reached. Of the images of "
        "real, the engine decoded {:.1f} %; {} went back to the processor\n",
        "decode", measurement.batch, quantile(limit.rates, 0.5), "",
        1e2 * quantile(limit.shares, 0.5), percent_of(real.engine_images, real.images),
        real.engine_returned);
  }
  return row;
}

}  // namespace pronghorn::bench
