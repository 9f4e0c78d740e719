// SPDX-License-Identifier: Apache-2.0
// What a Keras model says of itself: layers, their settings and how they are wired. Read from the
// JSON of Keras 2 and Keras 3, or built by us for weights-only files (keras_resnet.cpp).
#pragma once

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace pronghorn::import::keras {

// The output `tensor` of call number `call` of a layer; layers may be called more than once.
struct Ref {
  std::string layer;
  int call = 0;
  int tensor = 0;
  auto operator<=>(const Ref&) const = default;
};

struct Model;

struct Layer {
  std::string name;
  std::string class_name;
  nlohmann::json config;
  std::vector<std::vector<Ref>> calls;  // the inputs of each call
  std::shared_ptr<const Model> model;   // a model used as a layer; else null
};

// `layers` stand in the order of Keras's model.layers, which numbers the weights of Keras 3 files.
struct Model {
  std::string name;
  std::vector<Layer> layers;
  std::vector<Ref> inputs;
  std::vector<Ref> outputs;
};

// Reads {"class_name": "Functional" | "Sequential", "config": ...}. `file` stands for the file in
// messages. Throws Error (kCorrupt, kUnsupported).
Model read_model(const nlohmann::json& json, const std::string& file);

// Parses JSON text: Error(kCorrupt) naming `what` when it is none.
nlohmann::json parse_json(std::string_view text, const std::string& what);

// Checked access to a layer's settings; every error names the layer.
class Config {
 public:
  Config(const Layer& layer, const std::string& file);

  bool has(const char* key) const;  // there and not null
  std::int64_t integer(const char* key, std::int64_t fallback, std::int64_t lo,
                       std::int64_t hi) const;
  // A number or two of them ("strides": 2 or [2, 1]), each in [lo, hi].
  std::array<int, 2> pair(const char* key, std::array<int, 2> fallback, int lo, int hi) const;
  bool boolean(const char* key, bool fallback) const;
  double number(const char* key, double fallback) const;
  std::string text(const char* key, const std::string& fallback) const;
  // A number, or a list of numbers of any nesting, flattened.
  std::vector<double> numbers(const char* key) const;
  // "relu", or the name inside Keras 3's {"class_name": "function", "config": "relu6"}.
  std::string activation(const char* key) const;
  // Refuses everything but channels_last.
  void require_channels_last() const;

  const nlohmann::json& json() const { return json_; }
  const std::string& what() const { return what_; }  // "file: layer conv1 (Conv2D)"

 private:
  const nlohmann::json& json_;
  std::string what_;
};

}  // namespace pronghorn::import::keras
