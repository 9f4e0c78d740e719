// SPDX-License-Identifier: Apache-2.0
// A first layer and the max pool behind it in one launch: the layer's result, the largest tensor of
// most networks, is never stored. Bit for bit what two launches give. Compute capability 9.0 only.
#pragma once

#include "device/cuda/kernels/byte_kernels.h"
#include "device/cuda/kernels/conv_kernel.h"

namespace pronghorn::device::cuda {

// Whether they can run together: a first layer rewritten into blocks with 64 output channels,
// packed for kConvWgmmaSm90a, and a pool of 3 x 3 with stride 2 and a border of 1.
bool conv_pool_takes(const ConvProblem& conv, const Pool& pool);
// Whether that is faster than one after the other, from measurements made once.
bool conv_pool_pays(const ConvProblem& conv, const Pool& pool, std::int32_t multiprocessors);

// As those of ConvKernel; buffers.dst takes the pool's result.
int conv_pool_prepare();
int conv_pool_launch(const ConvProblem& conv, const ConvBuffers& buffers, const Pool& pool,
                     Stream stream);

}  // namespace pronghorn::device::cuda
