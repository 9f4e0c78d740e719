// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cpu/kernels/kernel_table.h"

namespace pronghorn::device::cpu {

// Multiply-adds a second of `threads` threads together in KernelSet::peak, which must not be null:
// the best of some short trials, since what disturbs them only ever makes them slower.
double measure_ceiling(const KernelSet& kernels, int threads);

}  // namespace pronghorn::device::cpu
