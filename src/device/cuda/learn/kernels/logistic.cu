// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/kernels/logistic.cuh"

namespace pronghorn::device::cuda {
namespace {

std::int64_t blocks_of(const OuterJob& job, int multiprocessors) {
  const std::int64_t tiles = (job.rows + OuterTile::kRows - 1) / OuterTile::kRows;
  const std::int64_t most = std::int64_t{6} * multiprocessors;
  return tiles < 1 ? 1 : tiles < most ? tiles : most;
}

}  // namespace

int launch_residuals(Dtype work, const ResidualJob& job, LearnStream stream) {
  if (job.rows == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((job.rows + kRowThreads - 1) / kRowThreads);
  if (work == Dtype::kF32) {
    residual_kernel<float><<<blocks, kRowThreads, 0, stream>>>(job);
  } else {
    residual_kernel<double><<<blocks, kRowThreads, 0, stream>>>(job);
  }
  return cudaGetLastError();
}

std::int64_t outer_partial_count(const OuterJob& job, int multiprocessors) {
  return blocks_of(job, multiprocessors) * job.outputs * (job.cols + 1);
}

int launch_outer(Dtype x, const OuterJob& job, int multiprocessors, LearnStream stream) {
  const std::int64_t blocks = blocks_of(job, multiprocessors);
  const int k = (job.outputs + OuterTile::kOutputs - 1) / OuterTile::kOutputs;
  const int j = (job.cols + OuterTile::kCols - 1) / OuterTile::kCols;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(k * j));
  if (x == Dtype::kF32) {
    outer_kernel<float>
        <<<grid, OuterTile::kThreads, OuterTile::shared_bytes<float>(), stream>>>(job);
  } else {
    outer_kernel<double>
        <<<grid, OuterTile::kThreads, OuterTile::shared_bytes<double>(), stream>>>(job);
  }
  const int status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  return launch_add_parts(job.partial, blocks, std::int64_t{job.outputs} * (job.cols + 1), job.sums,
                          job.add, stream);
}

}  // namespace pronghorn::device::cuda
