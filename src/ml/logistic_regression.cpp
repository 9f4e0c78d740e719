// SPDX-License-Identifier: Apache-2.0
// The unknowns of the search are not coef w and intercept b themselves but u = d w and v = b + m.w,
// m the columns' means and d^2 an estimate of the curvature along w at the start: features of any
// scale and offset then look alike to the solver, while the data stay as they are.
#include "ml/logistic_regression.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ml/lbfgs.h"
#include "ml/moments.h"
#include "ml/newton_cg.h"
#include "ml/proximal_newton.h"

namespace pronghorn::ml {
namespace {

// The c of least  l1 sum |w_k + c| + l2 sum (w_k + c)^2 / 2;  0 where that is among the least.
double least_penalty_shift(const std::vector<double>& w, double l1, double l2) {
  const auto n = static_cast<double>(w.size());
  double sum = 0;
  for (const double value : w) sum += value;
  // The derivatives on both sides of c.
  const auto sides = [&](double c) {
    double low = 0, high = 0;
    for (const double value : w) {
      low += value > -c ? l1 : -l1;
      high += value < -c ? -l1 : l1;
    }
    const double square = l2 * (sum + n * c);
    return std::pair(low + square, high + square);
  };
  if (const auto [low, high] = sides(0); low <= 0 && high >= 0) return 0;
  std::vector<double> bends(w.size());  // where a term changes its sign
  for (std::size_t k = 0; k < w.size(); ++k) bends[k] = -w[k];
  std::sort(bends.begin(), bends.end());
  for (const double bend : bends) {
    const auto [low, high] = sides(bend);
    if (high < 0) continue;
    if (low <= 0 || l2 == 0) return bend;
    return bend - low / (l2 * n);
  }
  return l2 == 0 ? bends.back() : bends.back() - sides(bends.back()).second / (l2 * n);
}

class Problem {
 public:
  Problem(device::Learner& learner, const device::Matrix& x, const std::int32_t* y,
          const double* weight, const LogisticOptions& options)
      : options_(options), cols_(x.cols), outputs_(options.outputs()) {
    device::LogisticSetup setup;
    setup.x = x;
    setup.y = y;
    setup.weight = weight;
    setup.outputs = outputs_;
    passes_ = learner.logistic(setup);
    total_ = static_cast<double>(x.rows);
    if (weight != nullptr) {
      total_ = 0;
      for (std::int64_t r = 0; r < x.rows; ++r) total_ += weight[r];
    }
    const double strength = std::isinf(options.c) ? 0 : 1 / (options.c * total_);
    l1_ = options.l1_ratio * strength;
    l2_ = (1 - options.l1_ratio) * strength;
  }

  std::int64_t size() const { return outputs_ * (cols_ + 1); }
  double l1() const { return l1_; }
  int passes() const { return count_; }

  // Smooth part of the objective at (coef, bias), and its gradient.
  double smooth(const double* coef, const double* bias, double* coef_gradient,
                double* bias_gradient) {
    ++count_;
    double value = passes_->loss_gradient(coef, bias, coef_gradient, bias_gradient) / total_;
    for (std::int64_t i = 0; i < outputs_ * cols_; ++i) {
      value += 0.5 * l2_ * coef[i] * coef[i];
      coef_gradient[i] = coef_gradient[i] / total_ + l2_ * coef[i];
    }
    for (std::int64_t k = 0; k < outputs_; ++k) {
      bias_gradient[k] = options_.intercept ? bias_gradient[k] / total_ : 0;
    }
    return value;
  }

  void curvature(const double* coef, const double* bias, double* coef_product,
                 double* bias_product) {
    ++count_;
    passes_->hessian_product(coef, bias, coef_product, bias_product);
    for (std::int64_t i = 0; i < outputs_ * cols_; ++i) {
      coef_product[i] = coef_product[i] / total_ + l2_ * coef[i];
    }
    for (std::int64_t k = 0; k < outputs_; ++k) {
      bias_product[k] = options_.intercept ? bias_product[k] / total_ : 0;
    }
  }

  double absolute(const double* coef) const {
    double sum = 0;
    for (std::int64_t i = 0; i < outputs_ * cols_; ++i) sum += std::abs(coef[i]);
    return l1_ * sum;
  }

