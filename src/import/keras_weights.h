// SPDX-License-Identifier: Apache-2.0
// Where a Keras file keeps the weights of each layer.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "import/hdf5.h"
#include "import/keras_model.h"

namespace pronghorn::import::keras {

enum class Naming {
  kNamed,     // legacy: a group a layer, attribute weight_names
  kNumbered,  // Keras 3: layers/<class>_<n>/vars/<k>, numbered in the order of model.layers
};

// The stored weights of one layer. Every weight must be asked for; see finish.
class LayerWeights {
 public:
  LayerWeights(hdf5::File& file, std::string layer) : file_(file), layer_(std::move(layer)) {}

  void add(std::string key, hdf5::Object object);

  // The next weight: by `key` ("kernel") in a named file, by order in a numbered one, so ask in
  // Keras's order. Error(kCorrupt) naming the layer when it is missing or not shaped `dims`.
  graph::Tensor take(std::string_view key, const std::vector<std::int64_t>& dims);
  // True when a named file holds a weight of that name.
  bool has(std::string_view key) const;
  // Error(kCorrupt) naming a weight that nothing asked for.
  void finish() const;
  std::size_t left() const { return entries_.size(); }

 private:
  std::size_t index(std::string_view key) const;
  hdf5::File& file_;
  std::string layer_;
  std::vector<std::pair<std::string, hdf5::Object>> entries_;  // numbered: keys are empty
};

// The weights of one model: the file's own, or those of a model used as a layer inside it.
class Weights {
 public:
  Weights(hdf5::File& file, Naming naming, hdf5::Object group, const Model& model);

  LayerWeights of(const Layer& layer) const;
  // `layer` is a model inside this one.
  Weights inside(const Layer& layer) const;

 private:
  hdf5::File& file_;
  Naming naming_;
  hdf5::Object group_;
  std::map<std::string, std::string> numbered_;  // layer name to group name
  // Named, inside another model: all weights of the outer layer, by full name.
  std::vector<std::pair<std::string, hdf5::Object>> inherited_;
  bool inner_ = false;
};

// Strings of an attribute that Keras splits into name0, name1, ... when it is large; nothing when
// it is not there.
std::optional<std::vector<std::string>> split_strings(hdf5::File& file, const hdf5::Object& object,
                                                      const std::string& attribute);

// "kernel" of "conv1/kernel:0", "conv1/kernel", and the "conv1_W:0", "conv1_W_1:0" of 2015.
std::string weight_key(const std::string& layer, std::string_view full_name);

// Keras's group name of a class: Conv2D -> conv2d, BatchNormalization -> batch_normalization.
std::string snake_case(std::string_view class_name);

}  // namespace pronghorn::import::keras
