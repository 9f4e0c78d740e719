// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "apps/cli/command.h"
#include "apps/cli/interrupt.h"
#include "apps/cli/ml_model.h"
#include "apps/cli/output_file.h"
#include "apps/cli/progress.h"
#include "apps/cli/table.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::string estimator, data, labels, weights, out, device, init = "k-means++", algorithm = "auto",
                                                             solver = "auto";
  int clusters = 8, max_iter = 0, n_init = 1, threads = 0;
  double tol = 1e-4, c = 1.0, l1_ratio = 0, var_smoothing = 1e-9, alpha = 1.0;
  std::uint64_t seed = 0;
  bool no_penalty = false, no_intercept = false;
};

// The data of one fit: judged once, before any work.
struct Problem {
  explicit Problem(const Flags& flags) : table(open_table(flags.data)), x(table.data.matrix()) {
    try {
      check(ph_matrix_check(&x, 1, nullptr));
    } catch (const Error& error) {
      throw Error(error.status(), fmt::format("{}: {}", flags.data, error.what()));
    }
    if (!flags.weights.empty()) weights = read_column(flags.weights, x.rows, "--weights");
    model.estimator = flags.estimator;
    model.features = x.cols;
    model.feature_names = table.names;
    if (flags.estimator == "kmeans") return;
    if (flags.labels.empty()) {
      throw Error(PH_INVALID_ARGUMENT, flags.estimator + " needs --labels, a file of one column");
    }
    const std::vector<double> target = read_column(flags.labels, x.rows, "--labels");
    model.classes = target;
    std::sort(model.classes.begin(), model.classes.end());
    model.classes.erase(std::unique(model.classes.begin(), model.classes.end()),
                        model.classes.end());
    if (model.classes.size() < 2) {
      throw Error(PH_INVALID_ARGUMENT,
                  fmt::format("--labels {}: only the class {}; two or more are needed",
                              flags.labels, model.classes.front()));
    }
    for (const double value : target) {
      y.push_back(static_cast<std::int32_t>(
          std::lower_bound(model.classes.begin(), model.classes.end(), value) -
          model.classes.begin()));
    }
  }
  int classes() const { return static_cast<int>(model.classes.size()); }
  const double* weight() const { return weights.empty() ? nullptr : weights.data(); }

  Table table;
  ph_matrix x;
  std::vector<double> weights;
  std::vector<std::int32_t> y;
  MlModel model;
};

void fit_kmeans(const Flags& flags, Problem& p, const MlRun& run) {
  ph_kmeans_options options{};
  options.struct_size = sizeof options;
  options.clusters = flags.clusters;
  options.max_iter = flags.max_iter;
  options.tol = flags.tol;
  options.algorithm = flags.algorithm.c_str();
  options.init = flags.init.c_str();
  options.seed = flags.seed;
  options.n_init = flags.n_init;
  ph_kmeans_result result{};
  result.struct_size = sizeof result;
  const auto size = static_cast<std::size_t>(std::max(flags.clusters, 0) * p.x.cols);
  p.model.first.resize(size);
  std::vector<float> narrow(p.x.dtype == PH_F32 ? size : 0);
  void* centers = p.x.dtype == PH_F32 ? static_cast<void*>(narrow.data())
                                      : static_cast<void*>(p.model.first.data());
  check(ph_kmeans_fit(&p.x, p.weight(), nullptr, &options, centers, nullptr, &result, run.get()));
  std::copy(narrow.begin(), narrow.end(), p.model.first.begin());
  p.model.facts["seed"] = flags.seed;
  p.model.facts["inertia"] = result.inertia;
  p.model.facts["n_iter"] = result.n_iter;
  p.model.facts["converged"] = result.converged != 0;
  if (result.distinct < flags.clusters) {
    fmt::print(stderr, "pronghorn: {} of {} clusters have a row; the others lie on a centre's\n",
               result.distinct, flags.clusters);
  }
}

