// SPDX-License-Identifier: Apache-2.0
#include "bench/page.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "bench/assets.h"
#include "bench/handover.h"

namespace pronghorn::bench {

using nlohmann::ordered_json;

namespace {

void replace(std::string& text, std::string_view mark, std::string_view with) {
  const std::size_t at = text.find(mark);
  if (at != std::string::npos) text.replace(at, mark.size(), with);
}

double number(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

// What two runs that are both called stable may differ by.
constexpr double kOtherSpeed = 0.03;

struct Row {
  int concurrency = 1;
  double rate = 0, infer_us = 0, decode_us = 0, output_us = 0;
  const ordered_json* latency = nullptr;
  std::string scenario, kind, device;
  int batch = 1;
};

std::string line_of(const Row& row) {
  const auto us = [&](const char* key) {
    return row.latency == nullptr ? 0 : 1e3 * number(*row.latency, key);
  };
  return fmt::format(
      "{},{:.3f},0,0,0,{:.0f},{:.0f},{:.0f},0,{:.0f},{:.0f},{:.0f},{:.0f},{},{},{},{}\n",
      row.concurrency, row.rate, row.decode_us, row.infer_us, row.output_us, us("p50"), us("p90"),
      us("p95"), us("p99"), row.scenario, row.kind, row.batch, row.device);
}

}  // namespace

std::string html_page(const ordered_json& report) {
  // "<" inside the JSON would end the script element early in "</script>".
  std::string data = report.dump();
  for (std::size_t at = 0; (at = data.find('<', at)) != std::string::npos;) {
    data.replace(at, 1, "\\u003c");
  }
  std::string page(assets::page_html());
  replace(page, "{{css}}", assets::page_css());
  replace(page, "{{chart}}", assets::chart_js());
  replace(page, "{{js}}", assets::page_js());
  replace(page, "{{data}}", data);
  return page;
}

std::string csv_table(const ordered_json& report) {
  std::string text =
      "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
      "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,p50 latency,"
      "p90 latency,p95 latency,p99 latency,Scenario,Kind,Batch,Device\n";
  const std::string device =
      report.contains("device") ? report["device"].value("name", "") : std::string();
  for (const ordered_json& result : report.value("results", ordered_json::array())) {
    Row row;
    row.rate = number(result, "images_per_second");
    if (result.contains("latency_ms")) row.latency = &result["latency_ms"];
    row.scenario = "throughput";
    row.kind = result.value("kind", "");
    row.batch = result.value("batch", 1);
    row.device = result.value("device", device);
    if (result.contains("stages")) {
      const ordered_json& stages = result["stages"];
      const double scale = 1e6 / std::max(1.0, number(stages, "images"));
      row.decode_us = scale * (number(stages, "read_seconds") + number(stages, "decode_seconds") +
                               number(stages, "resize_seconds") + number(stages, "copy_seconds"));
      row.infer_us = scale * number(stages, "infer_seconds");
      row.output_us = scale * number(stages, "top5_seconds");
    } else if (row.rate > 0) {
      row.infer_us = 1e6 / row.rate;
    }
    text += line_of(row);
  }
  for (const char* key : {"scenarios", "concurrency", "rates"}) {
    for (const ordered_json& entry : report.value(key, ordered_json::array())) {
      Row row;
      row.concurrency = entry.value("concurrency", 1);
      row.rate = number(entry, "samples_per_second");
      row.latency = &entry["latency_ms"];
      row.scenario = entry.value("scenario", "");
      row.kind = entry.value("kind", "");
      row.batch = static_cast<int>(number(entry["settings"], "samples_per_query"));
      row.device = device;
      text += line_of(row);
    }
  }
  return text;
}

namespace {

// What two runs say of the machine's state, when it was not the same: then figures differ for that
// reason too.
std::vector<std::string> other_state(const ordered_json& base, const ordered_json& other,
                                     std::size_t number_of_run) {
  std::vector<std::string> notes;
  const ordered_json none = ordered_json::object();
  const ordered_json &a = base.contains("stability") ? base["stability"] : none,
                     &b = other.contains("stability") ? other["stability"] : none;
  const double near = number(a, "handover_ns"), now = number(b, "handover_ns");
  if (!same_placement(near, now)) {
    notes.push_back(fmt::format(
        "run {} had the processors elsewhere than run 1: a cache line took {:.0f} ns from thread "
        "to thread, {:.0f} in run 1; small batches differ for that reason",
        number_of_run, now, near));
  }
  const double speed = number(a, "processor_speed"), other_speed = number(b, "processor_speed");
  if (speed > 0 && other_speed > 0 && std::abs(other_speed / speed - 1) > kOtherSpeed) {
    notes.push_back(fmt::format("run {} had processors of {:.0f} % of the speed of run 1",
                                number_of_run, 100 * other_speed / speed));
  }
  for (const auto& [number_of, stability] : {std::pair(std::size_t{1}, &a), {number_of_run, &b}}) {
    if (number_of == 1 && number_of_run != 2) continue;  // said once
    if (stability->value("verdict", "") == "UNSTABLE") {
      notes.push_back(fmt::format("run {} was UNSTABLE", number_of));
    }
  }
  return notes;
}

}  // namespace

ordered_json compare_runs(const std::vector<ordered_json>& reports,
                          const std::vector<std::string>& names) {
  ordered_json comparison{{"runs", ordered_json::array()}, {"rows", ordered_json::array()}};
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const ordered_json& report = reports[i];
    ordered_json run{{"file", names[i]}};
    for (const char* key : {"machine", "device", "model", "accuracy", "stability", "command"}) {
      if (report.contains(key)) run[key] = report[key];
    }
    comparison["runs"].push_back(std::move(run));
  }
  const ordered_json& base = reports.front();
  comparison["notes"] = ordered_json::array();
  for (std::size_t i = 1; i < reports.size(); ++i) {
    for (std::string& note : other_state(base, reports[i], i + 1)) {
      comparison["notes"].push_back(std::move(note));
    }
  }
  for (const ordered_json& result : base.value("results", ordered_json::array())) {
    if (!result.contains("images_per_second") || !result.contains("batch")) continue;
    ordered_json row{{"what", fmt::format("{} throughput, batch {}", result.value("kind", ""),
                                          result["batch"].get<int>())},
                     {"unit", "images/s"},
                     {"values", ordered_json::array()}};
    for (const ordered_json& report : reports) {
      ordered_json value = nullptr;
      for (const ordered_json& other : report.value("results", ordered_json::array())) {
        if (other.value("kind", "") != result.value("kind", "") ||
            other.value("batch", 0) != result.value("batch", 0) ||
            other.value("system", "") != result.value("system", "")) {
          continue;
        }
        const double rate = number(other, "images_per_second");
        // Older files have no interval: the median and the best enclose less.
        const ordered_json interval = other.value(
            "interval_95",
            ordered_json{rate, std::max(rate, number(other, "images_per_second_best"))});
        value = {{"value", rate}, {"interval_95", interval}};
        break;
      }
      row["values"].push_back(std::move(value));
    }
    comparison["rows"].push_back(std::move(row));
  }
  for (ordered_json& row : comparison["rows"]) {
    const ordered_json first = row["values"][0];
    for (std::size_t i = 1; i < row["values"].size(); ++i) {
      ordered_json& value = row["values"][i];
      if (value.is_null() || number(first, "value") == 0) continue;
      value["change"] = number(value, "value") / number(first, "value") - 1;
      const double low = value["interval_95"][0], high = value["interval_95"][1];
      const double first_low = first["interval_95"][0], first_high = first["interval_95"][1];
      value["verdict"] = low > first_high ? "faster" : high < first_low ? "slower" : "the same";
    }
  }
  return comparison;
}

std::string comparison_text(const ordered_json& comparison) {
  std::string text;
  std::size_t number_of_run = 0;
  for (const ordered_json& run : comparison["runs"]) {
    const ordered_json machine = run.value("machine", ordered_json::object());
    text += fmt::format("{:>2}  {}  ({}, {} cores, {}, {})\n", ++number_of_run,
                        run.value("file", ""), machine.value("cpu", ""), machine.value("cores", 0),
                        machine.value("version", ""), machine.value("commit", ""));
  }
  text += fmt::format("\n{:<32} {:>12} {:<20}", "images/s", "1", "95 %");
  for (std::size_t i = 2; i <= comparison["runs"].size(); ++i) {
    text += fmt::format(" {:>12} {:<20} {:>9} {:<9}", i, "95 %", "change", "");
  }
  text += "\n";
  const auto interval = [](const ordered_json& value) {
    return fmt::format("[{:.2f}, {:.2f}]", value["interval_95"][0].get<double>(),
                       value["interval_95"][1].get<double>());
  };
  for (const ordered_json& row : comparison["rows"]) {
    text += fmt::format("{:<32}", row.value("what", ""));
    bool first = true;
    for (const ordered_json& value : row["values"]) {
      const bool base = std::exchange(first, false);
      if (value.is_null()) {
        text += fmt::format(" {:>12} {:<20} {:>9} {:<9}", "-", "", "", "");
        continue;
      }
      text += fmt::format(" {:>12.2f} {:<20}", number(value, "value"), interval(value));
      if (base) continue;
      text += value.contains("change")
                  ? fmt::format(" {:>+8.1f}% {:<9}", 100 * number(value, "change"),
                                value.value("verdict", ""))
                  : fmt::format(" {:>9} {:<9}", "-", "");
    }
    text += "\n";
  }
  text += "\n\"the same\": the 95 % intervals of the medians overlap.\n";
  for (const ordered_json& note : comparison["notes"]) text += note.get<std::string>() + "\n";
  return text;
}

}  // namespace pronghorn::bench
