// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/output_file.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

void list_devices(const std::string& json_path, const Context& context) {
  OutputFile json_file(json_path);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  fmt::print("{:<12} {:<10} {:>5} {:>10} {:>9}  {}\n", "device", "kernels", "cores", "memory",
             "clock", "description");
  for (const DeviceInfo& device : devices()) {
    const auto known = [](double value, const char* unit) {
      return value > 0 ? fmt::format("{:.1f} {}", value, unit) : std::string("-");
    };
    fmt::print("{:<12} {:<10} {:>5} {:>10} {:>9}  {}\n", device.name,
               device.isa.empty() ? "-" : device.isa, device.cores,
               known(static_cast<double>(device.memory_bytes) / (1 << 30), "GiB"),
               known(device.clock_hz * 1e-9, "GHz"), device.description);
    list.push_back({{"name", device.name},
                    {"description", device.description},
                    {"isa", device.isa},
                    {"cores", device.cores},
                    {"memory_bytes", device.memory_bytes},
                    {"clock_hz", device.clock_hz}});
  }
  json_file.write(nlohmann::ordered_json{{"schema", bench::kSchema},
                                         {"command", context.command},
                                         {"machine", bench::to_json(bench::this_machine())},
                                         {"devices", list}}
                      .dump(2) +
                  "\n");
}

}  // namespace

void add_devices(CLI::App& app, Context& context) {
  auto json = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("devices", "List what models can run on here");
  command->add_option("--json", *json, "Also write the list to this file");
  command->footer("Example:\n  pronghorn devices --json devices.json");
  command->callback([json, &context] { list_devices(*json, context); });
}

}  // namespace pronghorn::cli
