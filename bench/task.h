// SPDX-License-Identifier: Apache-2.0
// Classic machine learning beside its peers: bench/peers/ml_compare.py in the peers' virtual
// environment, over the library that this program has loaded (docs/benchmark_method.md).
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace pronghorn::bench {

struct TaskOptions {
  std::string task;  // logreg, kmeans, gaussian_nb
  std::string set;   // of data; "": the task's usual one
  std::string dtype = "float32";
  std::int64_t rows = 0;  // 0: as many as the set that it is like
  int clusters = 64;
  int threads = 1;
  double seconds = 15;  // for each timing of all systems together
  std::string script;   // found by find_task()
  std::function<void(const std::string& line)> say;
};

// Finds the script, as find_peers() does. Throws Error saying what is missing.
void find_task(TaskOptions& options);

// The JSON that the script wrote. Throws Error where it failed, and where our own answer was not as
// good as the bar says. `folder` takes temporary files.
nlohmann::ordered_json run_task(const TaskOptions& options, const std::string& folder);

}  // namespace pronghorn::bench