void fit_logistic(const Flags& flags, Problem& p, const MlRun& run) {
  ph_logreg_options options{};
  options.struct_size = sizeof options;
  options.classes = p.classes();
  options.no_intercept = flags.no_intercept ? 1 : 0;
  options.c = flags.no_penalty ? std::numeric_limits<double>::infinity() : flags.c;
  options.l1_ratio = flags.l1_ratio;
  options.tol = flags.tol;
  options.max_iter = flags.max_iter;
  options.solver = flags.solver.c_str();
  ph_logreg_result result{};
  result.struct_size = sizeof result;
  const std::size_t outputs = p.classes() == 2 ? 1 : static_cast<std::size_t>(p.classes());
  p.model.first.resize(outputs * static_cast<std::size_t>(p.x.cols));
  p.model.offsets.resize(outputs);
  check(ph_logreg_fit(&p.x, p.y.data(), p.weight(), &options, p.model.first.data(),
                      p.model.offsets.data(), &result, run.get()));
  p.model.facts["objective"] = result.objective;
  p.model.facts["gradient"] = result.gradient;
  p.model.facts["n_iter"] = result.n_iter;
  p.model.facts["converged"] = result.converged != 0;
}

void fit_gaussian(const Flags& flags, Problem& p, const MlRun& run) {
  const auto classes = static_cast<std::size_t>(p.classes());
  std::vector<double> count(classes), variances(static_cast<std::size_t>(p.x.cols));
  p.model.first.resize(classes * variances.size());
  p.model.second.resize(p.model.first.size());
  check(ph_gaussian_nb_fit(&p.x, p.y.data(), p.weight(), p.classes(), count.data(),
                           p.model.first.data(), p.model.second.data(), run.get()));
  check(ph_matrix_moments(&p.x, nullptr, nullptr, variances.data(), run.get()));
  const double most = *std::max_element(variances.begin(), variances.end());
  if (!(most * flags.var_smoothing > 0)) {
    throw Error(PH_INVALID_ARGUMENT, fmt::format("{}: every column is constant", flags.data));
  }
  for (double& variance : p.model.second) variance += most * flags.var_smoothing;
  const double total = std::accumulate(count.begin(), count.end(), 0.0);
  for (std::size_t c = 0; c < classes; ++c) {
    if (count[c] == 0) {
      throw Error(PH_INVALID_ARGUMENT, fmt::format("--weights {}: class {} has no weight",
                                                   flags.weights, p.model.classes[c]));
    }
    p.model.offsets.push_back(std::log(count[c] / total));
  }
  p.model.facts["var_smoothing"] = flags.var_smoothing;
  p.model.facts["class_count"] = count;
}

void fit_multinomial(const Flags& flags, Problem& p, const MlRun& run) {
  const auto classes = static_cast<std::size_t>(p.classes());
  const auto cols = static_cast<std::size_t>(p.x.cols);
  std::vector<double> count(classes), features(classes * cols);
  check(ph_multinomial_nb_fit(&p.x, p.y.data(), p.weight(), p.classes(), count.data(),
                              features.data(), run.get()));
  const double total = std::accumulate(count.begin(), count.end(), 0.0);
  for (std::size_t c = 0; c < classes; ++c) {
    const double* row = features.data() + c * cols;
    const double sum = std::accumulate(row, row + cols, flags.alpha * static_cast<double>(cols));
    for (std::size_t j = 0; j < cols; ++j) {
      p.model.first.push_back(std::log(row[j] + flags.alpha) - std::log(sum));
    }
    if (count[c] == 0) {
      throw Error(PH_INVALID_ARGUMENT, fmt::format("--weights {}: class {} has no weight",
                                                   flags.weights, p.model.classes[c]));
    }
    p.model.offsets.push_back(std::log(count[c] / total));
  }
  p.model.facts["alpha"] = flags.alpha;
  p.model.facts["class_count"] = count;
}

