// SPDX-License-Identifier: Apache-2.0
// device::Learner on this processor: the loops of kernels/ over tiles, on a team of threads.
#pragma once

#include <memory>
#include <utility>

#include "base/thread_pool.h"
#include "device/cpu/learn/kernels/learn_table.h"
#include "device/learner.h"

namespace pronghorn::device::cpu {

// threads >= 1. Throws as choose_learn_kernels.
std::unique_ptr<Learner> make_learner(int threads);

std::unique_ptr<KMeansPasses> make_kmeans_passes(const KMeansSetup& setup,
                                                 const LearnKernels& kernels,
                                                 base::ThreadPool& pool);
std::unique_ptr<LogisticPasses> make_logistic_passes(const LogisticSetup& setup,
                                                     const LearnKernels& kernels,
                                                     base::ThreadPool& pool);

// Calls body with a value of the matrix's element type.
template <class Body>
decltype(auto) with_type(Dtype dtype, Body&& body) {
  return dtype == Dtype::kF32 ? std::forward<Body>(body)(float{})
                              : std::forward<Body>(body)(double{});
}

}  // namespace pronghorn::device::cpu
