// SPDX-License-Identifier: Apache-2.0
// When a figure has been measured long enough. A figure is measured in short rounds, and several
// figures take turns, so that a slow minute of the machine hits all of them alike and none alone.
// Rounds that the machine disturbed are set aside and made again.
#pragma once

#include <string>
#include <vector>

#include "bench/stability.h"
#include "bench/statistics.h"

namespace pronghorn::bench {

struct Round {
  double seconds = 0;
  double rate = 0;          // images a second over the whole round
  double speed = 0;         // of the processors, beside it (processor_speed()); 0: not probed
  Disturbance disturbance;  // while it was measured
};

struct RoundPlan {
  double seconds = 3;         // of a figure, at least
  double most_seconds = 12;   // after which it ends, settled or not
  int repeats = 2;            // parts of the run whose medians must agree
  double tolerance = 0.03;    // of the interval's half width, and of the repeats' difference
  int least_a_repeat = 2;     // rounds
  bool watch_machine = true;  // set disturbed rounds aside; false in tests of the rest
};

// What a series of rounds says.
struct Judged {
  std::vector<std::size_t> clean;  // indices of the rounds that count
  std::vector<std::string>
      disturbed;                     // of each round, why it is set aside; "" for those that count
  bool all_disturbed = false;        // too few were clean, so every one counts
  double rate = 0;                   // median of those that count
  Interval interval;                 // 95 %, of that median
  double half_width = 0;             // of the interval, as a part of the median
  std::vector<double> repeat_rates;  // median of each repeat: equal consecutive parts
  double repeat_difference = 0;      // largest to smallest of those, less 1
  double speed_range = 0;            // fastest to slowest processor speed, less 1
  bool settled = false;              // half_width and repeat_difference keep the tolerance
};
Judged judge_rounds(const std::vector<Round>& rounds, const RoundPlan& plan);

// Whether another round is due: until `seconds` and the least rounds are had and the figure has
// settled, or `most_seconds` are over (two rounds are made at least).
bool wants_more(const std::vector<Round>& rounds, const RoundPlan& plan);

}  // namespace pronghorn::bench
