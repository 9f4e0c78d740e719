// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/bench_task.h"

#include <fmt/format.h>

#include <cstdio>

#include "apps/cli/output_file.h"
#include "bench/page.h"
#include "bench/report.h"

namespace pronghorn::cli {

void TaskFlags::add(CLI::App& command) {
  command
      .add_option("--task", options.task,
                  "Instead of images: logreg, kmeans or gaussian_nb beside scikit-learn and "
                  "scikit-learn-intelex in one process")
      ->check(CLI::IsMember({"logreg", "kmeans", "gaussian_nb"}));
  command.add_option("--set", options.set,
                     "Data of a task: classification-128, mnist-like, covtype-like, higgs-like, "
                     "blobs-64, blobs-64-classes-16");
  command.add_option("--dtype", options.dtype, "Of a task's data")
      ->check(CLI::IsMember({"float32", "float64"}))
      ->capture_default_str();
  command.add_option("--rows", options.rows, "Of a task's data (default: those of the set)")
      ->check(CLI::Range(std::int64_t{1000}, std::int64_t{1} << 40));
  command.add_option("--clusters", options.clusters, "Of task kmeans")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
}

void run_task(const TaskFlags& flags, const Context& context, const std::string& device,
              int threads, const std::string& json_name, const std::string& page_name,
              const std::string& folder) {
  if (!device.empty() && device != "auto" && device != "cpu") {
    throw Error(PH_UNSUPPORTED, fmt::format("--task on device \"{}\"; cpu", device));
  }
  bench::TaskOptions options = flags.options;
  options.threads = threads > 0 ? threads : available_cores();
  options.say = [](const std::string& line) {
    fmt::print("{}", line);
    std::fflush(stdout);
  };
  bench::find_task(options);
  OutputFile json_file(json_name), page_file(page_name);
  const bench::Machine machine = bench::this_machine();
  const DeviceInfo cpu = [] {
    for (const DeviceInfo& info : devices()) {
      if (info.name == "cpu") return info;
    }
    throw Error(PH_UNAVAILABLE, "--task: the library has no device cpu");
  }();
  options.say(bench::machine_card(machine, cpu, options.threads));
  nlohmann::ordered_json json{{"schema", bench::kSchema},
                              {"command", context.command},
                              {"machine", bench::to_json(machine)},
                              {"device",
                               {{"name", "cpu"},
                                {"description", cpu.description},
                                {"isa", cpu.isa},
                                {"threads", options.threads}}},
                              {"task", bench::run_task(options, folder)}};
  json_file.write(json.dump(2) + "\n");
  if (page_file) page_file.write(bench::html_page(json));
}

}  // namespace pronghorn::cli
