// SPDX-License-Identifier: Apache-2.0
#include "import/hdf5.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "import/hdf5_format.h"
#include "import/keras_test_files.h"

namespace pronghorn::import::hdf5 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Hdf5 : public testing::TestWithParam<const char*> {
 protected:
  Hdf5() : member_(keras_file(GetParam())), file_(member_.bytes, member_.owner, GetParam()) {}

  std::vector<float> values(const std::string& path) {
    tensor_ = file_.read(file_.at(file_.root(), path));
    return {tensor_.values<float>().begin(), tensor_.values<float>().end()};
  }
  static std::vector<float> numbers() {
    std::vector<float> v(60);
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i);
    return v;
  }
  std::string refusal(const std::string& path, base::Status status) {
    try {
      file_.read(file_.at(file_.root(), path));
    } catch (const base::Error& e) {
      EXPECT_EQ(e.status(), status);
      return e.what();
    }
    ADD_FAILURE() << path << " was read";
    return {};
  }

  zip::Member member_;
  File file_;
  graph::Tensor tensor_;
};

TEST_P(Hdf5, ReadsEveryNumberType) {
  for (const char* name : {"plain", "half", "double", "uint16"}) {
    EXPECT_EQ(values(std::string("numbers/") + name), numbers()) << name;
    EXPECT_THAT(tensor_.dims(), ElementsAre(5, 12)) << name;
  }
  std::vector<float> moved = numbers();
  for (float& v : moved) v -= 30;
  EXPECT_EQ(values("numbers/int8"), moved);
  EXPECT_THAT(values("numbers/scalar"), ElementsAre(-7));
  EXPECT_TRUE(tensor_.dims().empty());
  EXPECT_TRUE(values("numbers/empty").empty());
  EXPECT_THAT(tensor_.dims(), ElementsAre(0, 3));
}

TEST_P(Hdf5, AliasesContiguousFloats) {
  values("numbers/plain");
  const auto* first = reinterpret_cast<const std::byte*>(tensor_.values<float>().data());
  EXPECT_GE(first, member_.bytes.data());
  EXPECT_LT(first, member_.bytes.data() + member_.bytes.size());
}

TEST_P(Hdf5, RefusesBigEndianByName) {
  EXPECT_THAT(refusal("numbers/big_endian", base::Status::kUnsupported),
              testing::AllOf(HasSubstr(GetParam()), HasSubstr("/numbers/big_endian"),
                             HasSubstr("big-endian")));
}

TEST_P(Hdf5, ReadsStringAttributes) {
  const Object group = file_.at(file_.root(), "inner/most");
  EXPECT_EQ(group.path, "/inner/most");
  EXPECT_THAT(*file_.strings(group, "fixed"), ElementsAre("ab", "cde", ""));
  EXPECT_THAT(*file_.strings(group, "variable"), ElementsAre("ab", "cde", ""));
  EXPECT_EQ(*file_.string(group, "one"), "h\xc3\xa9llo");
  EXPECT_TRUE(file_.strings(group, "none")->empty());
  EXPECT_FALSE(file_.strings(group, "missing").has_value());
  EXPECT_TRUE(file_.has_attribute(group, "number"));
  EXPECT_THROW(file_.strings(group, "number"), base::Error);
  EXPECT_THROW(file_.string(group, "fixed"), base::Error);
}

TEST_P(Hdf5, FindsByPath) {
  EXPECT_FALSE(file_.find(file_.root(), "inner/least").has_value());
  EXPECT_TRUE(file_.find(file_.root(), "/inner//most/").has_value());
  EXPECT_THROW(file_.at(file_.root(), "outer"), base::Error);
  EXPECT_THAT(file_.children(file_.at(file_.root(), "inner")), ElementsAre("most"));
  EXPECT_THROW(file_.read(file_.at(file_.root(), "inner")), base::Error);
}

INSTANTIATE_TEST_SUITE_P(Formats, Hdf5, testing::Values("formats.h5", "formats_new.h5"),
                         [](const auto& info) { return info.index == 0 ? "Old" : "New"; });

