// SPDX-License-Identifier: Apache-2.0
// A tar archive read in place: its members are listed and read.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "fuzz.h"
#include "image/source.h"

namespace pronghorn::fuzz {
namespace {

constexpr std::size_t kBlock = 512;

// The checksum is the sum of the header's bytes with its own field as blanks.
void set_checksum(std::uint8_t* header) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : header[i];
  std::snprintf(reinterpret_cast<char*>(header) + 148, 8, "%06o", sum);
  header[155] = ' ';
}

void add_member(Input& archive, const std::string& name, const std::string& content,
                char type = '0', const std::string& prefix = "") {
  Input header(kBlock, 0);
  const auto put = [&](std::size_t at, const std::string& text) {
    std::copy(text.begin(), text.end(), header.begin() + static_cast<std::ptrdiff_t>(at));
  };
  char size[13];
  std::snprintf(size, sizeof size, "%011zo", content.size());
  put(0, name);
  put(100, "0000644");
  put(124, size);
  put(136, "00000000000");
  header[156] = static_cast<std::uint8_t>(type);
  put(257, std::string("ustar\00000", 8));
  put(345, prefix);
  set_checksum(header.data());
  archive.insert(archive.end(), header.begin(), header.end());
  archive.insert(archive.end(), content.begin(), content.end());
  archive.resize((archive.size() + kBlock - 1) / kBlock * kBlock);
}

Input finished(Input archive) {
  archive.resize(archive.size() + 2 * kBlock);
  return archive;
}

// The program's own file in memory; a name that ends in .tar, as open_source expects.
class ArchiveFile {
 public:
  ArchiveFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tar_fuzz_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ / "input.tar";
  }
  ~ArchiveFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  const std::filesystem::path& write(const Input& input) {
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(input.data()),
               static_cast<std::streamsize>(input.size()));
    return path_;
  }

 private:
  std::filesystem::path folder_, path_;
};

}  // namespace

std::vector<Input> seeds() {
  Input plain, folders, longs;
  add_member(plain, "a.jpg", "not really a photograph");
  add_member(plain, "b.png", std::string(700, 'b'));
  add_member(folders, "n01/", "", '5');
  add_member(folders, "n01/x.JPEG", "x");
  add_member(folders, "y.jpeg", "yy", '0', "n02/deep");
  add_member(longs, "././@LongLink", std::string(150, 'l') + ".jpg" + std::string(1, '\0'), 'L');
  add_member(longs, "short.jpg", "content");
  add_member(longs, "pax", "24 path=p/renamed.jpg\n12 size=  2\n", 'x');
  add_member(longs, "z.jpg", "zz");
  add_member(longs, "link.jpg", "", '2');
  return {finished(plain), finished(folders), finished(longs)};
}

void repair(Input& input) {
  for (std::size_t at = 0; at + kBlock <= input.size(); at += kBlock) {
    if (std::equal(&input[at + 257], &input[at + 262], "ustar")) set_checksum(&input[at]);
  }
}

void test_one(const Input& input) {
  static ArchiveFile file;
  expect_value_or_refusal([&] {
    const auto source = image::open_source(file.write(input));
    unsigned sum = 0;
    for (std::int64_t i = 0; i < source->size(); ++i) {
      sum += static_cast<unsigned>(source->name(i).size() + source->label(i).size());
      const image::Encoded encoded = source->read(i);
      for (const std::byte b : encoded.bytes) sum += static_cast<unsigned>(b);
    }
    if (sum == 0xdeadbeef) std::puts("");  // the sum is used, so the bytes are read
  });
}

}  // namespace pronghorn::fuzz
