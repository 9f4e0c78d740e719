// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace pronghorn::cli {
namespace {

[[noreturn]] void fail(const std::string& path, std::size_t line, const std::string& what) {
  throw Error(PH_CORRUPT, fmt::format("{}:{}: {}", path, line, what));
}

bool is_wordnet_id(const std::string& text) {
  return text.size() == 9 && text[0] == 'n' &&
         std::all_of(text.begin() + 1, text.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

Labels from_class_index(const std::string& path, const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) fail(path, 1, "not a JSON object {\"0\": [id, name], ...}");
  Labels labels;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const auto entry = json.find(std::to_string(i));
    if (entry == json.end() || !entry->is_array() || entry->size() != 2 ||
        !(*entry)[0].is_string() || !(*entry)[1].is_string()) {
      fail(path, 1, fmt::format("class {} of {} is not \"{}\": [id, name]", i, json.size(), i));
    }
    labels.ids.push_back((*entry)[0]);
    labels.names.push_back((*entry)[1]);
  }
  return labels;
}

}  // namespace

Labels read_labels(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(PH_NOT_FOUND, fmt::format("{}: no such label file", path));
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) fail(path, 1, "no labels in it");
  if (text[text.find_first_not_of(" \t\r\n")] == '{') return from_class_index(path, text);

  Labels labels;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const std::size_t tab = line.find('\t');
    if (tab != std::string::npos) {
      const std::string index = line.substr(0, tab);
      if (number == 1 && index == "index") continue;
      const std::size_t second = line.find('\t', tab + 1);
      if (index != std::to_string(labels.names.size()) || second == std::string::npos) {
        fail(path, number,
             fmt::format("\"{}\" is not \"{}<TAB>id<TAB>name\"", line, labels.names.size()));
      }
      labels.ids.push_back(line.substr(tab + 1, second - tab - 1));
      labels.names.push_back(line.substr(second + 1));
    } else if (line.size() > 10 && line[9] == ' ' && is_wordnet_id(line.substr(0, 9))) {
      labels.ids.push_back(line.substr(0, 9));
      labels.names.push_back(line.substr(10));
    } else {
      labels.names.push_back(line);
    }
  }
  if (!labels.ids.empty() && labels.ids.size() != labels.names.size()) {
    fail(path, number, "some lines have an id and some have none");
  }
  return labels;
}

LabelIndex::LabelIndex(const Model& model) {
  const std::int64_t classes = model.info().classes;
  for (std::int64_t i = 0; i < classes; ++i) {
    const std::string id = model.label_id(i);
    const std::string name = model.label(i);
    if (!id.empty()) by_id_.emplace(id, i);
    if (name.empty()) continue;
    by_name_.emplace(name, i);
    const auto [place, fresh] = by_first_name_.emplace(name.substr(0, name.find(',')), i);
    if (!fresh) place->second = -1;
  }
}

std::int64_t LabelIndex::find(const std::string& label) const {
  for (const auto* map : {&by_id_, &by_name_, &by_first_name_}) {
    if (const auto found = map->find(label); found != map->end()) return found->second;
  }
  return -1;
}

std::string class_text(const Model& model, std::int64_t index) {
  const std::string name = model.label(index);
  const std::string id = model.label_id(index);
  if (name.empty() && id.empty()) return fmt::format("class {}", index);
  if (name.empty()) return id;
  return id.empty() ? name : fmt::format("{} ({})", name, id);
}

}  // namespace pronghorn::cli
