// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/schedule.h"

#include <unistd.h>

#include <algorithm>
#include <numeric>

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kGroupSizes[] = {2, 4, 8};

// Bytes from behind the second cache for one image, when it passes the node alone. `kept` says
// whether the weights of all such nodes stay in the cache from image to image.
std::int64_t cost_alone(const NodeBytes& node, bool kept, std::int64_t cache) {
  const std::int64_t over = std::max<std::int64_t>(node.activations + node.weights - cache, 0);
  return (kept ? 0 : node.weights) + std::min(over, node.activations);
}

// The same for one of `images` that pass the node together.
std::int64_t cost_together(const NodeBytes& node, std::int64_t images, std::int64_t cache) {
  const std::int64_t over =
      std::max<std::int64_t>(images * node.activations + node.weights - cache, 0) / images;
  return node.weights / images + std::min(over, node.activations);
}

}  // namespace

Schedule choose_schedule(const std::vector<NodeBytes>& nodes, std::int64_t cache) {
  Schedule best{nodes.size(), 1};
  const std::int64_t all =
      std::accumulate(nodes.begin(), nodes.end(), std::int64_t{0},
                      [](std::int64_t sum, const NodeBytes& node) { return sum + node.weights; });
  std::int64_t least = 0;
  for (const NodeBytes& node : nodes) least += cost_alone(node, all <= cache / 2, cache);
  for (const std::int64_t images : kGroupSizes) {
    std::int64_t weights = 0;
    for (std::size_t split = 0; split < nodes.size(); ++split) {
      const bool kept = weights <= cache / 2;
      std::int64_t cost = 0;
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        cost +=
            i < split ? cost_alone(nodes[i], kept, cache) : cost_together(nodes[i], images, cache);
      }
      if (cost < least) {
        least = cost;
        best = {split, images};
      }
      weights += nodes[split].weights;
    }
  }
  return best;
}

std::int64_t second_cache_bytes() {
  const long bytes = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? bytes : std::int64_t{1} << 20;
}

}  // namespace pronghorn::device::cpu
