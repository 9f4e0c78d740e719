// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/kernels/kernel_table.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>

#include "base/error.h"

namespace pronghorn::device::cpu {
namespace {

bool always() { return true; }

// Also asks whether the operating system keeps the wide registers.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool leaf7_1_eax(int bit) {
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> bit & 1) != 0;
}

bool has_avxvnni() { return has_avx2() && leaf7_1_eax(4); }

bool has_avx512vnni() {
  return has_avx2() && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

// The tiles are 8 KiB of state that Linux keeps only for processes that asked.
bool has_amx() {
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
#ifdef PRONGHORN_EMULATE_TILES
  return has_avx512vnni();
#endif
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
  if (!has_avx512vnni() || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const bool tile = (d >> 24 & 1) != 0;
  const bool int8 = (d >> 25 & 1) != 0;
  return tile && int8 && ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

const KernelRow kKernelRows[] = {
    {&kKernelsAmx, has_amx},         {&kKernelsAvx512Vnni, has_avx512vnni},
    {&kKernelsAvxVnni, has_avxvnni}, {&kKernelsAvx2, has_avx2},
    {&kKernelsPortable, always},
};
const std::int32_t kKernelRowCount = sizeof kKernelRows / sizeof kKernelRows[0];

namespace {

template <typename Function>
void inherit(Function& own, Function next) {
  if (own == nullptr) own = next;
}

KernelSet complete(std::int32_t index) {
  KernelSet set = *kKernelRows[index].set;
  for (std::int32_t i = index + 1; i < kKernelRowCount; ++i) {
    if (!kKernelRows[i].available()) continue;
    const KernelSet& next = *kKernelRows[i].set;
    // Panels packed for sums in 16 bits are another format, so such a convolution is not inherited.
    if (set.conv == nullptr && (next.packing == set.packing || i + 1 == kKernelRowCount)) {
      set.conv = next.conv;
      set.conv_pair = next.conv_pair;
      set.conv_tile = next.conv_tile;
    }
    inherit(set.depthwise, next.depthwise);
    inherit(set.add, next.add);
    inherit(set.max, next.max);
    inherit(set.average, next.average);
  }
  return set;
}

}  // namespace

const KernelSet& choose_kernels() {
  const char* forced = std::getenv("PRONGHORN_ISA");
  const std::string_view wanted = forced == nullptr ? "" : forced;
  std::string known;
  static KernelSet completed[sizeof kKernelRows / sizeof kKernelRows[0]];
  static std::mutex mutex;
  for (std::int32_t i = 0; i < kKernelRowCount; ++i) {
    const KernelRow& row = kKernelRows[i];
    const bool named = row.set->name == wanted;
    if ((named || wanted.empty()) && row.available()) {
      const std::lock_guard lock(mutex);
      if (completed[i].name == nullptr) completed[i] = complete(i);
      return completed[i];
    }
    if (named) {
      base::fail(base::Status::kUnavailable, "PRONGHORN_ISA={}: this processor lacks it", wanted);
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.set->name);
  }
  base::fail(base::Status::kInvalidArgument, "PRONGHORN_ISA={}: known are {}", wanted, known);
}

}  // namespace pronghorn::device::cpu
