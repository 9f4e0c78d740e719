// SPDX-License-Identifier: Apache-2.0
// Where the time of a model goes: each node's time, rate, share of the ceiling, bytes and kernel.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <pronghorn/pronghorn.hpp>
#include <string>
#include <vector>

namespace pronghorn::bench {

struct NodeProfile {
  std::string node, kernel;
  double seconds = 0;      // of one image: the least of the rounds
  std::int64_t macs = 0;   // of one image
  std::int64_t bytes = 0;  // of one image, weights once
};

struct Profile {
  std::string device, isa;
  int threads = 1;
  int batch = 1;
  double ceiling = 0;  // multiply-adds a second of these threads from registers; 0: not known
  double images_per_second = 0;  // whole batches, the median round, with the clocks running
  std::vector<NodeProfile> nodes;
};

// Runs rounds of one batch for about `seconds`. With several threads and a batch that goes round
// them, times of a node are those of one thread. `pixels` holds one image or more, repeated.
Profile profile(const Session& session, const std::string& device, int threads, int batch,
                double seconds, const std::vector<std::uint8_t>& pixels,
                const std::function<bool()>& cancelled);

std::string to_text(const Profile& profile);
nlohmann::ordered_json to_json(const Profile& profile);

}  // namespace pronghorn::bench
