// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "capi/ml_arguments.h"
#include "ml/kmeans.h"

using namespace pronghorn;
using base::Status;

namespace {

double size_of(const device::Matrix& x) {
  return static_cast<double>(x.rows) * static_cast<double>(x.cols);
}

void require_clusters(std::int32_t clusters, const device::Matrix& x) {
  capi::require_count(clusters, 1, "clusters");
  if (clusters > x.rows) {
    base::fail(Status::kInvalidArgument, "n_samples={} should be >= n_clusters={}", x.rows,
               clusters);
  }
}

ml::KMeansOptions options_of(const ph_kmeans_options& given) {
  ml::KMeansOptions options;
  options.clusters = given.clusters;
  if (given.max_iter != 0) options.max_iter = given.max_iter;
  capi::require_count(options.max_iter, 1, "max_iter");
  options.tol = given.tol;
  if (!(given.tol >= 0) || std::isinf(given.tol)) {
    base::fail(Status::kInvalidArgument, "tol is {}; 0 or more", given.tol);
  }
  const std::string_view algorithm = given.algorithm == nullptr ? "auto" : given.algorithm;
  if (algorithm != "auto" && algorithm != "lloyd" && algorithm != "bounds") {
    base::fail(Status::kInvalidArgument, "algorithm \"{}\"; auto, lloyd or bounds", algorithm);
  }
  // With few clusters a row's bounds cost as much as its distances.
  options.bounds = algorithm == "bounds" || (algorithm == "auto" && given.clusters >= 4);
  const std::string_view init = given.init == nullptr ? "k-means++" : given.init;
  if (init == "random") {
    options.init = ml::KMeansInit::kRandom;
  } else if (init != "k-means++") {
    base::fail(Status::kInvalidArgument, "init \"{}\"; k-means++ or random", init);
  }
  options.seed = given.seed;
  options.n_init = given.n_init == 0 ? 1 : given.n_init;
  capi::require_count(options.n_init, 1, "n_init");
  return options;
}

}  // namespace

ph_status ph_kmeans_fit(const ph_matrix* x, const double* sample_weight, const void* init_centers,
                        const ph_kmeans_options* options, void* centers, int32_t* labels,
                        ph_kmeans_result* result, const ph_ml_run* run) {
  return capi::guard([&] {
    capi::require(options, "options");
    capi::require(centers, "centers");
    const device::Matrix matrix = capi::matrix_of(x);
    const ml::KMeansOptions chosen = options_of(capi::read_struct(options, "options"));
    require_clusters(chosen.clusters, matrix);
    capi::require_weights(sample_weight, matrix.rows);
    std::vector<double> start;
    if (init_centers != nullptr) {
      start = capi::read_values(init_centers, chosen.clusters * matrix.cols, matrix.dtype,
                                "init_centers");
    }
    const auto learner = capi::learner_of(run, size_of(matrix) * chosen.clusters);
    const ml::KMeansResult found =
        ml::kmeans_fit(*learner, matrix, sample_weight, start.empty() ? nullptr : start.data(),
                       chosen, labels, capi::progress_of(run, "k-means"));
    capi::write_values(found.centers, centers, matrix.dtype);
    if (result == nullptr) return;
    ph_kmeans_result filled{};
    filled.inertia = found.inertia;
    filled.n_iter = found.n_iter;
    filled.converged = found.converged ? 1 : 0;
    filled.distinct = found.distinct;
    capi::write_struct(filled, result, "result");
  });
}

ph_status ph_kmeans_predict(const ph_matrix* x, const double* sample_weight, const void* centers,
                            int32_t clusters, int32_t* labels, double* inertia,
                            const ph_ml_run* run) {
  return capi::guard([&] {
    const device::Matrix matrix = capi::matrix_of(x);
    capi::require_count(clusters, 1, "clusters");
    capi::require_weights(sample_weight, matrix.rows);
    const auto points = capi::read_values(centers, clusters * matrix.cols, matrix.dtype, "centers");
    const auto learner = capi::learner_of(run, size_of(matrix) * clusters);
    if (!learner->nearest(matrix, sample_weight, points.data(), clusters, labels, inertia)) {
      capi::require_finite(*learner, matrix);
    }
  });
}

