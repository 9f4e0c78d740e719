// SPDX-License-Identifier: Apache-2.0
#include "bench/rounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bench/handover.h"

namespace pronghorn::bench {
namespace {

// The kernel counts in ticks of 10 ms: a share is believed only from two of them on.
constexpr double kTwoTicks = 0.02;
constexpr double kMostSteal = 0.01, kMostOther = 0.05, kMostThrottled = 0.01;
// Slower than this to the median speed: the clock fell, or a neighbour shares the core.
constexpr double kSlow = 0.93;

std::string disturbed_by(const Round& round, double median_speed, double usual_ns) {
  const Disturbance& d = round.disturbance;
  const double processors = d.processor_seconds;
  if (d.steal_share > kMostSteal && d.steal_share * processors >= kTwoTicks) {
    return fmt::format("the host took {:.1f} % of the processor time", 100 * d.steal_share);
  }
  if (d.other_share > kMostOther && d.other_share * processors >= 2 * kTwoTicks) {
    return fmt::format("other programs used {:.0f} % of the processors", 100 * d.other_share);
  }
  if (d.throttled_seconds > kMostThrottled * round.seconds) {
    return fmt::format("the control group held it back for {:.3f} s", d.throttled_seconds);
  }
  if (!d.clock_problem.empty()) return d.clock_problem;
  if (round.speed > 0 && round.speed < kSlow * median_speed) {
    return fmt::format("the processors ran at {:.0f} % of their usual speed",
                       100 * round.speed / median_speed);
  }
  if (!same_placement(round.handover_ns, usual_ns)) {
    return fmt::format("a cache line took {:.0f} ns from thread to thread, {:.0f} in most rounds",
                       round.handover_ns, usual_ns);
  }
  return "";
}

int least_rounds(const RoundPlan& plan) { return std::max(2, plan.repeats * plan.least_a_repeat); }

double median_rate(const std::vector<Round>& rounds, const std::vector<std::size_t>& which,
                   bool again) {
  std::vector<double> rates;
  for (const std::size_t i : which) {
    if (rounds[i].again == again) rates.push_back(rounds[i].rate);
  }
  return quantile(rates, 0.5);
}

}  // namespace

Judged judge_rounds(const std::vector<Round>& rounds, const RoundPlan& plan) {
  Judged judged;
  std::vector<double> speeds, handovers;
  for (const Round& round : rounds) {
    if (round.speed > 0) speeds.push_back(round.speed);
    if (round.handover_ns > 0) handovers.push_back(round.handover_ns);
  }
  const double median_speed = quantile(speeds, 0.5);
  if (!speeds.empty()) judged.speed_range = quantile(speeds, 1) / quantile(speeds, 0) - 1;
  judged.nearest_ns = quantile(handovers, 0);
  judged.farthest_ns = quantile(handovers, 1);
  const double usual_ns = plan.handover_ns > 0 ? plan.handover_ns : quantile(handovers, 0.5);
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    judged.disturbed.push_back(plan.watch_machine ? disturbed_by(rounds[i], median_speed, usual_ns)
                                                  : "");
    if (judged.disturbed.back().empty()) judged.clean.push_back(i);
  }
  const std::size_t least = std::min(rounds.size(), static_cast<std::size_t>(least_rounds(plan)));
  judged.all_disturbed = judged.clean.size() < least;
  if (judged.all_disturbed) {
    judged.clean.resize(rounds.size());
    std::iota(judged.clean.begin(), judged.clean.end(), std::size_t{0});
  }
  std::vector<double> rates;
  speeds.clear();
  handovers.clear();
  for (const std::size_t i : judged.clean) {
    rates.push_back(rounds[i].rate);
    if (rounds[i].speed > 0) speeds.push_back(rounds[i].speed);
    if (rounds[i].handover_ns > 0) handovers.push_back(rounds[i].handover_ns);
  }
  judged.speed = quantile(speeds, 0.5);
  judged.handover_ns = quantile(handovers, 0.5);
  judged.rate = quantile(rates, 0.5);
  judged.interval = median_interval(rates);
  if (judged.rate > 0) {
    judged.half_width = (judged.interval.high - judged.interval.low) / (2 * judged.rate);
  }
  const auto parts = std::min(rates.size(), static_cast<std::size_t>(std::max(1, plan.repeats)));
  for (std::size_t part = 0; part < parts; ++part) {
    const auto from = rates.begin() + static_cast<std::ptrdiff_t>(part * rates.size() / parts);
    const auto to = rates.begin() + static_cast<std::ptrdiff_t>((part + 1) * rates.size() / parts);
    judged.repeat_rates.push_back(quantile({from, to}, 0.5));
  }
  if (judged.repeat_rates.size() > 1 && quantile(judged.repeat_rates, 0) > 0) {
    judged.repeat_difference =
        quantile(judged.repeat_rates, 1) / quantile(judged.repeat_rates, 0) - 1;
  }
  judged.again_rate = median_rate(rounds, judged.clean, true);
  const double before = median_rate(rounds, judged.clean, false);
  if (judged.again_rate > 0 && before > 0) {
    judged.again_difference = std::abs(judged.again_rate / before - 1);
  }
  judged.settled = !judged.all_disturbed && judged.half_width <= plan.tolerance &&
                   judged.repeat_difference <= plan.repeat_tolerance &&
                   judged.again_difference <= plan.repeat_tolerance;
  return judged;
}

bool wants_more(const std::vector<Round>& rounds, const RoundPlan& plan) {
  if (rounds.size() < 2) return true;
  double spent = 0;
  for (const Round& round : rounds) spent += round.seconds;
  if (spent >= plan.most_seconds) return false;
  if (spent < plan.seconds || rounds.size() < static_cast<std::size_t>(least_rounds(plan))) {
    return true;
  }
  return !judge_rounds(rounds, plan).settled;
}

bool wants_again(const std::vector<Round>& rounds, const RoundPlan& plan) {
  const auto is_again = [](const Round& round) { return round.again; };
  const auto made = std::count_if(rounds.begin(), rounds.end(), is_again);
  if (rounds.empty() || made >= 3 * plan.again) return false;
  const Judged judged = judge_rounds(rounds, plan);
  if (made == 0) return judged.settled && rounds.back().seconds <= plan.seconds;
  const auto counted = std::count_if(judged.clean.begin(), judged.clean.end(),
                                     [&](std::size_t i) { return rounds[i].again; });
  return counted < plan.again || judged.again_difference > plan.repeat_tolerance;
}

}  // namespace pronghorn::bench
