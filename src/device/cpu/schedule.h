// SPDX-License-Identifier: Apache-2.0
// In which order one thread takes the nodes and images of a group. Early nodes have large
// activations and small weights: one image after another passes them, so that activations stay in
// the second cache. Late ones are the opposite: every node takes all images at once, so that its
// weights are read once for all. docs/cpu_plans.md has the cost model and what was measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pronghorn::device::cpu {

// Bytes that a node touches for one image.
struct NodeBytes {
  std::int64_t weights = 0;
  std::int64_t activations = 0;  // inputs and output
};

struct Schedule {
  std::size_t split = 0;    // nodes before it run image by image, the others on whole groups
  std::int64_t images = 1;  // most images of a group
};

// `cache` is the second cache of one core in bytes.
Schedule choose_schedule(const std::vector<NodeBytes>& nodes, std::int64_t cache);

// Of this machine, or 1 MiB when it does not say.
std::int64_t second_cache_bytes();

}  // namespace pronghorn::device::cpu
