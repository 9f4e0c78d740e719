// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <fstream>
#include <memory>
#include <pronghorn/pronghorn.hpp>

#include "apps/cli/command.h"
#include "apps/cli/output_file.h"
#include "bench/page.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

using nlohmann::ordered_json;

struct Flags {
  std::vector<std::string> files;
  std::string html;
  std::string csv;
  std::string json;
};

ordered_json read_report(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(PH_NOT_FOUND, fmt::format("{}: no such file", path));
  ordered_json report = ordered_json::parse(file, nullptr, false);
  if (!report.is_object()) throw Error(PH_CORRUPT, fmt::format("{}: is not JSON", path));
  if (report.value("schema", ordered_json()) != bench::kSchema) {
    throw Error(PH_UNSUPPORTED,
                fmt::format("{}: schema {}; this program reads {}", path,
                            report.value("schema", ordered_json()).dump(), bench::kSchema));
  }
  if (!report.contains("results") || !report["results"].is_array()) {
    throw Error(PH_CORRUPT,
                fmt::format("{}: has no results; give what `pronghorn bench --json` wrote", path));
  }
  return report;
}

void write_report(const Flags& flags, const Context& context) {
  OutputFile html_file(flags.html);
  OutputFile csv_file(flags.csv);
  OutputFile json_file(flags.json);
  std::vector<ordered_json> reports;
  for (const std::string& path : flags.files) reports.push_back(read_report(path));
  ordered_json shown = reports.front();
  if (reports.size() > 1) {
    shown = {{"schema", bench::kSchema}, {"command", context.command}};
    shown["comparison"] = bench::compare_runs(reports, flags.files);
    fmt::print("{}", bench::comparison_text(shown["comparison"]));
  }
  if (html_file) html_file.write(bench::html_page(shown));
  json_file.write(shown.dump(2) + "\n");
  std::string table;
  for (const ordered_json& report : reports) {
    const std::string next = bench::csv_table(report);
    table += table.empty() ? next : next.substr(next.find('\n') + 1);
  }
  if (csv_file) csv_file.write(table);
  if (reports.size() == 1 && !html_file && !csv_file && !json_file) fmt::print("{}", table);
}

}  // namespace

void add_report(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("report", "Show or compare what `bench --json` wrote, as a page or table");
  command->add_option("files", flags->files, "One JSON file to show, or several to compare")
      ->required();
  command->add_option("--html", flags->html, "Write one HTML page");
  command->add_option("--csv", flags->csv, "Write a table with perf_analyzer's columns");
  command->add_option("--json", flags->json, "Write the comparison (or the report) as JSON");
  command->footer("Example:\n  pronghorn report before.json after.json --html change.html");
  command->callback([flags, &context] { write_report(*flags, context); });
}

}  // namespace pronghorn::cli
