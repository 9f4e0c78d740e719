// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/error.h"

namespace pronghorn::base {
namespace {

namespace fs = std::filesystem;

class File : public ::testing::Test {
 protected:
  File() {
    std::string pattern = (fs::temp_directory_path() / "file_test.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~File() override { fs::remove_all(folder_); }

  static std::string text(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  }
  static Status status_of(const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.status();
    }
    return Status{0};
  }

  fs::path folder_;
};

TEST_F(File, WritesAndMaps) {
  write_file(folder_ / "a", std::string_view("hello"));
  EXPECT_EQ(text(MappedFile(folder_ / "a")), "hello");
  write_file(folder_ / "empty", std::string_view());
  EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
}

// Who has the old file open keeps it whole; who opens it later sees the new one; nothing else is
// left in the folder.
TEST_F(File, ReplacesAtOnce) {
  const fs::path path = folder_ / "a";
  write_file(path, std::string(100000, 'o'));
  const MappedFile old(path);
  write_file(path, std::string(10, 'n'));
  EXPECT_EQ(text(old), std::string(100000, 'o'));
  EXPECT_EQ(text(MappedFile(path)), std::string(10, 'n'));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(File, ReadableAsTheUsersMaskSays) {
  const mode_t mask = ::umask(027);
  write_file(folder_ / "a", std::string_view("x"));
  ::umask(mask);
  struct stat info{};
  ASSERT_EQ(::stat((folder_ / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(File, SaysWhatIsMissing) {
  const fs::path missing = folder_ / "missing";
  EXPECT_EQ(status_of([&] { MappedFile file(missing); }), Status::kNotFound);
  EXPECT_EQ(status_of([&] { MappedFile file(folder_); }), Status::kInvalidArgument);
  try {
    MappedFile file(missing);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(missing.string()), std::string::npos);
  }
}

TEST_F(File, UnwritablePlacesAreErrorsAndLeaveNothing) {
  EXPECT_EQ(status_of([&] { write_file(folder_ / "no" / "such" / "a", std::string_view("x")); }),
            Status::kNotFound);
  // A folder in the way: writable by anyone's rights, but not replaceable by a file.
  fs::create_directory(folder_ / "taken");
  EXPECT_EQ(status_of([&] { write_file(folder_ / "taken", std::string_view("x")); }), Status::kIo);
  EXPECT_TRUE(fs::is_directory(folder_ / "taken"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  if (::geteuid() != 0) {
    fs::create_directory(folder_ / "locked");
    fs::permissions(folder_ / "locked", fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_EQ(status_of([&] { write_file(folder_ / "locked" / "a", std::string_view("x")); }),
              Status::kIo);
    fs::permissions(folder_ / "locked", fs::perms::owner_all);
  }
}

TEST(Buffer, IsAlignedAndReadableBeyondItsEnd) {
  for (const std::size_t size : {1u, 63u, 64u, 65u, 1000u}) {
    Buffer buffer(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kBufferAlignment, 0u);
    EXPECT_EQ(buffer.size(), size);
    std::fill_n(buffer.data(), size + 64, std::byte{1});  // seen by the address sanitizer
  }
  EXPECT_TRUE(Buffer().empty());
  EXPECT_THROW(Buffer(std::size_t{1} << 60), Error);
}

}  // namespace
}  // namespace pronghorn::base