class OldHdf5 : public Hdf5 {};
TEST_P(OldHdf5, ReadsChunks) {
  EXPECT_EQ(values("chunks"), numbers());
  EXPECT_EQ(values("deflated"), numbers());
  EXPECT_THAT(refusal("lzf", base::Status::kUnsupported), HasSubstr("filter 32000"));
}
INSTANTIATE_TEST_SUITE_P(Formats, OldHdf5, testing::Values("formats.h5"));

class NewHdf5 : public Hdf5 {};
TEST_P(NewHdf5, RefusesDenseStorageByName) {
  const Object many = file_.at(file_.root(), "many");
  try {
    file_.strings(many, "a0");
    FAIL() << "dense attributes were read";
  } catch (const base::Error& e) {
    EXPECT_EQ(e.status(), base::Status::kUnsupported);
    EXPECT_THAT(e.what(), testing::AllOf(HasSubstr("/many"), HasSubstr("fractal heap")));
  }
  EXPECT_THROW(file_.children(file_.at(file_.root(), "links")), base::Error);
}
INSTANTIATE_TEST_SUITE_P(Formats, NewHdf5, testing::Values("formats_new.h5"));

// Reads whatever can be reached; only Error may come out. Returns the number of things read.
int visit(File& file, const Object& object, int depth) {
  int read = 0;
  const auto attempt = [&](auto&& action) {
    try {
      action();
      ++read;
    } catch (const base::Error& e) {
      EXPECT_THAT(e.what(), HasSubstr(file.name()));
    }
  };
  for (const char* name : {"fixed", "variable", "one", "none", "a0", "weight_names"}) {
    attempt([&] { file.strings(object, name); });
  }
  attempt([&] { file.read(object); });
  std::vector<std::string> names;
  attempt([&] { names = file.children(object); });
  for (const std::string& name : names) {
    if (depth < 4) attempt([&] { read += visit(file, file.at(object, name), depth + 1); });
  }
  return read;
}

int visit(base::Bytes bytes) {
  try {
    File file(bytes, nullptr, "damaged");
    return visit(file, file.root(), 0);
  } catch (const base::Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("damaged"));
    return 0;
  }
}

TEST_P(Hdf5, SurvivesTruncation) {
  const int all = visit(member_.bytes);
  EXPECT_GT(all, 50);
  for (std::size_t size = 0; size < member_.bytes.size(); size += 13) {
    // Memory of its own, so that a sanitizer sees every read past the end.
    const std::vector<std::byte> cut(member_.bytes.begin(),
                                     member_.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(visit(cut), 0) << size << " bytes";
  }
}

TEST_P(Hdf5, SurvivesDamage) {
  constexpr unsigned kSeed = 20;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  const std::vector<std::byte> good(member_.bytes.begin(), member_.bytes.end());
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::byte> bad = good;
    for (unsigned flips = 1 + random() % 8; flips > 0; --flips) {
      const std::size_t at = random() % bad.size();
      bad[at] = random() % 2 == 0 ? bad[at] ^ static_cast<std::byte>(1U << random() % 8)
                                  : static_cast<std::byte>(random() % 4 == 0 ? 0xFF : random());
    }
    visit(bad);
  }
}

TEST(Hdf5Superblock, NamesTheFileThatIsNone) {
  const std::string text = "not an HDF5 file";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_FALSE(is_hdf5(bytes));
  EXPECT_FALSE(is_hdf5({}));
  try {
    File(bytes, nullptr, "text.h5");
    FAIL();
  } catch (const base::Error& e) {
    EXPECT_EQ(e.status(), base::Status::kCorrupt);
    EXPECT_THAT(e.what(), HasSubstr("text.h5"));
  }
}

TEST(Hdf5Superblock, MayFollowAUserBlock) {
  const zip::Member member = keras_file("formats_new.h5");
  std::vector<std::byte> bytes(512 + member.bytes.size());
  std::copy(member.bytes.begin(), member.bytes.end(), bytes.begin() + 512);
  EXPECT_TRUE(is_hdf5(bytes));
}

}  // namespace
}  // namespace pronghorn::import::hdf5
