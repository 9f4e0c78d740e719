// SPDX-License-Identifier: Apache-2.0
// A warp has a row. In each of k rounds its lanes look for the best score that comes behind the one
// found last, each among every 32nd, and then agree: no memory but the scores is needed, and what
// is found does not depend on who looked where.
#include <cuda_runtime_api.h>

#include "device/cuda/kernels/top_k.h"

namespace pronghorn::device::cuda {
namespace {

constexpr int kWarps = 4;  // of a block

__global__ void __launch_bounds__(kWarps * 32)
    top_k(std::int64_t rows, std::int32_t n, std::int32_t k, const float* scores, Scored* best) {
  const std::int64_t row = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  const auto lane = static_cast<std::int32_t>(threadIdx.x % 32);
  if (row >= rows) return;
  const float* from = scores + row * n;
  Scored last{-1, 0};
  for (std::int32_t i = 0; i < k; ++i) {
    Scored found{-1, 0};
    for (std::int32_t c = lane; c < n; c += 32) {
      const Scored candidate{c, from[c]};
      if (i > 0 && !before(last, candidate)) continue;
      if (found.index < 0 || before(candidate, found)) found = candidate;
    }
    for (int distance = 16; distance > 0; distance /= 2) {
      const Scored other{__shfl_xor_sync(~0u, found.index, distance),
                         __shfl_xor_sync(~0u, found.score, distance)};
      if (other.index >= 0 && (found.index < 0 || before(other, found))) found = other;
    }
    if (lane == 0) best[row * k + i] = found;
    last = found;
  }
}

}  // namespace

int launch_top_k(std::int64_t rows, std::int32_t n, std::int32_t k, const float* scores,
                 Scored* best, Stream stream) {
  const auto blocks = static_cast<unsigned>((rows + kWarps - 1) / kWarps);
  top_k<<<blocks, kWarps * 32, 0, stream>>>(rows, n, k, scores, best);
  return cudaGetLastError();
}

}  // namespace pronghorn::device::cuda
