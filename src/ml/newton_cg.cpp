// SPDX-License-Identifier: Apache-2.0
#include "ml/newton_cg.h"

#include <algorithm>
#include <cmath>

namespace pronghorn::ml {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// About -H^-1 gradient: conjugate gradients until the residual is small beside the gradient.
Vector newton_direction(const Curvature& curvature, const Vector& gradient) {
  constexpr int kMost = 200;
  const double start = std::sqrt(dot(gradient, gradient));
  const double enough = std::min(0.25, std::sqrt(start)) * start;
  Vector x(gradient.size()), residual(gradient.size()), product(gradient.size());
  for (std::size_t i = 0; i < x.size(); ++i) residual[i] = -gradient[i];
  Vector p = residual;
  double square = dot(residual, residual);
  for (int i = 0; i < kMost && std::sqrt(square) > enough; ++i) {
    curvature(p, product);
    const double bend = dot(p, product);
    if (bend <= 1e-16 * dot(p, p)) {
      if (i == 0) x = p;
      break;
    }
    const double alpha = square / bend;
    for (std::size_t j = 0; j < x.size(); ++j) {
      x[j] += alpha * p[j];
      residual[j] -= alpha * product[j];
    }
    const double next = dot(residual, residual);
    for (std::size_t j = 0; j < x.size(); ++j) p[j] = residual[j] + next / square * p[j];
    square = next;
  }
  return x;
}

}  // namespace

Minimum minimise_newton(const Objective& objective, const Curvature& curvature,
                        const Finished& finished, int max_iter, double least_progress,
                        std::vector<double>& x) {
  Minimum result;
  Vector gradient(x.size());
  result.value = objective(x, gradient);
  ++result.evaluations;
  result.converged = finished(0, result.value, x, gradient);
  while (!result.converged && result.n_iter < max_iter) {
    const Vector direction = newton_direction(curvature, gradient);
    const double slope = dot(direction, gradient);
    Vector next(x.size()), next_gradient(x.size());
    double value = result.value;
    double step = 1;
    bool found = false;
    for (int i = 0; i < 20 && !found; ++i, step *= 0.5) {
      for (std::size_t j = 0; j < x.size(); ++j) next[j] = x[j] + step * direction[j];
      value = objective(next, next_gradient);
      ++result.evaluations;
      found = std::isfinite(value) && value <= result.value + 1e-4 * step * slope;
    }
    if (!found) {  // nothing but rounding is left
      result.converged = true;
      break;
    }
    const double progress = result.value - value;
    x = std::move(next);
    gradient = std::move(next_gradient);
    result.value = value;
    ++result.n_iter;
    result.converged =
        finished(result.n_iter, value, x, gradient) || progress <= least_progress * std::abs(value);
  }
  return result;
}

}  // namespace pronghorn::ml