ph_status ph_kmeans_transform(const ph_matrix* x, const void* centers, int32_t clusters,
                              void* distances, const ph_ml_run* run) {
  return capi::guard([&] {
    capi::require(distances, "distances");
    const device::Matrix matrix = capi::matrix_of(x);
    capi::require_count(clusters, 1, "clusters");
    const auto points = capi::read_values(centers, clusters * matrix.cols, matrix.dtype, "centers");
    const auto learner = capi::learner_of(run, size_of(matrix) * clusters);
    learner->distances(matrix, points.data(), clusters, distances);
  });
}

ph_status ph_kmeans_plusplus(const ph_matrix* x, const double* sample_weight, int32_t clusters,
                             int64_t first, int32_t trials, const double* uniforms,
                             int64_t* indices, void* centers, const ph_ml_run* run) {
  return capi::guard([&] {
    const device::Matrix matrix = capi::matrix_of(x);
    require_clusters(clusters, matrix);
    capi::require_count(trials, 1, "trials");
    capi::require_weights(sample_weight, matrix.rows);
    if (clusters > 1) capi::require(uniforms, "uniforms");
    if (first < 0 || first >= matrix.rows) {
      base::fail(Status::kInvalidArgument, "first is {}; 0 to {}", first, matrix.rows - 1);
    }
    const auto learner = capi::learner_of(run, size_of(matrix) * (trials + 1));
    const auto rows =
        ml::kmeans_plusplus(*learner, matrix, sample_weight, clusters, first, trials, uniforms);
    std::vector<double> points(static_cast<std::size_t>(clusters * matrix.cols));
    for (std::int64_t c = 0; c < clusters; ++c) {
      if (indices != nullptr) indices[c] = rows[static_cast<std::size_t>(c)];
      learner->read_row(matrix, rows[static_cast<std::size_t>(c)], points.data() + c * matrix.cols);
    }
    if (centers != nullptr) capi::write_values(points, centers, matrix.dtype);
  });
}

ph_status ph_kmeans_minibatch(const ph_matrix* x, const double* sample_weight, const int64_t* batch,
                              int64_t count, int32_t clusters, void* centers, double* weight_sums,
                              int32_t* labels, double* inertia, const ph_ml_run* run) {
  return capi::guard([&] {
    const device::Matrix matrix = capi::matrix_of(x);
    capi::require_count(clusters, 1, "clusters");
    capi::require(weight_sums, "weight_sums");
    if (batch == nullptr) count = matrix.rows;
    capi::require_count(count, 1, "count");
    for (std::int64_t i = 0; batch != nullptr && i < count; ++i) {
      if (batch[i] < 0 || batch[i] >= matrix.rows) {
        base::fail(Status::kInvalidArgument, "batch: row {} at {}; 0 to {}", batch[i], i,
                   matrix.rows - 1);
      }
    }
    capi::require_weights(sample_weight, matrix.rows);
    auto points = capi::read_values(centers, clusters * matrix.cols, matrix.dtype, "centers");
    const auto learner = capi::learner_of(
        run, static_cast<double>(count) * static_cast<double>(matrix.cols) * clusters);
    double sum = 0;
    std::vector<double> weights(static_cast<std::size_t>(clusters));
    std::vector<double> sums(points.size());
    learner->nearest_of(matrix, sample_weight, batch, count, points.data(), clusters, labels, &sum,
                        weights.data(), sums.data());
    for (std::int64_t c = 0; c < clusters; ++c) {
      const double added = weights[static_cast<std::size_t>(c)];
      if (added == 0) continue;
      const double total = weight_sums[c] + added;
      for (std::int64_t j = 0; j < matrix.cols; ++j) {
        const auto i = static_cast<std::size_t>(c * matrix.cols + j);
        points[i] = (points[i] * weight_sums[c] + sums[i]) / total;
      }
      weight_sums[c] = total;
    }
    capi::write_values(points, centers, matrix.dtype);
    if (inertia != nullptr) *inertia = sum;
  });
}
