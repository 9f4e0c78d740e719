// SPDX-License-Identifier: Apache-2.0
// The pieces of the HDF5 format shared by the reader's files; not a door.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace pronghorn::import::hdf5::format {

using base::Bytes;
using base::Status;

inline constexpr int kMaxRank = 32;

// Message types of object headers.
enum MessageType : std::uint16_t {
  kDataspace = 0x01,
  kLinkInfo = 0x02,
  kDatatype = 0x03,
  kExternalFiles = 0x07,
  kLink = 0x06,
  kLayout = 0x08,
  kFilters = 0x0B,
  kAttribute = 0x0C,
  kContinuation = 0x10,
  kSymbolTable = 0x11,
  kAttributeInfo = 0x15,
};

// Reads little-endian numbers from a span; a read past its end is Error(kCorrupt) naming `what`.
class Cursor {
 public:
  Cursor(Bytes bytes, const std::string& what) : bytes_(bytes), what_(what) {}

  std::size_t left() const { return bytes_.size() - at_; }
  std::size_t position() const { return at_; }

  Bytes take(std::uint64_t size) {
    if (size > left()) {
      base::fail(Status::kCorrupt, "{}: cut short: {} bytes needed, {} left", what_, size, left());
    }
    const Bytes out = bytes_.subspan(at_, size);
    at_ += size;
    return out;
  }
  void skip(std::uint64_t size) { take(size); }
  // To the next multiple of 8 from the start of the span; the last padding may be absent.
  void align8() { at_ = std::min((at_ + 7) & ~std::size_t{7}, bytes_.size()); }

  std::uint64_t uint(int size) {
    const Bytes b = take(static_cast<std::uint64_t>(size));
    std::uint64_t value = 0;
    for (int i = size - 1; i >= 0; --i) {
      value = value << 8 | std::to_integer<std::uint64_t>(b[static_cast<std::size_t>(i)]);
    }
    return value;
  }
  std::uint8_t u8() { return static_cast<std::uint8_t>(uint(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(uint(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(uint(4)); }

  void expect(const char* signature) {
    const Bytes b = take(std::strlen(signature));
    if (std::memcmp(b.data(), signature, b.size()) != 0) {
      base::fail(Status::kCorrupt, "{}: signature {} is not there", what_, signature);
    }
  }
  const std::string& what() const { return what_; }

 private:
  Bytes bytes_;
  const std::string& what_;
  std::size_t at_ = 0;
};

// An address of all ones means "nothing there".
inline bool is_undefined(std::uint64_t address, int offset_size) {
  return address ==
         (offset_size == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * offset_size)) - 1);
}

struct Message {
  std::uint16_t type = 0;
  std::uint8_t flags = 0;
  Bytes data;
};

struct Header {
  std::vector<Message> messages;
  // The only message of that type; nullptr when there is none. Shared messages are refused.
  const Message* find(std::uint16_t type, const std::string& what) const;
};

struct Dataspace {
  std::vector<std::int64_t> dims;
  std::int64_t elements = 1;  // 0 for a null dataspace
};
// Refuses products of 2^40 elements and more.
Dataspace read_dataspace(Cursor& cursor, int length_size);

struct Datatype {
  enum class Kind { kInteger, kFloat, kString, kVariableString, kOther };
  Kind kind = Kind::kOther;
  std::uint32_t size = 0;  // bytes of an element
  bool is_signed = false;
  bool space_padded = false;
  std::string name;  // for messages
};
Datatype read_datatype(Cursor& cursor);

struct Layout {
  enum class Kind { kCompact, kContiguous, kChunked };
  Kind kind = Kind::kCompact;
  std::uint64_t address = 0;
  std::uint64_t size = 0;           // contiguous
  Bytes data;                       // compact
  std::vector<std::uint32_t> dims;  // chunk dimensions; the last is the element size in bytes
};
Layout read_layout(Cursor& cursor, int offset_size, int length_size);

struct Filter {
  enum Id : std::uint16_t { kDeflate = 1, kShuffle = 2, kFletcher32 = 3 };
  std::uint16_t id = 0;
};
std::vector<Filter> read_filters(Cursor& cursor);

// Undoes `filters` (in reverse order, leaving out those masked) on one stored chunk, which must
// then be `size` bytes.
std::vector<std::byte> unfilter(Bytes stored, const std::vector<Filter>& filters,
                                std::uint32_t mask, std::size_t element_size, std::size_t size,
                                const std::string& what);

}  // namespace pronghorn::import::hdf5::format
