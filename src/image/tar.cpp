// SPDX-License-Identifier: Apache-2.0
#include "image/tar.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace pronghorn::image {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kNameField = 100;
constexpr std::size_t kSizeAt = 124;
constexpr std::size_t kSizeField = 12;
constexpr std::size_t kChecksumAt = 148;
constexpr std::size_t kChecksumField = 8;
constexpr std::size_t kTypeAt = 156;
constexpr std::size_t kMagicAt = 257;
constexpr std::size_t kPrefixAt = 345;
constexpr std::size_t kPrefixField = 155;

std::string_view text(base::Bytes bytes) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return all.substr(0, all.find('\0'));
}

std::uint8_t byte(base::Bytes block, std::size_t at) {
  return std::to_integer<std::uint8_t>(block[at]);
}

// Octal digits between blanks, or GNU's base 256 with the top bit set. Nothing when it is neither,
// negative or beyond 63 bits.
std::optional<std::uint64_t> number(base::Bytes field) {
  std::uint64_t value = 0;
  if ((byte(field, 0) & 0x80) != 0) {
    if (byte(field, 0) != 0x80) return std::nullopt;
    for (std::size_t i = 1; i < field.size(); ++i) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | byte(field, i);
    }
    return value;
  }
  std::string_view digits = text(field);
  const std::size_t start = digits.find_first_not_of(' ');
  if (start == std::string_view::npos) return value;  // an empty field is zero
  digits.remove_prefix(start);
  digits = digits.substr(0, digits.find(' '));
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value, 8);
  if (error != std::errc() || end != digits.end()) return std::nullopt;
  return value;
}

bool checksum_holds(base::Bytes header) {
  const auto stored = number(header.subspan(kChecksumAt, kChecksumField));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool blank = i >= kChecksumAt && i < kChecksumAt + kChecksumField;
    sum += blank ? std::uint8_t{' '} : byte(header, i);
  }
  return stored == sum;
}

struct Reader {
  base::Bytes bytes;
  const std::string& archive;
  std::size_t position = 0;

  [[noreturn]] void corrupt(std::string_view what) const {
    base::fail(base::Status::kCorrupt, "{}: {} at byte {} of the tar archive", archive, what,
               position);
  }

  // The data behind the header at `position`; moves on to the next header.
  base::Bytes take(std::uint64_t size) {
    const std::size_t begin = position + kBlock;
    if (size > bytes.size() - begin) corrupt("a member reaches beyond the end (truncated file)");
    const auto length = static_cast<std::size_t>(size);
    position = begin + std::min((length + kBlock - 1) / kBlock * kBlock, bytes.size() - begin);
    return bytes.subspan(begin, length);
  }
};

// What extension headers say about the member that follows.
struct Override {
  std::optional<std::string> name;
  std::optional<std::uint64_t> size;
};

// Records of the form "<length> <key>=<value>\n", the length counting itself.
void read_pax(const Reader& reader, base::Bytes data, Override& result) {
  std::string_view rest(reinterpret_cast<const char*>(data.data()), data.size());
  while (!rest.empty()) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(rest.begin(), rest.end(), length);
    if (error != std::errc() || end == rest.end() || *end != ' ' || length > rest.size() ||
        length < static_cast<std::size_t>(end - rest.begin()) + 2 || rest[length - 1] != '\n') {
      reader.corrupt("a damaged PAX record before");
    }
    const std::string_view record(end + 1, rest.begin() + length - 1);
    rest.remove_prefix(length);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) reader.corrupt("a damaged PAX record before");
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    if (key == "path") result.name = value;
    if (key == "size") {
      std::uint64_t size = 0;
      const auto parsed = std::from_chars(value.begin(), value.end(), size);
      if (parsed.ec != std::errc() || parsed.ptr != value.end()) {
        reader.corrupt("a PAX size which is no number before");
      }
      result.size = size;
    }
    if (key.starts_with("GNU.sparse.")) {
      base::fail(base::Status::kUnsupported,
                 "{}: holds sparse members; pack it again without --sparse", reader.archive);
    }
  }
}

std::string header_name(base::Bytes header) {
  std::string name(text(header.first(kNameField)));
  // GNU's own format uses the prefix field for other things and marks itself "ustar  ".
  const bool posix = std::memcmp(header.data() + kMagicAt, "ustar\0", 6) == 0;
  const std::string_view prefix = text(header.subspan(kPrefixAt, kPrefixField));
  if (!posix || prefix.empty()) return name;
  return std::string(prefix) + '/' + name;
}

}  // namespace

std::vector<TarMember> read_tar(base::Bytes bytes, const std::string& archive) {
  std::vector<TarMember> members;
  Reader reader{bytes, archive};
  Override next;
  bool ended = false;
  while (!ended) {
    // An archive may end at a block's edge without the two blocks of zeros.
    if (reader.position == bytes.size() && !bytes.empty()) break;
    if (bytes.size() - reader.position < kBlock) reader.corrupt("half a header (truncated file)");
    const base::Bytes header = bytes.subspan(reader.position, kBlock);
    if (std::all_of(header.begin(), header.end(), [](std::byte b) { return b == std::byte{}; })) {
      ended = true;
      continue;
    }
    if (!checksum_holds(header)) reader.corrupt("a header with a wrong checksum");
    const auto stored_size = number(header.subspan(kSizeAt, kSizeField));
    if (!stored_size) reader.corrupt("a size which is no number");
    const auto type = static_cast<char>(header[kTypeAt]);
    switch (type) {
      case 'x':
        read_pax(reader, reader.take(*stored_size), next);
        break;
      case 'g':  // defaults for all members; none that matter here
        reader.take(*stored_size);
        break;
      case 'L':
        next.name = text(reader.take(*stored_size));
        break;
      case 'K':  // the long target of a link
        reader.take(*stored_size);
        break;
      case 'S':
        base::fail(base::Status::kUnsupported,
                   "{}: holds sparse members; pack it again without --sparse", archive);
      default: {
        const bool regular = type == '0' || type == '\0' || type == '7';
        // Links, folders and devices have no data, whatever their size field says.
        const bool has_data = regular || type < '1' || type > '6';
        const base::Bytes data = reader.take(has_data ? next.size.value_or(*stored_size) : 0);
        std::string name = next.name ? *next.name : header_name(header);
        next = {};
        // Old archives mark folders by a slash only.
        if (regular && !name.empty() && name.back() != '/') {
          members.push_back({std::move(name), data});
        }
      }
    }
  }
  if (next.name || next.size) reader.corrupt("an extension header without its member");
  return members;
}

}  // namespace pronghorn::image
