// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "ml/kmeans.h"

namespace pronghorn::ml {
namespace {

// The first row whose running sum of weight * value reaches a target: sums of pieces are kept, and
// only one piece is added up again. The order of additions is that of one sum over all rows.
class Running {
 public:
  Running(const double* weight, const std::vector<double>& values) : w_(weight), values_(values) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % kPiece == 0) before_.push_back(sum);
      sum += at(i);
    }
    total_ = sum;
  }
  double total() const { return total_; }

  std::int64_t find(double target) const {
    // The last piece that begins below the target.
    const auto after = std::lower_bound(before_.begin() + 1, before_.end(), target);
    std::size_t i = static_cast<std::size_t>(after - before_.begin() - 1) * kPiece;
    double sum = before_[i / kPiece];
    for (; i < values_.size(); ++i) {
      sum += at(i);
      if (sum >= target) break;
    }
    return static_cast<std::int64_t>(std::min(i, values_.size() - 1));
  }

 private:
  static constexpr std::size_t kPiece = 4096;
  double at(std::size_t i) const { return w_ == nullptr ? values_[i] : w_[i] * values_[i]; }

  const double* w_;
  const std::vector<double>& values_;
  std::vector<double> before_;
  double total_ = 0;
};

double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

}  // namespace

int default_trials(int clusters) { return 2 + static_cast<int>(std::log(clusters)); }

std::vector<std::int64_t> kmeans_plusplus(device::Learner& learner, const device::Matrix& x,
                                          const double* weight, int clusters, std::int64_t first,
                                          int trials, const double* uniforms) {
  std::vector<std::int64_t> chosen{first};
  const auto cols = static_cast<std::size_t>(x.cols);
  std::vector<double> closest(static_cast<std::size_t>(x.rows),
                              std::numeric_limits<double>::infinity());
  std::vector<double> point(cols), candidates(cols * static_cast<std::size_t>(trials));
  std::vector<double> potentials(static_cast<std::size_t>(trials));
  learner.read_row(x, first, point.data());
  for (int c = 1; c < clusters; ++c) {
    learner.potentials(x, weight, point.data(), nullptr, 0, closest.data(), nullptr);
    const Running running(weight, closest);
    std::vector<std::int64_t> rows;
    for (int t = 0; t < trials; ++t) {
      const double target = uniforms[(c - 1) * trials + t] * running.total();
      rows.push_back(running.find(target));
      learner.read_row(x, rows.back(), candidates.data() + static_cast<std::size_t>(t) * cols);
    }
    learner.potentials(x, weight, nullptr, candidates.data(), trials, closest.data(),
                       potentials.data());
    const auto best = std::min_element(potentials.begin(), potentials.end()) - potentials.begin();
    chosen.push_back(rows[static_cast<std::size_t>(best)]);
    std::copy_n(candidates.data() + best * x.cols, cols, point.data());
  }
  return chosen;
}

std::vector<std::int64_t> seed_rows(device::Learner& learner, const device::Matrix& x,
                                    const double* weight, int clusters, KMeansInit init,
                                    std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<double> ones(static_cast<std::size_t>(x.rows), 1.0);
  const Running all(weight, ones);
  const auto draw = [&] { return all.find(uniform(random) * all.total()); };
  if (init == KMeansInit::kPlusPlus) {
    const std::int64_t first = draw();
    const int trials = default_trials(clusters);
    std::vector<double> uniforms;
    for (int i = 0; i < (clusters - 1) * trials; ++i) uniforms.push_back(uniform(random));
    return kmeans_plusplus(learner, x, weight, clusters, first, trials, uniforms.data());
  }
  std::vector<std::int64_t> rows;
  std::vector<bool> taken(static_cast<std::size_t>(x.rows));
  std::int64_t tries = 0;
  while (static_cast<int>(rows.size()) < clusters) {
    const std::int64_t row = draw();
    if (!taken[static_cast<std::size_t>(row)]) {
      taken[static_cast<std::size_t>(row)] = true;
      rows.push_back(row);
      tries = 0;
    } else if (++tries > 1000 + 100 * x.rows) {
      base::fail(base::Status::kInvalidArgument,
                 "sample_weight: fewer rows of positive weight than {} clusters", clusters);
    }
  }
  return rows;
}

}  // namespace pronghorn::ml
