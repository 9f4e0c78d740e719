// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "apps/cli/command.h"
#include "apps/cli/interrupt.h"
#include "apps/cli/labels.h"
#include "apps/cli/model_flags.h"
#include "apps/cli/output_file.h"
#include "apps/cli/progress.h"
#include "bench/machine.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::string images;
  ModelFlags model;
  std::string compare;                            // a model, a device, a precision; any of
  std::string compare_device, compare_precision;  // them starts a comparison
  ResizeFlags resize;
  DeviceFlags device;
  int batch = 8;
  std::int64_t limit = 0;
  bool strict = false;
  std::string json;
};

struct Tally {
  std::int64_t labelled = 0, top1 = 0, top5 = 0;
  std::int64_t unlabelled = 0, skipped = 0;
  double seconds = 0;
  std::vector<std::vector<std::int64_t>> answers;  // best guesses for each image; empty: broken
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> confusions;  // truth, answer
  std::map<std::string, std::int64_t> unknown_labels;
  nlohmann::ordered_json broken = nlohmann::ordered_json::array();

  double fraction(std::int64_t count) const {
    return labelled == 0 ? 0 : static_cast<double>(count) / static_cast<double>(labelled);
  }
};

Tally evaluate(const Model& model, const Session& session, const Source& source,
               const Resize& resize, const Flags& flags, const std::string& title, bool report) {
  const LabelIndex labels(model);
  const int guesses = static_cast<int>(std::min<std::int64_t>(5, session.classes()));
  Tally tally;
  tally.answers.resize(static_cast<std::size_t>(source.size()));
  Progress progress(title, source.size(), "images");
  const ClassifyStats stats = session.classify(
      source, resize, {flags.batch, flags.device.threads, flags.strict}, [&](const Result& result) {
        if (interrupted()) return false;
        progress.set(result.index + 1);
        if (result.error != nullptr) {
          ++tally.skipped;
          if (report) progress.say(skipped_text(result.name, result.error));
          tally.broken.push_back({{"name", result.name}, {"error", result.error}});
          return true;
        }
        const Top top = top_k(result.outputs, guesses);
        tally.answers[static_cast<std::size_t>(result.index)] = top.indices;
        const std::int64_t truth = labels.find(std::string(result.label));
        if (truth < 0) {
          ++tally.unlabelled;
          ++tally.unknown_labels[std::string(result.label)];
          return true;
        }
        ++tally.labelled;
        tally.top5 += std::count(top.indices.begin(), top.indices.end(), truth);
        if (top.indices[0] == truth) {
          ++tally.top1;
        } else {
          ++tally.confusions[{truth, top.indices[0]}];
        }
        return true;
      });
  tally.seconds = stats.wall_seconds;
  return tally;
}

