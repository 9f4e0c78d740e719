// SPDX-License-Identifier: Apache-2.0
// Scenarios, sweeps, pages, comparisons and prices of `pronghorn bench` and `pronghorn report`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/cli/program.h"

namespace pronghorn::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Report : public ::testing::Test {
 protected:
  void SetUp() override { write_colour_labels(folder); }
  Folder folder;
};

TEST_F(Report, HoldsEverySectionThatWasAskedFor) {
  folder.write("trace.txt", "# three requests\n0\n0.01\n0.05\n");
  const Outcome run = folder.run(
      "bench --batch 1,4 --seconds 0.05 --scenario all --concurrency 1,2 --rate 50,100 "
      "--thread-scaling 1 --device-scaling --trace trace.txt --sustained 1 --price 0.5/h --json "
      "out.json "
      "--csv out.csv " +
      colours());
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("MLPerf-like, not verified by MLCommons"));
  EXPECT_THAT(run.out, HasSubstr("STABLE"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["partial"], false);
  EXPECT_EQ(json["model"]["sha256"].get<std::string>().size(), 64u);
  ASSERT_EQ(json["scenarios"].size(), 8u);  // four of each kind
  const char* names[] = {"SingleStream", "MultiStream", "Server", "Offline"};
  for (std::size_t i = 0; i < 8; ++i) {
    const auto& scenario = json["scenarios"][i];
    EXPECT_EQ(scenario["scenario"], names[i % 4]);
    EXPECT_EQ(scenario["kind"], i < 4 ? "device" : "real");
    EXPECT_EQ(scenario["failures"], 0);
    EXPECT_EQ(scenario["verdict"] == "VALID", scenario["reasons"].empty());
  }
  EXPECT_EQ(json["scenarios"][0]["metric"]["unit"], "ms");
  EXPECT_GE(json["scenarios"][0]["queries"], 64);
  EXPECT_FALSE(json["scenarios"][2]["search"].empty());
  EXPECT_EQ(json["concurrency"].size(), 2u);
  EXPECT_EQ(json["rates"].size(), 2u);
  EXPECT_EQ(json["trace"]["queries"], 3);
  ASSERT_EQ(json["devices"]["rows"].size(), 1u);
  EXPECT_GT(json["devices"]["rows"][0]["real_images_per_second"], 0);
  EXPECT_THAT(json["devices"]["note"].get<std::string>(), HasSubstr("is one device"));
  EXPECT_THAT(json["sustained"]["refused"].get<std::string>(),
              HasSubstr("1 s are too few for a drift at batch"));
  EXPECT_THAT(run.out, HasSubstr("8 slots of 1 s are needed"));
  EXPECT_GT(json["layers"]["layers"].size(), 3u);
  EXPECT_TRUE(json["energy"].contains("real"));
  EXPECT_GT(json["own_overhead"]["null_queries_per_second"], 10000);
  EXPECT_EQ(json["own_overhead"]["null_queries_per_second_asked"], 200000);
  EXPECT_TRUE(json["ceiling"].contains("gmac_per_second"));
  for (const auto& result : json["results"]) {
    const std::size_t rounds = result["round_series"].size();
    EXPECT_EQ(result["rounds"], rounds);
    EXPECT_GE(rounds, 2u);
    EXPECT_LE(result["rounds_counted"], rounds);
    if (result["kind"] == "device") continue;
    const auto& stages = result["stages"];
    for (const char* stage : {"read", "decode", "resize", "infer", "top5"}) {
      EXPECT_GT(stages[std::string(stage) + "_seconds"], 0) << stage;
    }
    EXPECT_EQ(stages["copy_seconds"], 0);  // a processor works where the pixels are
  }
  EXPECT_NEAR(json["cost"]["dollars_per_million_images"].get<double>(),
              0.5 * 1e6 / 3600 / json["cost"]["images_per_second"].get<double>(), 1e-9);
  const std::string csv = folder.read("out.csv");
  EXPECT_THAT(csv, StartsWith("Concurrency,Inferences/Second,Client Send,"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 4 + 8 + 2 + 2);
  const std::string page = folder.read("out.html");
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  EXPECT_LT(page.size(), 3000000u);
  EXPECT_THAT(page, Not(HasSubstr("src=\"")));
  EXPECT_THAT(page, Not(HasSubstr("{{")));
}

TEST_F(Report, DatasetIsMeasuredExactly) {
  const Outcome run = folder.run(
      "bench --batch 4 --kind real --dataset 50 --seconds 0.05 --no-report --json out.json " +
      colours());
  ASSERT_EQ(run.status, 0) << run.err;
  const auto json = folder.json("out.json");
  ASSERT_EQ(json["results"].size(), 1u);
  EXPECT_EQ(json["results"][0]["stages"]["images"], 50);
  EXPECT_EQ(json["results"][0]["dataset"]["images"], 50);
  EXPECT_EQ(json["results"][0]["dataset"]["asked"], 50);
  EXPECT_NEAR(json["results"][0]["images_per_second"].get<double>(),
              50 / json["results"][0]["dataset"]["seconds"].get<double>(), 1e-6);
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.html")));
}

TEST_F(Report, PresetOf2020TakesASmallerDataset) {
  const Outcome run = folder.run(
      "bench --preset inaccel-2020 --dataset 256 --seconds 0.05 --no-report --json out.json " +
      colours());
  ASSERT_EQ(run.status, 0) << run.err;
  const auto json = folder.json("out.json");
  ASSERT_EQ(json["results"].size(), 1u);
  EXPECT_EQ(json["results"][0]["kind"], "real");
  EXPECT_EQ(json["results"][0]["batch"], 128);
  EXPECT_EQ(json["results"][0]["dataset"]["images"], 256);
}

TEST_F(Report, AnInterruptedDatasetKeepsWhatItClassified) {
  // timeout sends SIGTERM, as a batch system does.
  const Outcome run = folder.run(
      "bench --batch 4 --kind real --dataset 100000000 --seconds 0.05 --no-report --json "
      "out.json " +
          colours(),
      "timeout 3");
  EXPECT_THAT(run.err, HasSubstr("what was measured is kept and marked partial"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["partial"], true);
  ASSERT_EQ(json["results"].size(), 1u);
  EXPECT_EQ(json["results"][0]["dataset"]["asked"], 100000000);
  EXPECT_GT(json["results"][0]["dataset"]["images"], 0);
  EXPECT_LT(json["results"][0]["dataset"]["images"], 100000000);
  if (json["results"][0]["rounds"] == 1) {
    EXPECT_EQ(json["stability"]["verdict"], "UNSTABLE");
  }
  EXPECT_GT(json["results"][0]["images_per_second"], 0);
}

TEST_F(Report, PeersThatFailLeaveTheRest) {
  folder.write("python", "#!/bin/sh\necho no engines here; exit 3\n");
  std::filesystem::permissions(folder.path("python"), std::filesystem::perms::owner_all);
  const Outcome run = folder.run(
      "bench --batch 1 --kind device --seconds 0.05 --peers auto --peers-python ./python "
      "--no-report --json out.json");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.out, HasSubstr("ended with status 3"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["results"].size(), 1u);
  EXPECT_TRUE(json["peers"]["results"].empty());
  EXPECT_EQ(json["peers"]["left_out"][0]["system"], "all");
}

TEST_F(Report, ComparesRuns) {
  const std::string machine = R"("machine": {"cpu": "x", "cores": 2})";
  const auto run = [&](const char* rate, const char* interval) {
    return "{\"schema\": 1, " + machine +
           ", \"results\": [{\"kind\": \"real\", \"batch\": 8, \"images_per_second\": " + rate +
           ", \"interval_95\": " + interval + "}]}";
  };
  folder.write("a.json", run("100", "[98, 102]"));
  folder.write("b.json", run("90", "[89, 91]"));
  folder.write("c.json", run("101", "[99, 103]"));
  const Outcome outcome = folder.run("report a.json b.json c.json --html out.html --json out.json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("real throughput, batch 8"));
  EXPECT_THAT(outcome.out, HasSubstr("[89.00, 91.00]"));  // the intervals are shown
  const auto values = folder.json("out.json")["comparison"]["rows"][0]["values"];
  EXPECT_NEAR(values[1]["change"].get<double>(), -0.1, 1e-12);
  EXPECT_EQ(values[1]["verdict"], "slower");
  EXPECT_EQ(values[2]["verdict"], "the same");
  EXPECT_THAT(folder.read("out.html"), HasSubstr("\"comparison\""));
}

TEST_F(Report, ADeviceWithoutTimesRefusesWhatWouldTimeIt) {
  for (const char* option : {"--peers auto", "--scenario all", "--sustained 20"}) {
    const Outcome outcome =
        folder.run(std::string("bench --device fpga --json out.json ") + option);
    EXPECT_EQ(outcome.status, 1) << option;
    EXPECT_THAT(outcome.err, HasSubstr(": device fpga counts cycles of a model")) << option;
    EXPECT_FALSE(std::filesystem::exists(folder.path("out.json"))) << option;
  }
}

TEST_F(Report, BadInputIsOneClearLine) {
  folder.write("trace.txt", "0.5\n0.25\n");
  folder.write("prices.toml", "[a]\nhour = \"much\"\n");
  folder.write("old.json", "{\"schema\": 7}");
  const struct {
    const char* arguments;
    const char* message;
  } cases[] = {
      {"bench --peers onnxruntime,abacus", "unknown peer \"abacus\"; auto, or of: onnxruntime"},
      {"bench --trace trace.txt", "trace.txt:2: \"0.25\" is not a time in seconds from 0.5 on"},
      {"bench --trace none.txt", "none.txt: no such trace file"},
      {"bench --official", "--official sets the durations of --scenario"},
      {"bench --price free", "--price free: give 0.42/h"},
      {"bench --prices prices.toml --price a", "[a] needs either hour"},
      {"report old.json", "old.json: schema 7; this program reads 1"},
      {"report none.json", "none.json: no such file"},
  };
  for (const auto& [arguments, message] : cases) {
    const std::string model = std::string(arguments).starts_with("bench") ? " " + colours() : "";
    const Outcome outcome = folder.run(arguments + model + " --json out.json");
    EXPECT_EQ(outcome.status, 1) << arguments;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << arguments;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path("out.json"))) << arguments;
  }
  EXPECT_EQ(folder.run("bench --scenario marathon " + colours()).status, 2);
  EXPECT_EQ(folder.run("bench --preset slow " + colours()).status, 2);
}

}  // namespace
}  // namespace pronghorn::test
