// SPDX-License-Identifier: Apache-2.0
#include "ml/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>

namespace pronghorn::ml {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// The inverse Hessian that the last steps and gradient changes suggest.
class Memory {
 public:
  explicit Memory(int size) : size_(static_cast<std::size_t>(size)) {}
  bool empty() const { return pairs_.empty(); }
  void clear() { pairs_.clear(); }

  void add(Vector step, Vector change) {
    const double curvature = dot(step, change);
    if (curvature <= 1e-14 * dot(change, change)) return;
    if (pairs_.size() == size_) pairs_.pop_front();
    pairs_.push_back({std::move(step), std::move(change), curvature});
  }

  // -H gradient
  Vector direction(const Vector& gradient) const {
    Vector q = gradient;
    std::vector<double> alpha(pairs_.size());
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      alpha[i] = dot(pairs_[i].step, q) / pairs_[i].curvature;
      for (std::size_t j = 0; j < q.size(); ++j) q[j] -= alpha[i] * pairs_[i].change[j];
    }
    if (!pairs_.empty()) {
      const Pair& last = pairs_.back();
      const double scale = last.curvature / dot(last.change, last.change);
      for (double& value : q) value *= scale;
    }
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const double beta = dot(pairs_[i].change, q) / pairs_[i].curvature;
      for (std::size_t j = 0; j < q.size(); ++j) q[j] += (alpha[i] - beta) * pairs_[i].step[j];
    }
    for (double& value : q) value = -value;
    return q;
  }

 private:
  struct Pair {
    Vector step, change;
    double curvature;
  };
  std::size_t size_;
  std::deque<Pair> pairs_;
};

// A point of the search and what is known there.
struct Point {
  Vector x, gradient;
  double value = 0;
};

class Search {
 public:
  Search(const Objective& objective, const MinimiserOptions& options)
      : objective_(objective), options_(options) {}

  int evaluations() const { return evaluations_; }

  void evaluate(Point& point) {
    point.gradient.resize(point.x.size());
    point.value = objective_(point.x, point.gradient);
    ++evaluations_;
  }

  // A step that satisfies the strong Wolfe conditions, or the best one found that lowers the value.
  bool wolfe(const Point& from, const Vector& direction, double step, Point& to) {
    const double slope0 = dot(from.gradient, direction);
    double low = 0, low_value = from.value, low_slope = slope0;
    double high = 0, high_value = 0, high_slope = 0;
    bool bracketed = false;
    for (int i = 0; i < 20; ++i) {
      to.x.resize(from.x.size());
      for (std::size_t j = 0; j < from.x.size(); ++j) to.x[j] = from.x[j] + step * direction[j];
      evaluate(to);
      const double slope = dot(to.gradient, direction);
      // A rise within the rounding of the values is none: there the slopes know better.
      const double noise = options_.noise * std::abs(from.value);
      const bool bad = !std::isfinite(to.value) ||
                       to.value > from.value + 1e-4 * step * slope0 + noise ||
                       (low > 0 && to.value >= low_value + noise);
      if (!bad && std::abs(slope) <= -0.9 * slope0) return true;
      if (bad || slope >= 0) {
        if (bad) {
          high = step, high_value = to.value, high_slope = slope;
        } else {
          high = low, high_value = low_value, high_slope = low_slope;
          low = step, low_value = to.value, low_slope = slope;
        }
        bracketed = true;
      } else {
        if (bracketed && slope * (high - low) >= 0) {
          high = low, high_value = low_value, high_slope = low_slope;
        }
        low = step, low_value = to.value, low_slope = slope;
      }
      if (!bracketed) {
        step *= 4;
        continue;
      }
      step = cubic(low, low_value, low_slope, high, high_value, high_slope);
      if (std::abs(high - low) * std::sqrt(dot(direction, direction)) < 1e-14) break;
    }
    return to.value < from.value;
  }

  // By how much the step to `to` lowered the value: by its slopes where the values cannot tell.
  double progress(const Point& from, const Vector& step, const Point& to) const {
    const double difference = from.value - to.value;
    if (std::abs(difference) > options_.noise * std::abs(from.value)) return difference;
    return -0.5 * (dot(from.gradient, step) + dot(to.gradient, step));
  }

 private:
  // The minimum of the cubic through both ends, kept away from them.
  static double cubic(double a, double fa, double ga, double b, double fb, double gb) {
    const double middle = 0.5 * (a + b);
    if (!std::isfinite(fb) || !std::isfinite(gb)) return middle;
    const double d1 = ga + gb - 3 * (fa - fb) / (a - b);
    const double square = d1 * d1 - ga * gb;
    if (!(square >= 0)) return middle;
    const double d2 = (b > a ? 1 : -1) * std::sqrt(square);
    const double x = b - (b - a) * (gb + d2 - d1) / (gb - ga + 2 * d2);
    const double margin = 0.1 * std::abs(b - a);
    const double least = std::min(a, b) + margin;
    const double most = std::max(a, b) - margin;
    return std::isfinite(x) ? std::clamp(x, least, most) : middle;
  }

  const Objective& objective_;
  const MinimiserOptions& options_;
  int evaluations_ = 0;
};

}  // namespace

Minimum minimise(const Objective& objective, const Finished& finished,
                 const MinimiserOptions& options, std::vector<double>& x) {
  Search search(objective, options);
  Memory memory(options.memory);
  Point at;
  at.x = x;
  search.evaluate(at);
  Minimum result;
  result.converged = finished(0, at.value, at.x, at.gradient);
  int stalls = 0;
  while (!result.converged && result.n_iter < options.max_iter) {
    Vector direction = memory.direction(at.gradient);
    if (dot(direction, at.gradient) >= 0) {
      memory.clear();
      direction = memory.direction(at.gradient);
    }
    const double step = memory.empty() ? 1 / std::sqrt(dot(at.gradient, at.gradient)) : 1.0;
    Point next;
    if (!search.wolfe(at, direction, step, next)) {
      // From a stale memory, once more downhill; from downhill, rounding is all that is left.
      if (memory.empty()) {
        result.converged = true;
        break;
      }
      memory.clear();
      continue;
    }
    Vector moved(at.x.size()), change(at.x.size());
    for (std::size_t i = 0; i < at.x.size(); ++i) {
      moved[i] = next.x[i] - at.x[i];
      change[i] = next.gradient[i] - at.gradient[i];
    }
    const double progress = search.progress(at, moved, next);
    memory.add(std::move(moved), std::move(change));
    at = std::move(next);
    ++result.n_iter;
    stalls = progress <= options.least_progress * std::abs(at.value) ? stalls + 1 : 0;
    result.converged = finished(result.n_iter, at.value, at.x, at.gradient) || stalls >= 2;
  }
  result.value = at.value;
  result.evaluations = search.evaluations();
  x = std::move(at.x);
  return result;
}

}  // namespace pronghorn::ml
