// SPDX-License-Identifier: Apache-2.0
// Options that several commands share: which model, how images become pixels, where it runs.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <pronghorn/pronghorn.hpp>
#include <string>

namespace pronghorn::cli {

struct ModelFlags {
  std::string model = "tin200";
  std::string labels;
  std::string preprocess;
  void add(CLI::App& command, bool model_option = true);
};
// "tin200", a file, or a name of the catalog that was pulled; labels and preprocess applied.
// A model that takes float pixels and names no preprocess is refused: its answers would be wrong.
Model open_model(const ModelFlags& flags);
Model open_model_as_is(const std::string& name);

struct ResizeFlags {
  std::string mode;
  std::string interpolation = "bilinear";
  bool scaled_decode = false;
  void add(CLI::App& command);
  // Explicit: what was asked, else the model's own, else straight to the input size.
  Resize of(const ModelInfo& info) const;
};

struct DeviceFlags {
  std::string device;
  int threads = 0;
  std::string precision;  // "" is the model's own
  void add(CLI::App& command);
};

nlohmann::ordered_json to_json(const ModelInfo& info, const std::string& name);
nlohmann::ordered_json to_json(const Resize& resize);

// "resnet50 (INT8)" for headings.
std::string title_of(const ModelInfo& info);

// Errors of a broken image, which name it once.
std::string skipped_text(std::string_view name, const std::string& error);

}  // namespace pronghorn::cli
