// SPDX-License-Identifier: Apache-2.0
#include "device/fpga/kernels/sums.h"

namespace pronghorn::device::fpga {

const SumsKernel& choose_sums_kernel() {
  return __builtin_cpu_supports("avx2") ? kSumsAvx2 : kSumsPortable;
}

}  // namespace pronghorn::device::fpga
