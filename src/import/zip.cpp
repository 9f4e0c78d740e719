// SPDX-License-Identifier: Apache-2.0
#include "import/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "import/inflate.h"

namespace pronghorn::import::zip {
namespace {

using base::Bytes;
using base::fail;
using base::Status;

constexpr std::uint32_t kLocal = 0x04034b50;
constexpr std::uint32_t kCentral = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64Locator = 0x07064b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kLocalSize = 30;
constexpr std::size_t kCentralSize = 46;

// A number at `at`, which the caller has checked.
std::uint64_t number(Bytes bytes, std::uint64_t at, int size) {
  std::uint64_t value = 0;
  for (int i = size - 1; i >= 0; --i) {
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[at + static_cast<std::uint64_t>(i)]);
  }
  return value;
}

Bytes part(Bytes bytes, std::uint64_t at, std::uint64_t size, const std::string& name,
           std::string_view what) {
  if (at > bytes.size() || size > bytes.size() - at) {
    fail(Status::kCorrupt, "{}: the ZIP archive's {} lies outside the file", name, what);
  }
  return bytes.subspan(at, size);
}

// The end record: the last one whose comment ends with the file.
std::uint64_t find_end(Bytes bytes, const std::string& name) {
  if (bytes.size() >= kEndSize) {
    const std::uint64_t last = bytes.size() - kEndSize;
    const std::uint64_t first = last > 0xFFFF ? last - 0xFFFF : 0;
    for (std::uint64_t at = last + 1; at-- > first;) {
      if (number(bytes, at, 4) == kEnd && number(bytes, at + 20, 2) == last - at) return at;
    }
  }
  fail(Status::kCorrupt, "{}: not a whole ZIP archive: no central directory (cut short?)", name);
}

// Sizes that do not fit 32 bits stand in the extra field 1, in this order, when marked by all ones.
void read_extra(Bytes extra, std::uint64_t& size, std::uint64_t& stored, std::uint64_t& offset) {
  for (std::size_t at = 0; at + 4 <= extra.size();) {
    const std::uint64_t id = number(extra, at, 2);
    const std::uint64_t length = number(extra, at + 2, 2);
    at += 4;
    if (length > extra.size() - at) return;
    if (id == 1) {
      std::uint64_t next = at;
      for (std::uint64_t* field : {&size, &stored, &offset}) {
        if (*field != 0xFFFFFFFF || next + 8 > at + length) continue;
        *field = number(extra, next, 8);
        next += 8;
      }
    }
    at += length;
  }
}

}  // namespace

bool is_zip(Bytes bytes) { return bytes.size() >= 4 && number(bytes, 0, 4) == kLocal; }

Archive::Archive(Bytes bytes, std::shared_ptr<const void> owner, std::string name)
    : bytes_(bytes), owner_(std::move(owner)), name_(std::move(name)) {
  const std::uint64_t end = find_end(bytes_, name_);
  std::uint64_t count = number(bytes_, end + 10, 2);
  std::uint64_t size = number(bytes_, end + 12, 4);
  std::uint64_t offset = number(bytes_, end + 16, 4);
  if (end >= 20 && number(bytes_, end - 20, 4) == kEnd64Locator) {
    const std::uint64_t at = number(bytes_, end - 12, 8);
    const Bytes record = part(bytes_, at, 56, name_, "ZIP64 end record");
    if (number(record, 0, 4) != kEnd64) {
      fail(Status::kCorrupt, "{}: the ZIP64 end record is damaged", name_);
    }
    count = number(record, 32, 8);
    size = number(record, 40, 8);
    offset = number(record, 48, 8);
  }
  Bytes directory = part(bytes_, offset, size, name_, "central directory");
  for (std::uint64_t i = 0; i < count; ++i) {
    const Bytes head = part(directory, 0, kCentralSize, name_, "central directory");
    if (number(head, 0, 4) != kCentral) {
      fail(Status::kCorrupt, "{}: entry {} of the ZIP archive is damaged", name_, i);
    }
    Entry entry;
    entry.flags = static_cast<std::uint16_t>(number(head, 8, 2));
    entry.method = static_cast<std::uint16_t>(number(head, 10, 2));
    entry.crc = static_cast<std::uint32_t>(number(head, 16, 4));
    entry.stored_size = number(head, 20, 4);
    entry.size = number(head, 24, 4);
    entry.offset = number(head, 42, 4);
    const std::uint64_t name_size = number(head, 28, 2);
    const std::uint64_t extra_size = number(head, 30, 2);
    const std::uint64_t comment_size = number(head, 32, 2);
    const Bytes rest = part(directory, kCentralSize, name_size + extra_size + comment_size, name_,
                            "central directory");
    read_extra(rest.subspan(name_size, extra_size), entry.size, entry.stored_size, entry.offset);
    const std::string member(reinterpret_cast<const char*>(rest.data()), name_size);
    if (!entries_.emplace(member, entry).second) {
      fail(Status::kCorrupt, "{}: the ZIP archive holds {} twice", name_, member);
    }
    directory = directory.subspan(kCentralSize + rest.size());
  }
}

Member Archive::read(std::string_view member, std::uint64_t limit) const {
  const auto found = entries_.find(member);
  if (found == entries_.end()) fail(Status::kCorrupt, "{}: holds no {}", name_, member);
  const Entry& entry = found->second;
  const std::string what = fmt::format("{}: {}", name_, member);
  if ((entry.flags & 1) != 0) fail(Status::kUnsupported, "{}: is encrypted", what);
  if (entry.size > limit) {
    fail(Status::kOutOfMemory, "{}: {} bytes, at most {} are accepted", what, entry.size, limit);
  }
  const Bytes head = part(bytes_, entry.offset, kLocalSize, name_, "local header");
  if (number(head, 0, 4) != kLocal) fail(Status::kCorrupt, "{}: local header is damaged", what);
  const std::uint64_t skip = kLocalSize + number(head, 26, 2) + number(head, 28, 2);
  const Bytes stored = part(bytes_, entry.offset + skip, entry.stored_size, name_, "member");
  Member out;
  if (entry.method == 0) {
    if (entry.stored_size != entry.size) {
      fail(Status::kCorrupt, "{}: stored as {} bytes, must be {}", what, entry.stored_size,
           entry.size);
    }
    out = {stored, owner_};
  } else if (entry.method == 8) {
    auto data = std::make_shared<const std::vector<std::byte>>(
        inflate(stored, DeflateForm::kRaw, entry.size, what));
    out = {*data, data};
  } else {
    fail(Status::kUnsupported, "{}: compression method {}; stored and deflate are read", what,
         entry.method);
  }
  uLong crc = crc32(0, nullptr, 0);
  for (std::size_t at = 0; at < out.bytes.size();) {
    const std::size_t step = std::min<std::size_t>(out.bytes.size() - at, 1U << 30);
    crc =
        crc32(crc, reinterpret_cast<const Bytef*>(out.bytes.data() + at), static_cast<uInt>(step));
    at += step;
  }
  if (crc != entry.crc) fail(Status::kCorrupt, "{}: its checksum (CRC-32) does not fit", what);
  return out;
}

}  // namespace pronghorn::import::zip
