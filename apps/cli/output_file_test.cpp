// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/output_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <pronghorn/pronghorn.hpp>

namespace pronghorn::cli {
namespace {

namespace fs = std::filesystem;

class OutputFolder : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  ~OutputFolder() override { fs::remove_all(folder_); }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  std::string read(const std::string& name) const {
    std::ifstream file(folder_ / name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  const fs::path folder_ = fs::path(::testing::TempDir()) / "pronghorn_output_file_test";
};

TEST_F(OutputFolder, KeepsTheOldFileUntilTheNewOneIsWhole) {
  std::ofstream(folder_ / "a.json") << "old";
  {
    OutputFile file((folder_ / "a.json").string());
    EXPECT_EQ(read("a.json"), "old");
    file.write("new");
    EXPECT_EQ(read("a.json"), "new");
  }
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFolder, LeavesNothingWhenNothingWasWritten) {
  {
    OutputFile file((folder_ / "a.json").string());
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(OutputFolder, FailsAtOnceWhereNoFileCanBe) {
  EXPECT_THROW(OutputFile((folder_ / "none" / "a.json").string()), Error);
  EXPECT_THROW(OutputFile(folder_.string()), Error);
  EXPECT_EQ(files(), 0u);
}

TEST_F(OutputFolder, WritesDevicesDirectly) {
  OutputFile file("/dev/null");
  file.write("text");
  EXPECT_FALSE(fs::is_regular_file("/dev/null"));
}

}  // namespace
}  // namespace pronghorn::cli