struct Confusion {
  std::int64_t truth, answer, count;
};
std::vector<Confusion> most_frequent(const Tally& tally, std::size_t count) {
  std::vector<Confusion> list;
  for (const auto& [pair, times] : tally.confusions) {
    list.push_back({pair.first, pair.second, times});
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  if (list.size() > count) list.resize(count);
  return list;
}

std::string short_name(const Model& model, std::int64_t index) {
  const std::string name = model.label(index);
  return name.empty() ? class_text(model, index) : name.substr(0, name.find(','));
}

void print_accuracy(const Tally& tally) {
  fmt::print("top-1       {:6.2f} %   ({} of {})\n", 100 * tally.fraction(tally.top1), tally.top1,
             tally.labelled);
  fmt::print("top-5       {:6.2f} %   ({} of {})\n", 100 * tally.fraction(tally.top5), tally.top5,
             tally.labelled);
}

// "int8", "float32" or "fp16": what a session of `info` computes in.
std::string precision_of(const ModelInfo& info, const std::string& precision) {
  return precision == "fp16" ? precision : info.quantized ? "int8" : "float32";
}

struct Agreement {
  std::int64_t images = 0;  // that both decoded
  std::int64_t first = 0;   // of those, with the same first guess
  std::int64_t all = 0;     // with the same guesses in the same order
  double fraction(std::int64_t count) const {
    return images == 0 ? 0 : static_cast<double>(count) / static_cast<double>(images);
  }
};
Agreement agreement_of(const Tally& a, const Tally& b) {
  Agreement agreement;
  for (std::size_t i = 0; i < a.answers.size(); ++i) {
    if (a.answers[i].empty() || b.answers[i].empty()) continue;
    ++agreement.images;
    agreement.first += a.answers[i][0] == b.answers[i][0] ? 1 : 0;
    agreement.all += a.answers[i] == b.answers[i] ? 1 : 0;
  }
  return agreement;
}

// The same images through another model, device or precision: what is not named is as before.
void compare(const Model& model, const Source& source, const Resize& resize, const Flags& flags,
             const Tally& tally, nlohmann::ordered_json& json) {
  const auto or_else = [](const std::string& wanted, const std::string& otherwise) {
    return wanted.empty() ? otherwise : wanted;
  };
  ModelFlags other_flags = flags.model;
  other_flags.model = flags.compare;
  const std::optional<Model> opened =
      flags.compare.empty() ? std::nullopt : std::optional<Model>(open_model(other_flags));
  const Model& other = opened ? *opened : model;
  const std::string precision = or_else(flags.compare_precision, flags.device.precision);
  const Session session(other, or_else(flags.compare_device, flags.device.device),
                        flags.device.threads, "", precision);
  const Tally second = evaluate(other, session, source, resize, flags, "compare", false);
  const Agreement same = agreement_of(tally, second);
  fmt::print("\ncompared with {}, {}, device {}\n", title_of(other.info()),
             precision_of(other.info(), precision), session.device().name);
  if (second.labelled > 0) print_accuracy(second);
  fmt::print("agreement   {:6.2f} %   (same first guess on {} of {})\n",
             100 * same.fraction(same.first), same.first, same.images);
  fmt::print("all guesses {:6.2f} %   (same five in the same order on {})\n",
             100 * same.fraction(same.all), same.all);
  json["model_other"] = to_json(other.info(), or_else(flags.compare, flags.model.model));
  json["device_other"] = session.device().name;
  json["precision_other"] = precision_of(other.info(), precision);
  json["agreement"] = same.fraction(same.first);
  json["agreement_images"] = same.images;
  json["agreement_count"] = same.first;
  json["agreement_all_count"] = same.all;
  json["top1_other"] = second.fraction(second.top1);
  json["top5_other"] = second.fraction(second.top5);
}

void eval(const Flags& flags, Context& context) {
  OutputFile json_file(flags.json);
  const Model model = open_model(flags.model);
  const ModelInfo info = model.info();
  const bool comparing =
      !flags.compare.empty() || !flags.compare_device.empty() || !flags.compare_precision.empty();
  const Resize resize = flags.resize.of(info);
  Source source = Source::open(flags.images);
  if (flags.limit > 0 && flags.limit < source.size()) source = source.repeat(flags.limit);
  const Session session(model, flags.device.device, flags.device.threads, "",
                        flags.device.precision);
  const Tally tally = evaluate(model, session, source, resize, flags, "eval", true);
  const double rate = static_cast<double>(source.size()) / std::max(tally.seconds, 1e-9);

  fmt::print("model       {}, {}, device {}\n", title_of(info),
             precision_of(info, flags.device.precision), session.device().name);
  fmt::print("images      {} from {}, {} {}\n", source.size(), flags.images, resize.mode,
             resize.nearest ? "nearest" : "bilinear");
  nlohmann::ordered_json json{{"schema", bench::kSchema},
                              {"command", context.command},
                              {"model", to_json(info, flags.model.model)},
                              {"device", session.device().name},
                              {"machine", bench::to_json(bench::this_machine())},
                              {"precision", precision_of(info, flags.device.precision)},
                              {"resize", to_json(resize)},
                              {"images", tally.labelled},
                              {"top1", tally.fraction(tally.top1)},
                              {"top5", tally.fraction(tally.top5)},
                              {"top1_count", tally.top1},
                              {"top5_count", tally.top5},
                              {"skipped", tally.skipped},
                              {"labelled", tally.labelled},
                              {"unlabelled", tally.unlabelled},
                              {"seconds", tally.seconds},
                              {"images_per_second", rate}};
  if (tally.labelled == 0) {
    if (!comparing) {
      const std::string example =
          tally.unknown_labels.empty() ? "" : tally.unknown_labels.begin()->first;
      throw Error(PH_INVALID_ARGUMENT,
                  tally.unlabelled == 0
                      ? fmt::format("{}: not one of {} images could be decoded", flags.images,
                                    tally.skipped)
                      : fmt::format("{}: not one image has a label that model {} knows{}; "
                                    "labels are folder names or WordNet ids (--labels FILE names "
                                    "the classes)",
                                    flags.images, flags.model.model,
                                    example.empty() ? "" : " (one is \"" + example + "\")"));
    }
  } else {
    print_accuracy(tally);
  }
  fmt::print("skipped     {:6}\nunlabelled  {:6}\n", tally.skipped, tally.unlabelled);
  fmt::print("speed       {:6.1f} images/s\n", rate);

  if (comparing) compare(model, source, resize, flags, tally, json);

  json["confusions"] = nlohmann::ordered_json::array();
  const std::vector<Confusion> confusions = most_frequent(tally, 20);
  if (!confusions.empty()) fmt::print("\nmost frequent confusions (truth: answer)\n");
  for (std::size_t i = 0; i < confusions.size(); ++i) {
    const Confusion& c = confusions[i];
    if (i < 8) {
      fmt::print("{:6}  {}: {}\n", c.count, short_name(model, c.truth),
                 short_name(model, c.answer));
    }
    json["confusions"].push_back({{"truth", c.truth},
                                  {"truth_name", short_name(model, c.truth)},
                                  {"answer", c.answer},
                                  {"answer_name", short_name(model, c.answer)},
                                  {"count", c.count}});
  }
  json["broken"] = tally.broken;
  json_file.write(json.dump(2) + "\n");
  if (tally.skipped > 0) context.exit_status = kExitSkipped;
}

}  // namespace

void add_eval(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("eval", "Measure accuracy on labelled photographs");
  command
      ->add_option("images", flags->images,
                   "Folder (sub-folders are labels), .tar, or - for a list of paths on standard "
                   "input")
      ->required();
  flags->model.add(*command);
  command->add_option("--compare", flags->compare,
                      "Also run this model and count equal first guesses");
  command->add_option("--compare-device", flags->compare_device,
                      "The same on this device (with --compare: that model on it)");
  command
      ->add_option("--compare-precision", flags->compare_precision,
                   "The same in this precision: model or fp16")
      ->check(CLI::IsMember({"model", "fp16"}));
  flags->resize.add(*command);
  flags->device.add(*command);
  command->add_option("-b,--batch", flags->batch, "Images inferred together")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--limit", flags->limit, "Only the first N images in path order")
      ->check(CLI::PositiveNumber);
  command->add_flag("--strict", flags->strict, "Stop at the first broken image, exit status 1");
  command->add_option("--json", flags->json, "Also write the figures to this file");
  command->footer("Example:\n  pronghorn eval validation.tar --resize direct:224 --json eval.json");
  command->callback([flags, &context] { eval(*flags, context); });
}

}  // namespace pronghorn::cli
