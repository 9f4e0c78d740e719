// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernels/kernel_table.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pronghorn::device::cpu {
namespace {

bool always() { return true; }

// Also asks whether the operating system keeps the wide registers.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

const KernelRow kKernelRows[] = {
    {&kKernelsAvx2, has_avx2},
    {&kKernelsPortable, always},
};
const std::int32_t kKernelRowCount = sizeof kKernelRows / sizeof kKernelRows[0];

const KernelSet& choose_kernels() {
  const char* forced = std::getenv("PRONGHORN_ISA");
  const std::string_view wanted = forced == nullptr ? "" : forced;
  std::string known;
  for (const KernelRow& row : kKernelRows) {
    const bool named = row.set->name == wanted;
    if ((named || wanted.empty()) && row.available()) return *row.set;
    if (named) {
      base::fail(base::Status::kUnavailable, "PRONGHORN_ISA={}: this processor lacks it", wanted);
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.set->name);
  }
  base::fail(base::Status::kInvalidArgument, "PRONGHORN_ISA={}: known are {}", wanted, known);
}

}  // namespace pronghorn::device::cpu
