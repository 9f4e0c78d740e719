// SPDX-License-Identifier: Apache-2.0
// Attributes in object headers, and the global heap that holds their variable-length strings.
#include "import/hdf5.h"
#include "import/hdf5_format.h"

namespace pronghorn::import::hdf5 {

using base::fail;
using base::Status;
using format::Cursor;
using format::Datatype;

namespace {

struct AttributeParts {
  std::string_view name;
  base::Bytes type, space, data;
};

AttributeParts split_attribute(base::Bytes message, const std::string& what) {
  Cursor c(message, what);
  const int version = c.u8();
  if (version < 1 || version > 3) fail(Status::kCorrupt, "{}: attribute version {}", what, version);
  const int flags = c.u8();
  const std::uint16_t name_size = c.u16();
  const std::uint16_t type_size = c.u16();
  const std::uint16_t space_size = c.u16();
  if (version == 3) c.skip(1);  // character set of the name
  const auto take = [&](std::uint16_t size) {
    const base::Bytes part = c.take(size);
    if (version == 1) c.align8();
    return part;
  };
  AttributeParts parts;
  const base::Bytes name = take(name_size);
  const auto* chars = reinterpret_cast<const char*>(name.data());
  parts.name = {chars, strnlen(chars, name.size())};
  parts.type = take(type_size);
  parts.space = take(space_size);
  parts.data = c.take(c.left());
  if (version > 1 && (flags & 3) != 0) {
    fail(Status::kUnsupported, "{}: attribute {} has a shared type, which is not read", what,
         parts.name);
  }
  return parts;
}

// A fixed-length string: ends at its first NUL, or at trailing spaces when padded with them.
std::string fixed_string(base::Bytes bytes, bool space_padded) {
  const auto* chars = reinterpret_cast<const char*>(bytes.data());
  std::size_t length = strnlen(chars, bytes.size());
  while (space_padded && length > 0 && chars[length - 1] == ' ') --length;
  return {chars, length};
}

}  // namespace

base::Bytes File::heap_object(std::uint64_t collection, std::uint32_t index,
                              const std::string& what) {
  auto known = heaps_.find(collection);
  if (known == heaps_.end()) {
    const auto word = static_cast<std::uint64_t>(length_size_);
    Cursor c(range(collection, 8 + word, what), what);
    c.expect("GCOL");
    c.skip(4);
    const std::uint64_t size = c.uint(length_size_);
    if (size < 8 + word) fail(Status::kCorrupt, "{}: global heap of {} bytes", what, size);
    spend(size, what);
    Cursor objects(range(collection + 8 + word, size - 8 - word, what), what);
    std::map<std::uint32_t, base::Bytes> found;
    while (objects.left() >= 8 + word) {
      const std::uint32_t id = objects.u16();
      objects.skip(6);
      const std::uint64_t object_size = objects.uint(length_size_);
      if (id == 0) break;  // the free space at the end
      found.emplace(id, objects.take(object_size));
      objects.align8();
    }
    known = heaps_.emplace(collection, std::move(found)).first;
  }
  const auto object = known->second.find(index);
  if (object == known->second.end()) {
    fail(Status::kCorrupt, "{}: object {} is not in the global heap at {}", what, index,
         collection);
  }
  return object->second;
}

base::Bytes File::find_attribute(const Object& object, std::string_view attribute) {
  const std::string what = fmt::format("{}: {}", name_, object.path);
  const format::Header& head = header(object);
  for (const format::Message& m : head.messages) {
    if (m.type != format::kAttribute) continue;
    if ((m.flags & 2) != 0) {
      fail(Status::kUnsupported, "{}: shared attributes are not read", what);
    }
    if (split_attribute(m.data, what).name == attribute) return m.data;
  }
  if (const auto* info = head.find(format::kAttributeInfo, what)) {
    Cursor c(info->data, what);
    c.skip(1);
    if ((c.u8() & 1) != 0) c.skip(2);
    if (!format::is_undefined(c.uint(offset_size_), offset_size_)) {
      fail(Status::kUnsupported,
           "{}: its attributes are in a fractal heap (dense storage), which is not read; "
           "attributes in the object header are",
           what);
    }
  }
  return {};
}

bool File::has_attribute(const Object& object, std::string_view attribute) {
  return !find_attribute(object, attribute).empty();
}

std::optional<std::vector<std::string>> File::strings(const Object& object,
                                                      std::string_view attribute) {
  const base::Bytes message = find_attribute(object, attribute);
  if (message.empty()) return std::nullopt;
  const std::string what = fmt::format("{}: {}: attribute {}", name_, object.path, attribute);
  const AttributeParts parts = split_attribute(message, what);
  Cursor space_cursor(parts.space, what);
  const format::Dataspace space = format::read_dataspace(space_cursor, length_size_);
  std::vector<std::string> out;
  if (space.elements == 0) return out;
  Cursor type_cursor(parts.type, what);
  const Datatype type = format::read_datatype(type_cursor);
  if (type.kind != Datatype::Kind::kString && type.kind != Datatype::Kind::kVariableString) {
    fail(Status::kCorrupt, "{}: is {}, must be strings", what, type.name);
  }
  Cursor data(parts.data, what);
  for (std::int64_t i = 0; i < space.elements; ++i) {
    if (type.kind == Datatype::Kind::kString) {
      // An element of no bytes would let the count run free of the file's size.
      if (type.size == 0) fail(Status::kCorrupt, "{}: strings of no bytes", what);
      out.push_back(fixed_string(data.take(type.size), type.space_padded));
    } else {
      const std::uint32_t length = data.u32();
      const std::uint64_t collection = data.uint(offset_size_);
      const std::uint32_t index = data.u32();
      if (length == 0) {
        out.emplace_back();
        continue;
      }
      const base::Bytes bytes = heap_object(collection, index, what);
      if (length > bytes.size()) {
        fail(Status::kCorrupt, "{}: a string of {} bytes in {}", what, length, bytes.size());
      }
      out.push_back(fixed_string(bytes.first(length), false));
    }
    spend(out.back().size() + 16, what);
  }
  return out;
}

std::optional<std::string> File::string(const Object& object, std::string_view attribute) {
  auto all = strings(object, attribute);
  if (!all) return std::nullopt;
  if (all->size() != 1) {
    fail(Status::kCorrupt, "{}: {}: attribute {} holds {} strings, must hold one", name_,
         object.path, attribute, all->size());
  }
  return std::move(all->front());
}

}  // namespace pronghorn::import::hdf5
