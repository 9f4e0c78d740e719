// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

// A Verilated library needs one source of its own; this one proves that the header stands alone.
