// SPDX-License-Identifier: Apache-2.0
// Two pointwise convolutions in one launch: one with a residual, as at the end of a bottleneck
// block, and the one behind it that reads its result. Both results are stored, bit for bit those of
// two launches; what is saved is reading the first one back. Compute capability 9.0 only.
#pragma once

#include "device/cuda/kernels/conv_kernel.h"

namespace pronghorn::device::cuda {

// Whether they can run together, each packed for kConvWgmmaSm90a.
bool pair_takes(const ConvProblem& first, const ConvProblem& second);
// Whether that is faster than one after the other, from measurements made once.
bool pair_pays(const ConvProblem& first, const ConvProblem& second, std::int32_t multiprocessors);

// As those of ConvKernel. second.src is first.dst.
int pair_prepare();
int pair_launch(const ConvProblem& first, const ConvBuffers& first_buffers,
                const ConvProblem& second, const ConvBuffers& second_buffers, Stream stream);

}  // namespace pronghorn::device::cuda
