// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/interrupt.h"
#include "apps/cli/labels.h"
#include "apps/cli/model_flags.h"
#include "apps/cli/output_file.h"
#include "apps/cli/progress.h"
#include "bench/modelled.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::vector<int> batches = {1, 8, 32, 128};
  double seconds = 3;
  std::string images;
  ModelFlags model;
  ResizeFlags resize;
  DeviceFlags device;
  std::string json;
};

// A device without a clock of its own is verified and its counted cycles are shown; nothing is
// timed.
bool show_modelled(const Flags& flags, const Context& context, const Model& model,
                   OutputFile& json_file) {
  if (flags.device.device.rfind("fpga", 0) != 0) return false;
  const Session session(model, flags.device.device, flags.device.threads);
  auto figures = bench::modelled_figures(session);
  if (!figures) return false;
  constexpr int kImages = 2;
  bench::verify_modelled(model, session, kImages);
  fmt::print("verified: the same bytes as device reference on {} images\n\n{}", kImages,
             bench::modelled_table(*figures));
  nlohmann::ordered_json json{{"schema", bench::kSchema},
                              {"command", context.command},
                              {"kind", "modelled"},
                              {"verified_images", kImages},
                              {"model", to_json(model.info(), flags.model.model)}};
  json.update(*figures);
  json_file.write(json.dump(2) + "\n");
  return true;
}

void run_bench(const Flags& flags, const Context& context) {
  OutputFile json_file(flags.json);
  const Model model = open_model(flags.model);
  if (show_modelled(flags, context, model, json_file)) return;
  const ModelInfo info = model.info();
  bench::Options options;
  options.batches = flags.batches;
  options.device = flags.device.device;
  options.threads = flags.device.threads;
  options.seconds = flags.seconds;
  options.resize = flags.resize.of(info);
  options.images = flags.images;
  options.cancelled = interrupted;
  std::unique_ptr<LabelIndex> labels;  // made when first asked for: not before the first result
  options.class_of = [&](const std::string& label) {
    if (!labels) labels = std::make_unique<LabelIndex>(model);
    return labels->find(label);
  };
  Progress progress("bench", 2 * static_cast<std::int64_t>(flags.batches.size()), "measurements");
  const auto show = [&](const std::string& text) {
    progress.pause();
    fmt::print("{}", text);
    std::fflush(stdout);
  };
  options.progress = [&](const std::string& what, int done, int) {
    progress.set(done);
    progress.set_title(what);
  };
  options.on_ready = [&](const bench::Report& report) {
    std::string text = bench::machine_card(report.machine, report.device, report.threads);
    text += fmt::format("  {:<10} {}, {:.2f} GMAC an image\n", "model", title_of(info),
                        static_cast<double>(info.macs) * 1e-9);
    text += report.images.generated
                ? fmt::format(
                      "  {:<10} {} generated ones (seed {}, mean {:.0f} KB): they show "
                      "nothing, so there is no accuracy\n",
                      "images", report.images.count, report.images.seed,
                      report.images.mean_bytes * 1e-3)
                : fmt::format("  {:<10} {} from {}\n", "images", report.images.count,
                              report.images.path);
    text += fmt::format("  {:<10} {} {}\n", "resize", report.resize.mode,
                        report.resize.nearest ? "nearest" : "bilinear");
    text +=
        fmt::format("  {:<10} {:.3f} s after start\n\n", "1st result", report.first_result_seconds);
    show(text);
  };
  options.on_verified = [&](const bench::Verified& verified) {
    show(
        verified.exact
            ? fmt::format("verified: the same bytes as device {} on {} image{}\n\n",
                          verified.device, verified.images, verified.images == 1 ? "" : "s")
            : fmt::format("verified: within {:.0e} of device {} on {} image{} (largest {:.1e})\n\n",
                          verified.tolerance, verified.device, verified.images,
                          verified.images == 1 ? "" : "s", verified.max_error));
    show(
        "real   = JPEG bytes to labels: read, decode, resize, infer, top-5\n"
        "device = tensors in memory to scores\n" +
        bench::table_head());
  };
  options.on_measurement = [&](const bench::Measurement& m) { show(bench::table_row(m)); };
  const bench::Report report = bench::run(model, options);

  std::string text = "\n";
  if (report.accuracy) {
    text += fmt::format("accuracy     top-1 {:.2f} %, top-5 {:.2f} % of {} labelled images seen\n",
                        100 * report.accuracy->top1, 100 * report.accuracy->top5,
                        report.accuracy->images);
  }
  text += fmt::format("peak memory  {:.0f} MB, whole run {:.0f} s\n",
                      static_cast<double>(report.peak_rss_bytes) * 1e-6, report.seconds);
  show(text);
  json_file.write(bench::to_json(report, context.command).dump(2) + "\n");
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("bench", "Measure real and device throughput, latency and accuracy");
  command->add_option("-b,--batch", flags->batches, "Batch sizes")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--seconds", flags->seconds, "Time for each measurement, about")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  command->add_option("--images", flags->images,
                      "Photographs: folder or .tar (default: generated ones)");
  flags->model.add(*command);
  flags->resize.add(*command);
  flags->device.add(*command);
  command->add_option("--json", flags->json, "Also write the figures to this file");
  command->footer("Example:\n  pronghorn bench --batch 1,32 --images photos/ --json bench.json");
  command->callback([flags, &context] { run_bench(*flags, context); });
}

}  // namespace pronghorn::cli
