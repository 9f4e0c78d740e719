// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/kernels/logistic_mma_sm80.cuh"

namespace pronghorn::device::cuda {
namespace {

struct Shape {
  std::int64_t blocks;
  int warps;
};

int groups_of(const LogisticJob& job) { return job.outputs <= 8 ? 1 : 2; }

Shape shape_of(const LogisticJob& job, int multiprocessors, int shared_bytes) {
  const int fit = shared_bytes / LogisticTile::warp_bytes(groups_of(job));
  const int warps = fit < LogisticTile::kMostWarps ? fit : LogisticTile::kMostWarps;
  const std::int64_t each = std::int64_t{LogisticTile::kRows} * (warps < 1 ? 1 : warps);
  const std::int64_t most = (job.rows + each - 1) / each;
  return {most < 1 ? 1 : most < multiprocessors ? most : multiprocessors, warps};
}

template <int kGroups, bool kWeighted, bool kBinary>
int start(const LogisticJob& job, const Shape& shape, LearnStream stream) {
  const auto kernel = logistic_kernel<kGroups, kWeighted, kBinary>;
  const int bytes = shape.warps * LogisticTile::warp_bytes(kGroups);
  const cudaError_t status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (status != cudaSuccess) return status;
  kernel<<<static_cast<unsigned>(shape.blocks), static_cast<unsigned>(32 * shape.warps),
           static_cast<std::size_t>(bytes), stream>>>(job);
  return cudaGetLastError();
}

template <int kGroups, bool kBinary>
int start_of(const LogisticJob& job, const Shape& shape, LearnStream stream) {
  return job.weight == nullptr ? start<kGroups, false, kBinary>(job, shape, stream)
                               : start<kGroups, true, kBinary>(job, shape, stream);
}

}  // namespace

bool logistic_fits(const LogisticJob& job, int capability, int shared_bytes) {
  constexpr int kLeastWarps = 4;
  return capability >= 80 && job.rows >= LogisticTile::kRows && job.cols <= LogisticTile::kCols &&
         job.outputs <= 16 &&
         kLeastWarps * LogisticTile::warp_bytes(groups_of(job)) <= shared_bytes;
}

std::int64_t logistic_partial_count(const LogisticJob& job, int multiprocessors, int shared_bytes) {
  const Shape shape = shape_of(job, multiprocessors, shared_bytes);
  return shape.blocks * shape.warps * (std::int64_t{job.outputs} * (job.cols + 1) + 1);
}

int launch_logistic(const LogisticJob& job, int multiprocessors, int shared_bytes,
                    LearnStream stream) {
  const Shape shape = shape_of(job, multiprocessors, shared_bytes);
  const int status = job.outputs == 1      ? start_of<1, true>(job, shape, stream)
                     : groups_of(job) == 1 ? start_of<1, false>(job, shape, stream)
                                           : start_of<2, false>(job, shape, stream);
  if (status != cudaSuccess) return status;
  return launch_add_parts(job.partial, shape.blocks * shape.warps,
                          std::int64_t{job.outputs} * (job.cols + 1) + 1, job.sums, false, stream);
}

}  // namespace pronghorn::device::cuda
