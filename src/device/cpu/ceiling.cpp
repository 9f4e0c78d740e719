// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/ceiling.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/thread_pool.h"

namespace pronghorn::device::cpu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kTrialSeconds = 0.005;
constexpr int kTrials = 16;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

double measure_ceiling(const KernelSet& kernels, int threads) {
  std::int64_t rounds = 16;
  for (;;) {  // one thread, also to wake it
    const auto start = Clock::now();
    kernels.peak(rounds);
    const double spent = seconds_since(start);
    if (spent > kTrialSeconds / 2) break;
    rounds *= 2;
  }
  base::ThreadPool pool(threads);
  double best = 0;
  std::vector<std::int64_t> done(static_cast<std::size_t>(threads));
  for (int trial = 0; trial < kTrials; ++trial) {
    const auto start = Clock::now();
    pool.parallel_for(threads, [&](std::int64_t index, int) {
      done[static_cast<std::size_t>(index)] = kernels.peak(rounds);
    });
    std::int64_t sum = 0;
    for (const std::int64_t macs : done) sum += macs;
    best = std::max(best, static_cast<double>(sum) / seconds_since(start));
  }
  return best;
}

}  // namespace pronghorn::device::cpu
