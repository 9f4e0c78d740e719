// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/cuda_learner.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {
namespace {

constexpr std::int64_t kPieceBytes = 128 << 20;  // of scores at a time
constexpr std::int64_t kNarrow = 16;  // bytes a row, which memory has room for as a whole

class CudaLearner final : public Learner {
 public:
  CudaLearner(const std::vector<int>& gpus, int threads)
      : team_(std::make_shared<GpuTeam>(gpus, threads)), small_(gpus.size()) {}

  std::int64_t find_not_finite(const Matrix& x) override { return find(x, false); }

  void moments(const Matrix& x, const std::int32_t* group, const double* weight, int groups,
               const double* shift, double* weights, double* first, double* second) override {
    const auto resident = hold(x);
    std::fill_n(weights, groups, 0.0);
    std::fill_n(first, groups * x.cols, 0.0);
    std::fill_n(second, groups * x.cols, 0.0);
    sum_groups(*resident, group, weight, groups, shift, weights, first, second);
  }

  std::int64_t count(const Matrix& x, const std::int32_t* group, const double* weight, int groups,
                     double* weights, double* sums) override {
    const std::int64_t bad = find(x, true);
    if (bad >= 0) return bad;
    sum_groups(*hold(x), group, weight, groups, nullptr, weights, sums, nullptr);
    return -1;
  }

  std::unique_ptr<KMeansPasses> kmeans(const KMeansSetup& setup) override {
    return make_kmeans_passes(team_, hold(setup.x), setup);
  }
  std::unique_ptr<LogisticPasses> logistic(const LogisticSetup& setup) override {
    return make_logistic_passes(team_, hold(setup.x), setup);
  }

