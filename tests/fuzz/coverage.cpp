// SPDX-License-Identifier: Apache-2.0
// Built without instrumentation: its functions run at every branch of what is tested.
#include "coverage.h"

#include <bit>
#include <cstdint>

namespace pronghorn::fuzz {
namespace {

constexpr std::uint32_t kSlots = 1 << 16;
std::uint8_t counts[kSlots];  // how often each branch was taken in this trace
std::uint16_t taken[kSlots];  // the slots of this trace
std::uint32_t taken_size = 0;
std::uint8_t seen[kSlots];  // one bit for each power of two of a count
int seen_size = 0;
std::uintptr_t previous = 0;

}  // namespace

void begin_trace() {
  for (std::uint32_t i = 0; i < taken_size; ++i) counts[taken[i]] = 0;
  taken_size = 0;
  previous = 0;
}

int new_branches() {
  int found = 0;
  for (std::uint32_t i = 0; i < taken_size; ++i) {
    const std::uint16_t slot = taken[i];
    const auto bit = static_cast<std::uint8_t>(1u << (std::bit_width(counts[slot]) - 1));
    if ((seen[slot] & bit) == 0) {
      if (seen[slot] == 0) ++seen_size;
      seen[slot] |= bit;
      ++found;
    }
  }
  return found;
}

int all_branches() { return seen_size; }

}  // namespace pronghorn::fuzz

extern "C" void __sanitizer_cov_trace_pc() {
  using namespace pronghorn::fuzz;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  const std::uintptr_t edge = (here ^ (previous >> 1)) * 0x9E3779B97F4A7C15u;
  previous = here;
  const auto slot = static_cast<std::uint16_t>(edge >> 48);
  if (counts[slot] == 0 && taken_size < kSlots) taken[taken_size++] = slot;
  if (counts[slot] < 255) ++counts[slot];
}
