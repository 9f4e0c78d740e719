// SPDX-License-Identifier: Apache-2.0
// The judge: every op written as plainly as its definition, integer ops straight from src/arith.
// Other devices are compared with it byte for byte. It is slow and stays slow.
#pragma once

#include <memory>

#include "device/device.h"

namespace pronghorn::device::reference {

std::unique_ptr<Device> make_device();

}  // namespace pronghorn::device::reference
