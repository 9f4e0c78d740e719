// SPDX-License-Identifier: Apache-2.0
#include "ml/proximal_newton.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <utility>

namespace pronghorn::ml {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

// The subgradient of least norm.
Vector subgradient(const Vector& x, const Vector& gradient, const Vector& l1) {
  Vector g = gradient;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] != 0) {
      g[i] += sign(x[i]) * l1[i];
    } else {
      g[i] = sign(g[i]) * std::max(std::abs(g[i]) - l1[i], 0.0);
    }
  }
  return g;
}

double largest(const Vector& g) {
  double most = 0;
  for (const double value : g) most = std::max(most, std::abs(value));
  return most;
}

// B = sigma I - W N W^T, with W = [sigma S, Y] of the last steps S and changes of the gradient Y.
class Model {
 public:
  Model(std::size_t unknowns, int memory)
      : unknowns_(unknowns), memory_(static_cast<std::size_t>(memory)) {}

  bool plain() const { return pairs_.empty(); }
  void forget(double sigma) {
    pairs_.clear();
    sigma_ = sigma;
    width_ = 0;
  }
  double sigma() const { return sigma_; }

  void add(Vector step, Vector change) {
    const double curvature = dot(step, change);
    if (!(curvature > 1e-10 * std::sqrt(dot(step, step) * dot(change, change)))) return;
    if (pairs_.size() == memory_) pairs_.pop_front();
    sigma_ = dot(change, change) / curvature;
    pairs_.emplace_back(std::move(step), std::move(change));
    while (!pairs_.empty() && !build()) pairs_.pop_front();
    if (pairs_.empty()) width_ = 0;
  }

  // The least of the model around x, as a step from there. Ends when no coordinate's derivative was
  // found larger than `enough`.
  Vector step(const Vector& x, const Vector& gradient, const Vector& l1, double enough) const {
    constexpr int kMostSweeps = 300;
    Vector d(unknowns_), q(width_);
    std::vector<std::size_t> all(unknowns_), active;
    std::iota(all.begin(), all.end(), std::size_t{0});
    bool whole = true;
    for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
      double most = 0;
      std::vector<std::size_t> moving;
      for (const std::size_t i : whole ? all : active) {
        const double* w = w_.data() + i * width_;
        const double* r = r_.data() + i * width_;
        double slope = gradient[i] + sigma_ * d[i];
        for (std::size_t k = 0; k < width_; ++k) slope -= r[k] * q[k];
        const double bend = width_ == 0 ? sigma_ : diagonal_[i];
        const double at = x[i] + d[i];
        const double free = at - slope / bend;
        const double to = sign(free) * std::max(std::abs(free) - l1[i] / bend, 0.0);
        const double by = to - at;
        if (to != 0 || by != 0) moving.push_back(i);
        if (by == 0) continue;
        d[i] += by;
        for (std::size_t k = 0; k < width_; ++k) q[k] += by * w[k];
        most = std::max(most, bend * std::abs(by));
      }
      if (most <= enough) {
        if (whole) break;
        whole = true;  // what was left out may have to move now
        continue;
      }
      active = std::move(moving);
      whole = false;
    }
    // A sum of many small moves need not give zero exactly; a zero is one.
    for (std::size_t i = 0; i < unknowns_; ++i) {
      if (std::abs(x[i] + d[i]) <= 1e-15 * std::abs(x[i])) d[i] = -x[i];
    }
    return d;
  }

 private:
  // W, W N and the diagonal of B. False where the pairs are too alike.
  bool build() {
    const std::size_t m = pairs_.size();
    width_ = 2 * m;
    // The inverse of N: [sigma S^T S, L; L^T, -D].
    Vector middle(width_ * width_), inverse(width_ * width_);
    for (std::size_t a = 0; a < m; ++a) {
      inverse[a * width_ + a] = inverse[(a + m) * width_ + a + m] = 1;
      for (std::size_t b = 0; b < m; ++b) {
        const double product = dot(pairs_[a].first, pairs_[b].second);
        middle[a * width_ + b] = sigma_ * dot(pairs_[a].first, pairs_[b].first);
        if (a > b) middle[a * width_ + m + b] = middle[(m + b) * width_ + a] = product;
        if (a == b) middle[(m + a) * width_ + m + a] = -product;
      }
    }
    if (!invert(middle, inverse)) return false;
    w_.resize(unknowns_ * width_);
    r_.assign(w_.size(), 0.0);
    diagonal_.resize(unknowns_);
    for (std::size_t i = 0; i < unknowns_; ++i) {
      double* w = w_.data() + i * width_;
      double* r = r_.data() + i * width_;
      for (std::size_t k = 0; k < m; ++k) {
        w[k] = sigma_ * pairs_[k].first[i];
        w[m + k] = pairs_[k].second[i];
      }
      double bend = sigma_;
      for (std::size_t k = 0; k < width_; ++k) {
        for (std::size_t j = 0; j < width_; ++j) r[k] += inverse[k * width_ + j] * w[j];
        bend -= r[k] * w[k];
      }
      diagonal_[i] = std::max(bend, 1e-8 * sigma_);
    }
    return true;
  }

  // Gauss and Jordan, the largest element of a column as pivot.
  bool invert(Vector& a, Vector& inverse) const {
    const std::size_t n = width_;
    for (std::size_t c = 0; c < n; ++c) {
      std::size_t pivot = c;
      double size = 0;
      for (std::size_t r = c; r < n; ++r) {
        if (std::abs(a[r * n + c]) <= size) continue;
        size = std::abs(a[r * n + c]);
        pivot = r;
      }
      if (!(size > 0) || !std::isfinite(size)) return false;
      for (std::size_t j = 0; j < n; ++j) {
        std::swap(a[pivot * n + j], a[c * n + j]);
        std::swap(inverse[pivot * n + j], inverse[c * n + j]);
      }
      const double scale = 1 / a[c * n + c];
      for (std::size_t j = 0; j < n; ++j) {
        a[c * n + j] *= scale;
        inverse[c * n + j] *= scale;
      }
      for (std::size_t r = 0; r < n; ++r) {
        const double factor = a[r * n + c];
        if (r == c || factor == 0) continue;
        for (std::size_t j = 0; j < n; ++j) {
          a[r * n + j] -= factor * a[c * n + j];
          inverse[r * n + j] -= factor * inverse[c * n + j];
        }
      }
    }
    return true;
  }

  std::size_t unknowns_, memory_, width_ = 0;
  double sigma_ = 1;
  std::deque<std::pair<Vector, Vector>> pairs_;
  Vector w_, r_, diagonal_;  // unknowns x width
};