void fit(const Flags& flags, Context& context) {
  OutputFile out(flags.out);
  Problem problem(flags);
  Progress progress("fit " + flags.estimator, flags.max_iter, "iterations");
  const MlRun run(flags.device, flags.threads, [&](int iteration, int most, double objective) {
    progress.set_title(fmt::format("fit {}, objective {:.8g}", flags.estimator, objective));
    progress.set_total(most);
    progress.set(iteration);
    return !interrupted();
  });
  const auto start = std::chrono::steady_clock::now();
  if (flags.estimator == "kmeans") {
    fit_kmeans(flags, problem, run);
  } else if (flags.estimator == "logistic_regression") {
    fit_logistic(flags, problem, run);
  } else if (flags.estimator == "gaussian_nb") {
    fit_gaussian(flags, problem, run);
  } else {
    fit_multinomial(flags, problem, run);
  }
  run.rethrow();
  if (interrupted()) throw Error(PH_CANCELLED, "interrupted");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  problem.model.facts["rows"] = problem.x.rows;
  problem.model.facts["command"] = context.command;
  out.write(to_json(problem.model).dump(1) + "\n");
  progress.pause();
  fmt::print("{}: {} x {} in {:.3f} s\n", flags.estimator, problem.x.rows, problem.x.cols,
             seconds.count());
  for (const auto& [key, value] : problem.model.facts.items()) {
    if (value.is_number() || value.is_boolean()) fmt::print("  {}: {}\n", key, value.dump());
  }
}

}  // namespace

void add_fit(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("fit", "Fit an estimator of classic machine learning");
  command
      ->add_option("estimator", flags->estimator,
                   "kmeans, logistic_regression, gaussian_nb or multinomial_nb")
      ->required()
      ->check(CLI::IsMember({"kmeans", "logistic_regression", "gaussian_nb", "multinomial_nb"}));
  command->add_option("data", flags->data, "rows of numbers: .npy, .csv or .parquet")->required();
  command->add_option("--labels", flags->labels, "the class of each row: a file of one column");
  command->add_option("--weights", flags->weights, "a weight of each row, likewise");
  command->add_option("-o,--out", flags->out, "the model, as JSON (docs/ml.md)")->required();
  command->add_option("-k,--clusters", flags->clusters, "kmeans: how many")->capture_default_str();
  command->add_option("--init", flags->init, "kmeans: k-means++ or random")->capture_default_str();
  command->add_option("--n-init", flags->n_init, "kmeans: starts, of which the best is kept")
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "kmeans: of the starts")->capture_default_str();
  command->add_option("--algorithm", flags->algorithm, "kmeans: auto, lloyd or bounds")
      ->capture_default_str();
  command->add_option("-C", flags->c, "logistic_regression: inverse strength of the penalty")
      ->capture_default_str();
  command->add_option("--l1-ratio", flags->l1_ratio, "logistic_regression: 0 is L2, 1 is L1")
      ->capture_default_str();
  command->add_flag("--no-penalty", flags->no_penalty, "logistic_regression: none");
  command->add_flag("--no-intercept", flags->no_intercept, "logistic_regression: none");
  command->add_option("--solver", flags->solver, "auto, lbfgs, newton-cg or proximal")
      ->capture_default_str();
  command->add_option("--tol", flags->tol, "when to stop")->capture_default_str();
  command->add_option("--max-iter", flags->max_iter, "0: the estimator's own default")
      ->capture_default_str();
  command->add_option("--var-smoothing", flags->var_smoothing, "gaussian_nb")
      ->capture_default_str();
  command->add_option("--alpha", flags->alpha, "multinomial_nb: smoothing")->capture_default_str();
  command->add_option("--device", flags->device, "where to compute");
  command->add_option("-t,--threads", flags->threads, "0: every core")->capture_default_str();
  command->footer("Example:\n  pronghorn fit kmeans data.npy -k 64 --out model.json");
  command->callback([flags, &context] { fit(*flags, context); });
}

}  // namespace pronghorn::cli
