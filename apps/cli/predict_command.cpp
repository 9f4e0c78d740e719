// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/ml_model.h"
#include "apps/cli/output_file.h"
#include "apps/cli/table.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::string model, data, out, device;
  bool proba = false;
  int threads = 0;
};

// Values of a type as a .npy file of version 1.0.
template <class T>
std::string npy(const std::vector<T>& values, const char* type, std::size_t columns) {
  const std::size_t rows = values.size() / columns;
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}, {}), }}",
                                   type, rows, columns);
  header.resize((10 + header.size() + 64) / 64 * 64 - 11, ' ');
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 255);
  file += static_cast<char>(header.size() >> 8);
  file += header;
  file.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return file;
}

template <class T>
void write(const Flags& flags, const std::vector<T>& values, const char* type,
           std::size_t columns) {
  OutputFile out(flags.out);
  if (flags.out.ends_with(".npy")) {
    out.write(npy(values, type, columns));
    return;
  }
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += fmt::format("{}{}", values[i], (i + 1) % columns == 0 ? '\n' : ',');
  }
  out ? out.write(text) : fmt::print("{}", text);
}

// Class (or cluster) numbers, and with `proba` probabilities.
void classify(const MlModel& model, const ph_matrix& x, const ph_ml_run* run,
              std::vector<std::int32_t>& labels, std::vector<double>& proba) {
  const auto rows = static_cast<std::int32_t>(model.rows());
  const bool want = !proba.empty();
  if (model.estimator == "kmeans") {
    const std::vector<float> narrow(model.first.begin(), model.first.end());
    const void* centers = x.dtype == PH_F32 ? static_cast<const void*>(narrow.data())
                                            : static_cast<const void*>(model.first.data());
    check(ph_kmeans_predict(&x, nullptr, centers, rows, labels.data(), nullptr, run));
  } else if (model.estimator == "logistic_regression") {
    const double* coef = model.first.data();
    const double* intercept = model.offsets.data();
    if (!want) {
      check(ph_linear_predict(&x, coef, intercept, rows, labels.data(), run));
    } else if (x.dtype == PH_F64) {
      check(ph_linear_proba(&x, coef, intercept, rows, 0, proba.data(), run));
    } else {
      std::vector<float> narrow(proba.size());
      check(ph_linear_proba(&x, coef, intercept, rows, 0, narrow.data(), run));
      std::copy(narrow.begin(), narrow.end(), proba.begin());
    }
  } else {
    const int what = want ? PH_NB_PROBA : PH_NB_LABEL;
    void* output = want ? static_cast<void*>(proba.data()) : static_cast<void*>(labels.data());
    if (model.estimator == "gaussian_nb") {
      check(ph_gaussian_nb_predict(&x, model.offsets.data(), model.first.data(),
                                   model.second.data(), rows, what, output, run));
    } else {
      check(ph_multinomial_nb_predict(&x, model.offsets.data(), model.first.data(), rows, what,
                                      output, run));
    }
  }
}

void predict(const Flags& flags) {
  const MlModel model = read_ml_model(flags.model);
  if (flags.proba && model.estimator == "kmeans") {
    throw Error(PH_INVALID_ARGUMENT, "--proba: kmeans has no probabilities");
  }
  const Table table = open_table(flags.data);
  const ph_matrix x = table.data.matrix();
  if (x.cols != model.features) {
    throw Error(PH_INVALID_ARGUMENT, fmt::format("{}: has {} features, but {} was fitted on {}",
                                                 flags.data, x.cols, flags.model, model.features));
  }
  try {
    check(ph_matrix_check(&x, 1, nullptr));
  } catch (const Error& error) {
    throw Error(error.status(), fmt::format("{}: {}", flags.data, error.what()));
  }
  const MlRun run(flags.device, flags.threads);
  const auto rows = static_cast<std::size_t>(x.rows);
  std::vector<std::int32_t> labels(flags.proba ? 0 : rows);
  std::vector<double> proba(flags.proba ? rows * model.classes.size() : 0);
  classify(model, x, run.get(), labels, proba);
  if (flags.proba) {
    write(flags, proba, "<f8", model.classes.size());
  } else if (model.classes.empty()) {
    write(flags, labels, "<i4", 1);
  } else {
    std::vector<double> values;
    for (const std::int32_t label : labels) {
      values.push_back(model.classes[static_cast<std::size_t>(label)]);
    }
    write(flags, values, "<f8", 1);
  }
}

}  // namespace

void add_predict(CLI::App& app, Context&) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("predict", "Predict with a model of `pronghorn fit`");
  command->add_option("model", flags->model, "the JSON file of `pronghorn fit`")->required();
  command->add_option("data", flags->data, "rows of numbers: .npy, .csv or .parquet")->required();
  command->add_option("-o,--out", flags->out, "a line (.npy: a row) for each row; standard output");
  command->add_flag("--proba", flags->proba, "probabilities of the classes, in ascending order");
  command->add_option("--device", flags->device, "where to compute");
  command->add_option("-t,--threads", flags->threads, "0: every core")->capture_default_str();
  command->footer("Example:\n  pronghorn predict model.json new.npy --out labels.npy");
  command->callback([flags] { predict(*flags); });
}

}  // namespace pronghorn::cli
