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
  double handover_ns = 0;   // between them, beside it (handover_ns()); 0: not probed
  bool again = false;       // at the end of the run, when every figure had settled
  Disturbance disturbance;  // while it was measured
};

struct RoundPlan {
  double seconds = 3;              // of a figure, at least
  double most_seconds = 12;        // after which it ends, settled or not
  int repeats = 2;                 // parts of the run whose medians must agree
  double tolerance = 0.015;        // of the interval's half width
  double repeat_tolerance = 0.02;  // of the repeats' difference, and of the rounds at the end
  int least_a_repeat = 2;          // rounds
  int again = 2;                   // undisturbed rounds at the end of the run; 0: none
  // The placement of the processors that rounds count in (same_placement()); 0: that of most.
  double handover_ns = 0;
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
  double again_rate = 0;             // median of the rounds at the end; 0: none counts
  double again_difference = 0;       // of that to the median of those before, as a part of it
  double speed = 0;                  // median over the rounds that count; 0: not probed
  double speed_range = 0;            // fastest to slowest processor speed, less 1
  double handover_ns = 0;            // median over the rounds that count; 0: not probed
  double nearest_ns = 0, farthest_ns = 0;  // least and most of all rounds
  bool settled = false;  // half_width, repeat_difference and again_difference keep the tolerances
};
Judged judge_rounds(const std::vector<Round>& rounds, const RoundPlan& plan);

// Whether another round is due: until `seconds` and the least rounds are had and the figure has
// settled, or `most_seconds` are over (two rounds are made at least).
bool wants_more(const std::vector<Round>& rounds, const RoundPlan& plan);

// Whether a round at the end of the run is due: until plan.again undisturbed ones are had that
// agree with those before, or three times as many were made. Not for a figure that did not settle,
// nor for one whose rounds take longer than plan.seconds.
bool wants_again(const std::vector<Round>& rounds, const RoundPlan& plan);

}  // namespace pronghorn::bench
