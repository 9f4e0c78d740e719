// SPDX-License-Identifier: Apache-2.0
// Times the passes of machine learning on 1, 2, 4 ... threads, one JSON line each:
//   ml_bench [rows of the k-means data, 2000000] [most threads]
// The first line is the speed at which the processor reads memory, as the other passes read it; the
// second that of products whose operands stay in the first cache: what more threads of this machine
// are worth where nothing is shared, which the efficiency of other passes is to be judged by.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "device/cpu/learn/cpu_learner.h"
#include "device/cpu/learn/tile.h"
#include "ml/bench_rows.h"
#include "ml/gaussian_nb.h"
#include "ml/kmeans.h"

namespace {

using namespace pronghorn;

double seconds(const std::function<void()>& body) {
  double best = 1e9, total = 0;
  for (int i = 0; i < 3 || (total < 0.4 && i < 20); ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
    total += time.count();
  }
  return best;
}

void report(const char* pass, int threads, double time, const device::Matrix& x, double flops,
            double& one) {
  if (threads == 1) one = time;
  const double bytes = static_cast<double>(x.rows * x.cols * x.element_size());
  fmt::print(
      "{{\"pass\": \"{}\", \"threads\": {}, \"ms\": {:.3f}, \"gb_per_s\": {:.2f}, "
      "\"gflop_per_s\": {:.1f}, \"efficiency\": {:.3f}}}\n",
      pass, threads, time * 1e3, bytes / time * 1e-9, flops / time * 1e-9, one / time / threads);
  std::fflush(stdout);
}

// Seconds for the products of so many rows with 64 columns, each thread's share being the same few
// rows again and again.
double products_alone(int threads, std::int64_t rows) {
  constexpr std::int64_t kRows = 24, kCols = 64, kOutputs = 64;
  base::ThreadPool pool(threads);
  const auto& loops = device::cpu::choose_learn_kernels().f32;
  return seconds([&] {
    pool.parallel_for(threads, [&](std::int64_t, int) {
      std::vector<float> x(kRows * kCols, 0.5f), out(kRows * kOutputs);
      device::cpu::PackedPanels<float> panels(loops.lanes, loops.max_nv, kOutputs, kCols);
      const std::vector<double> values(kOutputs * kCols, 0.25);
      panels.pack(values.data(), 1.0, nullptr, 0);
      const auto b = panels.view();
      for (std::int64_t r = 0; r < rows / threads; r += kRows) {
        loops.scores(x.data(), kCols, kRows, kCols, &b, out.data(), kOutputs);
      }
    });
  });
}

void run(std::int64_t rows, int most) {
  constexpr int kClusters = 64, kClasses = 10, kGroups = 16;
  const ml::BenchRows<float> blobs(rows, 64, kClusters, 0.3);
  const ml::BenchRows<float> noise(rows, 64, 1, 1.0);  // no clusters: bounds spare little
  const ml::BenchRows<float> wide(rows / 2, 128, kClasses, 0.3);
  const ml::BenchRows<float> bayes(rows, 64, kGroups, 1.0);
  std::vector<double> centers;
  for (std::int64_t i = 0; i < kClusters * 64; ++i) {
    centers.push_back(static_cast<double>(blobs.values[static_cast<std::size_t>(i)]));
  }
  std::vector<double> start(noise.values.begin(), noise.values.begin() + kClusters * 64);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(rows));
  std::vector<std::int32_t> binary(wide.group);
  for (std::int32_t& y : binary) y &= 1;
  const auto products = [](const device::Matrix& x, double each) {
    return static_cast<double>(x.rows * x.cols) * each;
  };
  std::vector<double> ones(16, 1e9);
  for (int threads = 1; threads <= most; threads *= 2) {
    const auto learner = device::cpu::make_learner(threads);
    report("read", threads, seconds([&] { learner->find_not_finite(blobs.x); }), blobs.x, 0,
           ones[0]);
    report("products alone", threads, products_alone(threads, blobs.x.rows), blobs.x,
           products(blobs.x, 2 * kClusters), ones[7]);
    report("kmeans predict", threads, seconds([&] {
             learner->nearest(blobs.x, nullptr, centers.data(), kClusters, labels.data(), nullptr);
           }),
           blobs.x, products(blobs.x, 2 * kClusters), ones[1]);
    device::KMeansSetup setup;
    setup.x = blobs.x;
    setup.clusters = kClusters;
    const auto passes = learner->kmeans(setup);
    report("kmeans lloyd", threads, seconds([&] { passes->assign(centers.data()); }), blobs.x,
           products(blobs.x, 2 * kClusters), ones[2]);
    ml::KMeansOptions options;
    options.clusters = kClusters;
    options.max_iter = 10;
    options.tol = 0;
    report("kmeans fit, 10 iterations", threads, seconds([&] {
             ml::kmeans_fit(*learner, noise.x, nullptr, start.data(), options, labels.data(), {});
           }),
           noise.x, products(noise.x, 2 * kClusters * 10), ones[8]);
    std::vector<double> count(kGroups), means(kGroups * 64), variances(kGroups * 64);
    report("gaussian_nb fit", threads, seconds([&] {
             std::fill(count.begin(), count.end(), 0.0);
             ml::gaussian_nb_fit(*learner, bayes.x, bayes.group.data(), nullptr, kGroups,
                                 count.data(), means.data(), variances.data());
           }),
           bayes.x, 0, ones[3]);
    const std::vector<double> prior(kGroups, -1.0);
    report("gaussian_nb predict", threads, seconds([&] {
             ml::gaussian_nb_predict(*learner, bayes.x, prior.data(), means.data(),
                                     variances.data(), kGroups, device::Output::kLabel,
                                     labels.data());
           }),
           bayes.x, products(bayes.x, 4 * kGroups), ones[4]);
    for (const int outputs : {kClasses, 1}) {
      device::LogisticSetup logistic;
      logistic.x = wide.x;
      logistic.y = outputs == 1 ? binary.data() : wide.group.data();
      logistic.outputs = outputs;
      const auto loss = learner->logistic(logistic);
      std::vector<double> coef(static_cast<std::size_t>(outputs) * 128, 0.01), bias(16),
          coef_gradient(coef), bias_gradient(16);
      report(outputs == 1 ? "logistic 2 classes" : "logistic 10 classes", threads, seconds([&] {
               loss->loss_gradient(coef.data(), bias.data(), coef_gradient.data(),
                                   bias_gradient.data());
             }),
             wide.x, products(wide.x, 4 * outputs), ones[outputs == 1 ? 5 : 6]);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t rows = argc > 1 ? std::atoll(argv[1]) / 1000 * 1000 : 2000000;
  const int most = argc > 2 ? std::atoi(argv[2]) : base::available_cores();
  if (rows < 2000 || most < 1) {
    fmt::print(stderr, "ml_bench [rows, from 2000] [threads, from 1]\n");
    return 2;
  }
  run(rows, most);
}
