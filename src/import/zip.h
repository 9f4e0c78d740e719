// SPDX-License-Identifier: Apache-2.0
// The members of a ZIP archive held in memory, as .keras files are: stored or deflated, no
// encryption, no splitting. Offsets are checked, sizes are believed only as far as the bytes go,
// and the CRC-32 of every member read is verified.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"

namespace pronghorn::import::zip {

bool is_zip(base::Bytes bytes);

// The bytes of a member and what keeps them alive: the archive, or memory of their own.
struct Member {
  base::Bytes bytes;
  std::shared_ptr<const void> owner;
};

class Archive {
 public:
  // Reads the central directory (ZIP64 too). Throws Error(kCorrupt) naming `name`.
  Archive(base::Bytes bytes, std::shared_ptr<const void> owner, std::string name);

  bool contains(std::string_view member) const { return entries_.contains(member); }
  // Error(kCorrupt) when there is no such member or it is damaged, Error(kOutOfMemory) when it
  // would decompress to more than `limit` bytes.
  Member read(std::string_view member, std::uint64_t limit) const;

 private:
  struct Entry {
    std::uint16_t flags = 0;
    std::uint16_t method = 0;
    std::uint32_t crc = 0;
    std::uint64_t stored_size = 0;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;
  };
  base::Bytes bytes_;
  std::shared_ptr<const void> owner_;
  std::string name_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace pronghorn::import::zip
