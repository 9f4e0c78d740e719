// SPDX-License-Identifier: Apache-2.0
// A thread block makes a band of output rows: it resizes the columns of all source rows that the
// band needs into shared memory, converting samples as it reads them, and then the rows from there.
// Neighbouring bands repeat the few source rows that they share.
#include <cuda_runtime_api.h>

#include "device/cuda/kernels/resize.h"

namespace pronghorn::device::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) resize(const ResizeJob* jobs, int side) {
  extern __shared__ std::uint8_t rows[];
  const ResizeJob job = jobs[blockIdx.y];
  const int begin = static_cast<int>(blockIdx.x) * job.band;
  if (begin >= side) return;
  const int count = min(job.band, side - begin);
  const int from = job.y.first[begin];
  const int to = min(job.y.first[begin + count - 1] + job.y.taps, job.samples.height);
  const int pitch = side * 3;
  for (int i = static_cast<int>(threadIdx.x); i < (to - from) * side; i += kThreads) {
    const int row = i / side;
    const int column = i - row * side;
    const Rgb pixel = resized_column(job.samples, job.x, column, from + row);
    std::uint8_t* to_pixel = rows + row * pitch + 3 * column;
    to_pixel[0] = static_cast<std::uint8_t>(pixel.r);
    to_pixel[1] = static_cast<std::uint8_t>(pixel.g);
    to_pixel[2] = static_cast<std::uint8_t>(pixel.b);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < count * pitch; i += kThreads) {
    const int row = i / pitch;
    const int byte = i - row * pitch;
    job.dst[(begin + row) * pitch + byte] =
        resized_row(rows + byte, pitch, from, job.y, begin + row);
  }
}

}  // namespace

int prepare_resize(int most_shared) {
  return static_cast<int>(
      cudaFuncSetAttribute(resize, cudaFuncAttributeMaxDynamicSharedMemorySize, most_shared));
}

int launch_resize(const ResizeJob* jobs, int count, int side, int bands, int shared,
                  Stream stream) {
  resize<<<dim3(static_cast<unsigned>(bands), static_cast<unsigned>(count)), kThreads,
           static_cast<std::size_t>(shared), static_cast<cudaStream_t>(stream)>>>(jobs, side);
  return static_cast<int>(cudaGetLastError());
}

}  // namespace pronghorn::device::cuda
