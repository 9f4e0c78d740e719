// SPDX-License-Identifier: Apache-2.0
// Passes that write something for each row: scores, probabilities, labels, distances.
#pragma once

#include "device/cpu/learn/cpu_learner.h"

namespace pronghorn::device::cpu {

// As the functions of device::Learner of the same names.
void linear_pass(const Matrix& x, const double* coef, const double* bias, int outputs,
                 Output output, void* out, const LearnKernels& kernels, base::ThreadPool& pool);
void joint_pass(const Matrix& x, const double* coef, const double* bias, int outputs, Output output,
                void* out, const LearnKernels& kernels, base::ThreadPool& pool);
void gauss_pass(const Matrix& x, const double* bias, const double* mean, const double* scale,
                int classes, Output output, void* out, const LearnKernels& kernels,
                base::ThreadPool& pool);
bool nearest_pass(const Matrix& x, const double* weight, const double* centers, int clusters,
                  std::int32_t* labels, double* inertia, const LearnKernels& kernels,
                  base::ThreadPool& pool);
void nearest_list_pass(const Matrix& x, const double* weight, const std::int64_t* list,
                       std::int64_t count, const double* centers, int clusters,
                       std::int32_t* labels, double* inertia, double* weights, double* sums,
                       const LearnKernels& kernels, base::ThreadPool& pool);
void distances_pass(const Matrix& x, const double* centers, int clusters, void* out,
                    const LearnKernels& kernels, base::ThreadPool& pool);
void potentials_pass(const Matrix& x, const double* weight, const double* point,
                     const double* candidates, int count, double* closest, double* sums,
                     const LearnKernels& kernels, base::ThreadPool& pool);

}  // namespace pronghorn::device::cpu
