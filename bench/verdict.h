// SPDX-License-Identifier: Apache-2.0
// Whether a load run counts: VALID, or INVALID with each reason and what would help.
#pragma once

#include "bench/loadgen.h"

namespace pronghorn::bench {

// Fills `valid`, `reasons`, `metric`, `metric_name` and `unit`.
void judge(LoadResult& result);

// The plain quantile of the latencies is under the bound, and the run was not ended early.
bool keeps_bound(const LoadResult& result);

}  // namespace pronghorn::bench
