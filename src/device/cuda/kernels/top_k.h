// SPDX-License-Identifier: Apache-2.0
// The best of each row of scores, on the GPU, so that they alone go back to the host.
#pragma once

#include <cstdint>

#include "device/cuda/kernels/conv_kernel.h"
#include "device/scored.h"

namespace pronghorn::device::cuda {

// best[row * k + i]: the i-th best of `n` scores of a row, as device::before orders them. Scores
// are no NaNs; 1 <= k <= n. Device memory; enqueues, never waits, returns a cudaError_t.
int launch_top_k(std::int64_t rows, std::int32_t n, std::int32_t k, const float* scores,
                 Scored* best, Stream stream);

}  // namespace pronghorn::device::cuda
