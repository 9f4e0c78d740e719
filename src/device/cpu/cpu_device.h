// SPDX-License-Identifier: Apache-2.0
// The CPU of this process. Integer ops run on our kernels, chosen by what the processor has;
// PRONGHORN_ISA=portable|avx2|... forces a set. Float convolutions run on oneDNN.
#pragma once

#include <memory>

#include "device/device.h"

namespace pronghorn::device::cpu {

// Throws Error(kInvalidArgument) when PRONGHORN_ISA names an unknown set, Error(kUnavailable) when
// this processor lacks it.
std::unique_ptr<Device> make_device();

}  // namespace pronghorn::device::cpu
