// SPDX-License-Identifier: Apache-2.0
#include "import/zip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "import/inflate.h"
#include "import/keras_test_files.h"

namespace pronghorn::import::zip {
namespace {

using testing::HasSubstr;

std::vector<std::byte> archive() {
  const Member file = keras_file("tiny_keras3.keras");
  return {file.bytes.begin(), file.bytes.end()};
}

void put(std::vector<std::byte>& bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
}

std::size_t find(const std::vector<std::byte>& bytes, std::string_view text) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).find(text);
}

base::Status status_of(const std::vector<std::byte>& bytes, const char* member,
                       const char* message) {
  try {
    Archive(bytes, nullptr, "a.keras").read(member, 1 << 20);
  } catch (const base::Error& e) {
    EXPECT_THAT(e.what(), testing::AllOf(HasSubstr("a.keras"), HasSubstr(message)));
    return e.status();
  }
  ADD_FAILURE() << member << " was read";
  return base::Status::kInternal;
}

TEST(Zip, ReadsDeflatedMembers) {
  const auto bytes = archive();
  EXPECT_TRUE(is_zip(bytes));
  const Archive zip(bytes, nullptr, "a.keras");
  EXPECT_TRUE(zip.contains("config.json"));
  EXPECT_FALSE(zip.contains("config"));
  const Member config = zip.read("config.json", 1 << 20);
  EXPECT_EQ(std::to_integer<char>(config.bytes.front()), '{');
  EXPECT_EQ(std::to_integer<char>(config.bytes.back()), '}');
}

TEST(Zip, RefusesWhatIsDamaged) {
  using base::Status;
  auto bytes = archive();
  EXPECT_EQ(status_of(bytes, "nothing", "holds no nothing"), Status::kCorrupt);
  const std::size_t entry = find(bytes, "PK\1\2");
  const char* first = "metadata.json";
  auto bad = bytes;
  put(bad, entry + 16, 1);
  EXPECT_EQ(status_of(bad, first, "CRC"), Status::kCorrupt);
  bad = bytes;
  put(bad, entry + 24, 2 << 20);  // more than the caller wants
  EXPECT_EQ(status_of(bad, first, "at most"), Status::kOutOfMemory);
  bad = bytes;
  put(bad, entry + 24, 1 << 20);  // more than the bytes can hold
  EXPECT_EQ(status_of(bad, first, "cannot decompress"), Status::kCorrupt);
  bad = bytes;
  put(bad, entry + 24, 10);  // less than they hold
  EXPECT_EQ(status_of(bad, first, "damaged"), Status::kCorrupt);
  bad = bytes;
  put(bad, entry + 42, 0xFFFFFFF0);  // offset
  EXPECT_EQ(status_of(bad, first, "outside the file"), Status::kCorrupt);
  bad = bytes;
  bad[entry + 10] = std::byte{12};  // bzip2
  EXPECT_EQ(status_of(bad, first, "method 12"), Status::kUnsupported);
  bad = bytes;
  bad[entry + 8] |= std::byte{1};
  EXPECT_EQ(status_of(bad, first, "encrypted"), Status::kUnsupported);
}

TEST(Zip, SurvivesTruncationAndDamage) {
  const auto good = archive();
  for (std::size_t size = 0; size < good.size(); size += 3) {
    const std::vector<std::byte> cut(good.begin(),
                                     good.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(Archive(cut, nullptr, "cut"), base::Error) << size;
  }
  constexpr unsigned kSeed = 21;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  for (int i = 0; i < 3000; ++i) {
    auto bad = good;
    for (unsigned n = 1 + random() % 6; n > 0; --n) {
      bad[random() % bad.size()] = static_cast<std::byte>(random());
    }
    try {
      const Archive zip(bad, nullptr, "bad");
      zip.read("config.json", 1 << 20);
      zip.read("model.weights.h5", 1 << 20);
    } catch (const base::Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("bad"));
    }
  }
}

TEST(Inflate, NeedsTheWholeStream) {
  const std::vector<std::byte> nothing;
  EXPECT_THROW(inflate(nothing, DeflateForm::kRaw, 0, "x"), base::Error);
  EXPECT_THROW(inflate(nothing, DeflateForm::kZlib, 1 << 30, "x"), base::Error);
}

}  // namespace
}  // namespace pronghorn::import::zip
