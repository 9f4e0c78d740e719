// SPDX-License-Identifier: Apache-2.0
// NVIDIA GPUs, integer graphs only. The driver is looked up when the program runs: on a machine
// without one there is no such device, and nothing else changes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device/device.h"

namespace pronghorn::device::cuda {

// "cuda:0", "cuda:1", ...: the GPUs that our kernels run on (compute capability 7.5 or newer).
// Empty without a driver or a GPU.
std::vector<std::string> device_names();

// "cuda:1" is one GPU, "cuda" all of them together: a batch is then shared among them.
// Throws Error(kUnavailable) saying what is missing.
std::unique_ptr<Device> make_device(const std::string& name);

}  // namespace pronghorn::device::cuda
