// SPDX-License-Identifier: Apache-2.0
// What the markers of a JPEG say, without decoding it.
#pragma once

#include "base/file.h"

namespace pronghorn::image {

// Whether a decoder that knows nothing but the common kind can be trusted with `bytes`: baseline
// (SOF0), 8 bits, one scan with all components, and entropy-coded data with no other markers in it
// than restarts in their order, up to an EOI. What is cut off or patched together is not. Damage
// inside the entropy-coded data shows to a decoder only.
bool is_plain_baseline(base::Bytes bytes);

}  // namespace pronghorn::image
