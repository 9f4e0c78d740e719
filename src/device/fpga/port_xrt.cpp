// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "device/fpga/port.h"

namespace pronghorn::device::fpga {

std::unique_ptr<Port> make_xrt_port(const Configuration& c, const std::string&) {
  base::fail(base::Status::kUnavailable,
             "configuration {}: this build has no XRT, which FPGA cards need", c.name);
}

}  // namespace pronghorn::device::fpga
