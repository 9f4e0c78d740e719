// SPDX-License-Identifier: Apache-2.0
// Keras .h5 bytes to a graph. The seeds are files (seeds/keras_h5_fuzz-*).
#include "fuzz.h"
#include "import/import.h"

namespace pronghorn::fuzz {

std::vector<Input> seeds() { return {}; }

void repair(Input&) {}  // the files that Keras writes carry no checksums

void test_one(const Input& input) {
  expect_value_or_refusal([&] { import::import_keras_h5(as_bytes(input), nullptr, "input"); });
}

}  // namespace pronghorn::fuzz
