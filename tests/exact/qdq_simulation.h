// SPDX-License-Identifier: Apache-2.0
// A QDQ graph executed as it reads, in binary64, to judge what lowering makes of it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::exact {

struct Verdict {
  std::vector<std::string> faults;  // what cannot be explained by rounding
  std::int64_t compared = 0;        // elements
  std::int64_t ties = 0;            // differences by one, next to a rounding tie
};

// `outputs` are what the lowered graph gave for one image, in the order of qdq.outputs. After each
// QuantizeLinear that is an output, the simulation goes on with that result, so that one difference
// is judged once. A bias is first rounded to the scale of its sum, as docs/arithmetic.md says.
Verdict judge_qdq(const graph::Graph& qdq, const std::vector<std::vector<std::byte>>& inputs,
                  const std::vector<std::vector<std::byte>>& outputs);

}  // namespace pronghorn::exact
