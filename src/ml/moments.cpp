// SPDX-License-Identifier: Apache-2.0
#include "ml/moments.h"

#include <algorithm>

namespace pronghorn::ml {
namespace {

constexpr int kSample = 16;  // rows of a group that its shift is the mean of

// Means and variances of the first rows of each group; without groups, of rows from all over.
struct Sample {
  std::vector<double> means, variances;
  std::vector<int> counts;
};

Sample sample_of(device::Learner& learner, const device::Matrix& x, const std::int32_t* group,
                 int groups) {
  const auto size = static_cast<std::size_t>(groups * x.cols);
  Sample sample{std::vector<double>(size), std::vector<double>(size),
                std::vector<int>(static_cast<std::size_t>(groups))};
  std::vector<double> base(size), row(static_cast<std::size_t>(x.cols));
  const std::int64_t step = group == nullptr ? std::max<std::int64_t>(x.rows / kSample, 1) : 1;
  int open = groups;
  for (std::int64_t r = 0; r < x.rows && open > 0; r += step) {
    const std::int64_t g = group == nullptr ? 0 : group[r];
    int& count = sample.counts[static_cast<std::size_t>(g)];
    if (count == kSample) continue;
    learner.read_row(x, r, row.data());
    double* mean = sample.means.data() + g * x.cols;
    double* square = sample.variances.data() + g * x.cols;
    double* first = base.data() + g * x.cols;
    if (count == 0) std::copy(row.begin(), row.end(), first);
    // Differences from the first row: a constant column keeps its value exactly.
    for (std::int64_t j = 0; j < x.cols; ++j) {
      const double apart = row[static_cast<std::size_t>(j)] - first[j];
      mean[j] += apart;
      square[j] += apart * apart;
    }
    if (++count == kSample) --open;
  }
  for (std::int64_t g = 0; g < groups; ++g) {
    const int count = sample.counts[static_cast<std::size_t>(g)];
    for (std::int64_t j = 0; count > 0 && j < x.cols; ++j) {
      const auto i = static_cast<std::size_t>(g * x.cols + j);
      const double apart = sample.means[i] / count;
      sample.means[i] = base[i] + apart;
      sample.variances[i] = std::max(sample.variances[i] / count - apart * apart, 0.0);
    }
  }
  return sample;
}

// Puts the mean of all groups in the place of each one's, which takes less of the first cache,
// where it lies within half of what is allowed from every group.
void share_shift(const Sample& sample, std::int64_t cols, double farthest,
                 std::vector<double>& shift) {
  const std::size_t groups = sample.counts.size();
  std::vector<double> mean(static_cast<std::size_t>(cols));
  int present = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    if (sample.counts[g] == 0) continue;
    ++present;
    for (std::size_t j = 0; j < mean.size(); ++j) mean[j] += shift[g * mean.size() + j];
  }
  for (double& value : mean) value /= std::max(present, 1);
  for (std::size_t i = 0; i < shift.size(); ++i) {
    if (sample.counts[i / mean.size()] == 0) continue;
    const double off = shift[i] - mean[i % mean.size()];
    if (off * off > 0.25 * farthest * sample.variances[i]) return;
  }
  for (std::size_t i = 0; i < shift.size(); ++i) shift[i] = mean[i % mean.size()];
}

}  // namespace

double round_to(device::Dtype dtype, double value) {
  return dtype == device::Dtype::kF32 ? static_cast<double>(static_cast<float>(value)) : value;
}

Moments group_moments(device::Learner& learner, const device::Matrix& x, const std::int32_t* group,
                      const double* weight, int groups) {
  const auto size = static_cast<std::size_t>(groups * x.cols);
  Moments result;
  result.weights.resize(static_cast<std::size_t>(groups));
  result.means.resize(size);
  result.variances.resize(size);
  const Sample sample = sample_of(learner, x, group, groups);
  std::vector<double> shift = sample.means;
  std::vector<double> first(size), second(size);
  // Fewer than two digits of doubles are lost while the offset is within some eight deviations; of
  // the sums that are floats for short runs, none within one.
  const double farthest = x.dtype == device::Dtype::kF32 && group != nullptr ? 1 : 64;
  if (farthest > 1) share_shift(sample, x.cols, farthest, shift);
  for (double& value : shift) value = round_to(x.dtype, value);
  for (int pass = 0; pass < 2; ++pass) {
    learner.moments(x, group, weight, groups, shift.data(), result.weights.data(), first.data(),
                    second.data());
    bool far = false;
    for (std::size_t i = 0; i < size; ++i) {
      const double w = result.weights[i / static_cast<std::size_t>(x.cols)];
      if (w <= 0) continue;
      const double off = first[i] / w;
      const double square = second[i] / w;
      result.means[i] = shift[i] + off;
      result.variances[i] = std::max(square - off * off, 0.0);
      far = far || off * off > farthest * result.variances[i];
    }
    if (!far) break;
    for (std::size_t i = 0; i < size; ++i) {
      shift[i] = round_to(x.dtype, result.means[i]);
    }
  }
  return result;
}

}  // namespace pronghorn::ml
