// SPDX-License-Identifier: Apache-2.0
// The program `pronghorn` (docs/cli.md).
#include <fmt/format.h>

#include <pronghorn/pronghorn.hpp>
#include <string_view>

#include "apps/cli/command.h"
#include "apps/cli/interrupt.h"

namespace {

using namespace pronghorn::cli;

std::string command_line(int argc, char** argv) {
  std::string text;
  for (int i = 0; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool plain = !word.empty() && word.find_first_of(" \t\n'\"\\$") == word.npos;
    if (i > 0) text += ' ';
    text += plain ? std::string(word) : fmt::format("\"{}\"", word);
  }
  return text;
}

void complain(std::string_view message) {
  while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
  fmt::print(stderr, "pronghorn: {}\n", message);
}

int run(int argc, char** argv) {
  Context context;
  context.command = command_line(argc, argv);
  CLI::App app("Pronghorn: from photographs to labels, measured over the whole distance.",
               "pronghorn");
  app.set_version_flag("--version", "pronghorn " + pronghorn::version());
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, 1 error, 2 wrong usage, 3 done but broken images were skipped,\n"
      "130 interrupted.\n\nExample:\n  pronghorn classify photo.jpg");
  add_bench(app, context);
  add_classify(app, context);
  add_eval(app, context);
  add_quantize(app, context);
  add_info(app, context);
  add_devices(app, context);
  add_pull(app, context);
  add_fit(app, context);
  add_predict(app, context);
  add_report(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string chosen;
    for (const CLI::App* command : app.get_subcommands()) chosen = " " + command->get_name();
    complain(fmt::format("{} (see: pronghorn{} --help)", error.what(), chosen));
    return kExitUsage;
  }
  return context.exit_status;
}

}  // namespace

int main(int argc, char** argv) {
  catch_interrupts();
  try {
    return run(argc, argv);
  } catch (const pronghorn::Error& error) {
    if (error.status() == PH_CANCELLED && interrupted()) {
      complain("interrupted");
      return kExitInterrupted;
    }
    complain(error.what());
  } catch (const std::exception& error) {
    complain(error.what());
  }
  return kExitError;
}
