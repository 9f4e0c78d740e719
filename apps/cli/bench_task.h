// SPDX-License-Identifier: Apache-2.0
// `pronghorn bench --task`: machine learning instead of images.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "apps/cli/command.h"
#include "bench/task.h"

namespace pronghorn::cli {

struct TaskFlags {
  bench::TaskOptions options;
  void add(CLI::App& command);
};

// `json`, `page`: files to write, or "".
void run_task(const TaskFlags& flags, const Context& context, const std::string& device,
              int threads, const std::string& json, const std::string& page,
              const std::string& folder);

}  // namespace pronghorn::cli