  // Finds m and d.
  void scale(device::Learner& learner, const device::Matrix& x, const double* weight) {
    const Moments moments = group_moments(learner, x, nullptr, weight, 1);
    ++count_;
    const double share = 1.0 / static_cast<double>(options_.classes);
    const double slope = share * (1 - share);
    mean_.assign(static_cast<std::size_t>(cols_), 0.0);
    scale_.assign(static_cast<std::size_t>(cols_), 1.0);
    for (std::int64_t j = 0; j < cols_; ++j) {
      const auto i = static_cast<std::size_t>(j);
      double square = moments.variances[i];
      if (options_.intercept) {
        mean_[i] = moments.means[i];
      } else {
        square += moments.means[i] * moments.means[i];
      }
      const double curvature = slope * square + l2_;
      scale_[i] = curvature > 0 ? std::sqrt(curvature) : 1.0;
    }
    bias_scale_ = std::sqrt(slope);
  }

  // Unknowns: for each output its u, then its v.
  std::vector<double> to_unknowns(const double* coef, const double* bias) const {
    std::vector<double> u(static_cast<std::size_t>(size()));
    for (std::int64_t k = 0; k < outputs_; ++k) {
      double v = bias[k];
      double* to = u.data() + k * (cols_ + 1);
      for (std::int64_t j = 0; j < cols_; ++j) {
        const double w = coef[k * cols_ + j];
        to[j] = w * scale_[static_cast<std::size_t>(j)];
        v += mean_[static_cast<std::size_t>(j)] * w;
      }
      to[cols_] = v * bias_scale_;
    }
    return u;
  }
  void from_unknowns(const std::vector<double>& u, std::vector<double>& coef,
                     std::vector<double>& bias) const {
    coef.resize(static_cast<std::size_t>(outputs_ * cols_));
    bias.resize(static_cast<std::size_t>(outputs_));
    for (std::int64_t k = 0; k < outputs_; ++k) {
      const double* from = u.data() + k * (cols_ + 1);
      double v = from[cols_] / bias_scale_;
      for (std::int64_t j = 0; j < cols_; ++j) {
        const double w = from[j] / scale_[static_cast<std::size_t>(j)];
        coef[static_cast<std::size_t>(k * cols_ + j)] = w;
        v -= mean_[static_cast<std::size_t>(j)] * w;
      }
      bias[static_cast<std::size_t>(k)] = options_.intercept ? v : 0;
    }
  }
  // Derivatives by coef and bias to those by the unknowns.
  void to_unknown_gradient(const std::vector<double>& coef, const std::vector<double>& bias,
                           std::vector<double>& g) const {
    g.resize(static_cast<std::size_t>(size()));
    for (std::int64_t k = 0; k < outputs_; ++k) {
      double* to = g.data() + k * (cols_ + 1);
      const double b = bias[static_cast<std::size_t>(k)];
      for (std::int64_t j = 0; j < cols_; ++j) {
        const auto i = static_cast<std::size_t>(j);
        to[j] = (coef[static_cast<std::size_t>(k * cols_ + j)] - mean_[i] * b) / scale_[i];
      }
      to[cols_] = b / bias_scale_;
    }
  }
  // The largest derivative by coef or bias, from those by the unknowns.
  double largest(const std::vector<double>& g) const {
    double most = 0;
    for (std::int64_t k = 0; k < outputs_; ++k) {
      const double* from = g.data() + k * (cols_ + 1);
      const double b = from[cols_] * bias_scale_;
      most = std::max(most, std::abs(b));
      for (std::int64_t j = 0; j < cols_; ++j) {
        const auto i = static_cast<std::size_t>(j);
        most = std::max(most, std::abs(from[j] * scale_[i] + mean_[i] * b));
      }
    }
    return most;
  }
  // The classes' scores may all move together without a change of the loss, so that of the
  // penalty's least along that way nothing needs to be searched: each column's coefficients are
  // moved there.
  void lower_penalty(std::vector<double>& u) const {
    std::vector<double> column(static_cast<std::size_t>(outputs_));
    for (std::int64_t j = 0; j < cols_; ++j) {
      const double scale = scale_[static_cast<std::size_t>(j)];
      for (std::int64_t k = 0; k < outputs_; ++k) {
        column[static_cast<std::size_t>(k)] =
            u[static_cast<std::size_t>(k * (cols_ + 1) + j)] / scale;
      }
      const double by = least_penalty_shift(column, l1_, l2_);
      if (by == 0) continue;
      for (std::int64_t k = 0; k < outputs_; ++k) {
        u[static_cast<std::size_t>(k * (cols_ + 1) + j)] =
            (column[static_cast<std::size_t>(k)] + by) * scale;
      }
    }
  }
  std::vector<double> l1_of_unknowns() const {
    std::vector<double> l1(static_cast<std::size_t>(size()));
    for (std::int64_t k = 0; k < outputs_; ++k) {
      for (std::int64_t j = 0; j < cols_; ++j) {
        l1[static_cast<std::size_t>(k * (cols_ + 1) + j)] =
            l1_ / scale_[static_cast<std::size_t>(j)];
      }
    }
    return l1;
  }

