// SPDX-License-Identifier: Apache-2.0
// What holds for every command, then bench, info and devices.
#include "tests/cli/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace pronghorn::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Program, EveryCommandHasHelpWithAnExample) {
  for (const char* command :
       {"bench", "classify", "eval", "quantize", "info", "devices", "pull", "report"}) {
    const Outcome help = run(std::string(command) + " --help");
    EXPECT_EQ(help.status, 0);
    EXPECT_THAT(help.out, HasSubstr(std::string("Example:\n  pronghorn ") + command));
    EXPECT_THAT(help.out, HasSubstr("--json"));
    EXPECT_EQ(help.err, "");
  }
  EXPECT_THAT(run("--help").out, HasSubstr("Exit status"));
  EXPECT_THAT(run("--version").out, StartsWith("pronghorn "));
}

TEST(Program, WrongUsageIsOneLineAndStatusTwo) {
  for (const char* arguments :
       {"", "fly", "classify", "bench --batch 0", "bench --batch x", "eval a --interpolation cubic",
        "quantize", "pull", "bench --no-verify"}) {
    const Outcome wrong = run(arguments);
    EXPECT_EQ(wrong.status, 2) << arguments;
    EXPECT_THAT(wrong.err, StartsWith("pronghorn: ")) << arguments;
    EXPECT_EQ(std::count(wrong.err.begin(), wrong.err.end(), '\n'), 1) << wrong.err;
  }
}

TEST(Program, ShowsABarOnATerminalOnly) {
  if (std::system("script --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "no `script` (bsdutils) to make a terminal";
  }
  const Folder folder;
  write_colour_labels(folder);
  for (int i = 0; i < 40; ++i) folder.picture("set/red/" + std::to_string(i) + ".jpg", 200, 60, 60);
  const std::string command = "cd '" + folder.path().string() + "' && script -qec \"'" +
                              PRONGHORN_PROGRAM + "' eval set --device reference --threads 1 " +
                              colours() + "\" typescript >/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string shown = folder.read("typescript");
  EXPECT_THAT(shown, HasSubstr("eval ["));
  EXPECT_THAT(shown, HasSubstr(" images/s"));
  EXPECT_THAT(shown, HasSubstr(" left"));
  const Outcome piped = folder.run("eval set " + colours());
  EXPECT_EQ(piped.status, 0);
  EXPECT_EQ(piped.err, "");
}

TEST(Devices, ListsTheReference) {
  const Folder folder;
  const Outcome list = folder.run("devices --json out.json");
  EXPECT_EQ(list.status, 0) << list.err;
  EXPECT_THAT(list.out, HasSubstr("reference"));
  const auto json = folder.json("out.json");
  std::vector<std::string> names;
  for (const auto& device : json["devices"]) names.push_back(device["name"]);
  EXPECT_THAT(names, ::testing::IsSupersetOf({"cpu", "reference"}));
  EXPECT_GT(json["machine"]["memory_bytes"], 0);
}

TEST(Info, ShowsTheModel) {
  const Folder folder;
  const Outcome info = folder.run("info '" + colours_file() + "' --layers --json out.json");
  EXPECT_EQ(info.status, 0) << info.err;
  EXPECT_THAT(info.out, HasSubstr("32 x 32 x 3"));
  EXPECT_THAT(info.out, HasSubstr("conv1"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["model"]["classes"], 4);
  EXPECT_EQ(json["model"]["quantized"], false);
  // 16 x 16 x 8 x 27, 16 x 16 x 8 x 72, 8 x 4.
  EXPECT_EQ(json["macs"], 55296 + 147456 + 32);
  std::int64_t sum = 0;
  for (const auto& layer : json["layers"]) sum += layer["macs"].get<std::int64_t>();
  EXPECT_EQ(sum, json["macs"]);
}

class Bench : public ::testing::Test {
 protected:
  void SetUp() override { write_colour_labels(folder); }
  Folder folder;
};

TEST_F(Bench, MeasuresGeneratedPhotographs) {
  const Outcome run = folder.run("bench --batch 1,4 --seconds 0.05 --json out.json " + colours());
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("verified"));
  EXPECT_THAT(run.out, HasSubstr("generated"));
  EXPECT_EQ(run.err, "");
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["schema"], 1);
  EXPECT_THAT(json["command"].get<std::string>(), HasSubstr("bench --batch 1,4"));
  EXPECT_TRUE(json["accuracy"].is_null());
  EXPECT_EQ(json["images"]["generated"], true);
  EXPECT_GE(json["verified"]["images"], 1);
  EXPECT_GT(json["first_result_seconds"], 0);
  EXPECT_GT(json["peak_rss_bytes"], 1000000);
  ASSERT_EQ(json["results"].size(), 4u);
  const char* kinds[] = {"device", "real", "device", "real"};
  for (int i = 0; i < 4; ++i) {
    const auto& result = json["results"][i];
    EXPECT_EQ(result["kind"], kinds[i]);
    EXPECT_EQ(result["batch"], i < 2 ? 1 : 4);
    EXPECT_GT(result["images_per_second"], 0);
    EXPECT_GE(result["images_per_second_best"], result["images_per_second"]);
    const auto& latency = result["latency_ms"];
    EXPECT_GT(latency["p50"], 0);
    EXPECT_LE(latency["p50"], latency["p90"]);
    EXPECT_LE(latency["p90"], latency["p99"]);
    EXPECT_LE(latency["p99"], latency["p999"]);
    EXPECT_EQ(result.contains("stages"), result["kind"] == "real");
  }
}

TEST_F(Bench, GivesTheAccuracyOfLabelledImages) {
  folder.picture("set/red/1.jpg", 200, 60, 60);
  folder.picture("set/green/2.jpg", 60, 60, 200);  // wrong on purpose
  const Outcome run =
      folder.run("bench --images set --batch 2 --seconds 0.05 --json out.json " + colours());
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, Not(HasSubstr("generated")));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["accuracy"]["images"], 2);
  EXPECT_DOUBLE_EQ(json["accuracy"]["top1"], 0.5);
}

TEST_F(Bench, Errors) {
  EXPECT_EQ(folder.run("bench --images none " + colours()).status, 1);
  EXPECT_EQ(folder.run("bench --device abacus " + colours()).status, 1);
  folder.write("bad/x.jpg", "broken");
  const Outcome broken = folder.run("bench --images bad --json out.json " + colours());
  EXPECT_EQ(broken.status, 1);
  EXPECT_THAT(broken.err, HasSubstr("not one image could be decoded"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.json")));
}

TEST_F(Bench, CtrlCKeepsWhatWasMeasured) {
  const Outcome run = folder.run("bench --seconds 60 --no-report --json out.json " + colours(),
                                 "timeout --preserve-status --signal=INT 1.5");
  EXPECT_EQ(run.status, 130) << run.err;
  EXPECT_THAT(run.err, HasSubstr("pronghorn: interrupted"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["partial"], true);
  EXPECT_TRUE(json["results"].is_array());
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_THAT(entry.path().filename().string(), ::testing::AnyOf("colours.txt", "out.json"));
  }
}

}  // namespace
}  // namespace pronghorn::test
