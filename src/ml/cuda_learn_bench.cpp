// SPDX-License-Identifier: Apache-2.0
// Times machine learning on a GPU against what its memory and multipliers allow, and whole fits
// from the host's memory against the copy of the data. Results are compared with the processor's
// first. One JSON line each:
//   cuda_learn_bench [rows, 10000000] [device, cuda:0]
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "device/cpu/learn/cpu_learner.h"
#include "device/cuda/cuda_device.h"
#include "device/cuda/driver.h"
#include "device/cuda/learn/cuda_learner.h"
#include "device/cuda/learn/kernels/learn_kernels.h"
#include "device/cuda/learn/transfer.h"
#include "ml/bench_rows.h"
#include "ml/gaussian_nb.h"
#include "ml/kmeans.h"
#include "ml/logistic_regression.h"
#include "ml/moments.h"

namespace {

using namespace pronghorn;
using device::cuda::check;

constexpr int kCols = 64, kClusters = 64, kClasses = 10, kGroups = 16;

struct Times {
  double least, median;
};
Times seconds(int repeats, const std::function<void()>& body) {
  std::vector<double> all;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    all.push_back(time.count());
  }
  std::sort(all.begin(), all.end());
  return {all.front(), all[all.size() / 2]};
}

// What the GPU can do, measured now; and the copies to it.
struct Ceilings {
  double bytes_per_second = 0;  // device to device, read and written
  double f32_flops = 0;         // of its multiprocessors at their nominal clock, not measured
  double pageable = 0, pinned = 0;

  explicit Ceilings(double bytes) {
    const auto size = static_cast<std::size_t>(bytes);
    device::cuda::GpuArray a(static_cast<std::int64_t>(size)), b(static_cast<std::int64_t>(size));
    const auto copy = [&](void* to, const void* from, std::size_t count) {
      check(cudaMemcpy(to, from, count, cudaMemcpyDefault), "copy");
      check(cudaDeviceSynchronize(), "copy");
    };
    copy(a.as<void>(), b.as<void>(), size);
    bytes_per_second =
        2 * bytes / seconds(5, [&] { copy(a.as<void>(), b.as<void>(), size); }).least;
    int clock = 0, multiprocessors = 0;
    check(cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, 0), "clock");
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0), "count");
    f32_flops = 2.0 * 128 * multiprocessors * clock * 1e3;
    std::vector<char> host(size, 1);
    pageable = bytes / seconds(2, [&] { copy(a.as<void>(), host.data(), size); }).least;
    const std::size_t part = size / 8;
    device::cuda::Memory own(part, device::cuda::Where::kPinned);
    std::memset(own.data(), 1, part);
    pinned =
        static_cast<double>(part) / seconds(4, [&] { copy(a.as<void>(), own.data(), part); }).least;
    fmt::print(
        "{{\"ceilings\": {{\"memory_gb_per_s\": {:.0f}, \"f32_tflop_per_s\": {:.1f}, "
        "\"copy_pageable_gb_per_s\": {:.1f}, \"copy_pinned_gb_per_s\": {:.1f}}}}}\n",
        bytes_per_second * 1e-9, f32_flops * 1e-12, pageable * 1e-9, pinned * 1e-9);
  }
};

// `roof`: seconds that the larger of its two floors takes.
void report(const std::string& pass, Times time, double bytes, double flops, const Ceilings& at,
            const std::string& more = "") {
  const double memory = bytes / at.bytes_per_second;
  const double compute = flops / at.f32_flops;
  fmt::print(
      "{{\"pass\": \"{}\", \"ms\": {:.3f}, \"best_ms\": {:.3f}, \"memory_floor_ms\": {:.3f}, "
      "\"compute_floor_ms\": {:.3f}, \"of_floor\": {:.3f}{}}}\n",
      pass, time.median * 1e3, time.least * 1e3, memory * 1e3, compute * 1e3,
      std::max(memory, compute) / time.median, more);
  std::fflush(stdout);
}

class Bench {
 public:
  Bench(std::int64_t rows, std::string name)
      : rows_(rows),
        name_(std::move(name)),
        data_(rows, kCols, kClusters, 0.3),
        bytes_(data_.bytes()),
        ceilings_(bytes_),
        cpu_(device::cpu::make_learner(base::available_cores())) {}

