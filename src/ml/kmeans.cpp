// SPDX-License-Identifier: Apache-2.0
#include "ml/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "ml/moments.h"

namespace pronghorn::ml {
namespace {

// One run of Lloyd's iteration. Centres are kept less the shift, as the passes take them.
class Run {
 public:
  Run(device::Learner& learner, const device::Matrix& x, const double* weight,
      const KMeansOptions& options, const std::vector<double>& shift, double spread,
      std::int32_t* labels)
      : x_(x), weight_(weight), k_(options.clusters), shift_(shift), spread_(spread) {
    device::KMeansSetup setup;
    setup.x = x;
    setup.weight = weight;
    setup.clusters = options.clusters;
    setup.shift = shift;
    setup.labels = labels;
    setup.bounds = options.bounds;
    passes_ = learner.kmeans(setup);
    learner_ = &learner;
  }

  KMeansResult go(const double* start, const KMeansOptions& options, double tol,
                  const Progress& progress) {
    std::vector<double> centers(start, start + size());
    for (std::int64_t i = 0; i < size(); ++i) {
      double& value = centers[static_cast<std::size_t>(i)];
      value = round_to(x_.dtype, value - shift_of(i % x_.cols));
    }
    KMeansResult result;
    bool settled = false;
    for (int iteration = 1; iteration <= options.max_iter; ++iteration) {
      const std::int64_t changed = passes_->assign(centers.data());
      std::vector<double> next = average(centers);
      if (progress) progress(iteration, options.max_iter, inertia(next));
      double moved = 0;
      for (std::size_t i = 0; i < next.size(); ++i) {
        moved += (next[i] - centers[i]) * (next[i] - centers[i]);
      }
      centers = std::move(next);
      result.n_iter = iteration;
      settled = changed == 0;
      result.converged = settled || moved <= tol;
      if (result.converged) break;
    }
    if (!settled) passes_->assign(centers.data());
    result.inertia = inertia(centers);
    // The sum over clusters cancels where rows lie close to their centres.
    if (result.inertia < 0.05 * spread_) result.inertia = passes_->inertia(centers.data());
    passes_->labels();
    result.distinct =
        static_cast<int>(k_ - std::count(passes_->counts(), passes_->counts() + k_, 0));
    for (std::int64_t i = 0; i < size(); ++i) {
      double& value = centers[static_cast<std::size_t>(i)];
      value = round_to(x_.dtype, value + shift_of(i % x_.cols));
    }
    result.centers = std::move(centers);
    return result;
  }

  const std::int32_t* labels() const { return passes_->labels(); }

 private:
  std::int64_t size() const { return k_ * x_.cols; }
  double shift_of(std::int64_t j) const {
    return shift_.empty() ? 0.0 : shift_[static_cast<std::size_t>(j)];
  }

  // Means of the clusters; what has become empty takes the rows that lie farthest from their
  // centres, and those leave the cluster they counted for.
  std::vector<double> average(const std::vector<double>& centers) {
    std::vector<double> sums(passes_->sums(), passes_->sums() + size());
    std::vector<double> weights(passes_->weights(), passes_->weights() + k_);
    relocate(centers, sums, weights);
    const std::int64_t heaviest =
        std::max_element(weights.begin(), weights.end()) - weights.begin();
    std::vector<double> next(sums.size());
    for (const bool empty : {false, true}) {
      for (std::int64_t c = 0; c < k_; ++c) {
        const double w = weights[static_cast<std::size_t>(c)];
        if ((w > 0) == empty) continue;
        for (std::int64_t j = 0; j < x_.cols; ++j) {
          const auto i = static_cast<std::size_t>(c * x_.cols + j);
          next[i] = empty ? next[static_cast<std::size_t>(heaviest * x_.cols + j)]
                          : round_to(x_.dtype, sums[i] / w);
        }
      }
    }
    return next;
  }

