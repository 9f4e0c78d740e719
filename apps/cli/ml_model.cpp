// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/ml_model.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>

#include "apps/cli/table.h"

namespace pronghorn::cli {
namespace {

using Json = nlohmann::ordered_json;

// Which keys of the file hold first, second and offsets.
struct Keys {
  const char* estimator;
  const char* first;
  const char* second;
  const char* offsets;
};
constexpr Keys kKeys[] = {
    {"kmeans", "cluster_centers", nullptr, nullptr},
    {"logistic_regression", "coef", nullptr, "intercept"},
    {"gaussian_nb", "theta", "var", "class_log_prior"},
    {"multinomial_nb", "feature_log_prob", nullptr, "class_log_prior"},
};

const Keys* keys_of(const std::string& estimator) {
  for (const Keys& keys : kKeys) {
    if (estimator == keys.estimator) return &keys;
  }
  return nullptr;
}

Json rows_of(const std::vector<double>& values, std::int64_t columns) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(columns)) {
    rows.push_back(std::vector<double>(values.begin() + static_cast<std::ptrdiff_t>(i),
                                       values.begin() + static_cast<std::ptrdiff_t>(i) + columns));
  }
  return rows;
}

class Reader {
 public:
  Reader(const Json& json, const std::string& path) : json_(json), path_(path) {}

  const Json& at(const char* key) const {
    if (!json_.contains(key)) fail(fmt::format("has no \"{}\"", key));
    return json_.at(key);
  }
  std::vector<double> numbers(const char* key) const { return numbers_in(at(key), key); }
  std::vector<double> matrix(const char* key, std::int64_t columns) const {
    std::vector<double> values;
    for (const Json& row : at(key)) {
      const std::vector<double> more = numbers_in(row, key);
      if (static_cast<std::int64_t>(more.size()) != columns) {
        fail(fmt::format("\"{}\" has a row of {} values; n_features is {}", key, more.size(),
                         columns));
      }
      values.insert(values.end(), more.begin(), more.end());
    }
    if (values.empty()) fail(fmt::format("\"{}\" is empty", key));
    return values;
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(PH_CORRUPT, fmt::format("{}: {}", path_, what));
  }

 private:
  std::vector<double> numbers_in(const Json& list, const char* key) const {
    std::vector<double> values;
    if (!list.is_array()) fail(fmt::format("\"{}\" is no list of numbers", key));
    for (const Json& value : list) {
      if (!value.is_number() || !std::isfinite(value.get<double>())) {
        fail(fmt::format("\"{}\" holds something that is no finite number", key));
      }
      values.push_back(value.get<double>());
    }
    return values;
  }
  const Json& json_;
  const std::string& path_;
};

}  // namespace

Json to_json(const MlModel& model) {
  const Keys& keys = *keys_of(model.estimator);
  Json json{{"format", kMlFormat},
            {"version", kMlVersion},
            {"estimator", model.estimator},
            {"n_features", model.features}};
  if (!model.feature_names.empty()) json["feature_names"] = model.feature_names;
  if (!model.classes.empty()) json["classes"] = model.classes;
  json[keys.first] = rows_of(model.first, model.features);
  if (keys.second != nullptr) json[keys.second] = rows_of(model.second, model.features);
  if (keys.offsets != nullptr) json[keys.offsets] = model.offsets;
  json["fit"] = model.facts;
  return json;
}

MlModel read_ml_model(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(PH_NOT_FOUND, fmt::format("{}: cannot be read", path));
  Json json;
  try {
    json = Json::parse(file);
  } catch (const Json::exception& error) {
    throw Error(PH_CORRUPT, fmt::format("{}: {}", path, error.what()));
  }
  const Reader reader(json, path);
  if (!json.is_object() || json.value("format", Json()) != kMlFormat) {
    throw Error(
        PH_UNSUPPORTED,
        fmt::format("{}: is no model of `pronghorn fit` (\"format\": \"{}\")", path, kMlFormat));
  }
  if (reader.at("version") != kMlVersion) {
    throw Error(PH_UNSUPPORTED, fmt::format("{}: is of version {}; {} is read", path,
                                            reader.at("version").dump(), kMlVersion));
  }
  MlModel model;
  if (reader.at("estimator").is_string()) model.estimator = reader.at("estimator");
  const Keys* keys = keys_of(model.estimator);
  if (keys == nullptr) reader.fail("\"estimator\" is none that this program knows");
  if (!reader.at("n_features").is_number_integer() || reader.at("n_features") < 1) {
    reader.fail("\"n_features\" is no whole number from 1");
  }
  model.features = reader.at("n_features");
  model.first = reader.matrix(keys->first, model.features);
  if (keys->second != nullptr) {
    model.second = reader.matrix(keys->second, model.features);
    if (model.second.size() != model.first.size())
      reader.fail("\"var\" and \"theta\" differ in size");
  }
  if (keys->offsets != nullptr) {
    model.offsets = reader.numbers(keys->offsets);
    if (static_cast<std::int64_t>(model.offsets.size()) != model.rows()) {
      reader.fail(fmt::format("\"{}\" has {} values for {} rows of \"{}\"", keys->offsets,
                              model.offsets.size(), model.rows(), keys->first));
    }
    model.classes = reader.numbers("classes");
    const std::int64_t wanted =
        model.estimator == "logistic_regression" && model.rows() == 1 ? 2 : model.rows();
    if (static_cast<std::int64_t>(model.classes.size()) != wanted) {
      reader.fail(
          fmt::format("\"classes\" has {} values where {} belong", model.classes.size(), wanted));
    }
  }
  return model;
}

std::vector<double> read_column(const std::string& path, std::int64_t rows,
                                const std::string& argument) {
  const Table table = open_table(path);
  const ph_matrix x = table.data.matrix();
  if (x.cols != 1 || x.rows != rows) {
    throw Error(PH_INVALID_ARGUMENT, fmt::format("{} {}: {} x {} values; {} x 1 belong to the data",
                                                 argument, path, x.rows, x.cols, rows));
  }
  check(ph_matrix_check(&x, 1, nullptr));
  std::vector<double> values(static_cast<std::size_t>(rows));
  for (std::int64_t r = 0; r < rows; ++r) {
    values[static_cast<std::size_t>(r)] =
        x.dtype == PH_F32 ? static_cast<double>(static_cast<const float*>(x.data)[r])
                          : static_cast<const double*>(x.data)[r];
  }
  return values;
}

}  // namespace pronghorn::cli
