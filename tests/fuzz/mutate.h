// SPDX-License-Identifier: Apache-2.0
// Random edits of a byte string: flips, splices, truncations, and edits of what could be a length.
#pragma once

#include <cstddef>
#include <random>
#include <vector>

#include "fuzz.h"

namespace pronghorn::fuzz {

using Random = std::mt19937_64;

// One to eight edits; `others` give the material for splices. The result has at most `max_size`
// bytes.
Input mutate(const Input& input, const std::vector<Input>& others, std::size_t max_size,
             Random& random);

}  // namespace pronghorn::fuzz
