// SPDX-License-Identifier: Apache-2.0
// K-means. Arrays are the caller's: nothing is allocated here.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "ml.h"

namespace pronghorn::python {
namespace {

using namespace nb::literals;

using Labels = Vector<std::int32_t>;

nb::tuple fit(const Matrix& x, const Weights& weights, const AnyTableIn& init, AnyTable centers,
              Labels labels, const std::string& algorithm, int max_iter, double tol, Run& run) {
  const auto clusters = static_cast<std::int64_t>(init.shape(0));
  const void* from = table_like(x, init, clusters, x.cols(), "init");
  void* to = table_like(x, centers, clusters, x.cols(), "centers");
  check_length(labels.shape(0), x.rows(), "labels");
  const double* w = weights_of(weights, x);
  ph_kmeans_options options{};
  options.struct_size = sizeof options;
  options.clusters = static_cast<std::int32_t>(clusters);
  options.max_iter = max_iter;
  options.tol = tol;
  options.algorithm = algorithm.c_str();
  ph_kmeans_result result{};
  result.struct_size = sizeof result;
  run([&] {
    return ph_kmeans_fit(x.get(), w, from, &options, to, labels.data(), &result, run.get());
  });
  return nb::make_tuple(result.inertia, result.n_iter, result.converged != 0, result.distinct);
}

double predict(const Matrix& x, const Weights& weights, const AnyTableIn& centers, Labels labels,
               bool inertia, Run& run) {
  const auto clusters = static_cast<std::int64_t>(centers.shape(0));
  const void* from = table_like(x, centers, clusters, x.cols(), "centers");
  check_length(labels.shape(0), x.rows(), "labels");
  const double* w = weights_of(weights, x);
  double sum = 0;
  run([&] {
    return ph_kmeans_predict(x.get(), w, from, static_cast<std::int32_t>(clusters), labels.data(),
                             inertia ? &sum : nullptr, run.get());
  });
  return sum;
}

void transform(const Matrix& x, const AnyTableIn& centers, AnyTable distances, Run& run) {
  const auto clusters = static_cast<std::int64_t>(centers.shape(0));
  const void* from = table_like(x, centers, clusters, x.cols(), "centers");
  void* to = table_like(x, distances, x.rows(), clusters, "distances");
  run([&] {
    return ph_kmeans_transform(x.get(), from, static_cast<std::int32_t>(clusters), to, run.get());
  });
}

void plusplus(const Matrix& x, const Weights& weights, std::int64_t first, int trials,
              const Vector<const double>& uniforms, Vector<std::int64_t> indices, AnyTable centers,
              Run& run) {
  const auto clusters = static_cast<std::int64_t>(indices.shape(0));
  void* to = table_like(x, centers, clusters, x.cols(), "centers");
  check_length(uniforms.shape(0), (clusters - 1) * trials, "uniforms");
  const double* w = weights_of(weights, x);
  run([&] {
    return ph_kmeans_plusplus(x.get(), w, static_cast<std::int32_t>(clusters), first, trials,
                              uniforms.data(), indices.data(), to, run.get());
  });
}

double minibatch(const Matrix& x, const Weights& weights,
                 const std::optional<Vector<const std::int64_t>>& batch, AnyTable centers,
                 Vector<double> weight_sums, Run& run) {
  const auto clusters = static_cast<std::int64_t>(centers.shape(0));
  void* to = table_like(x, centers, clusters, x.cols(), "centers");
  check_length(weight_sums.shape(0), clusters, "weight_sums");
  const double* w = weights_of(weights, x);
  double inertia = 0;
  const std::int64_t count = batch ? static_cast<std::int64_t>(batch->shape(0)) : x.rows();
  run([&] {
    return ph_kmeans_minibatch(x.get(), w, batch ? batch->data() : nullptr, count,
                               static_cast<std::int32_t>(clusters), to, weight_sums.data(), nullptr,
                               &inertia, run.get());
  });
  return inertia;
}

}  // namespace

void bind_ml_kmeans(nb::module_& ml) {
  ml.def("kmeans_fit", &fit, "x"_a, "sample_weight"_a.none(), "init"_a, "centers"_a, "labels"_a,
         "algorithm"_a, "max_iter"_a, "tol"_a, "run"_a,
         "(inertia, iterations, converged, clusters that have a row)");
  ml.def("kmeans_predict", &predict, "x"_a, "sample_weight"_a.none(), "centers"_a, "labels"_a,
         "inertia"_a, "run"_a, "The inertia where it is asked for, else 0");
  ml.def("kmeans_transform", &transform, "x"_a, "centers"_a, "distances"_a, "run"_a);
  ml.def("kmeans_plusplus", &plusplus, "x"_a, "sample_weight"_a.none(), "first"_a, "trials"_a,
         "uniforms"_a, "indices"_a, "centers"_a, "run"_a);
  ml.def("kmeans_minibatch", &minibatch, "x"_a, "sample_weight"_a.none(), "batch"_a.none(),
         "centers"_a, "weight_sums"_a, "run"_a, "The inertia before the step");
}

}  // namespace pronghorn::python
