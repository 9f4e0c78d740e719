// SPDX-License-Identifier: Apache-2.0
#include "bench/page.h"

#include <gtest/gtest.h>

namespace pronghorn::bench {
namespace {

using nlohmann::ordered_json;

ordered_json run_of(double rate, double handover_ns, double speed, const char* verdict) {
  return {{"results",
           {{{"kind", "device"},
             {"batch", 1},
             {"images_per_second", rate},
             {"interval_95", {rate - 1, rate + 1}}}}},
          {"stability",
           {{"verdict", verdict}, {"handover_ns", handover_ns}, {"processor_speed", speed}}}};
}

std::vector<std::string> notes_of(const std::vector<ordered_json>& runs) {
  std::vector<std::string> names;
  for (std::size_t i = 1; i <= runs.size(); ++i) names.push_back(std::to_string(i) + ".json");
  return compare_runs(runs, names)["notes"].get<std::vector<std::string>>();
}

TEST(Comparison, SaysNothingOfRunsInOneState) {
  const std::vector<ordered_json> runs = {run_of(99, 50, 9000, "STABLE"),
                                          run_of(90, 54, 9100, "STABLE")};
  EXPECT_TRUE(notes_of(runs).empty());
  const ordered_json comparison = compare_runs(runs, {"a.json", "b.json"});
  EXPECT_EQ(comparison["rows"][0]["values"][1]["verdict"], "slower");
  EXPECT_NEAR(comparison["rows"][0]["values"][1]["change"].get<double>(), -1.0 / 11, 1e-9);
}

TEST(Comparison, NamesAnotherStateOfTheMachine) {
  const std::vector<std::string> notes =
      notes_of({run_of(99, 50, 9000, "STABLE"), run_of(84, 250, 8000, "UNSTABLE"),
                run_of(99, 0, 0, "STABLE")});  // not probed: nothing to say
  ASSERT_EQ(notes.size(), 3u);
  EXPECT_EQ(notes[0],
            "run 2 had the processors elsewhere than run 1: a cache line took 250 ns from thread "
            "to thread, 50 in run 1; small batches differ for that reason");
  EXPECT_EQ(notes[1], "run 2 had processors of 89 % of the speed of run 1");
  EXPECT_EQ(notes[2], "run 2 was UNSTABLE");
}

TEST(Comparison, TakesFilesWithoutAStability) {
  ordered_json old = run_of(99, 50, 9000, "STABLE");
  old.erase("stability");
  const ordered_json comparison =
      compare_runs({old, run_of(84, 250, 8000, "STABLE")}, {"a.json", "b.json"});
  EXPECT_TRUE(comparison["notes"].empty());
  EXPECT_NE(comparison_text(comparison).find("slower"), std::string::npos);
}

}  // namespace
}  // namespace pronghorn::bench
