// SPDX-License-Identifier: Apache-2.0
#include "bench/task.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bench/peers.h"

namespace pronghorn::bench {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

void find_task(TaskOptions& options) { options.script = peer_script("ml_compare.py", "--task"); }

ordered_json run_task(const TaskOptions& options, const std::string& folder) {
  const std::string peers = fs::path(options.script).parent_path().string();
  const std::string environment = peers_environment();
  const std::string left_out = folder + "left_out.json";
  const std::string out = folder + "task.json";
  // Their own threads, and no forced kernels: OpenBLAS chooses what this processor has.
  const std::string threads = std::to_string(options.threads);
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}) {
    setenv(name, threads.c_str(), 1);
  }
  for (const char* name : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}) unsetenv(name);
  options.say(fmt::format("peers in {}\n", environment));
  if (run_command({"python3", peers + "/environment.py", environment,
                   "scikit-learn,scikit-learn-intelex", left_out},
                  options.say) != 0) {
    throw Error(PH_IO, fmt::format("--task: no virtual environment in {}; python3 with venv is "
                                   "needed (Debian: python3-venv), and a package registry",
                                   environment));
  }
  std::vector<std::string> command = {environment + "/bin/python",
                                      options.script,
                                      "--task",
                                      options.task,
                                      "--dtype",
                                      options.dtype,
                                      "--rows",
                                      std::to_string(options.rows),
                                      "--clusters",
                                      std::to_string(options.clusters),
                                      "--threads",
                                      threads,
                                      "--library",
                                      library_path(),
                                      "--budget",
                                      fmt::format("{:g}", options.seconds),
                                      "--memory",
                                      "--json",
                                      out};
  if (!options.set.empty()) command.insert(command.end(), {"--set", options.set});
  const int status = run_command(command, options.say);
  std::ifstream written(out);
  const ordered_json entries = ordered_json::parse(written, nullptr, false);
  if (!entries.is_array() || entries.empty()) {
    throw Error(PH_INTERNAL,
                fmt::format("--task: {} ended with status {}", options.script, status));
  }
  ordered_json report = entries.back();
  std::ifstream reasons(left_out);
  report["left_out"] = ordered_json::parse(reasons, nullptr, false);
  for (const char* key : {"schema", "command"}) report.erase(key);
  if (status != 0) {
    throw Error(PH_INTERNAL, fmt::format("--task: pronghorn's answer is not as good as the bar "
                                         "says: {}",
                                         report["verified"].dump()));
  }
  return report;
}

}  // namespace pronghorn::bench
