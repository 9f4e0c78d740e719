// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/system_under_test.h"

namespace pronghorn::bench {

// Does nothing at once: what the load generator itself costs.
class NullSystem final : public SystemUnderTest {
 public:
  std::string name() const override { return "null"; }
  std::uint32_t sample_count() const override { return 1024; }
  void issue(std::span<const std::uint32_t>, QueryEnd& end) override { end.finish(); }
};

}  // namespace pronghorn::bench
