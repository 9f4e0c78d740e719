// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

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
  std::string images;
  ModelFlags model;
  std::string compare;
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
  std::vector<std::int32_t> answers;  // first guess for each image of the source; -1: broken
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
  tally.answers.assign(static_cast<std::size_t>(source.size()), -1);
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
        tally.answers[static_cast<std::size_t>(result.index)] =
            static_cast<std::int32_t>(top.indices[0]);
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

void eval(const Flags& flags, Context& context) {
  OutputFile json_file(flags.json);
  const Model model = open_model(flags.model);
  const ModelInfo info = model.info();
  const Resize resize = flags.resize.of(info);
  Source source = Source::open(flags.images);
  if (flags.limit > 0 && flags.limit < source.size()) source = source.repeat(flags.limit);
  const Session session(model, flags.device.device, flags.device.threads, "",
                        flags.device.precision);
  const Tally tally = evaluate(model, session, source, resize, flags, "eval", true);
  const double rate = static_cast<double>(source.size()) / std::max(tally.seconds, 1e-9);

  fmt::print("model       {}, device {}\n", title_of(info), session.device().name);
  fmt::print("images      {} from {}, {} {}\n", source.size(), flags.images, resize.mode,
             resize.nearest ? "nearest" : "bilinear");
  nlohmann::ordered_json json{{"schema", bench::kSchema},
                              {"command", context.command},
                              {"model", to_json(info, flags.model.model)},
                              {"device", session.device().name},
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
    if (flags.compare.empty()) {
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

  if (!flags.compare.empty()) {
    ModelFlags other_flags = flags.model;
    other_flags.model = flags.compare;
    const Model other = open_model(other_flags);
    const Session other_session(other, flags.device.device, flags.device.threads, "",
                                flags.device.precision);
    const Tally second = evaluate(other, other_session, source, resize, flags, "compare", false);
    std::int64_t both = 0, equal = 0;
    for (std::size_t i = 0; i < tally.answers.size(); ++i) {
      if (tally.answers[i] < 0 || second.answers[i] < 0) continue;
      ++both;
      equal += tally.answers[i] == second.answers[i] ? 1 : 0;
    }
    const double agreement = both == 0 ? 0 : static_cast<double>(equal) / static_cast<double>(both);
    fmt::print("\ncompared with {}\n", title_of(other.info()));
    if (second.labelled > 0) print_accuracy(second);
    fmt::print("agreement   {:6.2f} %   (same first guess on {} of {})\n", 100 * agreement, equal,
               both);
    json["model_other"] = to_json(other.info(), flags.compare);
    json["agreement"] = agreement;
    json["agreement_images"] = both;
    json["top1_other"] = second.fraction(second.top1);
    json["top5_other"] = second.fraction(second.top5);
  }

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
