// SPDX-License-Identifier: Apache-2.0
// Sample planes to the pixels of a model's input.
#pragma once

#include <cstdint>

#include "device/cuda/kernels/conv_kernel.h"
#include "device/photo_samples.h"

namespace pronghorn::device::cuda {

// One photograph; all pointers are the GPU's.
struct ResizeJob {
  PhotoSamples samples;
  TapAxis x, y;
  std::int32_t band;  // output rows of one thread block: resize_band()
  std::uint8_t* dst;  // [side][side][3]
};

// Output rows that one thread block makes, and through `shared` the bytes of shared memory that it
// takes; 0 when not even one row fits into `most_shared`. `y` is host memory.
int resize_band(const TapAxis& y, int height, int side, int most_shared, int* shared);

// Once a GPU, before the first launch. Returns a cudaError_t, like the launch.
int prepare_resize(int most_shared);
// `shared`: the most that any of the jobs takes; `bands`: the most thread blocks of one.
int launch_resize(const ResizeJob* jobs, int count, int side, int bands, int shared, Stream stream);

}  // namespace pronghorn::device::cuda
