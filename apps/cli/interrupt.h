// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace pronghorn::cli {

// The first Ctrl-C or SIGTERM only sets a flag, so that work stops cleanly; one more, 0.2 s later
// or after that, kills.
void catch_interrupts();
bool interrupted();

}  // namespace pronghorn::cli