  bool nearest(const Matrix& x, const double* weight, const double* centers, int clusters,
               std::int32_t* labels, double* inertia) override {
    if (find_not_finite(x) >= 0) return false;
    nearest_in(*hold(x), weight, centers, clusters, labels, inertia, nullptr, nullptr);
    return true;
  }
  void nearest_of(const Matrix& x, const double* weight, const std::int64_t* list,
                  std::int64_t count, const double* centers, int clusters, std::int32_t* labels,
                  double* inertia, double* weights, double* sums) override {
    if (list == nullptr) {
      nearest_in(*hold(x), weight, centers, clusters, labels, inertia, weights, sums);
      return;
    }
    // The rows of a list are few: they are gathered here, not the whole matrix sent.
    if (x.sparse()) make_resident(*team_, x);  // refuses
    const auto size = static_cast<std::size_t>(x.element_size());
    std::vector<std::byte> rows(static_cast<std::size_t>(count * x.cols) * size);
    std::vector<double> own_weight;
    const auto* data = static_cast<const std::byte*>(x.data);
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t c = 0; c < x.cols; ++c) {
        const std::int64_t at = list[i] * x.row_stride + c * x.col_stride;
        std::copy_n(data + at * x.element_size(), size,
                    rows.data() + static_cast<std::size_t>(i * x.cols + c) * size);
      }
      if (weight != nullptr) own_weight.push_back(weight[list[i]]);
    }
    Matrix batch = x;
    batch.data = rows.data();
    batch.rows = count;
    batch.row_stride = x.cols;
    batch.col_stride = 1;
    nearest_in(*make_resident(*team_, batch), weight == nullptr ? nullptr : own_weight.data(),
               centers, clusters, labels, inertia, weights, sums);
  }

  void distances(const Matrix& x, const double* centers, int clusters, void* out) override {
    const auto resident = hold(x);
    const auto points = pack_rows<double>(centers, clusters, x.cols, resident->cols);
    const std::int64_t width = clusters * x.element_size();
    for_pieces(*resident, width, width, out, [&](std::size_t g, const RowJob& rows, void* to) {
      const Gpu& gpu = *team_->gpus[g];
      send(gpu, points, small_[g]);
      check(launch_distances(x.dtype, rows, small_[g].as<double>(), clusters, to, gpu.stream.get()),
            "distances");
    });
  }

  void potentials(const Matrix& x, const double* weight, const double* point,
                  const double* candidates, int count, double* closest, double* sums) override {
    const auto resident = hold(x);
    // Between a call with a point and one without, the caller leaves `closest` alone.
    if (point != nullptr || closest != closest_of_) {
      upload_rows(*team_, resident->shares, closest, 8, closest_);
    }
    closest_of_ = closest;
    if (point != nullptr) {
      const auto packed = pack_rows<double>(point, 1, x.cols, resident->cols);
      for_shares(*resident, [&](std::size_t g, const Gpu& gpu, const RowJob& job) {
        send(gpu, packed, small_[g]);
        check(launch_closest(x.dtype, job, small_[g].as<double>(), closest_[g].as<double>(),
                             gpu.stream.get()),
              "distances to a centre");
      });
      for_shares(*resident, [&](std::size_t g, const Gpu&, const RowJob& job) {
        download(*team_, g, closest_[g].as<void>(), job.rows * 8,
                 closest + resident->shares[g].begin);
      });
    }
    if (count == 0) return;
    std::vector<GpuArray> weights;
    if (weight != nullptr) upload_rows(*team_, resident->shares, weight, 8, weights);
    std::fill_n(sums, count, 0.0);
    constexpr std::int64_t kTotals = kPotentialParts * 32;  // doubles before the totals
    std::vector<GpuArray> partial(team_->gpus.size());
    for (int from = 0; from < count; from += 32) {
      const int some = std::min(32, count - from);
      const auto points =
          pack_rows<double>(candidates + from * x.cols, some, x.cols, resident->cols);
      for_shares(*resident, [&](std::size_t g, const Gpu& gpu, RowJob job) {
        if (weight != nullptr) job.weight = weights[g].as<double>();
        partial[g].reserve((kTotals + 32) * 8);
        send(gpu, points, small_[g]);
        check(launch_potentials(x.dtype, job, small_[g].as<double>(), some,
                                closest_[g].as<double>(), partial[g].as<double>(),
                                partial[g].as<double>() + kTotals, gpu.stream.get()),
              "potentials of centres");
      });
      for_shares(*resident, [&](std::size_t g, const Gpu& gpu, const RowJob&) {
        std::vector<double> found(32);
        receive(gpu, partial[g].as<double>() + kTotals, found);
        for (int c = 0; c < some; ++c) sums[from + c] += found[static_cast<std::size_t>(c)];
      });
    }
  }

  void linear(const Matrix& x, const double* coef, const double* bias, int outputs, Output output,
              void* out) override {
    const bool binary = outputs == 1 && output != Output::kScores;
    with_type(x.dtype, [&](auto zero) {
      using T = decltype(zero);
      products<T>(x, Product::kScores, coef, nullptr, bias, outputs, binary, output, out);
    });
  }
  void joint(const Matrix& x, const double* coef, const double* bias, int outputs, Output output,
             void* out) override {
    products<double>(x, Product::kScores, coef, nullptr, bias, outputs, false, output, out);
  }
  void gauss(const Matrix& x, const double* bias, const double* mean, const double* scale,
             int classes, Output output, void* out) override {
    products<double>(x, Product::kGauss, mean, scale, bias, classes, false, output, out);
  }

  void read_row(const Matrix& x, std::int64_t row, double* out) override {
    if (x.sparse()) make_resident(*team_, x);  // refuses
    with_type(x.dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* from = static_cast<const T*>(x.data) + row * x.row_stride;
      if (!reachable(x.data)) {
        for (std::int64_t c = 0; c < x.cols; ++c) {
          out[c] = static_cast<double>(from[c * x.col_stride]);
        }
        return;
      }
      std::vector<T> values(static_cast<std::size_t>(x.cols));
      check(cudaMemcpy2D(values.data(), sizeof(T), from,
                         static_cast<std::size_t>(x.col_stride) * sizeof(T), sizeof(T),
                         values.size(), cudaMemcpyDefault),
            "reading of a row");
      std::copy(values.begin(), values.end(), out);
    });
  }

 private:
  // x on the GPUs: what the last call left there, where it was the same matrix.
  std::shared_ptr<const Resident> hold(const Matrix& x) {
    const auto same = [&](const Matrix& other) {
      return other.data == x.data && other.dtype == x.dtype && other.rows == x.rows &&
             other.cols == x.cols && other.row_stride == x.row_stride &&
             other.col_stride == x.col_stride && other.sparse() == x.sparse();
    };
    if (!resident_ || !same(resident_->matrix)) {
      resident_.reset();
      closest_of_ = nullptr;
      resident_ = make_resident(*team_, x);
    }
    return resident_;
  }

  // Calls body(share, gpu, its rows) for every share that has rows.
  template <class Body>
  void for_shares(const Resident& x, Body&& body) {
    for (std::size_t g = 0; g < x.shares.size(); ++g) {
      if (x.shares[g].rows == 0) continue;
      const Gpu& gpu = *team_->gpus[g];
      const Current current(gpu.id);
      RowJob job{};
      job.x = x.parts[g].data;
      job.rows = x.shares[g].rows;
      job.ld = x.parts[g].ld;
      job.cols = x.cols;
      body(g, gpu, job);
    }
  }

  // Calls body(share, rows, memory for `width` bytes a row) for pieces of the rows that need
  // `scratch` bytes a row, all GPUs at once, and brings what it leaves to `out`: what is narrow
  // when all is done, so that the GPU does not wait between pieces and all threads copy.
  template <class Body>
  void for_pieces(const Resident& x, std::int64_t scratch, std::int64_t width, void* out,
                  Body&& body) {
    const std::int64_t each = std::max<std::int64_t>(kPieceBytes / scratch, 1);
    const bool narrow = width <= kNarrow;
    std::vector<GpuArray> results(x.shares.size());
    const auto bring = [&](std::size_t g, std::int64_t first, std::int64_t rows) {
      download(*team_, g, results[g].as<std::byte>(), rows * width,
               static_cast<std::byte*>(out) + (x.shares[g].begin + first) * width);
    };
    std::int64_t most = 0;
    for_shares(x, [&](std::size_t g, const Gpu&, const RowJob& all) {
      results[g] = GpuArray((narrow ? all.rows : std::min(each, all.rows)) * width);
      most = std::max(most, all.rows);
    });
    for (std::int64_t first = 0; first < most; first += each) {
      for_shares(x, [&](std::size_t g, const Gpu&, RowJob rows) {
        rows.rows = std::min(each, rows.rows - first);
        if (rows.rows <= 0) return;
        rows.x = static_cast<const std::byte*>(rows.x) + first * rows.ld * x.matrix.element_size();
        body(g, rows, results[g].as<std::byte>() + (narrow ? first * width : 0));
      });
      if (narrow) continue;
      for_shares(x, [&](std::size_t g, const Gpu&, const RowJob& all) {
        if (all.rows > first) bring(g, first, std::min(each, all.rows - first));
      });
    }
    if (!narrow) return;
    for_shares(x, [&](std::size_t g, const Gpu&, const RowJob& all) { bring(g, 0, all.rows); });
  }

  std::int64_t find(const Matrix& x, bool negative) {
    const auto resident = hold(x);
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    std::vector<std::uint64_t> entry{least};
    for_shares(*resident, [&](std::size_t g, const Gpu& gpu, const RowJob& job) {
      send(gpu, entry, small_[g]);
      check(launch_find(x.dtype, job, negative, resident->shares[g].begin, static_cast<int>(x.cols),
                        small_[g].as<unsigned long long>(), gpu.stream.get()),
            "search of the data");
    });
    for_shares(*resident, [&](std::size_t g, const Gpu& gpu, const RowJob&) {
      receive(gpu, small_[g].as<void>(), entry);
      least = std::min(least, entry[0]);
    });
    return least == std::numeric_limits<std::uint64_t>::max() ? -1
                                                              : static_cast<std::int64_t>(least);
  }

  // Adds to weights, first and (unless null) second.
  void sum_groups(const Resident& x, const std::int32_t* group, const double* weight, int groups,
                  const double* shift, double* weights, double* first, double* second) {
    if (groups > kMaxGroups) {
      base::fail(base::Status::kUnsupported,
                 "device \"cuda\" takes up to {} classes or clusters; there are {}", kMaxGroups,
                 groups);
    }
    std::vector<GpuArray> group_of, weight_of;
    if (group != nullptr) upload_rows(*team_, x.shares, group, 4, group_of);
    if (weight != nullptr) upload_rows(*team_, x.shares, weight, 8, weight_of);
    const std::int64_t cols = x.matrix.cols;
    const auto shifts =
        shift == nullptr ? std::vector<double>() : pack_rows<double>(shift, groups, cols, x.cols);
    struct Own {
      GpuArray shift, partial, sums;
    };
    std::vector<Own> own(x.shares.size());
    std::vector<GroupJob> jobs(x.shares.size());
    for_shares(x, [&](std::size_t g, const Gpu& gpu, const RowJob& rows) {
      GroupJob& job = jobs[g];
      job = GroupJob{};
      job.x = rows.x;
      job.rows = rows.rows;
      job.ld = rows.ld;
      job.cols = rows.cols;
      job.groups = groups;
      job.group = group == nullptr ? nullptr : group_of[g].as<std::int32_t>();
      job.weight = weight == nullptr ? nullptr : weight_of[g].as<double>();
      job.squares = second != nullptr;
      if (!shifts.empty()) {
        send(gpu, shifts, own[g].shift);
        job.group_shift = own[g].shift.as<double>();
      }
      own[g].partial = GpuArray(group_partial_count(job, gpu.multiprocessors) * 8);
      own[g].sums = GpuArray(group_sum_count(job) * 8);
      job.partial = own[g].partial.as<double>();
      job.sums = own[g].sums.as<double>();
      check(launch_group_sums(x.matrix.dtype, job, gpu.multiprocessors, gpu.stream.get()),
            "sums of groups");
    });
    for_shares(x, [&](std::size_t g, const Gpu& gpu, const RowJob&) {
      std::vector<double> sums(static_cast<std::size_t>(group_sum_count(jobs[g])));
      receive(gpu, jobs[g].sums, sums);
      const std::int64_t size = std::int64_t{groups} * x.cols;
      const double* totals = sums.data() + size * (second == nullptr ? 1 : 2);
      if (weight == nullptr) totals += groups;  // the rows' number
      for (std::int64_t k = 0; k < groups; ++k) {
        for (std::int64_t j = 0; j < cols; ++j) {
          const auto from = static_cast<std::size_t>(k * x.cols + j);
          first[k * cols + j] += sums[from];
          if (second != nullptr) {
            second[k * cols + j] += sums[from + static_cast<std::size_t>(size)];
          }
        }
        weights[k] += totals[k];
      }
    });
  }

  struct NearestMemory {
    GpuArray b, bias, points, open, found, distances, partial, sum;
  };
  // weights and sums: null, or what the rows' sums are added to.
  void nearest_in(const Resident& x, const double* weight, const double* centers, int clusters,
                  std::int32_t* labels, double* inertia, double* weights, double* sums) {
    std::vector<std::int32_t> own_labels;
    if (labels == nullptr && sums != nullptr) {
      own_labels.resize(static_cast<std::size_t>(x.matrix.rows));
      labels = own_labels.data();
    }
    std::vector<GpuArray> weight_of;
    if (weight != nullptr && inertia != nullptr) {
      upload_rows(*team_, x.shares, weight, 8, weight_of);
    }
    if (inertia != nullptr) *inertia = 0;
    with_type(x.matrix.dtype, [&](auto zero) {
      using T = decltype(zero);
      const std::int64_t cols = x.matrix.cols;
      const std::int64_t padded = padded_count(clusters);
      const auto b = pack_columns<T>(centers, clusters, cols, x.cols, padded, -2.0);
      const auto norms = squared_norms(centers, clusters, cols);
      const auto bias =
          pack_bias<T>(norms.data(), clusters, padded, std::numeric_limits<double>::infinity());
      const double longest = *std::max_element(norms.begin(), norms.end());
      const auto points = pack_rows<double>(centers, clusters, cols, x.cols);
      std::vector<NearestMemory> own(x.shares.size());
      for_shares(x, [&](std::size_t g, const Gpu& gpu, const RowJob& rows) {
        NearestMemory& on = own[g];
        on.found = GpuArray(rows.rows * 4);
        send(gpu, b, on.b);
        send(gpu, bias, on.bias);
        ProductJob job = product_job(rows, clusters, padded, on.b, on.bias);
        job.labels = on.found.as<std::int32_t>();
        label_rows(gpu, x.matrix.dtype, job, longest, on.open);
        if (inertia == nullptr) return;
        on.distances = GpuArray(rows.rows * 8);
        on.partial = GpuArray(kPotentialParts * 8);
        on.sum = GpuArray(8);
        send(gpu, points, on.points);
        check(launch_label_distances(x.matrix.dtype, rows, job.labels, on.points.as<double>(),
                                     on.distances.as<double>(), gpu.stream.get()),
              "distances");
        check(
            launch_weighted_sum(on.distances.as<double>(),
                                weight == nullptr ? nullptr : weight_of[g].as<double>(), rows.rows,
                                on.partial.as<double>(), on.sum.as<double>(), gpu.stream.get()),
            "inertia");
      });
      for_shares(x, [&](std::size_t g, const Gpu& gpu, const RowJob& rows) {
        if (inertia != nullptr) {
          std::vector<double> total(1);
          receive(gpu, own[g].sum.as<void>(), total);
          *inertia += total[0];
        }
        if (labels != nullptr) {
          download(*team_, g, own[g].found.as<void>(), rows.rows * 4, labels + x.shares[g].begin);
        }
      });
    });
    if (sums != nullptr) sum_groups(x, labels, weight, clusters, nullptr, weights, sums, nullptr);
  }

  static ProductJob product_job(const RowJob& rows, std::int64_t count, std::int64_t padded,
                                const GpuArray& b, const GpuArray& bias) {
    ProductJob job{};
    job.x = rows.x;
    job.rows = rows.rows;
    job.ld = rows.ld;
    job.cols = rows.cols;
    job.count = static_cast<std::int32_t>(count);
    job.padded = static_cast<std::int32_t>(padded);
    job.b = b.as<void>();
    job.bias = bias.as<void>();
    return job;
  }

  struct ProductMemory {
    GpuArray b, scale, bias, scores;
  };
  // Scores in T and what is made of them.
  template <class T>
  void products(const Matrix& x, Product kind, const double* b, const double* scale,
                const double* bias, int outputs, bool binary, Output output, void* out) {
    const auto resident = hold(x);
    constexpr Dtype kWork = sizeof(T) == 4 ? Dtype::kF32 : Dtype::kF64;
    const std::int64_t padded = padded_count(outputs);
    const auto packed = pack_columns<T>(b, outputs, x.cols, resident->cols, padded, 1.0);
    const auto scales = scale == nullptr
                            ? std::vector<T>()
                            : pack_columns<T>(scale, outputs, x.cols, resident->cols, padded, 1.0);
    const auto biases = pack_bias<T>(bias, outputs, padded, 0.0);
    const std::int64_t values = binary ? 2 : outputs;
    const auto size = static_cast<std::int64_t>(sizeof(T));
    const std::int64_t width = output == Output::kLabel ? 4 : values * size;
    std::vector<ProductMemory> own(team_->gpus.size());
    const bool plain = output == Output::kScores;
    const std::int64_t scratch = std::max<std::int64_t>(width, outputs * size);
    for_pieces(*resident, scratch, width, out, [&](std::size_t g, const RowJob& rows, void* to) {
      const Gpu& gpu = *team_->gpus[g];
      ProductMemory& on = own[g];
      if (on.b.size() == 0) {
        send(gpu, packed, on.b);
        send(gpu, biases, on.bias);
        if (!scales.empty()) send(gpu, scales, on.scale);
      }
      ProductJob job = product_job(rows, outputs, padded, on.b, on.bias);
      job.scale = on.scale.as<void>();
      if (!plain) on.scores.reserve(rows.rows * outputs * size);
      job.out = plain ? to : on.scores.as<void>();
      check(launch_product(kind, x.dtype, kWork, job, gpu.multiprocessors, gpu.stream.get()),
            "scores");
      if (plain) return;
      check(launch_finish(kWork, job.out, rows.rows, outputs, binary, output, to, gpu.stream.get()),
            "probabilities");
    });
  }

  const std::shared_ptr<GpuTeam> team_;
  std::shared_ptr<const Resident> resident_;
  std::vector<GpuArray> small_;  // parameters of one call, of each GPU
  std::vector<GpuArray> closest_;
  const double* closest_of_ = nullptr;
};

}  // namespace

