// SPDX-License-Identifier: Apache-2.0
// Photograph-like JPEGs for machines that have no photographs: smooth light, objects with edges,
// texture at every scale and sensor grain, in sizes and with byte counts distributed like those of
// ImageNet (about 500 x 375 pixels and 110 KB on average), so that decoding costs what it costs in
// real use. They show nothing, so no accuracy can be had from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pronghorn::bench {

// The first 64 of this series have a mean of 114 KB and 481 x 404 pixels.
inline constexpr std::uint64_t kDefaultSeed = 2;

struct Photograph {
  int width = 0;
  int height = 0;
  std::vector<std::byte> jpeg;
};

// Number `index` of the series `seed`; the same bytes for the same libjpeg everywhere.
Photograph make_photograph(std::uint64_t seed, int index);

// Numbers [first, first + count) made on `threads` threads.
std::vector<Photograph> make_photographs(std::uint64_t seed, int first, int count, int threads);

}  // namespace pronghorn::bench