  // Kernels alone, one launch after another, with all they read on the GPU.
  void kernels() {
    device::cuda::GpuTeam team({0}, base::available_cores());
    const device::cuda::Gpu& gpu = *team.gpus[0];
    const auto stream = gpu.stream.get();
    const auto x = device::cuda::make_resident(team, data_.x);
    const auto time = [&](const std::string& name, double bytes, double flops,
                          const std::function<int()>& launch) {
      constexpr int kLaunches = 10;
      const Times all = seconds(6, [&] {
        for (int i = 0; i < kLaunches; ++i) check(launch(), name.c_str());
        check(cudaStreamSynchronize(stream), name.c_str());
      });
      report("kernel: " + name, {all.least / kLaunches, all.median / kLaunches}, bytes, flops,
             ceilings_);
    };
    const double rows = static_cast<double>(rows_);
    std::vector<device::cuda::GpuArray> classes;
    std::vector<std::int32_t> y(data_.group);
    for (std::int32_t& label : y) label %= kGroups;
    device::cuda::upload_rows(team, x->shares, y.data(), 4, classes);

    device::cuda::GroupJob sums{};
    sums.x = x->parts[0].data;
    sums.rows = rows_;
    sums.ld = sums.cols = kCols;
    sums.groups = kGroups;
    sums.group = classes[0].as<std::int32_t>();
    sums.squares = true;
    const device::cuda::GpuArray partial(
        device::cuda::group_partial_count(sums, gpu.multiprocessors) * 8 * 4);
    const device::cuda::GpuArray result(std::int64_t{1} << 20);
    sums.partial = partial.as<double>();
    sums.sums = result.as<double>();
    time("gaussian_nb moments, 16 classes", bytes_ + 4 * rows, 0,
         [&] { return launch_group_sums(data_.x.dtype, sums, gpu.multiprocessors, stream); });

    for (std::int32_t& label : y) label %= kClasses;
    for (const int outputs : {kClasses, 1}) {
      if (outputs == 1) {
        for (std::int32_t& label : y) label %= 2;
      }
      device::cuda::upload_rows(team, x->shares, y.data(), 4, classes);
      device::cuda::GpuArray coef, bias;
      device::cuda::send(gpu, std::vector<float>(static_cast<std::size_t>(outputs * kCols), 0.01f),
                         coef);
      device::cuda::send(gpu, std::vector<float>(static_cast<std::size_t>(outputs), 0.1f), bias);
      device::cuda::LogisticJob job{};
      job.x = static_cast<const float*>(x->parts[0].data);
      job.rows = rows_;
      job.ld = job.cols = kCols;
      job.outputs = outputs;
      job.coef = coef.as<float>();
      job.bias = bias.as<float>();
      job.y = classes[0].as<std::int32_t>();
      const device::cuda::GpuArray own(
          device::cuda::logistic_partial_count(job, gpu.multiprocessors, gpu.shared_bytes) * 8);
      job.partial = own.as<double>();
      job.sums = result.as<double>();
      time(fmt::format("logistic loss and gradient, {} classes", std::max(outputs, 2)),
           bytes_ + 4 * rows, 4 * rows * kCols * outputs,
           [&] { return launch_logistic(job, gpu.multiprocessors, gpu.shared_bytes, stream); });
    }

    const std::vector<double> centers = start();
    const auto norms = device::cuda::squared_norms(centers.data(), kClusters, kCols);
    device::cuda::GpuArray b, bias, open, labels(rows_ * 4);
    device::cuda::send(
        gpu,
        device::cuda::pack_columns<float>(centers.data(), kClusters, kCols, kCols, kClusters, -2.0),
        b);
    device::cuda::send(gpu, device::cuda::pack_bias<float>(norms.data(), kClusters, kClusters, 0.0),
                       bias);
    device::cuda::ProductJob job{};
    job.x = x->parts[0].data;
    job.rows = rows_;
    job.ld = job.cols = kCols;
    job.count = job.padded = kClusters;
    job.b = b.as<void>();
    job.bias = bias.as<void>();
    job.labels = labels.as<std::int32_t>();
    const double flops = 2 * rows * kCols * kClusters;
    time("kmeans nearest, in order", bytes_ + 4 * rows, flops, [&] {
      return launch_product(device::cuda::Product::kNearest, data_.x.dtype, data_.x.dtype, job,
                            gpu.multiprocessors, stream);
    });
    time("kmeans nearest, matrix unit and open rows", bytes_ + 4 * rows, 0, [&] {
      label_rows(gpu, data_.x.dtype, job, *std::max_element(norms.begin(), norms.end()), open);
      return 0;
    });
    std::vector<unsigned> count(1);
    device::cuda::receive(gpu, open.as<void>(), count);
    fmt::print("{{\"open_rows\": {:.4f}}}\n", count[0] / rows);
    sums.groups = kClusters;
    sums.group = job.labels;
    sums.before = job.labels;
    sums.squares = false;
    time("kmeans sums, no label changed", 4 * rows, 0,
         [&] { return launch_group_sums(data_.x.dtype, sums, gpu.multiprocessors, stream); });
    const device::cuda::GpuArray none(rows_ * 4);
    check(cudaMemset(none.as<void>(), 0xFF, static_cast<std::size_t>(rows_ * 4)), "clearing");
    sums.before = none.as<std::int32_t>();
    time("kmeans sums, every row new", bytes_ + 8 * rows, 0,
         [&] { return launch_group_sums(data_.x.dtype, sums, gpu.multiprocessors, stream); });
  }

