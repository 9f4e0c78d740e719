// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/labels.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace pronghorn::cli {
namespace {

class LabelFile : public ::testing::Test {
 protected:
  std::string write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  std::string refusal(const std::string& text) {
    try {
      read_labels(write(text));
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  ~LabelFile() override { std::remove(path_.c_str()); }
  const std::string path_ = ::testing::TempDir() + "pronghorn_labels_test.txt";
};

TEST_F(LabelFile, TabSeparated) {
  const Labels labels =
      read_labels(write("index\twnid\tname\n0\tn01\tgoldfish, Carassius\r\n1\tn02\tcat\n\n"));
  EXPECT_EQ(labels.ids, (std::vector<std::string>{"n01", "n02"}));
  EXPECT_EQ(labels.names, (std::vector<std::string>{"goldfish, Carassius", "cat"}));
}

TEST_F(LabelFile, ClassIndexOfKeras) {
  const Labels labels = read_labels(write(R"({"1": ["n02", "b"], "0": ["n01", "a"]})"));
  EXPECT_EQ(labels.ids, (std::vector<std::string>{"n01", "n02"}));
  EXPECT_EQ(labels.names, (std::vector<std::string>{"a", "b"}));
}

TEST_F(LabelFile, PlainNamesAndSynsetWords) {
  EXPECT_EQ(read_labels(write("cat\ndog, hound\n")).names,
            (std::vector<std::string>{"cat", "dog, hound"}));
  const Labels words = read_labels(write("n01440764 tench, Tinca tinca\nn01443537 goldfish"));
  EXPECT_EQ(words.ids, (std::vector<std::string>{"n01440764", "n01443537"}));
  EXPECT_EQ(words.names, (std::vector<std::string>{"tench, Tinca tinca", "goldfish"}));
}

TEST_F(LabelFile, RefusalsNameTheLine) {
  EXPECT_EQ(refusal("0\tn01\ta\n2\tn02\tb\n"),
            path_ + ":2: \"2\tn02\tb\" is not \"1<TAB>id<TAB>name\"");
  EXPECT_EQ(refusal(" \n"), path_ + ":1: no labels in it");
  EXPECT_EQ(refusal("{\"1\": [\"a\", \"b\"]}"),
            path_ + ":1: class 0 of 1 is not \"0\": [id, name]");
  EXPECT_EQ(refusal("{broken"), path_ + ":1: not a JSON object {\"0\": [id, name], ...}");
  EXPECT_THROW(read_labels("/no/such/file"), Error);
}

}  // namespace
}  // namespace pronghorn::cli
