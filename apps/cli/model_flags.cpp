// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/model_flags.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "apps/cli/catalog.h"
#include "apps/cli/labels.h"

namespace pronghorn::cli {
namespace {

constexpr char kEmbedded[] = "tin200";

std::string labels_beside(const std::string& name) {
  const Entry* entry = find_entry(name);
  if (entry == nullptr || std::filesystem::exists(name)) return "";
  const std::filesystem::path labels = cache_folder() / entry->labels_file;
  return !entry->labels_file.empty() && std::filesystem::exists(labels) ? labels.string() : "";
}

}  // namespace

void ModelFlags::add(CLI::App& command, bool model_option) {
  if (model_option) {
    command
        .add_option("-m,--model", model,
                    "tin200 (inside the program), a model file, or a pulled name")
        ->capture_default_str();
  }
  command.add_option("--labels", labels,
                     "Class names: index<TAB>id<TAB>name lines, one name a line, or Keras' class "
                     "index (.json)");
  command
      .add_option("--preprocess", preprocess, "For float models that name none: torch, caffe or tf")
      ->check(CLI::IsMember({"torch", "caffe", "tf"}));
}

Model open_model_as_is(const std::string& name) {
  if (std::filesystem::exists(name)) return Model::load(name);
  if (name == kEmbedded) return Model::embedded(kEmbedded);
  const Entry* entry = find_entry(name);
  if (entry == nullptr) {
    throw Error(PH_NOT_FOUND, fmt::format("model {}: no such file; the names are {}, {}", name,
                                          kEmbedded, entry_names()));
  }
  const std::filesystem::path file = cache_folder() / entry->model_file;
  if (!std::filesystem::exists(file)) {
    const bool converted = entry->model_file != entry->files[0].name &&
                           std::filesystem::exists(cache_folder() / entry->files[0].name);
    throw Error(PH_NOT_FOUND,
                converted ? fmt::format("model {}: {} was pulled but not converted; {}", name,
                                        entry->files[0].name, entry->note)
                          : fmt::format("model {} is not in the cache; run: pronghorn pull {}",
                                        name, name));
  }
  return Model::load(file.string());
}

Model open_model(const ModelFlags& flags) {
  Model model = open_model_as_is(flags.model);
  std::string preprocess = flags.preprocess;
  const Entry* entry = find_entry(flags.model);
  if (preprocess.empty() && entry != nullptr && model.info().preprocess == "none" &&
      !std::filesystem::exists(flags.model)) {
    preprocess = entry->preprocess;
  }
  // A model of raw pixels has its preprocess inside.
  if (!preprocess.empty() && !model.info().input_is_u8) {
    model = model.with_preprocess(preprocess);
  }
  const std::string labels_path = flags.labels.empty() ? labels_beside(flags.model) : flags.labels;
  if (!labels_path.empty()) {
    const Labels labels = read_labels(labels_path);
    const std::int64_t classes = model.info().classes;
    if (static_cast<std::int64_t>(labels.names.size()) != classes) {
      throw Error(PH_INVALID_ARGUMENT,
                  fmt::format("{} names {} classes, model {} has {}", labels_path,
                              labels.names.size(), flags.model, classes));
    }
    model = model.with_labels(labels.names, labels.ids);
  }
  const ModelInfo info = model.info();
  if (!info.input_is_u8 && info.preprocess == "none") {
    throw Error(PH_INVALID_ARGUMENT,
                fmt::format("model {} takes float pixels and names no preprocess; say which with "
                            "--preprocess torch, caffe or tf",
                            flags.model));
  }
  return model;
}

void ResizeFlags::add(CLI::App& command) {
  command.add_option("--resize", mode,
                     "direct:W, or short:S,crop:W (default: the model's own, else direct)");
  command.add_option("--interpolation", interpolation, "bilinear (antialiased) or nearest")
      ->check(CLI::IsMember({"bilinear", "nearest"}))
      ->capture_default_str();
  command.add_flag("--scaled-decode", scaled_decode,
                   "Let the JPEG decoder scale down first: faster, slightly other pixels");
}

Resize ResizeFlags::of(const ModelInfo& info) const {
  Resize resize;
  resize.mode = !mode.empty()          ? mode
                : !info.resize.empty() ? info.resize
                                       : fmt::format("direct:{}", info.input_width);
  resize.nearest = interpolation == "nearest";
  resize.scaled_decode = scaled_decode;
  return resize;
}

void DeviceFlags::add(CLI::App& command) {
  command.add_option("-d,--device", device,
                     "Device name of `pronghorn devices` (default: the best)");
  command.add_option("-t,--threads", threads, "CPU threads (default: every core)")
      ->check(CLI::Range(1, 4096));
  command
      .add_option("--precision", precision,
                  "model: integers for a quantized model, else float32 (default); fp16: half "
                  "precision, on cuda devices")
      ->check(CLI::IsMember({"model", "fp16"}));
  command.add_flag_callback(
      "--autotune", [] { ::setenv("PRONGHORN_AUTOTUNE", "1", 1); },
      "Measure the kernels' variants on NVIDIA GPUs once and keep the fastest (docs/cuda.md)");
}

nlohmann::ordered_json to_json(const ModelInfo& info, const std::string& name) {
  return {{"file", name},
          {"name", info.name},
          {"format", info.format},
          {"quantized", info.quantized},
          {"input", {info.input_height, info.input_width, info.input_channels}},
          {"input_dtype", info.input_is_u8 ? "uint8" : "float32"},
          {"classes", info.classes},
          {"preprocess", info.preprocess},
          {"resize", info.resize}};
}

nlohmann::ordered_json to_json(const Resize& resize) {
  return {{"mode", resize.mode},
          {"interpolation", resize.nearest ? "nearest" : "bilinear"},
          {"scaled_decode", resize.scaled_decode}};
}

std::string title_of(const ModelInfo& info) {
  return fmt::format("{} ({})", info.name.empty() ? "model" : info.name,
                     info.quantized ? "INT8" : "float32");
}

std::string skipped_text(std::string_view name, const std::string& error) {
  if (error.find(name) != std::string::npos) return fmt::format("pronghorn: skipped {}", error);
  return fmt::format("pronghorn: skipped {}: {}", name, error);
}

}  // namespace pronghorn::cli
