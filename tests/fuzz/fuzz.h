// SPDX-License-Identifier: Apache-2.0
// What a fuzz target defines: the reader under test, small valid inputs to start from, and a repair
// of what would hide everything behind it (a checksum). Hostile bytes may make the reader throw
// base::Error with one of the statuses of a bad file, and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace pronghorn::fuzz {

using Input = std::vector<std::uint8_t>;

// Defined by each target.
void test_one(const Input& input);
std::vector<Input> seeds();
void repair(Input& input);

// Runs `read`, which may refuse its input.
template <typename Read>
void expect_value_or_refusal(Read&& read) {
  try {
    read();
  } catch (const base::Error& error) {
    switch (error.status()) {
      case base::Status::kCorrupt:
      case base::Status::kUnsupported:
      case base::Status::kOutOfMemory:
      case base::Status::kInvalidArgument:
        if (*error.what() != 0) return;
        [[fallthrough]];
      default:
        throw;
    }
  }
}

inline base::Bytes as_bytes(const Input& input) {
  return {reinterpret_cast<const std::byte*>(input.data()), input.size()};
}

}  // namespace pronghorn::fuzz
