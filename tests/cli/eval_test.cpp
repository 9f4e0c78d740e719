// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/program.h"

namespace pronghorn::test {
namespace {

using ::testing::HasSubstr;

class Eval : public ::testing::Test {
 protected:
  void SetUp() override {
    write_colour_labels(folder);
    folder.picture("set/red/1.jpg", 200, 60, 60);
    folder.picture("set/red/2.jpg", 60, 60, 200);  // wrong on purpose: it is blue
    folder.picture("set/green/3.jpg", 60, 200, 60);
    folder.picture("set/blue/4.jpg", 60, 60, 200);
    folder.picture("set/gray/5.jpg", 120, 120, 120);
  }
  Folder folder;
};

TEST_F(Eval, CountsRightAnswersAndConfusions) {
  const Outcome run = folder.run("eval set --json out.json " + colours());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("80.00 %   (4 of 5)"));
  EXPECT_THAT(run.out, HasSubstr("red: blue"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["images"], 5);
  EXPECT_DOUBLE_EQ(json["top1"], 0.8);
  EXPECT_DOUBLE_EQ(json["top5"], 1.0);
  EXPECT_EQ(json["skipped"], 0);
  EXPECT_EQ(json["unlabelled"], 0);
  ASSERT_EQ(json["confusions"].size(), 1u);
  EXPECT_EQ(json["confusions"][0]["truth_name"], "red");
  EXPECT_EQ(json["confusions"][0]["answer_name"], "blue");
}

TEST_F(Eval, LeavesUnknownLabelsAndBrokenImagesOut) {
  folder.picture("set/purple/6.jpg", 200, 60, 200);
  folder.write("set/red/7.jpg", "broken");
  const Outcome run = folder.run("eval set --json out.json " + colours());
  EXPECT_EQ(run.status, 3);
  EXPECT_THAT(run.err, HasSubstr("pronghorn: skipped"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["images"], 5);
  EXPECT_DOUBLE_EQ(json["top1"], 0.8);
  EXPECT_EQ(json["skipped"], 1);
  EXPECT_EQ(json["unlabelled"], 1);
  EXPECT_EQ(folder.run("eval set --strict " + colours()).status, 1);
}

TEST_F(Eval, ReadsATarAsItReadsTheFolder) {
  const std::string tar = "cd '" + folder.path().string() + "' && tar cf set.tar -C set .";
  ASSERT_EQ(std::system(tar.c_str()), 0);
  const Outcome run = folder.run("eval set.tar --json out.json " + colours());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(folder.json("out.json")["images"], 5);
  EXPECT_DOUBLE_EQ(folder.json("out.json")["top1"], 0.8);
}

TEST_F(Eval, LimitTakesTheFirst) {
  const Outcome run = folder.run("eval set --limit 2 --json out.json " + colours());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(folder.json("out.json")["images"], 2);
}

TEST_F(Eval, AnswersDoNotDependOnBatchOrThreads) {
  ASSERT_EQ(folder.run("eval set --batch 1 --threads 1 --json a.json " + colours()).status, 0);
  ASSERT_EQ(folder.run("eval set --batch 3 --threads 2 --json b.json " + colours()).status, 0);
  EXPECT_EQ(folder.json("a.json")["top1_count"], folder.json("b.json")["top1_count"]);
  EXPECT_EQ(folder.json("a.json")["confusions"], folder.json("b.json")["confusions"]);
}

TEST_F(Eval, WithoutOneKnownLabelThereIsNoAccuracy) {
  folder.picture("other/purple/6.jpg", 200, 60, 200);
  const Outcome run = folder.run("eval other --json out.json " + colours());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("purple"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.json")));
}

TEST_F(Eval, QuantizeKeepsTheAnswers) {
  const std::string quantize = "quantize '" + colours_file() +
                               "' --preprocess torch --labels colours.txt --calibration set ";
  const Outcome made = folder.run(quantize + "-o small.onnx --report report.json --json q.json");
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("conv1"));
  EXPECT_GE(folder.json("report.json")["layers"].size(), 3u);
  EXPECT_EQ(folder.json("q.json")["output"], "small.onnx");

  const Outcome run = folder.run("eval set --model small.onnx --compare '" + colours_file() +
                                 "' --preprocess torch --labels colours.txt --json out.json");
  const Outcome plain = folder.run("eval set --model small.onnx --json plain.json");
  EXPECT_EQ(plain.status, 0) << plain.err;  // labels, resize and preprocess travel in the file
  EXPECT_DOUBLE_EQ(folder.json("plain.json")["top1"], 0.8);
  EXPECT_EQ(folder.json("plain.json")["model"]["quantized"], true);

  // Deterministic: the same bytes again, with other threads.
  ASSERT_EQ(folder.run(quantize + "-o again.onnx --threads 1").status, 0);
  EXPECT_EQ(folder.read("small.onnx"), folder.read("again.onnx"));
}

TEST_F(Eval, CompareCountsEqualAnswers) {
  const Outcome run =
      folder.run("eval set --compare '" + colours_file() + "' --json out.json " + colours());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_DOUBLE_EQ(folder.json("out.json")["agreement"], 1.0);
  EXPECT_DOUBLE_EQ(folder.json("out.json")["top1_other"], 0.8);
}

// The same model elsewhere: the colours are a float model, whose answers are alike on both devices.
TEST_F(Eval, CompareDevicesAndPrecisions) {
  const Outcome run =
      folder.run("eval set --device cpu --compare-device reference --json out.json " + colours());
  EXPECT_EQ(run.status, 0) << run.err;
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["precision"], "float32");
  EXPECT_EQ(json["device"], "cpu");
  EXPECT_EQ(json["device_other"], "reference");
  EXPECT_EQ(json["precision_other"], "float32");
  EXPECT_EQ(json["agreement_count"], json["agreement_images"]);
  EXPECT_DOUBLE_EQ(json["top1_other"], 0.8);

  const Outcome refused = folder.run("eval set --device cpu --compare-precision fp16 " + colours());
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("fp16"));
  EXPECT_EQ(folder.run("eval set --compare-precision bf16 " + colours()).status, 2);
}

TEST_F(Eval, QuantizeErrors) {
  const std::string model = "quantize '" + colours_file() + "' ";
  EXPECT_EQ(folder.run(model + "--calibration set").status, 2);  // no -o
  const Outcome unwritable =
      folder.run(model + "--preprocess torch --calibration set -o none/out.onnx");
  EXPECT_EQ(unwritable.status, 1);
  EXPECT_THAT(unwritable.err, HasSubstr("cannot write none/out.onnx"));
  std::filesystem::create_directories(folder.path("nothing"));
  const Outcome empty = folder.run(model + "--preprocess torch --calibration nothing -o out.onnx");
  EXPECT_EQ(empty.status, 1);
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.onnx")));
}

}  // namespace
}  // namespace pronghorn::test
