// SPDX-License-Identifier: Apache-2.0
// Which branches an input took, from the compiler's -fsanitize-coverage=trace-pc calls. Without
// that flag nothing is ever seen and the driver mutates blindly.
#pragma once

namespace pronghorn::fuzz {

// Forgets the current trace; what was seen by earlier inputs is kept.
void begin_trace();
// How many branches (or loop counts, in powers of two) this trace was the first to take.
int new_branches();
// Branches taken by all inputs so far.
int all_branches();

}  // namespace pronghorn::fuzz
