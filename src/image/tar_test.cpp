// SPDX-License-Identifier: Apache-2.0
#include "image/tar.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "image/tar_for_test.h"

namespace pronghorn::image {
namespace {

using base::Status;
using testing::pax;
using testing::tar_end;
using testing::tar_file;
using testing::tar_member;

base::Bytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::vector<std::pair<std::string, std::string>> members(const std::string& archive) {
  std::vector<std::pair<std::string, std::string>> result;
  for (const TarMember& member : read_tar(bytes_of(archive), "test.tar")) {
    result.emplace_back(member.name, std::string(reinterpret_cast<const char*>(member.bytes.data()),
                                                 member.bytes.size()));
  }
  return result;
}

Status status_of(const std::string& archive) {
  try {
    members(archive);
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find("test.tar"), std::string::npos);
    return error.status();
  }
  return Status{0};
}

using List = std::vector<std::pair<std::string, std::string>>;

TEST(Tar, PlainMembers) {
  const std::string big(1300, 'x');
  EXPECT_EQ(members(tar_file("a", "1") + tar_file("d/b", "") + tar_file("c", big) + tar_end()),
            (List{{"a", "1"}, {"d/b", ""}, {"c", big}}));
}

TEST(Tar, TheEndBlocksMayBeMissingAndWhatFollowsThemIsIgnored) {
  EXPECT_EQ(members(tar_file("a", "1")), (List{{"a", "1"}}));
  EXPECT_EQ(members(tar_file("a", "1") + tar_end() + "anything"), (List{{"a", "1"}}));
  EXPECT_EQ(members(tar_end()), List{});
}

TEST(Tar, PrefixOfUstarOnly) {
  EXPECT_EQ(members(tar_member({.name = "x", .prefix = "long/way"}, "1")),
            (List{{"long/way/x", "1"}}));
  EXPECT_EQ(members(tar_member({.name = "x", .prefix = "123", .magic = "ustar  "}, "1")),
            (List{{"x", "1"}}));
}

TEST(Tar, LongNames) {
  const std::string name(300, 'n');
  EXPECT_EQ(members(tar_member({.name = "././@LongLink", .type = 'L'}, name + '\0') +
                    tar_file("cut", "1") + tar_file("next", "2")),
            (List{{name, "1"}, {"next", "2"}}));
  EXPECT_EQ(members(tar_member({.name = "x", .type = 'x'},
                               pax("mtime", "1.5") + pax("path", name) + pax("uid", "7")) +
                    tar_file("cut", "1") + tar_file("next", "2")),
            (List{{name, "1"}, {"next", "2"}}));
}

TEST(Tar, SizesInPaxAndBase256) {
  EXPECT_EQ(members(tar_member({.name = "x", .type = 'x'}, pax("size", "3")) +
                    tar_member({.name = "a", .size = "00000000000"}, "123") + tar_file("b", "4")),
            (List{{"a", "123"}, {"b", "4"}}));
  const std::string three("\x80\0\0\0\0\0\0\0\0\0\0\3", 12);
  EXPECT_EQ(members(tar_member({.name = "a", .size = three}, "123") + tar_file("b", "4")),
            (List{{"a", "123"}, {"b", "4"}}));
}

TEST(Tar, LinksFoldersAndDefaultsAreLeftOut) {
  EXPECT_EQ(members(tar_member({.name = "d/", .type = '5'}, "") + tar_file("old/", "") +
                    tar_member({.name = "l", .type = '2'}, "") +
                    tar_member({.name = "h", .type = '1', .size = "00000001000"}, "") +
                    tar_member({.name = "g", .type = 'g'}, pax("comment", "x")) +
                    tar_member({.name = "a", .type = '\0'}, "1")),
            (List{{"a", "1"}}));
}

TEST(Tar, SparseIsRefused) {
  EXPECT_EQ(status_of(tar_member({.name = "s", .type = 'S'}, "1")), Status::kUnsupported);
  EXPECT_EQ(status_of(tar_member({.name = "x", .type = 'x'}, pax("GNU.sparse.major", "1")) +
                      tar_file("s", "1")),
            Status::kUnsupported);
}

TEST(Tar, DamageIsCorrupt) {
  std::string wrong = tar_file("a", "1");
  wrong[0] = 'b';
  EXPECT_EQ(status_of(wrong), Status::kCorrupt);
  EXPECT_EQ(status_of(""), Status::kCorrupt);
  EXPECT_EQ(status_of(std::string(2000, 'q')), Status::kCorrupt);
  EXPECT_EQ(status_of(tar_member({.name = "a", .size = "zzzzzzzzzzz"}, "1")), Status::kCorrupt);
  const std::string huge("\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
  EXPECT_EQ(status_of(tar_member({.name = "a", .size = huge}, "1")), Status::kCorrupt);
  const std::string negative(12, '\xff');
  EXPECT_EQ(status_of(tar_member({.name = "a", .size = negative}, "1")), Status::kCorrupt);
  for (const std::string record : {"", "7", "3 a\n", "0 a=b\n", "99 a=b\n", "6 a=b", "-1 a=b\n",
                                   "7 abcd\n", "11 size=x1\n", "12 size=-1\n"}) {
    const std::string archive = tar_member({.name = "x", .type = 'x'}, record) + tar_file("a", "1");
    EXPECT_EQ(status_of(archive), record.empty() ? Status{0} : Status::kCorrupt) << record;
  }
  EXPECT_EQ(status_of(tar_member({.name = "x", .type = 'L'}, "name")), Status::kCorrupt);
}

TEST(Tar, EveryTruncationInsideAMemberIsCorrupt) {
  const std::string whole = tar_file("a", std::string(600, 'x')) + tar_file("b", "123");
  const std::size_t first = 512 + 1024;
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const bool complete = size == first || size >= first + 512 + 3 ||
                          (size >= 512 + 600 && size < first);  // only padding is missing
    EXPECT_EQ(status_of(whole.substr(0, size)), complete ? Status{0} : Status::kCorrupt) << size;
  }
}

TEST(Tar, RandomDamageStaysInside) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string whole =
      tar_member({.name = "x", .type = 'x'}, pax("size", "600") + pax("path", "p")) +
      tar_file("a", std::string(600, 'x')) + tar_file("b", "123");
  for (int i = 0; i < 20000; ++i) {
    std::string archive = whole;
    for (int k = 0; k < 3; ++k) archive[random() % archive.size()] = static_cast<char>(random());
    for (const std::size_t at : {0u, 1024u}) {  // keep the damage behind the checksum
      std::string header = archive.substr(at, 512);
      testing::seal(header);
      archive.replace(at, 512, header);
    }
    archive.resize(random() % 4 == 0 ? random() % archive.size() : archive.size());
    try {
      const base::Bytes bytes = bytes_of(archive);
      for (const TarMember& member : read_tar(bytes, "test.tar")) {
        ASSERT_GE(member.bytes.data(), bytes.data());
        ASSERT_LE(member.bytes.data() + member.bytes.size(), bytes.data() + bytes.size());
      }
    } catch (const base::Error&) {
    }
  }
}

}  // namespace
}  // namespace pronghorn::image