  // What a fit from the host's memory takes beside its passes.
  void parts() {
    std::vector<std::int32_t> y(data_.group);
    constexpr int kParts = 7;
    const char* const names[kParts] = {"device",       "threads and stream", "rows sent",
                                       "classes sent", "classes freed",      "rows freed",
                                       "threads ended"};
    std::vector<double> all[kParts];
    for (int i = 0; i < 5; ++i) {
      int part = 0;
      auto from = std::chrono::steady_clock::now();
      const auto lap = [&] {
        const auto now = std::chrono::steady_clock::now();
        all[part++].push_back(std::chrono::duration<double, std::milli>(now - from).count());
        from = now;
      };
      device::cuda::make_device(name_);
      lap();
      auto team =
          std::make_unique<device::cuda::GpuTeam>(std::vector<int>{0}, base::available_cores());
      lap();
      auto x = device::cuda::make_resident(*team, data_.x);
      lap();
      std::vector<device::cuda::GpuArray> classes;
      device::cuda::upload_rows(*team, x->shares, y.data(), 4, classes);
      lap();
      classes.clear();
      lap();
      x.reset();
      lap();
      team.reset();
      lap();
    }
    fmt::print("{{\"parts_ms\": {{");
    for (int part = 0; part < kParts; ++part) {
      std::sort(all[part].begin(), all[part].end());
      fmt::print("{}\"{}\": {:.2f}", part == 0 ? "" : ", ", names[part], all[part][2]);
    }
    fmt::print("}}}}\n");
  }

  void kmeans() {
    const auto learner = fresh();
    device::KMeansSetup setup;
    setup.x = data_.x;
    setup.clusters = kClusters;
    std::vector<std::int32_t> labels(static_cast<std::size_t>(rows_)), expected(labels);
    setup.labels = labels.data();
    const auto passes = learner->kmeans(setup);
    setup.labels = expected.data();
    const auto judge = cpu_->kmeans(setup);
    std::vector<double> centers = start();
    std::int64_t different = 0;
    bool changes_agree = true;
    for (int i = 0; i < 3; ++i) {
      changes_agree =
          changes_agree && passes->assign(centers.data()) == judge->assign(centers.data());
      for (std::size_t c = 0; c < centers.size(); ++c) {
        const double w = judge->weights()[c / kCols];
        if (w > 0) centers[c] = ml::round_to(data_.x.dtype, judge->sums()[c] / w);
      }
    }
    passes->labels();
    for (std::size_t r = 0; r < labels.size(); ++r) different += labels[r] == expected[r] ? 0 : 1;
    const double flops = 2.0 * static_cast<double>(rows_) * kCols * kClusters;
    const std::string verified = fmt::format(
        ", \"labels_different_from_cpu\": {}, \"changes_agree\": {}", different, changes_agree);
    // Labels that no longer change: the pass is the search alone.
    passes->assign(centers.data());
    report("kmeans assign, settled", seconds(11, [&] { passes->assign(centers.data()); }), bytes_,
           flops, ceilings_, verified);
    std::vector<double> other(centers);
    std::rotate(other.begin(), other.begin() + kCols, other.end());
    bool turn = false;
    report("kmeans assign, every label changed",
           seconds(11,
                   [&] {
                     turn = !turn;
                     passes->assign(turn ? other.data() : centers.data());
                   }),
           bytes_, flops, ceilings_);
  }

