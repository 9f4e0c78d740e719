// SPDX-License-Identifier: Apache-2.0
// How far apart the processors of this process are. A host may run two virtual processors on cores
// of one cache now and on two sockets a minute later; no counter inside the virtual machine shows
// it, but small batches, whose threads wait for each other at each layer, run up to a fifth slower.
#pragma once

#include <string>

namespace pronghorn::bench {

// Nanoseconds that a cache line takes from one thread to the next: of a token that goes round as
// many threads as `threads` and the processors of this process allow, each bound to a processor of
// its own, one lap of the fastest of many short series, divided by the threads. Takes a few
// milliseconds; 0 where there is one thread or one processor. The caller's thread keeps its
// processors. Throws std::system_error when a thread cannot be started.
double handover_ns(int threads);

// Two times that stand for the same placement: they differ by less than two fifths. Inside one
// placement a clock moves them by a tenth or two; another one at least doubles or halves them.
// Unknown ones (0) go with all.
bool same_placement(double a_ns, double b_ns);

// What the kernel says of the processors against what a line takes: "" when they agree, else why
// they do not, for people. A cache that all of them share hands a line over within 60 ns or so;
// from kFarNs on it crosses sockets, wherever the virtual machine's table puts the processors.
constexpr double kFarNs = 150;
std::string placement_problem(double ns, const std::string& root = "");

}  // namespace pronghorn::bench