  void relocate(const std::vector<double>& centers, std::vector<double>& sums,
                std::vector<double>& weights) {
    std::vector<std::int64_t> empty;
    for (std::int64_t c = 0; c < k_; ++c) {
      if (weights[static_cast<std::size_t>(c)] == 0) empty.push_back(c);
    }
    if (empty.empty()) return;
    const std::vector<std::int64_t> rows =
        passes_->farthest(centers.data(), static_cast<std::int64_t>(empty.size()));
    std::vector<double> row(static_cast<std::size_t>(x_.cols));
    for (std::size_t e = 0; e < rows.size(); ++e) {
      learner_->read_row(x_, rows[e], row.data());
      const std::int64_t to = empty[e];
      const std::int64_t from = passes_->labels()[rows[e]];
      const double w = weight_ == nullptr ? 1.0 : weight_[rows[e]];
      for (std::int64_t j = 0; j < x_.cols; ++j) {
        const double value = w * (row[static_cast<std::size_t>(j)] - shift_of(j));
        sums[static_cast<std::size_t>(to * x_.cols + j)] = value;
        sums[static_cast<std::size_t>(from * x_.cols + j)] -= value;
      }
      weights[static_cast<std::size_t>(to)] = w;
      weights[static_cast<std::size_t>(from)] -= w;
    }
  }

  // sum w |x - c|^2 = sum w |x|^2 - 2 sum_c c . S_c + sum_c W_c |c|^2 for the present labels.
  double inertia(const std::vector<double>& centers) const {
    double total = spread_;
    for (std::int64_t c = 0; c < k_; ++c) {
      const double* at = centers.data() + c * x_.cols;
      const double* sum = passes_->sums() + c * x_.cols;
      for (std::int64_t j = 0; j < x_.cols; ++j) {
        total += at[j] * (passes_->weights()[c] * at[j] - 2 * sum[j]);
      }
    }
    return std::max(total, 0.0);
  }

  const device::Matrix& x_;
  const double* weight_;
  const std::int64_t k_;
  const std::vector<double>& shift_;
  const double spread_;  // sum of w |x - shift|^2
  device::Learner* learner_ = nullptr;
  std::unique_ptr<device::KMeansPasses> passes_;
};

}  // namespace

KMeansResult kmeans_fit(device::Learner& learner, const device::Matrix& x, const double* weight,
                        const double* init_centers, const KMeansOptions& options,
                        std::int32_t* labels, const Progress& progress) {
  const Moments plain = group_moments(learner, x, nullptr, nullptr, 1);
  const double mean_variance =
      std::accumulate(plain.variances.begin(), plain.variances.end(), 0.0) /
      static_cast<double>(std::max<std::int64_t>(x.cols, 1));
  double mean_square = 0;
  for (const double mean : plain.means) mean_square += mean * mean;
  // Distances keep more digits around the mean; where it is near the origin there is nothing to
  // gain. Rows of a sparse matrix would no longer be sparse.
  const bool shifted =
      !x.sparse() && mean_square > 0.01 * mean_variance * static_cast<double>(x.cols);
  std::vector<double> shift;
  if (shifted) {
    for (const double mean : plain.means) shift.push_back(round_to(x.dtype, mean));
  }
  const Moments weighted =
      weight == nullptr ? plain : group_moments(learner, x, nullptr, weight, 1);
  double spread = 0;
  for (std::size_t j = 0; j < weighted.means.size(); ++j) {
    const double off = weighted.means[j] - (shifted ? shift[j] : 0.0);
    spread += weighted.weights[0] * (weighted.variances[j] + off * off);
  }

  const int runs = init_centers == nullptr ? std::max(options.n_init, 1) : 1;
  KMeansResult best;
  std::vector<std::int32_t> spare;
  std::vector<std::int32_t> best_labels;
  for (int run = 0; run < runs; ++run) {
    std::vector<double> start;
    if (init_centers == nullptr) {
      const auto rows = seed_rows(learner, x, weight, options.clusters, options.init,
                                  options.seed + static_cast<std::uint64_t>(run));
      start.resize(static_cast<std::size_t>(options.clusters * x.cols));
      for (std::size_t c = 0; c < rows.size(); ++c) {
        learner.read_row(x, rows[c], start.data() + static_cast<std::int64_t>(c) * x.cols);
      }
    }
    Run one(learner, x, weight, options, shift, spread, labels);
    KMeansResult result = one.go(init_centers == nullptr ? start.data() : init_centers, options,
                                 options.tol * mean_variance, progress);
    if (run > 0 && result.inertia >= best.inertia) continue;
    best = std::move(result);
    if (runs > 1 && labels != nullptr) best_labels.assign(labels, labels + x.rows);
  }
  if (!best_labels.empty()) std::copy(best_labels.begin(), best_labels.end(), labels);
  return best;
}

}  // namespace pronghorn::ml
