// SPDX-License-Identifier: Apache-2.0
// A reader with a mistake in it, which the driver has to find: it believes a length.
#include <stdexcept>

#include "fuzz.h"

namespace pronghorn::fuzz {

std::vector<Input> seeds() { return {{'P', 'H', 4, 'a', 'b', 'c', 'd'}}; }

void repair(Input& input) {
  if (!input.empty()) input[0] = 'P';
}

void test_one(const Input& input) {
  expect_value_or_refusal([&] {
    if (input.size() < 3 || input[0] != 'P' || input[1] != 'H') {
      base::fail(base::Status::kCorrupt, "input: no PH at its start");
    }
    const std::size_t length = input[2];
    unsigned sum = 0;
    for (std::size_t i = 0; i < length; ++i) sum += input.at(3 + i);
    if (sum == 0) base::fail(base::Status::kUnsupported, "input: only zeros");
  });
}

}  // namespace pronghorn::fuzz
