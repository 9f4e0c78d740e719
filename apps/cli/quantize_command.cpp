// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/interrupt.h"
#include "apps/cli/model_flags.h"
#include "apps/cli/output_file.h"
#include "apps/cli/progress.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  ModelFlags model;
  std::string calibration;
  std::string output;
  ResizeFlags resize;
  std::string method = "mse";
  double percentile = 99.999;
  double max_deviation = 0;
  std::int64_t limit = 0;
  int threads = 0;
  bool no_equalize = false;
  bool no_report = false;
  std::string report;
  std::string json;
};

void quantize_model(const Flags& flags, Context& context) {
  OutputFile json_file(flags.json);
  OutputFile report_file(flags.report);
  require_writable(flags.output);
  const Model model = open_model(flags.model);
  const ModelInfo info = model.info();
  const Resize resize = flags.resize.of(info);
  const Source calibration = Source::open(flags.calibration);

  QuantizeOptions options;
  options.method = flags.method;
  options.percentile = flags.percentile;
  options.max_deviation = flags.max_deviation;
  options.equalize = !flags.no_equalize;
  options.report = !flags.no_report;
  options.threads = flags.threads;
  options.max_images = flags.limit;
  Progress progress("quantize", 0, "steps");
  options.progress = [&](std::int64_t done, std::int64_t total) {
    progress.set_total(total);
    progress.set(done);
    return !interrupted();
  };
  const Quantized result = quantize(model.with_resize(resize.mode), calibration, resize, options);
  if (interrupted()) throw Error(PH_CANCELLED, "interrupted");
  result.model.save(flags.output);

  if (options.report) fmt::print("{}", result.report_table);
  const ModelInfo made = result.model.info();
  fmt::print("{}: {} nodes, {:.1f} MB of parameters\n", flags.output, made.nodes,
             static_cast<double>(made.parameter_bytes) * 1e-6);
  report_file.write(result.report_json + "\n");
  nlohmann::ordered_json json{{"schema", bench::kSchema},
                              {"command", context.command},
                              {"model", to_json(info, flags.model.model)},
                              {"output", flags.output},
                              {"resize", to_json(resize)},
                              {"method", flags.method}};
  auto report = nlohmann::ordered_json::parse(result.report_json, nullptr, false);
  json["report"] = report.is_discarded() ? nlohmann::ordered_json() : std::move(report);
  json_file.write(json.dump(2) + "\n");
}

}  // namespace

void add_quantize(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  flags->model.model.clear();
  CLI::App* command =
      app.add_subcommand("quantize", "Make an INT8 model (ONNX QDQ) of a float model");
  command->add_option("model", flags->model.model, "Float model file, or a pulled name")
      ->required();
  command
      ->add_option("--calibration", flags->calibration,
                   "Photographs like those to come: folder or .tar; a few hundred do")
      ->required();
  command->add_option("-o,--output", flags->output, "The .onnx file to write")->required();
  flags->model.add(*command, false);
  flags->resize.add(*command);
  command->add_option("--method", flags->method, "How scales are chosen: mse, minmax, percentile")
      ->check(CLI::IsMember({"mse", "minmax", "percentile"}))
      ->capture_default_str();
  command->add_option("--percentile", flags->percentile, "With --method percentile")
      ->check(CLI::Range(50.0, 100.0))
      ->capture_default_str();
  command
      ->add_option("--max-deviation", flags->max_deviation,
                   "Limit the root mean square of a channel's weights to this many steps (28 runs "
                   "faster on AVX2; default: no limit)")
      ->check(CLI::Range(1.0, 127.0));
  command->add_option("--limit", flags->limit, "Only the first N calibration images")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("-t,--threads", flags->threads,
                   "CPU threads (default: every core); the result does not depend on it")
      ->check(CLI::Range(1, 4096));
  command->add_flag("--no-equalize", flags->no_equalize, "Leave out cross-layer equalisation");
  command->add_flag("--no-report", flags->no_report,
                    "Leave out the error of each layer (saves one pass over the images)");
  command->add_option("--report", flags->report, "Write the error of each layer to this JSON file");
  command->add_option("--json", flags->json, "Also write settings and report to this file");
  command->footer(
      "Example:\n  pronghorn quantize resnet50.onnx --calibration photos/ -o resnet50-int8.onnx");
  command->callback([flags, &context] { quantize_model(*flags, context); });
}

}  // namespace pronghorn::cli
