// SPDX-License-Identifier: Apache-2.0
// The FPGA device: graphs compiled to the overlay's commands (docs/fpga.md), run by a port.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "device/device.h"

namespace pronghorn::device::fpga {

// "fpga" takes a card when there is one, else the model; "fpga:PORT" or "fpga:PORT:CONFIGURATION"
// chooses: port model, verilator or xrt, configuration one of rtl/configs.toml (u250 when left
// out). Throws Error(kInvalidArgument) naming what there is, Error(kUnavailable) when a card is
// asked for and there is none.
std::unique_ptr<Device> make_device(const std::string& name = "fpga");

}  // namespace pronghorn::device::fpga
