// SPDX-License-Identifier: Apache-2.0
// Every device of the list against the reference, byte for byte.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/device.h"
#include "graph/graph.h"

namespace pronghorn::exact {

struct Candidate {
  std::string name;  // "cpu avx2"
  std::unique_ptr<device::Device> device;
};

// One for each kernel set that this machine can run. A new device adds its row in judge.cpp.
std::vector<Candidate> candidates();

using Bytes = std::vector<std::vector<std::byte>>;  // one for each input or output

// One batch on one device.
Bytes run(device::Program& program, const Bytes& inputs, int batch, int threads);

// What is wrong with `candidate` on this graph at the given thread counts, or nothing.
std::optional<std::string> disagreement(const Candidate& candidate, device::Device& reference,
                                        const graph::Graph& graph, const Bytes& inputs, int batch,
                                        const std::vector<int>& threads);

}  // namespace pronghorn::exact
