// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/kernels/nearest_mma_sm80.cuh"

namespace pronghorn::device::cuda {
namespace {

template <int kStages>
int start(const NearestJob& job, int panels, int multiprocessors, LearnStream stream) {
  const auto kernel = nearest_kernel<kStages>;
  const int shared = NearestTile::shared_bytes(panels);
  const cudaError_t status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  if (status != cudaSuccess) return status;
  constexpr std::int64_t kEach = NearestTile::kRows * NearestTile::kWarps;
  const std::int64_t most = (job.rows + kEach - 1) / kEach;
  kernel<<<static_cast<unsigned>(most < multiprocessors ? most : multiprocessors),
           NearestTile::kThreads, static_cast<std::size_t>(shared), stream>>>(job);
  return cudaGetLastError();
}

}  // namespace

bool nearest_fits(const NearestJob& job, int capability, int shared_bytes) {
  const int panels = job.padded / kPanel;
  return capability >= 80 && job.cols <= NearestTile::kCols && panels <= NearestTile::kMostPanels &&
         job.rows < (std::int64_t{1} << 32) && NearestTile::shared_bytes(panels) <= shared_bytes;
}

int launch_nearest(const NearestJob& job, int multiprocessors, LearnStream stream) {
  if (job.rows == 0) return cudaSuccess;
  const int panels = job.padded / kPanel;
  return panels == 1 ? start<NearestTile::stages(1)>(job, panels, multiprocessors, stream)
                     : start<NearestTile::stages(2)>(job, panels, multiprocessors, stream);
}

}  // namespace pronghorn::device::cuda
