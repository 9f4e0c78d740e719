// SPDX-License-Identifier: Apache-2.0
// Half precision: everything that is not a convolution. Tensors are NHWC without gaps, device
// memory, aligned to 256 bytes, binary16 unless it says otherwise; arithmetic is binary32 and each
// result is rounded once. The functions enqueue, never wait, and return a cudaError_t.
#pragma once

#include <cstdint>

#include "device/cuda/kernels/byte_kernels.h"

namespace pronghorn::device::cuda {

enum class HalfSource : std::int32_t { kHalf, kFloat, kByte };

// As launch_frame, but outside the source is `fill`, and a source of floats or of bytes is
// converted on the way: (src - z[c]) * scale[c], in device memory, for bytes.
int launch_half_frame(const Frame& frame, HalfSource type, const void* src, const float* z,
                      const float* scale, float fill, void* dst, Stream stream);

int launch_half_max_pool(const Pool& pool, const void* src, void* dst, Stream stream);

// The mean of the window's part inside the source, or with `count_padding` of the whole window.
// dst: binary16, or binary32 with `to_float`.
struct HalfAveragePool {
  Pool pool;
  bool to_float;
  bool count_padding;
};
int launch_half_average_pool(const HalfAveragePool& pool, const void* src, void* dst,
                             Stream stream);

// dst = min(max(a + b, least), most); without b (null) of a alone.
int launch_half_add(std::int64_t size, const void* a, const void* b, float least, float most,
                    void* dst, Stream stream);

int launch_half_to_float(std::int64_t size, const void* src, float* dst, Stream stream);

}  // namespace pronghorn::device::cuda
