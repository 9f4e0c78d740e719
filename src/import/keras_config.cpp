// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "base/error.h"
#include "import/keras_model.h"

namespace pronghorn::import::keras {

using base::fail;
using base::Status;
using Json = nlohmann::json;

Json parse_json(std::string_view text, const std::string& what) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) fail(Status::kCorrupt, "{}: is not JSON", what);
  return json;
}

Config::Config(const Layer& layer, const std::string& file)
    : json_(layer.config),
      what_(fmt::format("{}: layer {} ({})", file, layer.name, layer.class_name)) {}

bool Config::has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

std::int64_t Config::integer(const char* key, std::int64_t fallback, std::int64_t lo,
                             std::int64_t hi) const {
  if (!has(key)) return fallback;
  if (!json_[key].is_number_integer()) {
    fail(Status::kCorrupt, "{}: {} must be an integer", what_, key);
  }
  const auto value = json_[key].get<std::int64_t>();
  if (value < lo || value > hi) {
    fail(Status::kCorrupt, "{}: {} is {}, must be {} to {}", what_, key, value, lo, hi);
  }
  return value;
}

std::array<int, 2> Config::pair(const char* key, std::array<int, 2> fallback, int lo,
                                int hi) const {
  if (!has(key)) return fallback;
  const Json& value = json_[key];
  std::array<std::int64_t, 2> out{};
  if (value.is_number_integer()) {
    out = {value.get<std::int64_t>(), value.get<std::int64_t>()};
  } else if (value.is_array() && value.size() == 2 && value[0].is_number_integer() &&
             value[1].is_number_integer()) {
    out = {value[0].get<std::int64_t>(), value[1].get<std::int64_t>()};
  } else {
    fail(Status::kCorrupt, "{}: {} must be one or two integers", what_, key);
  }
  for (const std::int64_t v : out) {
    if (v < lo || v > hi) {
      fail(Status::kCorrupt, "{}: {} is {}, must be {} to {}", what_, key, v, lo, hi);
    }
  }
  return {static_cast<int>(out[0]), static_cast<int>(out[1])};
}

bool Config::boolean(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!json_[key].is_boolean()) fail(Status::kCorrupt, "{}: {} must be true or false", what_, key);
  return json_[key].get<bool>();
}

double Config::number(const char* key, double fallback) const {
  if (!has(key)) return fallback;
  if (!json_[key].is_number()) fail(Status::kCorrupt, "{}: {} must be a number", what_, key);
  return json_[key].get<double>();
}

std::string Config::text(const char* key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  if (!json_[key].is_string()) fail(Status::kCorrupt, "{}: {} must be a string", what_, key);
  return json_[key].get<std::string>();
}

std::vector<double> Config::numbers(const char* key) const {
  std::vector<double> out;
  if (!has(key)) return out;
  std::vector<const Json*> pending{&json_[key]};
  while (!pending.empty()) {
    const Json& value = *pending.back();
    pending.pop_back();
    if (value.is_number()) {
      out.push_back(value.get<double>());
    } else if (value.is_array()) {
      for (std::size_t i = value.size(); i-- > 0;) pending.push_back(&value[i]);
    } else if (value.is_object() && value.contains("config") && value["config"].is_object() &&
               value["config"].contains("value")) {
      pending.push_back(&value["config"]["value"]);  // Keras 3's form of a NumPy array
    } else {
      fail(Status::kCorrupt, "{}: {} must be numbers", what_, key);
    }
  }
  return out;
}

std::string Config::activation(const char* key) const {
  if (!has(key)) return "linear";
  const Json* value = &json_[key];
  if (value->is_object()) {
    // A function stands by its name in "config"; a layer used as an activation by its class.
    if (value->contains("config") && (*value)["config"].is_string()) {
      value = &(*value)["config"];
    } else if (value->contains("class_name")) {
      value = &(*value)["class_name"];
    }
  }
  if (!value->is_string()) fail(Status::kCorrupt, "{}: {} must be a name", what_, key);
  return value->get<std::string>();
}

void Config::require_channels_last() const {
  const std::string format = text("data_format", "channels_last");
  if (format != "channels_last") {
    fail(Status::kUnsupported, "{}: data_format {}; channels_last is supported", what_, format);
  }
}

}  // namespace pronghorn::import::keras
