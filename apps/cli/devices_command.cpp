// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/output_file.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::string json;
  bool ceiling = false;
};

// Multiply-adds a second on one thread and on every core; shown in G, zero where not measured.
std::pair<double, double> ceilings_of(const DeviceInfo& device) {
  return {device_ceiling(device.name, 1), device_ceiling(device.name, 0)};
}

void list_devices(const Flags& flags, const Context& context) {
  OutputFile json_file(flags.json);
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
    nlohmann::ordered_json entry = {{"name", device.name},
                                    {"description", device.description},
                                    {"isa", device.isa},
                                    {"cores", device.cores},
                                    {"memory_bytes", device.memory_bytes},
                                    {"clock_hz", device.clock_hz}};
    if (flags.ceiling) {
      const auto [one, all] = ceilings_of(device);
      fmt::print("{:<12} {}\n", "",
                 one > 0 ? fmt::format("ceiling {:.1f} GMAC/s on one core, {:.1f} on {}",
                                       1e-9 * one, 1e-9 * all, available_cores())
                         : std::string("ceiling not measured on this device"));
      entry["ceiling_macs_per_second"] = {{"one_core", one}, {"every_core", all}};
    }
    list.push_back(std::move(entry));
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
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("devices", "List what models can run on here");
  command->add_option("--json", flags->json, "Also write the list to this file");
  command->add_flag("--ceiling", flags->ceiling,
                    "Measure how many 8-bit multiply-adds a second the arithmetic units reach");
  command->footer("Example:\n  pronghorn devices --json devices.json");
  command->callback([flags, &context] { list_devices(*flags, context); });
}

}  // namespace pronghorn::cli
