// SPDX-License-Identifier: Apache-2.0
// Lloyd's assignment on GPUs. Rows, labels and weights stay there; a pass sends the centres and
// brings back the change of the clusters' sums. Distances are computed as on the processor, one
// fused multiply-add after another, so the labels are the same; bounds are not kept, since a whole
// pass costs less than finding out which rows it may leave out.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "device/cuda/learn/cuda_learner.h"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {
namespace {

// What one GPU holds.
struct Part {
  GpuArray labels, before, open, shift, b, bias, partial, result, centers, distances;
};

template <class T>
class CudaKMeans final : public KMeansPasses {
 public:
  CudaKMeans(std::shared_ptr<GpuTeam> team, std::shared_ptr<const Resident> x,
             const KMeansSetup& setup)
      : team_(std::move(team)),
        x_(std::move(x)),
        setup_(setup),
        rows_(setup.x.rows),
        cols_(setup.x.cols),
        k_(setup.clusters),
        padded_(padded_count(k_)),
        sums_(static_cast<std::size_t>(k_ * cols_)),
        weights_(static_cast<std::size_t>(k_)),
        counts_(static_cast<std::size_t>(k_)),
        parts_(team_->gpus.size()) {
    if (setup.clusters > kMaxGroups) {
      base::fail(base::Status::kUnsupported,
                 "device \"cuda\" takes up to {} clusters; {} were asked for", kMaxGroups,
                 setup.clusters);
    }
    if (setup.weight != nullptr) upload_rows(*team_, x_->shares, setup.weight, 8, weight_of_rows_);
    const std::vector<T> shift = setup.shift.empty()
                                     ? std::vector<T>()
                                     : pack_rows<T>(setup.shift.data(), 1, cols_, x_->cols);
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      const Gpu& gpu = *team_->gpus[g];
      const Current current(gpu.id);
      Part& part = parts_[g];
      const std::int64_t bytes = std::max<std::int64_t>(x_->shares[g].rows * 4, 16);
      part.labels = GpuArray(bytes);
      part.before = GpuArray(bytes);
      check(cudaMemsetAsync(part.labels.as<void>(), 0xFF, static_cast<std::size_t>(bytes),
                            gpu.stream.get()),
            "clearing");
      if (!shift.empty()) send(gpu, shift, part.shift);
      const GroupJob job = group_job(g);
      part.partial = GpuArray(group_partial_count(job, gpu.multiprocessors) * 8);
      part.result = GpuArray((group_sum_count(job) + 1) * 8);
    }
  }

