// SPDX-License-Identifier: Apache-2.0
#include "bench/rounds.h"

#include <gtest/gtest.h>

namespace pronghorn::bench {
namespace {

Round round_of(double rate, double seconds = 0.5) {
  Round round;
  round.rate = rate;
  round.seconds = seconds;
  round.speed = 1000;
  round.disturbance.seconds = seconds;
  round.disturbance.processor_seconds = 2 * seconds;
  return round;
}

TEST(Rounds, EndWhenTheFigureHasSettled) {
  const RoundPlan plan;
  std::vector<Round> rounds;
  while (wants_more(rounds, plan)) rounds.push_back(round_of(100 + rounds.size() % 2));
  EXPECT_EQ(rounds.size(), 6u);  // of half a second: the three asked for
  const Judged judged = judge_rounds(rounds, plan);
  EXPECT_TRUE(judged.settled);
  EXPECT_EQ(judged.rate, 100);
  EXPECT_EQ(judged.repeat_rates.size(), 2u);
}

TEST(Rounds, GoOnWhileTheIntervalIsWideButNotForEver) {
  const RoundPlan plan;
  std::vector<Round> rounds;
  while (wants_more(rounds, plan)) rounds.push_back(round_of(rounds.size() % 2 == 0 ? 100 : 120));
  EXPECT_EQ(rounds.size(), 24u);  // twelve seconds
  const Judged judged = judge_rounds(rounds, plan);
  EXPECT_FALSE(judged.settled);
  EXPECT_NEAR(judged.half_width, 0.1, 1e-9);
}

TEST(Rounds, ASpellIsOutvotedByWhatFollows) {
  const RoundPlan plan;
  std::vector<Round> rounds;
  while (wants_more(rounds, plan)) {
    rounds.push_back(round_of(rounds.size() < 4 ? 80 : 100 + 0.1 * (rounds.size() % 3)));
  }
  const Judged judged = judge_rounds(rounds, plan);
  EXPECT_TRUE(judged.settled);
  EXPECT_NEAR(judged.rate, 100, 0.3);
}

TEST(Rounds, RepeatsThatDifferDoNotSettle) {
  const RoundPlan plan;
  std::vector<Round> rounds;
  for (int i = 0; i < 12; ++i) rounds.push_back(round_of(i < 6 ? 100 : 104));
  const Judged judged = judge_rounds(rounds, plan);
  EXPECT_NEAR(judged.repeat_difference, 0.04, 1e-9);
  EXPECT_FALSE(judged.settled);
  EXPECT_TRUE(wants_more(rounds, plan));
}

TEST(Rounds, DisturbedOnesAreSetAsideAndMadeAgain) {
  const RoundPlan plan;
  std::vector<Round> rounds;
  while (wants_more(rounds, plan)) {
    Round round = round_of(100);
    if (rounds.size() == 1) {
      round.rate = 60;
      round.disturbance.steal_share = 0.3;
    } else if (rounds.size() == 2) {
      round.rate = 70;
      round.disturbance.other_share = 0.4;
    } else if (rounds.size() == 3) {
      round.rate = 90;
      round.speed = 900;
    }
    rounds.push_back(round);
  }
  const Judged judged = judge_rounds(rounds, plan);
  EXPECT_EQ(judged.clean.size(), rounds.size() - 3);
  EXPECT_GE(judged.clean.size(), 4u);
  EXPECT_EQ(judged.interval.low, 100);
  EXPECT_EQ(judged.disturbed[1], "the host took 30.0 % of the processor time");
  EXPECT_EQ(judged.disturbed[2], "other programs used 40 % of the processors");
  EXPECT_EQ(judged.disturbed[3], "the processors ran at 90 % of their usual speed");
  EXPECT_TRUE(judged.settled);
}

TEST(Rounds, OneTickOfAShortRoundSaysNothing) {
  Round round = round_of(100, 0.1);
  round.disturbance.steal_share = 0.05;  // 10 ms of 200
  round.disturbance.other_share = 0.05;
  EXPECT_EQ(judge_rounds({round, round}, {}).disturbed[0], "");
}

TEST(Rounds, AllCountWhenAllAreDisturbedAndNothingSettles) {
  const RoundPlan plan;
  std::vector<Round> rounds;
  while (wants_more(rounds, plan)) {
    rounds.push_back(round_of(100));
    rounds.back().disturbance.other_share = 0.5;
  }
  EXPECT_EQ(rounds.size(), 24u);
  const Judged judged = judge_rounds(rounds, plan);
  EXPECT_TRUE(judged.all_disturbed);
  EXPECT_EQ(judged.clean.size(), 24u);
  EXPECT_EQ(judged.rate, 100);
  EXPECT_FALSE(judged.settled);
}

TEST(Rounds, LongOnesEndAfterTwo) {
  std::vector<Round> rounds;
  while (wants_more(rounds, {})) rounds.push_back(round_of(1, 30));
  EXPECT_EQ(rounds.size(), 2u);
}

TEST(Rounds, CountInThePlacementOfMost) {
  RoundPlan plan;
  std::vector<Round> rounds;
  while (wants_more(rounds, plan)) {
    const bool far = rounds.size() < 3;  // the host runs them on two sockets for a while
    rounds.push_back(round_of(far ? 84 : 100));
    rounds.back().handover_ns = far ? 248 : 52;
  }
  Judged judged = judge_rounds(rounds, plan);
  EXPECT_TRUE(judged.settled);
  EXPECT_EQ(judged.rate, 100);
  EXPECT_EQ(judged.handover_ns, 52);
  EXPECT_EQ(judged.nearest_ns, 52);
  EXPECT_EQ(judged.farthest_ns, 248);
  EXPECT_EQ(judged.disturbed[0],
            "a cache line took 248 ns from thread to thread, 52 in most rounds");
  // Most rounds of the whole run were far: this figure must be measured again there.
  plan.handover_ns = 250;
  judged = judge_rounds(rounds, plan);
  EXPECT_FALSE(judged.settled);
  EXPECT_TRUE(judged.all_disturbed);
  EXPECT_TRUE(wants_more(rounds, plan));
}

TEST(Rounds, AtTheEndShowThatAFigureHolds) {
  const RoundPlan plan;
  std::vector<Round> rounds;
  EXPECT_FALSE(wants_again(rounds, plan));
  while (wants_more(rounds, plan)) rounds.push_back(round_of(100));
  const std::size_t before = rounds.size();
  while (wants_again(rounds, plan)) {
    rounds.push_back(round_of(rounds.size() == before ? 70 : 101));
    rounds.back().again = true;
    // The first one was disturbed: it is made again.
    if (rounds.size() == before + 1) rounds.back().disturbance.steal_share = 0.3;
  }
  EXPECT_EQ(rounds.size(), before + 3);
  const Judged judged = judge_rounds(rounds, plan);
  EXPECT_EQ(judged.again_rate, 101);
  EXPECT_NEAR(judged.again_difference, 0.01, 1e-9);
  EXPECT_TRUE(judged.settled);
}

TEST(Rounds, AtTheEndShowThatAFigureMoved) {
  const RoundPlan plan;
  std::vector<Round> rounds;
  while (wants_more(rounds, plan)) rounds.push_back(round_of(100));
  const std::size_t before = rounds.size();
  while (wants_again(rounds, plan)) {
    rounds.push_back(round_of(96));
    rounds.back().again = true;
  }
  EXPECT_EQ(rounds.size(), before + 6);  // three times two
  const Judged judged = judge_rounds(rounds, plan);
  EXPECT_NEAR(judged.again_difference, 0.04, 1e-9);
  EXPECT_FALSE(judged.settled);
}

TEST(Rounds, AreNotRepeatedAtTheEndWhenTheyAreLongOrDidNotSettle) {
  const RoundPlan plan;
  EXPECT_FALSE(wants_again({round_of(1, 30), round_of(1, 30)}, plan));
  EXPECT_FALSE(wants_again({round_of(1), round_of(2)}, plan));
}

TEST(ProcessorSpeed, IsMeasured) { EXPECT_GT(processor_speed(2), 0); }

}  // namespace
}  // namespace pronghorn::bench
