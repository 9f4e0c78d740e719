// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/cli/program.h"

namespace pronghorn::test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class Classify : public ::testing::Test {
 protected:
  void SetUp() override {
    write_colour_labels(folder);
    folder.picture("one.jpg", 200, 60, 60);
    folder.picture("album/green/a.jpg", 60, 200, 60);
    folder.picture("album/blue/b.jpg", 60, 60, 200);
  }
  Folder folder;
};

TEST_F(Classify, PrintsTheBestAnswersOfFilesAndFolders) {
  const Outcome run = folder.run("classify one.jpg album --top 2 --json out.json " + colours());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.err, "");  // no progress bar in a pipe
  EXPECT_THAT(run.out, HasSubstr("one.jpg\n"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["classified"], 3);
  EXPECT_EQ(json["skipped"], 0);
  ASSERT_EQ(json["images"].size(), 3u);
  const char* expected[] = {"red", "blue", "green, lime"};  // folders in path order
  for (int i = 0; i < 3; ++i) {
    const auto& top = json["images"][i]["top"];
    ASSERT_EQ(top.size(), 2u);
    EXPECT_EQ(top[0]["name"], expected[i]);
    EXPECT_GE(top[0]["probability"], top[1]["probability"]);
    EXPECT_LE(top[0]["probability"].get<double>() + top[1]["probability"].get<double>(), 1.0001);
  }
  EXPECT_EQ(json["images"][1]["label"], "blue");
}

TEST_F(Classify, AsksForNoMoreAnswersThanThereAre) {
  const Outcome run = folder.run("classify one.jpg --top 5 --json out.json " + colours());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(folder.json("out.json")["images"][0]["top"].size(), 4u);
}

TEST_F(Classify, ReportsAndSkipsBrokenImages) {
  folder.write("broken.jpg", folder.read("one.jpg").substr(0, 100));
  folder.write("empty.jpg", "");
  folder.write("text.jpg", "not a picture at all");
  const Outcome run =
      folder.run("classify broken.jpg one.jpg empty.jpg text.jpg --json out.json " + colours());
  EXPECT_EQ(run.status, 3);
  for (const char* name : {"broken.jpg", "empty.jpg", "text.jpg"}) {
    EXPECT_THAT(run.err, HasSubstr(std::string("pronghorn: skipped ") + name)) << run.err;
  }
  EXPECT_THAT(run.err, EndsWith("pronghorn: 3 of 4 images skipped\n"));
  const auto json = folder.json("out.json");
  EXPECT_EQ(json["classified"], 1);
  EXPECT_EQ(json["skipped"], 3);
  EXPECT_EQ(json["broken"].size(), 3u);
}

TEST_F(Classify, StrictStopsAtTheFirstBrokenImage) {
  folder.write("broken.jpg", folder.read("one.jpg").substr(0, 100));
  const Outcome run =
      folder.run("classify broken.jpg one.jpg --strict --json out.json " + colours());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("broken.jpg"));
  EXPECT_THAT(run.out, Not(HasSubstr("one.jpg")));
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.json")));
}

TEST_F(Classify, ReadsPathsFromStandardInput) {
  folder.write("list.txt", "one.jpg\nalbum/green/a.jpg\n");
  const Outcome run = folder.run("classify - --json out.json " + colours(), "", "list.txt");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(folder.json("out.json")["classified"], 2);
  EXPECT_EQ(folder.run("classify - " + colours()).status, 1);  // an empty list
}

TEST_F(Classify, MissingFileIsAnError) {
  const Outcome run = folder.run("classify none.jpg " + colours());
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(run.err, "pronghorn: none.jpg: no such file or folder\n");
}

TEST_F(Classify, FolderWithoutImagesIsAnError) {
  std::filesystem::create_directories(folder.path("nothing"));
  const Outcome run = folder.run("classify nothing " + colours());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("nothing"));
  EXPECT_THAT(run.err, HasSubstr("pronghorn: "));
}

TEST_F(Classify, UnknownDeviceNamesWhatThereIs) {
  const Outcome run = folder.run("classify one.jpg --device abacus " + colours());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("abacus"));
  EXPECT_THAT(run.err, HasSubstr("reference"));
}

TEST_F(Classify, ReferenceGivesTheSameAnswer) {
  ASSERT_EQ(folder.run("classify one.jpg --json a.json --device reference " + colours()).status, 0);
  ASSERT_EQ(folder.run("classify one.jpg --json b.json --device cpu " + colours()).status, 0);
  EXPECT_EQ(folder.json("a.json")["device"], "reference");
  EXPECT_EQ(folder.json("b.json")["device"], "cpu");
  EXPECT_EQ(folder.json("a.json")["images"][0]["top"][0]["name"],
            folder.json("b.json")["images"][0]["top"][0]["name"]);
}

TEST_F(Classify, UnwritableJsonFailsBeforeTheWork) {
  const Outcome run = folder.run("classify one.jpg --json none/out.json " + colours());
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, HasSubstr("pronghorn: cannot write none/out.json"));
}

TEST_F(Classify, ModelErrorsAreOneClearLine) {
  EXPECT_THAT(folder.run("classify one.jpg --model none.onnx").err,
              HasSubstr("pronghorn: model none.onnx: no such file"));
  folder.write("cut.onnx", folder.read(colours_file()).substr(0, 700));
  const Outcome cut = folder.run("classify one.jpg --model cut.onnx --preprocess torch");
  EXPECT_EQ(cut.status, 1);
  EXPECT_THAT(cut.err, HasSubstr("cut.onnx"));
  EXPECT_EQ(std::count(cut.err.begin(), cut.err.end(), '\n'), 1) << cut.err;
  const Outcome unknown = folder.run("classify one.jpg --model '" + std::string(PRONGHORN_SOURCE) +
                                     "/tests/data/keras/nested_keras3.keras'");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("--preprocess torch, caffe or tf"));
  folder.write("three.txt", "a\nb\nc\n");
  EXPECT_THAT(folder
                  .run("classify one.jpg --preprocess torch --labels three.txt --model '" +
                       colours_file() + "'")
                  .err,
              HasSubstr("names 3 classes"));
}

TEST_F(Classify, ResizeThatDoesNotFitIsAnError) {
  const Outcome run = folder.run("classify one.jpg --resize direct:48 " + colours());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("direct:48"));
  EXPECT_EQ(folder.run("classify one.jpg --resize wide " + colours()).status, 1);
}

}  // namespace
}  // namespace pronghorn::test
