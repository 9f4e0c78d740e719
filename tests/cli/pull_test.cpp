// SPDX-License-Identifier: Apache-2.0
// Downloads from a server on this machine. The entry of the test comes from PRONGHORN_CATALOG.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tests/cli/program.h"
#include "tests/cli/server.h"

namespace pronghorn::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "pronghorn" 20,000 times: its MD5 and SHA-256 were taken with md5sum and sha256sum.
constexpr int kRepeats = 20000;
constexpr char kMd5[] = "535cf1e6cb3b9ce1708d528f91544ca4";
constexpr char kSha256[] = "b3e94404ef2aff19fb805d8e22d46f74669e6e97e140dda404347026ef58e024";

std::string body() {
  std::string text;
  for (int i = 0; i < kRepeats; ++i) text += "pronghorn";
  return text;
}

class Pull : public ::testing::Test {
 protected:
  void describe(const std::string& digest, const std::string& checksum, std::size_t size,
                const std::string& url) {
    nlohmann::json file{{"name", "weights.bin"}, {"url", url + "/weights.bin"}, {digest, checksum}};
    if (size > 0) file["size"] = size;
    folder.write(
        "catalog.json",
        nlohmann::json::array({{{"name", "tiny"}, {"about", "for the test"}, {"files", {file}}}})
            .dump());
  }
  Outcome pull(const std::string& arguments = "tiny") {
    return folder.run("pull " + arguments,
                      "PRONGHORN_CATALOG=catalog.json PRONGHORN_CACHE=cache no_proxy='*'");
  }
  bool exists(const std::string& name) { return std::filesystem::exists(folder.path(name)); }
  Folder folder;
  Server server{{{"weights.bin", body()}}};
};

TEST_F(Pull, DownloadsVerifiesAndKeeps) {
  describe("md5", kMd5, body().size(), server.url());
  const Outcome first = pull("tiny --json out.json");
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.err, "");
  EXPECT_EQ(folder.read("cache/weights.bin"), body());
  EXPECT_FALSE(exists("cache/weights.bin.part"));
  EXPECT_EQ(folder.json("out.json")["files"][0]["bytes"], body().size());
  const Outcome second = pull();
  EXPECT_EQ(second.status, 0);
  EXPECT_THAT(second.out, HasSubstr("already there"));
  EXPECT_THAT(server.ranges(), ElementsAre(""));
}

TEST_F(Pull, KnowsOnlyThePrefixOfASha256) {
  describe("sha256", std::string(kSha256).substr(0, 8), 0, server.url());
  EXPECT_EQ(pull().status, 0);
  EXPECT_EQ(folder.read("cache/weights.bin"), body());
}

TEST_F(Pull, ContinuesABrokenDownload) {
  describe("md5", kMd5, body().size(), server.url());
  server.cut_after(50000);
  const Outcome broken = pull();
  EXPECT_EQ(broken.status, 1);
  EXPECT_THAT(broken.err, HasSubstr("run it again to continue"));
  EXPECT_FALSE(exists("cache/weights.bin"));
  ASSERT_EQ(folder.read("cache/weights.bin.part"), body().substr(0, 50000));
  server.cut_after(static_cast<std::size_t>(-1));
  const Outcome again = pull();
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("continued"));
  EXPECT_THAT(server.ranges(), ElementsAre("", "50000-"));
  EXPECT_EQ(folder.read("cache/weights.bin"), body());
}

TEST_F(Pull, StartsAgainWhereTheServerCannotContinue) {
  describe("md5", kMd5, body().size(), server.url());
  folder.write("cache/weights.bin.part", body().substr(0, 1000));
  server.ignore_ranges(true);
  const Outcome run = pull();
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(folder.read("cache/weights.bin"), body());
}

TEST_F(Pull, AWholePartIsOnlyVerified) {
  describe("md5", kMd5, body().size(), server.url());
  folder.write("cache/weights.bin.part", body());
  EXPECT_EQ(pull().status, 0);
  EXPECT_THAT(server.ranges(), IsEmpty());
}

TEST_F(Pull, RefusesAWrongChecksum) {
  describe("md5", "00000000000000000000000000000000", body().size(), server.url());
  const Outcome run = pull();
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr(kMd5));
  EXPECT_FALSE(exists("cache/weights.bin"));
  EXPECT_FALSE(exists("cache/weights.bin.part"));
}

TEST_F(Pull, RefusesAWrongSize) {
  describe("md5", kMd5, body().size() + 1, server.url());
  const Outcome run = pull();
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("180000 bytes instead of 180001"));
  EXPECT_FALSE(exists("cache/weights.bin"));
}

TEST_F(Pull, ReplacesADamagedFileInTheCache) {
  describe("md5", kMd5, body().size(), server.url());
  folder.write("cache/weights.bin", "damaged");
  EXPECT_EQ(pull().status, 0);
  EXPECT_EQ(folder.read("cache/weights.bin"), body());
}

TEST_F(Pull, SaysSoWithoutANetwork) {
  describe("md5", kMd5, body().size(), "http://127.0.0.1:1");
  const Outcome run = pull();
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("is there a network?"));
  EXPECT_FALSE(exists("cache/weights.bin.part"));
}

TEST_F(Pull, TakesAMirror) {
  describe("md5", kMd5, body().size(), "http://127.0.0.1:1");
  EXPECT_EQ(pull("tiny --url " + server.url() + "/").status, 0);
  EXPECT_EQ(folder.read("cache/weights.bin"), body());
}

TEST_F(Pull, OtherErrors) {
  describe("md5", kMd5, body().size(), server.url() + "/elsewhere");
  EXPECT_THAT(pull().err, HasSubstr("404"));
  EXPECT_THAT(pull("none").err, HasSubstr("resnet50-keras"));
  EXPECT_EQ(pull("tiny --cache /dev/null/x").status, 1);
  const Outcome list = pull("--list");
  EXPECT_EQ(list.status, 0);
  for (const char* name : {"resnet50-keras", "resnet50-torchvision", "tiny"}) {
    EXPECT_THAT(list.out, HasSubstr(name));
  }
  const Outcome use = folder.run("info resnet50-keras", "PRONGHORN_CACHE=cache");
  EXPECT_EQ(use.status, 1);
  EXPECT_THAT(use.err, HasSubstr("run: pronghorn pull resnet50-keras"));
  folder.write("catalog.json", "{}");
  EXPECT_THAT(pull().err, HasSubstr("catalog.json"));
}

TEST_F(Pull, APulledNameIsAModel) {
  std::ifstream file(colours_file(), std::ios::binary);
  const std::string model{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  folder.write("cache/colours.onnx", model);
  folder.write("catalog.json",
               R"([{"name": "colours", "preprocess": "torch", "files": [{"name": "colours.onnx",
                  "url": "http://127.0.0.1:1/", "md5": "0123456789abcdef"}]}])");
  folder.picture("a.jpg", 200, 60, 60);
  const Outcome run = folder.run("classify a.jpg --model colours",
                                 "PRONGHORN_CATALOG=catalog.json PRONGHORN_CACHE=cache");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("class 0"));
}

}  // namespace
}  // namespace pronghorn::test
