// SPDX-License-Identifier: Apache-2.0
// Tensor maps of the copy engine (sm_90 on), encoded by the driver, which is looked up at run time
// so that the library starts on a machine without one.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "device/cuda/kernels/conv_kernel.h"

namespace pronghorn::device::cuda {

// Looks the driver's functions up; a cudaError_t. Needed once before the others.
int prepare_tensor_maps();

// A matrix of bytes whose rows begin `pitch` (a multiple of 16) apart, and may overlap: boxes of
// box_columns (64 or 128, swizzled by as much) by box_rows.
int matrix_map(CUtensorMap& map, const void* data, std::int64_t rows, std::int64_t columns,
               std::int64_t pitch, std::int32_t box_rows, std::int32_t box_columns);

// The source of a convolution as the matrix of its windows (im2col): columns of `pixels` output
// pixels by `channels` (64 or 128, swizzled by as much) of one window place. Padding reads as zero.
int window_map(CUtensorMap& map, const ConvProblem& problem, const void* src, std::int32_t pixels,
               std::int32_t channels);

// The source of a convolution with 64 channels: boxes of width x height pixels of one image,
// swizzled by
// 64. Padding reads as zero.
int box_map(CUtensorMap& map, const ConvProblem& problem, const void* src, std::int32_t width,
            std::int32_t height);

}  // namespace pronghorn::device::cuda
