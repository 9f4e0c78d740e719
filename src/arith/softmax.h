// SPDX-License-Identifier: Apache-2.0
// Softmax, defined once so that every device that offers it gives the same bytes on one machine:
// exponentials of the distance to the largest score, and their sum in order of index, in binary64;
// each quotient is rounded to binary32 at the end.
#pragma once

#include <cmath>
#include <cstdint>

namespace pronghorn::arith {

// `dst` may be `src`. Equal scores get equal shares; n > 0.
inline void softmax(const float* src, float* dst, std::int64_t n) {
  float largest = src[0];
  for (std::int64_t i = 1; i < n; ++i) largest = std::fmax(largest, src[i]);
  const auto share = [&](std::int64_t i) {
    return std::exp(static_cast<double>(src[i]) - static_cast<double>(largest));
  };
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += share(i);
  for (std::int64_t i = 0; i < n; ++i) dst[i] = static_cast<float>(share(i) / sum);
}

}  // namespace pronghorn::arith
