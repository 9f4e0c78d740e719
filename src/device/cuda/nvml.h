// SPDX-License-Identifier: Apache-2.0
// NVIDIA's management library, loaded at run time: it comes with the driver, and the device works
// without it.
#pragma once

#include <optional>
#include <string>

namespace pronghorn::device::cuda {

// Since the driver was loaded. `bus_id` as cudaDeviceGetPCIBusId writes it.
std::optional<double> energy_joules(const std::string& bus_id);

}  // namespace pronghorn::device::cuda