  void kmeans_fit() {
    ml::KMeansOptions options;
    options.clusters = kClusters;
    options.tol = 0;
    options.max_iter = 20;
    const std::vector<double> centers = start();
    std::vector<std::int32_t> labels(static_cast<std::size_t>(rows_)), expected(labels);
    ml::KMeansResult result, judge;
    const Times time = seconds(3, [&] {
      const auto learner = fresh();
      result =
          ml::kmeans_fit(*learner, data_.x, nullptr, centers.data(), options, labels.data(), {});
    });
    const Times of_cpu = seconds(1, [&] {
      judge = ml::kmeans_fit(*cpu_, data_.x, nullptr, centers.data(), options, expected.data(), {});
    });
    std::int64_t different = 0;
    for (std::size_t r = 0; r < labels.size(); ++r) different += labels[r] == expected[r] ? 0 : 1;
    end_to_end(
        "kmeans fit, 20 iterations", time,
        fmt::format(", \"iterations\": {}, \"labels_different_from_cpu\": {}, "
                    "\"inertia_apart\": {:.1e}, \"cpu_ms\": {:.1f}",
                    result.n_iter, different,
                    std::abs(result.inertia - judge.inertia) / judge.inertia, of_cpu.median * 1e3));
  }

  void gaussian() {
    std::vector<std::int32_t> y(data_.group);
    for (std::int32_t& label : y) label %= kGroups;
    const auto fit = [&](device::Learner& learner, std::vector<double>& out) {
      out.assign(kGroups * (1 + 2 * kCols), 0.0);
      ml::gaussian_nb_fit(learner, data_.x, y.data(), nullptr, kGroups, out.data(),
                          out.data() + kGroups, out.data() + kGroups * (1 + kCols));
    };
    const auto learner = fresh();
    std::vector<double> result, expected;
    fit(*learner, result);
    const Times of_cpu = seconds(2, [&] { fit(*cpu_, expected); });
    const std::vector<double> exact = plain_moments(y);
    double apart = 0;
    for (std::size_t i = 0; i < result.size(); ++i) {
      apart = std::max(apart, std::abs(result[i] - exact[i]) / std::abs(exact[i]));
    }
    // The pass with rows, classes and weights on the GPU.
    const Moments own(*this, y);
    report("gaussian_nb moments", own.time, bytes_ + 4.0 * static_cast<double>(rows_), 0, ceilings_,
           fmt::format(", \"apart_from_two_passes\": {:.1e}", apart));
    const Times time = seconds(3, [&] {
      const auto one = fresh();
      fit(*one, result);
    });
    end_to_end("gaussian_nb fit", time, fmt::format(", \"cpu_ms\": {:.1f}", of_cpu.median * 1e3));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(rows_)), of_judge(labels);
    const std::vector<double> prior(kGroups, -1.0);
    const auto predict = [&](device::Learner& one, std::int32_t* to) {
      ml::gaussian_nb_predict(one, data_.x, prior.data(), expected.data() + kGroups,
                              expected.data() + kGroups * (1 + kCols), kGroups,
                              device::Output::kLabel, to);
    };
    predict(*cpu_, of_judge.data());
    predict(*learner, labels.data());
    report("gaussian_nb predict, labels to the host",
           seconds(5, [&] { predict(*learner, labels.data()); }), bytes_,
           6.0 * static_cast<double>(rows_) * kCols * kGroups, ceilings_,
           fmt::format(", \"labels_equal_cpu\": {}", labels == of_judge));
  }

  void logistic() {
    std::vector<std::int32_t> y(data_.group);
    for (const int classes : {kClasses, 2}) {
      for (std::size_t r = 0; r < y.size(); ++r) y[r] = data_.group[r] % classes;
      const int outputs = classes == 2 ? 1 : classes;
      const auto learner = fresh();
      device::LogisticSetup setup;
      setup.x = data_.x;
      setup.y = y.data();
      setup.outputs = outputs;
      const auto passes = learner->logistic(setup);
      const auto judge = cpu_->logistic(setup);
      std::vector<double> coef(static_cast<std::size_t>(outputs * kCols)), bias(10), a(coef),
          b(coef), ab(10), bb(10);
      std::mt19937 random(7);
      std::normal_distribution<double> normal(0, 0.1);
      for (double& c : coef) c = normal(random);
      const double expected = judge->loss_gradient(coef.data(), bias.data(), a.data(), ab.data());
      const double loss = passes->loss_gradient(coef.data(), bias.data(), b.data(), bb.data());
      double most = 0, apart = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        most = std::max(most, std::abs(a[i]));
        apart = std::max(apart, std::abs(a[i] - b[i]));
      }
      report(fmt::format("logistic loss and gradient, {} classes", classes),
             seconds(11,
                     [&] { passes->loss_gradient(coef.data(), bias.data(), b.data(), bb.data()); }),
             bytes_ + 4.0 * static_cast<double>(rows_),
             4.0 * static_cast<double>(rows_) * kCols * outputs, ceilings_,
             fmt::format(", \"loss_apart\": {:.1e}, \"gradient_apart\": {:.1e}",
                         std::abs(loss - expected) / expected, apart / most));
      ml::LogisticOptions options;
      options.classes = classes;
      options.max_iter = 100;
      options.tol = 1e-5;
      ml::LogisticResult result;
      std::vector<double> best(coef.size()), best_bias(10);
      const Times time = seconds(2, [&] {
        const auto one = fresh();
        std::fill(best.begin(), best.end(), 0.0);
        std::fill(best_bias.begin(), best_bias.end(), 0.0);
        result = ml::logistic_fit(*one, data_.x, y.data(), nullptr, options, best.data(),
                                  best_bias.data(), {});
      });
      ml::LogisticResult of_cpu;
      std::vector<double> cpu_best(coef.size()), cpu_bias(10);
      const Times cpu_time = seconds(1, [&] {
        of_cpu = ml::logistic_fit(*cpu_, data_.x, y.data(), nullptr, options, cpu_best.data(),
                                  cpu_bias.data(), {});
      });
      const double at_gpu =
          ml::logistic_loss_gradient(*cpu_, data_.x, y.data(), nullptr, options, best.data(),
                                     best_bias.data(), nullptr, nullptr);
      end_to_end(
          fmt::format("logistic regression fit, {} classes", classes), time,
          fmt::format(", \"passes\": {}, \"iterations\": {}, \"gradient\": {:.1e}, "
                      "\"objective_above_cpu\": {:.1e}, \"cpu_ms\": {:.1f}",
                      result.passes, result.n_iter, result.gradient,
                      (at_gpu - of_cpu.objective) / of_cpu.objective, cpu_time.median * 1e3));
    }
  }

 private:
  // Repeated moments of rows that the learner holds; the copy of the classes is timed apart and
  // taken off.
  struct Moments {
    Moments(Bench& bench, const std::vector<std::int32_t>& y) {
      const auto learner = bench.fresh();
      const std::vector<double> shift(kGroups * kCols, 0.0);
      std::vector<double> out(kGroups * (1 + 2 * kCols));
      const auto pass = [&](const std::int32_t* group, int groups) {
        learner->moments(bench.data_.x, group, nullptr, groups, shift.data(), out.data(),
                         out.data() + kGroups, out.data() + kGroups * (1 + kCols));
      };
      const device::cuda::GpuArray on_gpu(static_cast<std::int64_t>(y.size() * 4));
      check(cudaMemcpy(on_gpu.as<void>(), y.data(), y.size() * 4, cudaMemcpyDefault), "copy");
      pass(on_gpu.as<std::int32_t>(), kGroups);
      const double copy =
          seconds(11, [&] {
            device::cuda::GpuArray to(on_gpu.size());
            check(cudaMemcpy(to.as<void>(), on_gpu.as<void>(), y.size() * 4, cudaMemcpyDefault),
                  "copy");
            check(cudaDeviceSynchronize(), "copy");
          }).median;
      time = seconds(11, [&] { pass(on_gpu.as<std::int32_t>(), kGroups); });
      fmt::print("{{\"classes_copied_ms\": {:.3f}, \"with_copy_ms\": {:.3f}}}\n", copy * 1e3,
                 time.median * 1e3);
      time.least -= copy;
      time.median -= copy;
    }
    Times time{};
  };

  // Weights, means and variances of the classes in two passes over the rows, sums long doubles.
  std::vector<double> plain_moments(const std::vector<std::int32_t>& y) const {
    constexpr std::size_t kSize = kGroups * kCols;
    constexpr std::int64_t kSlots = 64;
    base::ThreadPool pool(base::available_cores());
    std::vector<double> out(kGroups + 2 * kSize);
    for (const bool second : {false, true}) {
      std::vector<std::vector<long double>> sums(kSlots);
      pool.parallel_for(kSlots, [&](std::int64_t slot, int) {
        auto& own = sums[static_cast<std::size_t>(slot)];
        own.assign(kGroups + kSize, 0);
        for (std::int64_t r = rows_ * slot / kSlots; r < rows_ * (slot + 1) / kSlots; ++r) {
          const auto g = static_cast<std::size_t>(y[static_cast<std::size_t>(r)]);
          own[g] += 1;
          for (std::size_t j = 0; j < kCols; ++j) {
            long double t = data_.values[static_cast<std::size_t>(r) * kCols + j];
            if (second) {
              t -= out[kGroups + g * kCols + j];
              t *= t;
            }
            own[kGroups + g * kCols + j] += t;
          }
        }
      });
      for (std::size_t i = 1; i < kSlots; ++i) {
        for (std::size_t k = 0; k < sums[0].size(); ++k) sums[0][k] += sums[i][k];
      }
      for (std::size_t k = 0; k < kSize; ++k) {
        const long double n = sums[0][k / kCols];
        out[k / kCols] = static_cast<double>(n);
        out[kGroups + (second ? kSize : 0) + k] = static_cast<double>(sums[0][kGroups + k] / n);
      }
    }
    return out;
  }

  std::unique_ptr<device::Learner> fresh() {
    return device::cuda::make_device(name_)->learner(base::available_cores());
  }
  std::vector<double> start() const {
    return {data_.values.begin(), data_.values.begin() + kClusters * kCols};
  }
  void end_to_end(const std::string& what, Times time, const std::string& more) {
    fmt::print(
        "{{\"end_to_end\": \"{}\", \"ms\": {:.1f}, \"copy_pageable_ms\": {:.1f}, "
        "\"copy_pinned_ms\": {:.1f}{}}}\n",
        what, time.median * 1e3, bytes_ / ceilings_.pageable * 1e3, bytes_ / ceilings_.pinned * 1e3,
        more);
    std::fflush(stdout);
  }

  const std::int64_t rows_;
  const std::string name_;
  const ml::BenchRows<float> data_;
  const double bytes_;
  const Ceilings ceilings_;
  const std::unique_ptr<device::Learner> cpu_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t rows = argc > 1 ? std::atoll(argv[1]) / 1000 * 1000 : 10'000'000;
  if (rows < 2000) {
    fmt::print(stderr, "cuda_learn_bench [rows, from 2000] [device]\n");
    return 2;
  }
  try {
    Bench bench(rows, argc > 2 ? argv[2] : "cuda:0");
    bench.kernels();
    bench.parts();
    bench.kmeans();
    bench.gaussian();
    bench.logistic();
    bench.kmeans_fit();
  } catch (const base::Error& error) {
    fmt::print(stderr, "cuda_learn_bench: {}\n", error.what());
    return 1;
  }
}
