// SPDX-License-Identifier: Apache-2.0
// A report as JSON (docs/benchmark_json.md) and as text for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bench/run.h"

namespace pronghorn::bench {

inline constexpr int kSchema = 1;  // of every JSON that the program writes

nlohmann::ordered_json to_json(const Machine& machine);
nlohmann::ordered_json to_json(const Measurement& measurement);
nlohmann::ordered_json to_json(const Report& report, const std::string& command);

std::string machine_card(const Machine& machine, const DeviceInfo& device, int threads);
std::string table_head();
std::string table_row(const Measurement& measurement);

}  // namespace pronghorn::bench