void label_rows(const Gpu& gpu, Dtype dtype, const ProductJob& job, double longest,
                GpuArray& open) {
  const cudaStream_t stream = gpu.stream.get();
  const auto decide = [&](const ProductJob& rows) {
    check(launch_product(Product::kNearest, dtype, dtype, rows, gpu.multiprocessors, stream),
          "nearest centres");
  };
  if (dtype == Dtype::kF64 || job.rows == 0) return decide(job);
  NearestJob fast{};
  fast.x = static_cast<const float*>(job.x);
  fast.rows = job.rows;
  fast.ld = job.ld;
  fast.cols = job.cols;
  fast.padded = job.padded;
  fast.shift = static_cast<const float*>(job.shift);
  fast.b = static_cast<const float*>(job.b);
  fast.bias = static_cast<const float*>(job.bias);
  fast.radius = static_cast<float>(std::sqrt(longest) * (1 + 1e-6));
  fast.labels = job.labels;
  fast.before = job.before;
  fast.changed = job.changed;
  if (!nearest_fits(fast, gpu.capability, gpu.shared_bytes)) return decide(job);
  open.reserve((job.rows + 4) * 4);  // how many, then which
  fast.open_count = open.as<unsigned>();
  fast.open = open.as<unsigned>() + 4;
  check(cudaMemsetAsync(fast.open_count, 0, sizeof(unsigned), stream), "clearing");
  check(launch_nearest(fast, gpu.multiprocessors, gpu.shared_bytes, stream), "nearest centres");
  ProductJob rest = job;
  rest.list = fast.open;
  rest.list_count = fast.open_count;
  decide(rest);
}

std::vector<double> squared_norms(const double* points, std::int64_t count, std::int64_t cols) {
  std::vector<double> norms(static_cast<std::size_t>(count));
  for (std::int64_t c = 0; c < count; ++c) {
    for (std::int64_t j = 0; j < cols; ++j) {
      norms[static_cast<std::size_t>(c)] += points[c * cols + j] * points[c * cols + j];
    }
  }
  return norms;
}

std::unique_ptr<Learner> make_learner(const std::vector<int>& gpus, int threads) {
  return std::make_unique<CudaLearner>(gpus, threads);
}

}  // namespace pronghorn::device::cuda
