// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/kernels/conv_kernel.h"

namespace pronghorn::device::cuda {

const ConvKernel* const kConvKernels[] = {
    &kConvWgmmaSm90a,
    &kConvMmaSm80,
    &kConvDirect,
};
const std::int32_t kConvKernelCount = sizeof(kConvKernels) / sizeof(kConvKernels[0]);

}  // namespace pronghorn::device::cuda