 private:
  const LogisticOptions& options_;
  const std::int64_t cols_;
  const int outputs_;
  std::unique_ptr<device::LogisticPasses> passes_;
  double total_ = 0, l1_ = 0, l2_ = 0, bias_scale_ = 1;
  std::vector<double> mean_, scale_;
  int count_ = 0;
};

}  // namespace

LogisticResult logistic_fit(device::Learner& learner, const device::Matrix& x,
                            const std::int32_t* y, const double* weight,
                            const LogisticOptions& options, double* coef, double* intercept,
                            const Progress& progress) {
  Problem problem(learner, x, y, weight, options);
  problem.scale(learner, x, weight);
  std::vector<double> w, b, gw(static_cast<std::size_t>(options.outputs() * x.cols)),
      gb(static_cast<std::size_t>(options.outputs()));
  const std::vector<double> no_bias(gb.size());
  std::vector<double> u = problem.to_unknowns(coef, options.intercept ? intercept : no_bias.data());

  LogisticResult result;
  const Objective objective = [&](const std::vector<double>& at, std::vector<double>& gradient) {
    problem.from_unknowns(at, w, b);
    const double value = problem.smooth(w.data(), b.data(), gw.data(), gb.data());
    problem.to_unknown_gradient(gw, gb, gradient);
    return value;
  };
  int before = 0;  // iterations of the search before this one
  const Finished finished = [&](int iteration, double value, const std::vector<double>&,
                                const std::vector<double>& gradient) {
    if (iteration > 0 && progress) progress(before + iteration, options.max_iter, value);
    result.gradient = problem.largest(gradient);
    return result.gradient <= options.tol;
  };
  const Curvature curvature = [&](const std::vector<double>& direction,
                                  std::vector<double>& product) {
    problem.from_unknowns(direction, w, b);
    problem.curvature(w.data(), b.data(), gw.data(), gb.data());
    problem.to_unknown_gradient(gw, gb, product);
  };
  Minimum minimum;
  const bool single = x.dtype == device::Dtype::kF32;
  const double rounding = single ? 1e-9 : 1e-14;  // of the value
  MinimiserOptions how;
  how.max_iter = options.max_iter;
  how.least_progress = rounding;
  if (options.solver == LogisticSolver::kNewtonCg) {
    minimum = minimise_newton(objective, curvature, finished, options.max_iter, rounding, u);
  } else {
    if (problem.l1() > 0) {
      how.l1 = problem.l1_of_unknowns();
      // What a step costs beside its pass grows with both.
      how.memory = static_cast<int>(std::clamp<std::int64_t>(50'000 / problem.size(), 10, 60));
      if (options.outputs() > 1) {
        how.lower = [&](std::vector<double>& at) { problem.lower_penalty(at); };
      }
      minimum = minimise_proximal(objective, finished, how, u);
    } else {
      // Slopes are good for far smaller steps than values are.
      how.noise = single ? 2e-7 : rounding;
      how.least_progress = single ? 1e-12 : rounding;
      minimum = minimise(objective, finished, how, u);
      // That search can end far from the optimum where the problem is badly conditioned; Newton's
      // steps get there.
      if (result.gradient > 10 * options.tol && minimum.n_iter < options.max_iter) {
        before = minimum.n_iter;
        minimum =
            minimise_newton(objective, curvature, finished, options.max_iter - before, rounding, u);
        minimum.n_iter += before;
      }
    }
  }
  problem.from_unknowns(u, w, b);
  std::copy(w.begin(), w.end(), coef);
  if (options.intercept) std::copy(b.begin(), b.end(), intercept);
  result.objective = minimum.value;
  result.n_iter = minimum.n_iter;
  result.converged = minimum.converged;
  result.passes = problem.passes();
  return result;
}

double logistic_loss_gradient(device::Learner& learner, const device::Matrix& x,
                              const std::int32_t* y, const double* weight,
                              const LogisticOptions& options, const double* coef,
                              const double* intercept, double* coef_gradient,
                              double* intercept_gradient) {
  Problem problem(learner, x, y, weight, options);
  const auto outputs = static_cast<std::size_t>(options.outputs());
  std::vector<double> gw(outputs * static_cast<std::size_t>(x.cols)), gb(outputs);
  const std::vector<double> no_bias(outputs);
  const double value =
      problem.smooth(coef, options.intercept ? intercept : no_bias.data(), gw.data(), gb.data());
  if (coef_gradient != nullptr) std::copy(gw.begin(), gw.end(), coef_gradient);
  if (intercept_gradient != nullptr) std::copy(gb.begin(), gb.end(), intercept_gradient);
  return value + problem.absolute(coef);
}

}  // namespace pronghorn::ml