  std::int64_t assign(const double* centers) override {
    const std::vector<T> b = pack_columns<T>(centers, k_, cols_, x_->cols, padded_, -2.0);
    const std::vector<double> norms = squared_norms(centers, k_, cols_);
    const std::vector<T> bias =
        pack_bias<T>(norms.data(), k_, padded_, std::numeric_limits<double>::infinity());
    const double longest = *std::max_element(norms.begin(), norms.end());
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      const Gpu& gpu = *team_->gpus[g];
      const Current current(gpu.id);
      Part& part = parts_[g];
      std::swap(part.labels, part.before);
      send(gpu, b, part.b);
      send(gpu, bias, part.bias);
      const GroupJob groups = group_job(g);
      auto* changed = reinterpret_cast<unsigned long long*>(groups.sums + group_sum_count(groups));
      check(cudaMemsetAsync(changed, 0, sizeof *changed, gpu.stream.get()), "clearing");
      ProductJob job{};
      job.x = x_->parts[g].data;
      job.rows = x_->shares[g].rows;
      job.ld = x_->parts[g].ld;
      job.cols = x_->cols;
      job.count = static_cast<std::int32_t>(k_);
      job.padded = static_cast<std::int32_t>(padded_);
      job.shift = part.shift.as<void>();
      job.b = part.b.as<void>();
      job.bias = part.bias.as<void>();
      job.labels = part.labels.as<std::int32_t>();
      job.before = part.before.as<std::int32_t>();
      job.changed = changed;
      label_rows(gpu, setup_.x.dtype, job, longest, part.open);
      check(launch_group_sums(setup_.x.dtype, groups, gpu.multiprocessors, gpu.stream.get()),
            "k-means: sums of the clusters");
    }
    std::int64_t changed = 0;
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      const Gpu& gpu = *team_->gpus[g];
      const Current current(gpu.id);
      const GroupJob job = group_job(g);
      std::vector<double> change(static_cast<std::size_t>(group_sum_count(job) + 1));
      receive(gpu, job.sums, change);
      const double* weights = change.data() + k_ * x_->cols;
      const double* counts = weights + k_;
      for (std::int64_t c = 0; c < k_; ++c) {
        for (std::int64_t j = 0; j < cols_; ++j) {
          sums_[static_cast<std::size_t>(c * cols_ + j)] +=
              change[static_cast<std::size_t>(c * x_->cols + j)];
        }
        counts_[static_cast<std::size_t>(c)] += std::llround(counts[c]);
        weights_[static_cast<std::size_t>(c)] =
            setup_.weight == nullptr ? static_cast<double>(counts_[static_cast<std::size_t>(c)])
                                     : weights_[static_cast<std::size_t>(c)] + weights[c];
      }
      changed += std::bit_cast<std::int64_t>(change.back());
    }
    // What differences of sums leave of a cluster that has no row.
    for (std::int64_t c = 0; c < k_; ++c) {
      if (counts_[static_cast<std::size_t>(c)] != 0) continue;
      weights_[static_cast<std::size_t>(c)] = 0;
      std::fill_n(sums_.begin() + c * cols_, cols_, 0.0);
    }
    return changed;
  }

  const std::int32_t* labels() const override {
    std::int32_t* to = setup_.labels;
    if (to == nullptr) {
      own_labels_.resize(static_cast<std::size_t>(rows_));
      to = own_labels_.data();
    }
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      download(*team_, g, parts_[g].labels.as<void>(), x_->shares[g].rows * 4,
               to + x_->shares[g].begin);
    }
    return to;
  }
  const double* sums() const override { return sums_.data(); }
  const double* weights() const override { return weights_.data(); }
  const std::int64_t* counts() const override { return counts_.data(); }

  double inertia(const double* centers) override {
    measure(centers);
    std::vector<GpuArray> sums(parts_.size());
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      if (x_->shares[g].rows == 0) continue;
      const Gpu& gpu = *team_->gpus[g];
      const Current current(gpu.id);
      sums[g] = GpuArray((kPotentialParts + 1) * 8);
      auto* const partial = sums[g].as<double>();
      check(launch_weighted_sum(parts_[g].distances.as<double>(), weight(g), x_->shares[g].rows,
                                partial, partial + kPotentialParts, gpu.stream.get()),
            "k-means: inertia");
    }
    double total = 0;
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      if (x_->shares[g].rows == 0) continue;
      const Current current(team_->gpus[g]->id);
      std::vector<double> result(1);
      receive(*team_->gpus[g], sums[g].as<double>() + kPotentialParts, result);
      total += result[0];
    }
    return total;
  }

  std::vector<std::int64_t> farthest(const double* centers, std::int64_t count) override {
    measure(centers);
    std::vector<double> distances(static_cast<std::size_t>(rows_));
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      download(*team_, g, parts_[g].distances.as<void>(), x_->shares[g].rows * 8,
               distances.data() + x_->shares[g].begin);
    }
    std::vector<std::int64_t> found;
    for (std::int64_t r = 0; r < rows_; ++r) {
      if (distances[static_cast<std::size_t>(r)] == 0) continue;
      if (setup_.weight == nullptr || setup_.weight[r] != 0) found.push_back(r);
    }
    const auto farther = [&](std::int64_t a, std::int64_t b) {
      const double of_a = distances[static_cast<std::size_t>(a)];
      const double of_b = distances[static_cast<std::size_t>(b)];
      return of_a != of_b ? of_a > of_b : a < b;
    };
    const auto most = std::min(count, static_cast<std::int64_t>(found.size()));
    std::partial_sort(found.begin(), found.begin() + most, found.end(), farther);
    found.resize(static_cast<std::size_t>(most));
    return found;
  }

 private:
  const double* weight(std::size_t g) const {
    return setup_.weight == nullptr ? nullptr : weight_of_rows_[g].as<double>();
  }

  GroupJob group_job(std::size_t g) const {
    const Part& part = parts_[g];
    GroupJob job{};
    job.x = x_->parts[g].data;
    job.rows = x_->shares[g].rows;
    job.ld = x_->parts[g].ld;
    job.cols = x_->cols;
    job.groups = static_cast<std::int32_t>(k_);
    job.group = part.labels.as<std::int32_t>();
    job.before = part.before.as<std::int32_t>();
    job.weight = weight(g);
    job.shift = part.shift.as<void>();
    job.partial = part.partial.as<double>();
    job.sums = part.result.as<double>();
    return job;
  }

  // Squared distances of all rows to the centres of their labels.
  void measure(const double* centers) {
    const auto points = pack_rows<double>(centers, k_, cols_, x_->cols);
    for (std::size_t g = 0; g < parts_.size(); ++g) {
      if (x_->shares[g].rows == 0) continue;
      const Gpu& gpu = *team_->gpus[g];
      const Current current(gpu.id);
      Part& part = parts_[g];
      send(gpu, points, part.centers);
      part.distances.reserve(x_->shares[g].rows * 8);
      RowJob job{};
      job.x = x_->parts[g].data;
      job.rows = x_->shares[g].rows;
      job.ld = x_->parts[g].ld;
      job.cols = x_->cols;
      job.shift = part.shift.as<void>();
      check(launch_label_distances(setup_.x.dtype, job, part.labels.as<std::int32_t>(),
                                   part.centers.as<double>(), part.distances.as<double>(),
                                   gpu.stream.get()),
            "k-means: distances");
    }
  }

  const std::shared_ptr<GpuTeam> team_;
  const std::shared_ptr<const Resident> x_;
  const KMeansSetup setup_;
  const std::int64_t rows_, cols_, k_, padded_;
  std::vector<double> sums_, weights_;
  std::vector<std::int64_t> counts_;
  std::vector<Part> parts_;
  std::vector<GpuArray> weight_of_rows_;
  mutable std::vector<std::int32_t> own_labels_;
};

}  // namespace

std::unique_ptr<KMeansPasses> make_kmeans_passes(std::shared_ptr<GpuTeam> team,
                                                 std::shared_ptr<const Resident> x,
                                                 const KMeansSetup& setup) {
  return with_type(setup.x.dtype, [&](auto zero) -> std::unique_ptr<KMeansPasses> {
    return std::make_unique<CudaKMeans<decltype(zero)>>(std::move(team), std::move(x), setup);
  });
}

}  // namespace pronghorn::device::cuda
