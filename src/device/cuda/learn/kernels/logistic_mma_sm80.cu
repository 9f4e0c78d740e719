// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/kernels/logistic_mma_sm80.cuh"

namespace pronghorn::device::cuda {
namespace {

std::int64_t blocks_of(const LogisticJob& job, int multiprocessors) {
  constexpr std::int64_t kEach = LogisticTile::kRows * LogisticTile::kWarps;
  const std::int64_t most = (job.rows + kEach - 1) / kEach;
  return most < 1 ? 1 : most < multiprocessors ? most : multiprocessors;
}

template <int kTiles, bool kWeighted, bool kBinary>
int start(const LogisticJob& job, std::int64_t blocks, LearnStream stream) {
  const auto kernel = logistic_kernel<kTiles, kWeighted, kBinary>;
  const cudaError_t status = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, LogisticTile::kBytes);
  if (status != cudaSuccess) return status;
  kernel<<<static_cast<unsigned>(blocks), LogisticTile::kThreads, LogisticTile::kBytes, stream>>>(
      job);
  return cudaGetLastError();
}

template <int kTiles, bool kBinary>
int start_of(const LogisticJob& job, std::int64_t blocks, LearnStream stream) {
  return job.weight == nullptr ? start<kTiles, false, kBinary>(job, blocks, stream)
                               : start<kTiles, true, kBinary>(job, blocks, stream);
}

}  // namespace

bool logistic_fits(const LogisticJob& job, int capability, int shared_bytes) {
  return capability >= 80 && job.cols <= LogisticTile::kCols && job.outputs <= 16 &&
         LogisticTile::kBytes <= shared_bytes;
}

std::int64_t logistic_partial_count(const LogisticJob& job, int multiprocessors) {
  return blocks_of(job, multiprocessors) * LogisticTile::kWarps *
         (std::int64_t{job.outputs} * (job.cols + 1) + 1);
}

int launch_logistic(const LogisticJob& job, int multiprocessors, LearnStream stream) {
  const std::int64_t blocks = blocks_of(job, multiprocessors);
  const int status = job.outputs == 1   ? start_of<1, true>(job, blocks, stream)
                     : job.outputs <= 8 ? start_of<1, false>(job, blocks, stream)
                                        : start_of<2, false>(job, blocks, stream);
  if (status != cudaSuccess) return status;
  return launch_add_parts(job.partial, blocks * LogisticTile::kWarps,
                          std::int64_t{job.outputs} * (job.cols + 1) + 1, job.sums, false, stream);
}

}  // namespace pronghorn::device::cuda
