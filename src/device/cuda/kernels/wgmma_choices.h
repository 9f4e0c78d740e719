// SPDX-License-Identifier: Apache-2.0
// Variants of wgmma_sm90a that were measured, for where the cost model is known to be wrong.
#pragma once

#include <cstdint>

#include "device/cuda/kernels/conv_kernel.h"

namespace pronghorn::device::cuda {

// The name of the variant that was fastest for a layer of ResNet-50 on a GPU with so many
// multiprocessors; null where none was measured, and the cost model decides.
const char* measured_variant(const ConvProblem& problem, std::int32_t multiprocessors);

}  // namespace pronghorn::device::cuda
