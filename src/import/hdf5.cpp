// SPDX-License-Identifier: Apache-2.0
// Superblock, bounds, object headers.
#include "import/hdf5.h"

#include <utility>

#include "import/hdf5_format.h"

namespace pronghorn::import::hdf5 {
namespace {

using base::fail;
using base::Status;
using format::Cursor;

constexpr unsigned char kSignature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

// Where the signature stands: 0, 512, 1024, ...; -1 when nowhere.
std::int64_t find_signature(base::Bytes bytes) {
  for (std::size_t at = 0; at + sizeof kSignature <= bytes.size(); at = at == 0 ? 512 : at * 2) {
    if (std::memcmp(bytes.data() + at, kSignature, sizeof kSignature) == 0) {
      return static_cast<std::int64_t>(at);
    }
  }
  return -1;
}

}  // namespace

bool is_hdf5(base::Bytes bytes) { return find_signature(bytes) >= 0; }

File::File(base::Bytes bytes, std::shared_ptr<const void> owner, std::string name)
    : bytes_(bytes), owner_(std::move(owner)), name_(std::move(name)) {
  // A good file is walked about once; converted data may be larger than stored data.
  work_left_ = (std::uint64_t{16} << 20) + 8 * bytes.size();
  memory_left_ = (std::uint64_t{256} << 20) + 16 * bytes.size();
  read_superblock();
}

File::~File() = default;

base::Bytes File::range(std::uint64_t address, std::uint64_t size, const std::string& what) const {
  const std::uint64_t room = bytes_.size() - base_;
  if (address > room || size > room - address) {
    fail(Status::kCorrupt, "{}: {} bytes at {} lie outside the file ({} bytes)", what, size,
         address, bytes_.size());
  }
  return bytes_.subspan(base_ + address, size);
}

void File::spend(std::uint64_t cost, const std::string& what) {
  if (cost > work_left_) {
    fail(Status::kCorrupt, "{}: the structure of the file runs in circles", what);
  }
  work_left_ -= cost;
}

void File::read_superblock() {
  const std::int64_t start = find_signature(bytes_);
  if (start < 0) fail(Status::kCorrupt, "{} is not an HDF5 file: no signature", name_);
  const std::string what = name_ + ": superblock";
  Cursor c(bytes_.subspan(static_cast<std::size_t>(start)), what);
  c.skip(sizeof kSignature);
  const int version = c.u8();
  if (version > 3) fail(Status::kUnsupported, "{}: version {}; 0 to 3 are read", what, version);
  if (version <= 1) c.skip(4);
  offset_size_ = c.u8();
  length_size_ = c.u8();
  for (const int size : {offset_size_, length_size_}) {
    if (size != 2 && size != 4 && size != 8) {
      fail(Status::kUnsupported, "{}: offsets of {} bytes; 2, 4 and 8 are read", what, size);
    }
  }
  c.skip(version <= 1 ? 9 : 1);  // group K values and flags; flags alone
  if (version == 1) c.skip(4);
  const std::uint64_t base = c.uint(offset_size_);
  c.skip(static_cast<std::uint64_t>(offset_size_));  // free space, superblock extension
  const std::uint64_t end = c.uint(offset_size_);
  if (version <= 1) {
    c.skip(2 * static_cast<std::uint64_t>(offset_size_));  // driver information, link name
  }
  root_ = c.uint(offset_size_);
  if (base > bytes_.size()) fail(Status::kCorrupt, "{}: base address {}", what, base);
  base_ = base;
  if (end > bytes_.size()) {
    fail(Status::kCorrupt, "{} is cut short: {} bytes of {}", name_, bytes_.size(), end);
  }
}

const format::Message* format::Header::find(std::uint16_t type, const std::string& what) const {
  for (const Message& m : messages) {
    if (m.type != type) continue;
    if ((m.flags & 2) != 0) {
      fail(Status::kUnsupported, "{}: shared (committed) types and messages are not read", what);
    }
    return &m;
  }
  return nullptr;
}

namespace {

// Reads the messages of one block of a version 1 header: type, size, flags, 3 reserved bytes.
void read_messages_v1(base::Bytes block, const std::string& what, format::Header& header) {
  Cursor c(block, what);
  while (c.left() >= 8) {
    format::Message m;
    m.type = c.u16();
    const std::uint16_t size = c.u16();
    m.flags = c.u8();
    c.skip(3);
    m.data = c.take(size);
    header.messages.push_back(m);
  }
}

void read_messages_v2(base::Bytes block, bool ordered, const std::string& what,
                      format::Header& header) {
  Cursor c(block, what);
  const std::size_t prefix = ordered ? 6 : 4;
  while (c.left() >= prefix) {  // less is a gap
    format::Message m;
    m.type = c.u8();
    const std::uint16_t size = c.u16();
    m.flags = c.u8();
    if (ordered) c.skip(2);
    m.data = c.take(size);
    header.messages.push_back(m);
  }
}

}  // namespace

const format::Header& File::header(const Object& object) {
  auto& slot = headers_[object.address];
  if (slot) return *slot;
  const std::string what = fmt::format("{}: {}: object header", name_, object.path);
  auto header = std::make_unique<format::Header>();
  Cursor c(
      range(object.address,
            bytes_.size() - base_ > object.address ? bytes_.size() - base_ - object.address : 0,
            what),
      what);
  bool version2 = false, ordered = false;
  const base::Bytes start = c.take(4);
  if (std::memcmp(start.data(), "OHDR", 4) == 0) {
    version2 = true;
    const int version = c.u8();
    if (version != 2) fail(Status::kCorrupt, "{}: version {}", what, version);
    const int flags = c.u8();
    ordered = (flags & 4) != 0;
    if ((flags & 0x20) != 0) c.skip(16);  // times
    if ((flags & 0x10) != 0) c.skip(4);   // attribute storage limits
    const std::uint64_t size = c.uint(1 << (flags & 3));
    spend(size + 64, what);
    read_messages_v2(c.take(size), ordered, what, *header);
  } else {
    const int version = std::to_integer<int>(start[0]);
    if (version != 1) fail(Status::kCorrupt, "{}: not found at {}", what, object.address);
    c.skip(4);  // reference count
    const std::uint32_t size = c.u32();
    c.skip(4);
    spend(size + 64, what);
    read_messages_v1(c.take(size), what, *header);
  }
  // Continuations may hold continuations; the work bound ends a loop of them.
  for (std::size_t i = 0; i < header->messages.size(); ++i) {
    if (header->messages[i].type != format::kContinuation) continue;
    Cursor m(header->messages[i].data, what);
    const std::uint64_t address = m.uint(offset_size_);
    const std::uint64_t size = m.uint(length_size_);
    spend(size + 64, what);
    base::Bytes block = range(address, size, what);
    if (!version2) {
      read_messages_v1(block, what, *header);
      continue;
    }
    Cursor b(block, what);
    b.expect("OCHK");
    if (b.left() < 4) fail(Status::kCorrupt, "{}: continuation of {} bytes", what, size);
    read_messages_v2(b.take(b.left() - 4), ordered, what, *header);  // the last 4: checksum
  }
  slot = std::move(header);
  return *slot;
}

}  // namespace pronghorn::import::hdf5
