// SPDX-License-Identifier: Apache-2.0
#include "image/source.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "image/tar_for_test.h"

namespace pronghorn::image {
namespace {

namespace fs = std::filesystem;
using base::Status;
using testing::tar_file;

class Sources : public ::testing::Test {
 protected:
  Sources() {
    std::string name = (fs::temp_directory_path() / "pronghorn-source-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Sources() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& content) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  fs::path folder_;
};

std::string content(const Source& source, std::int64_t index) {
  const Encoded encoded = source.read(index);
  return {reinterpret_cast<const char*>(encoded.bytes.data()), encoded.bytes.size()};
}

std::vector<std::string> names(const Source& source) {
  std::vector<std::string> result;
  for (std::int64_t i = 0; i < source.size(); ++i) result.push_back(source.name(i));
  return result;
}

std::vector<std::string> labels(const Source& source) {
  std::vector<std::string> result;
  for (std::int64_t i = 0; i < source.size(); ++i) result.push_back(source.label(i));
  return result;
}

Status status_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const base::Error& error) {
    return error.status();
  }
  return Status{0};
}

using Texts = std::vector<std::string>;

TEST_F(Sources, FolderIsSearchedSortedAndLabelled) {
  write("cat/b.jpg", "1");
  write("cat/B.JPEG", "2");
  write("cat/deep/x.PnG", "3");
  write("Dog/n01443537_1.jpeg", "4");
  write("n01443537_goldfish.JPEG", "5");
  write("plain.png", "6");
  write("cat/notes.txt", "no");
  write("cat/._b.jpg", "no");
  write("jpg", "no");
  const auto source = open_source(folder_);
  const std::string root = folder_.string() + "/";
  EXPECT_EQ(names(*source),
            (Texts{root + "Dog/n01443537_1.jpeg", root + "cat/B.JPEG", root + "cat/b.jpg",
                   root + "cat/deep/x.PnG", root + "n01443537_goldfish.JPEG", root + "plain.png"}));
  EXPECT_EQ(labels(*source), (Texts{"Dog", "cat", "cat", "deep", "n01443537", ""}));
  EXPECT_EQ(content(*source, 2), "1");
  EXPECT_EQ(content(*source, 3), "3");
}

TEST_F(Sources, LinkedFoldersAreFollowedButNotInCircles) {
  write("real/a.jpg", "1");
  fs::create_directory_symlink(folder_ / "real", folder_ / "link");
  fs::create_directory_symlink(folder_, folder_ / "real/up");
  fs::create_symlink(folder_ / "nowhere", folder_ / "dangling");
  EXPECT_EQ(labels(*open_source(folder_)), (Texts{"link", "real"}));
}

TEST_F(Sources, OneFile) {
  const auto source = open_source(write("some/n01443537_x.jpg", "abc"));
  EXPECT_EQ(source->size(), 1);
  EXPECT_EQ(source->label(0), "n01443537");
  EXPECT_EQ(content(*source, 0), "abc");
  EXPECT_EQ(open_source(write("some/cat.jpg", "abc"))->label(0), "");
  EXPECT_EQ(open_source(write("some/n014435371_x.jpg", "abc"))->label(0), "") << "nine digits";
}

TEST_F(Sources, MissingAndEmpty) {
  EXPECT_EQ(status_of([&] { open_source(folder_ / "nowhere"); }), Status::kNotFound);
  EXPECT_EQ(status_of([&] { open_source(folder_); }), Status::kInvalidArgument);
  EXPECT_EQ(status_of([&] { open_source(write("empty.tar", testing::tar_end())); }),
            Status::kInvalidArgument);
  EXPECT_EQ(status_of([&] { open_source(write("bad.tar", "nonsense")); }), Status::kCorrupt);
  EXPECT_EQ(content(*open_source(write("empty.jpg", "")), 0), "");
}

TEST_F(Sources, AFileThatVanishesFailsWhenRead) {
  const fs::path path = write("a/x.jpg", "1");
  const auto source = open_source(folder_);
  fs::remove(path);
  EXPECT_EQ(status_of([&] { source->read(0); }), Status::kNotFound);
  fs::create_directory(path);
  EXPECT_EQ(status_of([&] { source->read(0); }), Status::kIo);
}

TEST_F(Sources, TarIsReadInPlace) {
  const auto source = open_source(
      write("x.tar", tar_file("n2/b.jpg", "1") + tar_file("./n1/a.JPEG", "2") +
                         tar_file("n2/b.jpg", "newer") + tar_file("n2/._b.jpg", "no") +
                         tar_file("./n01443537_z.png", "3") + tar_file("labels.txt", "no")));
  EXPECT_EQ(names(*source), (Texts{"./n01443537_z.png", "./n1/a.JPEG", "n2/b.jpg"}));
  EXPECT_EQ(labels(*source), (Texts{"n01443537", "n1", "n2"}));
  EXPECT_EQ(content(*source, 2), "newer");
  EXPECT_EQ(content(*source, 1), "2");
}

TEST_F(Sources, TarBytesOutliveTheSource) {
  auto source = open_source(write("x.tar", tar_file("a.jpg", "123")));
  const Encoded encoded = source->read(0);
  source.reset();
  EXPECT_EQ(encoded.bytes[2], std::byte{'3'});
}

TEST_F(Sources, ListKeepsItsOrder) {
  const std::string a = write("dog/a.jpg", "1").string();
  const std::string b = write("cat/n01443537_b.jpg", "2").string();
  std::istringstream lines(a + "\r\n\n" + b + "\n" + a + "\nmissing.jpg");
  const auto source = open_list(lines);
  EXPECT_EQ(names(*source), (Texts{a, b, a, "missing.jpg"}));
  EXPECT_EQ(labels(*source), (Texts{"dog", "n01443537", "dog", ""}));
  EXPECT_EQ(content(*source, 2), "1");
  EXPECT_EQ(status_of([&] { source->read(3); }), Status::kNotFound);
  std::istringstream nothing("\n\n");
  EXPECT_EQ(status_of([&] { open_list(nothing); }), Status::kInvalidArgument);
}

TEST(MemorySources, RepeatAndCut) {
  const auto owner = std::make_shared<const std::string>("xyz");
  const auto one = std::as_bytes(std::span(owner->data(), 1));
  const auto two = std::as_bytes(std::span(owner->data() + 1, 2));
  std::shared_ptr<const Source> memory = memory_source({"a", "b"}, {{one, owner}, {two, owner}});
  const auto more = repeated_source(memory, 5);
  EXPECT_EQ(names(*more), (Texts{"a", "b", "a", "b", "a"}));
  EXPECT_EQ(content(*more, 3), "yz");
  EXPECT_EQ(names(*repeated_source(memory, 1)), (Texts{"a"}));
  EXPECT_EQ(status_of([&] { repeated_source(memory, 0); }), Status::kInvalidArgument);
  EXPECT_EQ(status_of([&] { memory_source({"a"}, {}); }), Status::kInvalidArgument);
}

}  // namespace
}  // namespace pronghorn::image
