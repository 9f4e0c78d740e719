// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <pronghorn/pronghorn.hpp>
#include <string>
#include <unordered_map>
#include <vector>

namespace pronghorn::cli {

struct Labels {
  std::vector<std::string> names;
  std::vector<std::string> ids;  // empty when the file has none
};

// One of: lines "index<TAB>WordNet id<TAB>name" (a heading line is allowed); Keras' class index
// {"0": ["n01440764", "tench"], ...}; lines "n01440764 tench"; or one name a line.
// Throws Error(PH_CORRUPT, PH_NOT_FOUND) naming the file and line.
Labels read_labels(const std::string& path);

// Finds the class of the label that a source gives an image: first among the model's ids, then its
// names, then the first of several names ("goldfish" of "goldfish, Carassius auratus") where only
// one class begins so.
class LabelIndex {
 public:
  explicit LabelIndex(const Model& model);
  bool empty() const { return by_id_.empty() && by_name_.empty(); }
  std::int64_t find(const std::string& label) const;  // -1: not among them

 private:
  std::unordered_map<std::string, std::int64_t> by_id_, by_name_, by_first_name_;
};

// "goldfish, Carassius auratus (n01443537)", or "class 7".
std::string class_text(const Model& model, std::int64_t index);

}  // namespace pronghorn::cli
