// SPDX-License-Identifier: Apache-2.0
// Fitted estimators as JSON (docs/ml.md, "Model files").
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <pronghorn/ml.hpp>
#include <string>
#include <vector>

namespace pronghorn::cli {

inline constexpr const char* kMlFormat = "pronghorn-ml";
inline constexpr int kMlVersion = 1;

// Parameters are rows x features, one row a cluster, class or output.
struct MlModel {
  std::string estimator;  // "kmeans", "logistic_regression", "gaussian_nb", "multinomial_nb"
  std::int64_t features = 0;
  std::vector<std::string> feature_names;  // empty: none
  std::vector<double> classes;             // values of the target, ascending; empty for kmeans
  // kmeans: centers. logistic_regression: coef, and intercept in `offsets`. gaussian_nb: means, and
  // variances in `second`, log priors in `offsets`. multinomial_nb: log probabilities of features,
  // log priors in `offsets`.
  std::vector<double> first, second, offsets;
  nlohmann::ordered_json facts;  // how it was fitted

  std::int64_t rows() const { return static_cast<std::int64_t>(first.size()) / features; }
};

nlohmann::ordered_json to_json(const MlModel& model);
// Throws Error (PH_CORRUPT, PH_UNSUPPORTED, PH_NOT_FOUND) naming the file and what is wrong in it.
MlModel read_ml_model(const std::string& path);

// A column of numbers in a file of one column, `rows` long; `argument` is for messages.
std::vector<double> read_column(const std::string& path, std::int64_t rows,
                                const std::string& argument);

}  // namespace pronghorn::cli
