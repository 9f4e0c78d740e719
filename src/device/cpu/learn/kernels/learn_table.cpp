// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/learn/kernels/learn_table.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pronghorn::device::cpu {
namespace {

bool always() { return true; }

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

}  // namespace

const LearnRow kLearnRows[] = {
    {&kLearnAvx512, has_avx512, " avx512 avx512vnni amx "},
    {&kLearnAvx2, has_avx2, " avx2 avxvnni "},
    {&kLearnPortable, always, " portable "},
};
const std::int32_t kLearnRowCount = sizeof kLearnRows / sizeof kLearnRows[0];

const LearnKernels& choose_learn_kernels() {
  const char* forced = std::getenv("PRONGHORN_ISA");
  const std::string wanted = forced == nullptr ? "" : forced;
  std::string known;
  for (const LearnRow& row : kLearnRows) {
    const bool named = std::string_view(row.isas).find(" " + wanted + " ") != std::string::npos;
    if ((named || wanted.empty()) && row.available()) return *row.kernels;
    if (named) {
      base::fail(base::Status::kUnavailable, "PRONGHORN_ISA={}: this processor lacks it", wanted);
    }
    known += row.isas;
  }
  base::fail(base::Status::kInvalidArgument, "PRONGHORN_ISA={}: known are{}", wanted, known);
}

}  // namespace pronghorn::device::cpu
