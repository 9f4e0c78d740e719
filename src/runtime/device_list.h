// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device/device.h"

namespace pronghorn::runtime {

// Every device of this machine, in the order in which "auto" prefers them.
std::vector<device::DeviceProperties> list_devices();

// By name; "auto" or "" takes PRONGHORN_DEVICE, else the first of list_devices(). Throws
// Error(kNotFound) naming what there is.
std::shared_ptr<device::Device> open_device(const std::string& name);

}  // namespace pronghorn::runtime
