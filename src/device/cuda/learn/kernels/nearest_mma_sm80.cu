// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/kernels/nearest_mma_sm80.cuh"

namespace pronghorn::device::cuda {
namespace {

template <int kWarps>
int start(const NearestJob& job, int panels, int multiprocessors, LearnStream stream) {
  const auto kernel = nearest_kernel<kWarps>;
  const int shared = NearestTile::shared_bytes(panels, kWarps);
  const cudaError_t status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  if (status != cudaSuccess) return status;
  constexpr std::int64_t kEach = NearestTile::kRows * kWarps;
  const std::int64_t most = (job.rows + kEach - 1) / kEach;
  kernel<<<static_cast<unsigned>(most < multiprocessors ? most : multiprocessors), 32 * kWarps,
           static_cast<std::size_t>(shared), stream>>>(job);
  return cudaGetLastError();
}

}  // namespace

bool nearest_fits(const NearestJob& job, int capability, int shared_bytes) {
  const int panels = job.padded / kPanel;
  return capability >= 80 && job.cols <= NearestTile::kCols && panels <= NearestTile::kMostPanels &&
         job.rows >= NearestTile::kRows && job.rows < (std::int64_t{1} << 32) &&
         NearestTile::warps(panels, shared_bytes) != 0;
}

int launch_nearest(const NearestJob& job, int multiprocessors, int shared_bytes,
                   LearnStream stream) {
  const int panels = job.padded / kPanel;
  return NearestTile::warps(panels, shared_bytes) == 12
             ? start<12>(job, panels, multiprocessors, stream)
             : start<8>(job, panels, multiprocessors, stream);
}

}  // namespace pronghorn::device::cuda
