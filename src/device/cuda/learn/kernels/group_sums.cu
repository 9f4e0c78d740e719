// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/kernels/group_sums.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kBlocksEach = 2;  // of a multiprocessor, at most

std::int64_t blocks_of(const GroupJob& job, int multiprocessors) {
  const std::int64_t tiles = (job.rows + GroupTile::kRows - 1) / GroupTile::kRows;
  const std::int64_t most = std::int64_t{kBlocksEach} * multiprocessors;
  return tiles < 1 ? 1 : tiles < most ? tiles : most;
}

template <class TX, bool kSquares, bool kPlain>
int start(const GroupJob& job, std::int64_t blocks, LearnStream stream) {
  const GroupLayout layout(job);
  const auto kernel = group_kernel<TX, kSquares, kPlain>;
  const cudaError_t status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, layout.bytes);
  if (status != cudaSuccess) return status;
  kernel<<<static_cast<unsigned>(blocks), GroupTile::kThreads,
           static_cast<std::size_t>(layout.bytes), stream>>>(job);
  return cudaGetLastError();
}

template <class TX>
int start_of(const GroupJob& job, std::int64_t blocks, LearnStream stream) {
  if (job.weight == nullptr && job.before == nullptr && job.shift == nullptr) {
    return job.squares ? start<TX, true, true>(job, blocks, stream)
                       : start<TX, false, true>(job, blocks, stream);
  }
  return job.squares ? start<TX, true, false>(job, blocks, stream)
                     : start<TX, false, false>(job, blocks, stream);
}

}  // namespace

std::int64_t group_sum_count(const GroupJob& job) { return GroupLayout(job).sum_count; }

std::int64_t group_partial_count(const GroupJob& job, int multiprocessors) {
  return blocks_of(job, multiprocessors) * group_sum_count(job);
}

int launch_group_sums(Dtype x, const GroupJob& job, int multiprocessors, LearnStream stream) {
  const std::int64_t blocks = blocks_of(job, multiprocessors);
  const int status = x == Dtype::kF32 ? start_of<float>(job, blocks, stream)
                                      : start_of<double>(job, blocks, stream);
  if (status != cudaSuccess) return status;
  return launch_add_parts(job.partial, blocks, group_sum_count(job), job.sums, false, stream);
}

int launch_add_parts(const double* partial, std::int64_t parts, std::int64_t size, double* sums,
                     bool add, LearnStream stream) {
  const auto blocks = static_cast<unsigned>((size + kAddColumns - 1) / kAddColumns);
  add_parts_kernel<<<blocks, dim3(kAddColumns, kAddParts), kAddColumns * kAddParts * sizeof(double),
                     stream>>>(partial, parts, size, sums, add);
  return cudaGetLastError();
}

}  // namespace pronghorn::device::cuda
