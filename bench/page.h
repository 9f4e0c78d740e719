// SPDX-License-Identifier: Apache-2.0
// What a report's JSON becomes for people and for spreadsheets.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace pronghorn::bench {

// One HTML file with everything inside: style, script, Chart.js, and the JSON, from which the
// script draws. It asks for nothing from a network.
std::string html_page(const nlohmann::ordered_json& report);

// One row a measurement, with the columns of Triton's perf_analyzer (microseconds), then ours.
std::string csv_table(const nlohmann::ordered_json& report);

// A regression table of runs against the first of `reports`; `names` are their files. Rows are the
// measurements and scenarios that a run shares with the first; a change counts only when the 95 %
// intervals do not overlap. Kept as JSON for the page and the terminal.
nlohmann::ordered_json compare_runs(const std::vector<nlohmann::ordered_json>& reports,
                                    const std::vector<std::string>& names);
std::string comparison_text(const nlohmann::ordered_json& comparison);

}  // namespace pronghorn::bench
