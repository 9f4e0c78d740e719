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

// The names that `name` stands for: "auto" and "" without PRONGHORN_DEVICE for every device but the
// reference, the preferred one first, of which a caller with a model takes the first that runs it.
std::vector<std::string> devices_to_try(const std::string& name);

}  // namespace pronghorn::runtime
