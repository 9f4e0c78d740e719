// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>

#include "apps/cli/command.h"
#include "apps/cli/interrupt.h"
#include "apps/cli/labels.h"
#include "apps/cli/model_flags.h"
#include "apps/cli/output_file.h"
#include "apps/cli/progress.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::vector<std::string> images;
  ModelFlags model;
  ResizeFlags resize;
  DeviceFlags device;
  int top = 5;
  int batch = 1;
  bool strict = false;
  std::string json;
};

// A graph that ends in a softmax gives probabilities already; a second one would flatten them.
bool are_probabilities(std::span<const float> scores) {
  const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
  return std::fabs(sum - 1) < 1e-3 &&
         std::all_of(scores.begin(), scores.end(), [](float p) { return p >= 0 && p <= 1; });
}

// Image files that stand next to each other on the command line become one source, so that they
// share one pipeline; folders, archives and "-" are sources of their own.
std::vector<Source> open_all(const std::vector<std::string>& paths) {
  std::vector<Source> sources;
  std::vector<std::string> files;
  const auto flush = [&] {
    if (!files.empty()) sources.push_back(Source::files(files));
    files.clear();
  };
  for (const std::string& path : paths) {
    std::error_code ignored;
    if (path != "-" && !std::filesystem::exists(path, ignored)) {
      throw Error(PH_NOT_FOUND, fmt::format("{}: no such file or folder", path));
    }
    if (path != "-" && std::filesystem::is_regular_file(path, ignored) &&
        std::filesystem::path(path).extension() != ".tar") {
      files.push_back(path);
    } else {
      flush();
      sources.push_back(Source::open(path));
    }
  }
  flush();
  return sources;
}

void classify(const Flags& flags, Context& context) {
  OutputFile json_file(flags.json);
  const std::vector<Source> sources = open_all(flags.images);
  const Model model = open_model(flags.model);
  const ModelInfo info = model.info();
  const Resize resize = flags.resize.of(info);
  const Session session(model, flags.device.device, flags.device.threads, "",
                        flags.device.precision);
  const int top_count = static_cast<int>(std::min<std::int64_t>(flags.top, info.classes));

  std::int64_t total = 0;
  for (const Source& source : sources) total += source.size();
  Progress progress("classify", total, "images");
  nlohmann::ordered_json images = nlohmann::ordered_json::array();
  nlohmann::ordered_json skipped = nlohmann::ordered_json::array();
  std::int64_t done = 0, good = 0, broken = 0;

  const auto on_result = [&](const Result& result) {
    if (interrupted()) return false;
    progress.set(++done);
    if (result.error != nullptr) {
      ++broken;
      progress.say(skipped_text(result.name, result.error));
      if (json_file) skipped.push_back({{"name", result.name}, {"error", result.error}});
      return true;
    }
    ++good;
    Top top = top_k(result.outputs, top_count);
    if (are_probabilities(result.outputs)) {
      for (std::size_t i = 0; i < top.indices.size(); ++i) {
        top.probabilities[i] = result.outputs[static_cast<std::size_t>(top.indices[i])];
      }
    }
    nlohmann::ordered_json best = nlohmann::ordered_json::array();
    std::string text = fmt::format("{}\n", result.name);
    for (std::size_t i = 0; i < top.indices.size(); ++i) {
      const std::int64_t index = top.indices[i];
      text +=
          fmt::format("  {:6.2f} %  {}\n", 100 * top.probabilities[i], class_text(model, index));
      if (json_file) {
        best.push_back({{"index", index},
                        {"id", model.label_id(index)},
                        {"name", model.label(index)},
                        {"probability", top.probabilities[i]}});
      }
    }
    progress.pause();
    fmt::print("{}", text);
    if (json_file) {
      images.push_back({{"name", result.name}, {"label", result.label}, {"top", best}});
    }
    return true;
  };
  for (const Source& source : sources) {
    session.classify(source, resize, {flags.batch, flags.device.threads, flags.strict}, on_result);
  }
  if (broken > 0) {
    progress.say(fmt::format("pronghorn: {} of {} images skipped", broken, done));
    context.exit_status = kExitSkipped;
  }
  json_file.write(nlohmann::ordered_json{{"schema", bench::kSchema},
                                         {"command", context.command},
                                         {"model", to_json(info, flags.model.model)},
                                         {"device", session.device().name},
                                         {"resize", to_json(resize)},
                                         {"classified", good},
                                         {"skipped", broken},
                                         {"images", images},
                                         {"broken", skipped}}
                      .dump(2) +
                  "\n");
}

}  // namespace

void add_classify(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("classify", "Say what is on photographs");
  command
      ->add_option("images", flags->images,
                   "Image files, folders, .tar archives, or - for a list of paths on standard "
                   "input")
      ->required();
  flags->model.add(*command);
  flags->resize.add(*command);
  flags->device.add(*command);
  command->add_option("-k,--top", flags->top, "Answers an image")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("-b,--batch", flags->batch, "Images inferred together")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_flag("--strict", flags->strict, "Stop at the first broken image, exit status 1");
  command->add_option("--json", flags->json, "Also write the answers to this file");
  command->footer("Example:\n  pronghorn classify photo.jpg holiday/ --top 3 --json answers.json");
  command->callback([flags, &context] { classify(*flags, context); });
}

}  // namespace pronghorn::cli