double absolute(const Vector& x, const Vector& l1) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += l1[i] * std::abs(x[i]);
  return sum;
}

}  // namespace

Minimum minimise_proximal(const Objective& objective, const Finished& finished,
                          const MinimiserOptions& options, std::vector<double>& x) {
  constexpr double kModelShare = 0.05;  // of the subgradient, to which a model is solved
  const Vector& l1 = options.l1;
  Model model(x.size(), options.memory);
  Minimum result;
  Vector gradient(x.size()), next(x.size()), next_gradient(x.size());
  result.value = objective(x, gradient) + absolute(x, l1);
  ++result.evaluations;
  Vector g = subgradient(x, gradient, l1);
  result.converged = finished(0, result.value, x, g);
  int stalls = 0;
  while (!result.converged && result.n_iter < options.max_iter) {
    const Vector d = model.step(x, gradient, l1, kModelShare * largest(g));
    for (std::size_t i = 0; i < x.size(); ++i) next[i] = x[i] + d[i];
    const double slope = dot(gradient, d) + absolute(next, l1) - absolute(x, l1);
    const double noise = options.least_progress * std::abs(result.value);
    double value = result.value;
    bool found = false;
    if (slope >= -0.1 * noise) {  // the model itself promises nothing but rounding
      result.converged = true;
      break;
    }
    double length = 1;
    for (int i = 0; i < 8 && !found; ++i, length *= 0.5) {
      for (std::size_t j = 0; j < x.size(); ++j) next[j] = x[j] + length * d[j];
      if (options.lower) options.lower(next);
      value = objective(next, next_gradient) + absolute(next, l1);
      ++result.evaluations;
      found = std::isfinite(value) && value <= result.value + 1e-4 * length * slope + noise;
    }
    if (!found) {
      // From a stale model, once more without; then with shorter steps, until rounding is all that
      // is left.
      const double sigma = model.plain() ? 1e3 * model.sigma() : model.sigma();
      if (sigma > 1e12) {
        result.converged = true;
        break;
      }
      model.forget(sigma);
      continue;
    }
    Vector moved(x.size()), change(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      moved[i] = next[i] - x[i];
      change[i] = next_gradient[i] - gradient[i];
    }
    model.add(std::move(moved), std::move(change));
    const double progress = result.value - value;
    x.swap(next);
    gradient.swap(next_gradient);
    result.value = value;
    g = subgradient(x, gradient, l1);
    ++result.n_iter;
    stalls = progress <= noise ? stalls + 1 : 0;
    result.converged = finished(result.n_iter, value, x, g) || stalls >= 3;
  }
  return result;
}

}  // namespace pronghorn::ml
