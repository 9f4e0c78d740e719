// SPDX-License-Identifier: Apache-2.0
// A class with its score, and the one order of classes: the larger score first, equal scores in
// order of index. Read by device compilers too.
#pragma once

#include <cstdint>

namespace pronghorn::device {

struct Scored {
  std::int32_t index;
  float score;
};

constexpr bool before(const Scored& a, const Scored& b) {
  return a.score > b.score || (a.score == b.score && a.index < b.index);
}

}  // namespace pronghorn::device
