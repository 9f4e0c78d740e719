// SPDX-License-Identifier: Apache-2.0
#include "import/keras_weights.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace pronghorn::import::keras {
namespace {

using base::fail;
using base::Status;

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void drop_digits_after(std::string_view& text, char mark) {
  std::size_t end = text.size();
  while (end > 0 && is_digit(text[end - 1])) --end;
  if (end < text.size() && end > 0 && text[end - 1] == mark) text = text.substr(0, end - 1);
}

std::string dims_text(const std::vector<std::int64_t>& dims) {
  return fmt::format("({})", fmt::join(dims, ", "));
}

// The names and objects that weight_names lists for one group.
std::vector<std::pair<std::string, hdf5::Object>> listed_weights(hdf5::File& file,
                                                                 const hdf5::Object& group) {
  std::vector<std::pair<std::string, hdf5::Object>> out;
  const auto names = split_strings(file, group, "weight_names");
  if (!names) {
    fail(Status::kCorrupt, "{}: {} has no attribute weight_names", file.name(), group.path);
  }
  for (const std::string& name : *names) out.emplace_back(name, file.at(group, name));
  return out;
}

}  // namespace

std::string weight_key(const std::string& layer, std::string_view full_name) {
  std::string_view key = full_name.substr(full_name.rfind('/') + 1);
  drop_digits_after(key, ':');
  if (key.size() <= layer.size() + 1 || !key.starts_with(layer) || key[layer.size()] != '_') {
    return std::string(key);
  }
  key.remove_prefix(layer.size() + 1);
  drop_digits_after(key, '_');
  if (key == "W") return "kernel";
  if (key == "b") return "bias";
  if (key == "running_mean") return "moving_mean";
  if (key == "running_std") return "moving_variance";  // so called, and yet the variance
  return std::string(key);
}

std::string snake_case(std::string_view class_name) {
  std::string name;
  for (const char c : class_name) {
    if (is_upper(c) || is_lower(c) || is_digit(c) || c == '_') name += c;
  }
  // An underscore before a capital that small letters follow, then between small and capital.
  std::string spaced;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool word = i > 0 && is_upper(name[i]) && i + 1 < name.size() && is_lower(name[i + 1]);
    const bool edge = i > 0 && is_upper(name[i]) && is_lower(name[i - 1]);
    if (word || edge) spaced += '_';
    spaced += static_cast<char>(is_upper(name[i]) ? name[i] - 'A' + 'a' : name[i]);
  }
  return spaced;
}

std::optional<std::vector<std::string>> split_strings(hdf5::File& file, const hdf5::Object& object,
                                                      const std::string& attribute) {
  auto whole = file.strings(object, attribute);
  if (whole) return whole;
  for (int i = 0;; ++i) {
    const auto part = file.strings(object, fmt::format("{}{}", attribute, i));
    if (!part) return whole;
    if (!whole) whole.emplace();
    whole->insert(whole->end(), part->begin(), part->end());
  }
}

void LayerWeights::add(std::string key, hdf5::Object object) {
  entries_.emplace_back(std::move(key), std::move(object));
}

std::size_t LayerWeights::index(std::string_view key) const {
  std::size_t found = entries_.size();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].first.empty()) return 0;  // numbered: the next one
    if (entries_[i].first != key) continue;
    if (found != entries_.size()) {
      fail(Status::kCorrupt, "{}: layer {} has more than one weight {}", file_.name(), layer_, key);
    }
    found = i;
  }
  if (found == entries_.size()) {
    fail(Status::kCorrupt, "{}: layer {} has no weight {}", file_.name(), layer_, key);
  }
  return found;
}

bool LayerWeights::has(std::string_view key) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& e) { return e.first == key; });
}

graph::Tensor LayerWeights::take(std::string_view key, const std::vector<std::int64_t>& dims) {
  const std::size_t at = index(key);
  const hdf5::Object object = entries_[at].second;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at));
  const std::vector<std::int64_t> stored = file_.dims(object);
  if (stored != dims) {
    fail(Status::kCorrupt, "{}: layer {}: weight {} ({}) is {}, must be {}", file_.name(), layer_,
         key, object.path, dims_text(stored), dims_text(dims));
  }
  return file_.read(object);
}

void LayerWeights::finish() const {
  if (entries_.empty()) return;
  fail(Status::kCorrupt, "{}: layer {} does not use the stored weight {}", file_.name(), layer_,
       entries_[0].second.path);
}

Weights::Weights(hdf5::File& file, Naming naming, hdf5::Object group, const Model& model)
    : file_(file), naming_(naming), group_(std::move(group)) {
  if (naming_ == Naming::kNamed) return;
  std::map<std::string, int> used;
  for (const Layer& layer : model.layers) {
    const std::string base = snake_case(layer.class_name);
    const int n = used[base]++;
    numbered_[layer.name] = n == 0 ? base : fmt::format("{}_{}", base, n);
  }
}

LayerWeights Weights::of(const Layer& layer) const {
  LayerWeights out(file_, layer.name);
  if (naming_ == Naming::kNumbered) {
    const auto vars = file_.find(group_, fmt::format("layers/{}/vars", numbered_.at(layer.name)));
    if (!vars) return out;
    // Keras 3 writes the layer's name beside its weights: a check on the numbering.
    const auto name = file_.string(*vars, "name");
    if (name && *name != layer.name) {
      fail(Status::kCorrupt, "{}: {} holds the weights of layer {}, expected those of {}",
           file_.name(), vars->path, *name, layer.name);
    }
    for (int k = 0;; ++k) {
      auto weight = file_.find(*vars, std::to_string(k));
      if (!weight) return out;
      out.add("", std::move(*weight));
    }
  }
  if (inner_) {
    for (const auto& [name, object] : inherited_) {
      // ".../layer/kernel:0": the last component but one names the layer.
      const std::size_t slash = name.rfind('/');
      if (slash == std::string::npos) continue;
      const std::size_t start = slash == 0 ? std::string::npos : name.rfind('/', slash - 1);
      const std::size_t first = start == std::string::npos ? 0 : start + 1;
      if (std::string_view(name).substr(first, slash - first) == layer.name) {
        out.add(weight_key(layer.name, name), object);
      }
    }
    return out;
  }
  const auto group = file_.find(group_, layer.name);
  if (!group) return out;
  for (auto& [name, object] : listed_weights(file_, *group)) {
    out.add(weight_key(layer.name, name), std::move(object));
  }
  return out;
}

Weights Weights::inside(const Layer& layer) const {
  if (naming_ == Naming::kNumbered) {
    return Weights(file_, naming_,
                   file_.at(group_, fmt::format("layers/{}", numbered_.at(layer.name))),
                   *layer.model);
  }
  Weights inner(file_, naming_, group_, *layer.model);
  inner.inner_ = true;
  inner.inherited_ = inner_ ? inherited_ : listed_weights(file_, file_.at(group_, layer.name));
  return inner;
}

}  // namespace pronghorn::import::keras
