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

// "cuda:1" is one GPU, "cuda:0,2" those two, "cuda" all of them together: a batch is then shared
// among them. A GPU that is named twice is two: each has its own copy of the model and its own
// memory, which is how sharing is tested where there is one GPU.
// Throws Error(kUnavailable) saying what is missing, Error(kInvalidArgument) for another name.
std::unique_ptr<Device> make_device(const std::string& name);

// The numbers behind "cuda:", in the order of `name`; nothing for "cuda". Needs no driver.
std::vector<int> numbers_of(const std::string& name);

}  // namespace pronghorn::device::cuda
