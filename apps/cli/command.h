// SPDX-License-Identifier: Apache-2.0
// The sub-commands of `pronghorn`. Each add_X declares its options and, when it was chosen, does
// its work in a callback that leaves the exit status in the context or throws.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace pronghorn::cli {

enum ExitStatus : int {
  kExitOk = 0,
  kExitError = 1,
  kExitUsage = 2,
  kExitSkipped = 3,        // done, but some images were broken and left out
  kExitInterrupted = 130,  // Ctrl-C or SIGTERM
};

struct Context {
  std::string command;  // the whole command line, for JSON
  int exit_status = kExitOk;
};

void add_bench(CLI::App& app, Context& context);
void add_classify(CLI::App& app, Context& context);
void add_eval(CLI::App& app, Context& context);
void add_quantize(CLI::App& app, Context& context);
void add_info(CLI::App& app, Context& context);
void add_devices(CLI::App& app, Context& context);
void add_pull(CLI::App& app, Context& context);
void add_fit(CLI::App& app, Context& context);
void add_predict(CLI::App& app, Context& context);
void add_report(CLI::App& app, Context& context);

}  // namespace pronghorn::cli
