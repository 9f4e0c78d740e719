// SPDX-License-Identifier: Apache-2.0
// Groups: symbol tables (version 1 B-tree, local heap) and compact links.
#include <algorithm>

#include "import/hdf5.h"
#include "import/hdf5_format.h"

namespace pronghorn::import::hdf5 {

using base::fail;
using base::Status;
using format::Cursor;

namespace {

std::string heap_name(base::Bytes heap, std::uint64_t offset, const std::string& what) {
  if (offset >= heap.size()) fail(Status::kCorrupt, "{}: a name lies outside its heap", what);
  const auto rest = heap.subspan(offset);
  const auto* chars = reinterpret_cast<const char*>(rest.data());
  const std::size_t length = strnlen(chars, rest.size());
  if (length == rest.size()) fail(Status::kCorrupt, "{}: a name does not end", what);
  return {chars, length};
}

}  // namespace

void File::read_symbols(std::uint64_t address, base::Bytes heap, const std::string& what,
                        Links& links) {
  const auto offset_size = static_cast<std::uint64_t>(offset_size_);
  const std::uint64_t entry_size = 2 * offset_size + 24;
  Cursor c(range(address, 8, what), what);
  c.expect("SNOD");
  c.skip(2);
  const std::uint64_t count = c.u16();
  spend(count * entry_size + 64, what);
  Cursor entries(range(address + 8, count * entry_size, what), what);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t name_offset = entries.uint(offset_size_);
    const std::uint64_t object = entries.uint(offset_size_);
    const std::uint32_t cache = entries.u32();
    entries.skip(20);
    if (cache == 2) continue;  // a symbolic link; Keras makes none
    std::string name = heap_name(heap, name_offset, what);
    spend(name.size(), what);
    links.emplace(std::move(name), object);
  }
}

void File::read_link_tree(std::uint64_t address, int level, base::Bytes heap,
                          const std::string& what, Links& links) {
  const auto offset_size = static_cast<std::uint64_t>(offset_size_);
  const auto length_size = static_cast<std::uint64_t>(length_size_);
  Cursor c(range(address, 8 + 2 * offset_size, what), what);
  c.expect("TREE");
  const int type = c.u8();
  const int node_level = c.u8();
  const std::uint64_t count = c.u16();
  if (type != 0) fail(Status::kCorrupt, "{}: a B-tree of another kind", what);
  // Levels fall by one from node to child, so the recursion is at most 64 deep.
  if (node_level > 63 || (level >= 0 && node_level != level)) {
    fail(Status::kCorrupt, "{}: B-tree level {}", what, node_level);
  }
  const std::uint64_t size = count * (length_size + offset_size);
  spend(size + 64, what);
  Cursor entries(range(address + 8 + 2 * offset_size, size, what), what);
  for (std::uint64_t i = 0; i < count; ++i) {
    entries.skip(length_size);  // key: a name
    const std::uint64_t child = entries.uint(offset_size_);
    if (node_level == 0) {
      read_symbols(child, heap, what, links);
    } else {
      read_link_tree(child, node_level - 1, heap, what, links);
    }
  }
}

void File::read_link_message(base::Bytes message, const std::string& what, Links& links) {
  Cursor c(message, what);
  const int version = c.u8();
  const int flags = c.u8();
  if (version != 1) fail(Status::kCorrupt, "{}: link message version {}", what, version);
  const int type = (flags & 8) != 0 ? c.u8() : 0;
  if ((flags & 4) != 0) c.skip(8);     // creation order
  if ((flags & 0x10) != 0) c.skip(1);  // character set
  const base::Bytes name = c.take(c.uint(1 << (flags & 3)));
  if (type != 0) return;  // soft or external
  spend(name.size(), what);
  links.emplace(std::string(reinterpret_cast<const char*>(name.data()), name.size()),
                c.uint(offset_size_));
}

const File::Links& File::links(const Object& group) {
  const auto known = links_.find(group.address);
  if (known != links_.end()) return known->second;
  const std::string what = fmt::format("{}: group {}", name_, group.path);
  const format::Header& head = header(group);
  Links found;
  if (const auto* m = head.find(format::kSymbolTable, what)) {
    Cursor c(m->data, what);
    const std::uint64_t tree = c.uint(offset_size_);
    const std::uint64_t heap = c.uint(offset_size_);
    const auto word = static_cast<std::uint64_t>(length_size_);
    Cursor h(range(heap, 8 + 2 * word + static_cast<std::uint64_t>(offset_size_), what), what);
    h.expect("HEAP");
    h.skip(4);
    const std::uint64_t size = h.uint(length_size_);
    h.skip(word);
    const base::Bytes names = range(h.uint(offset_size_), size, what);
    if (!format::is_undefined(tree, offset_size_)) read_link_tree(tree, -1, names, what, found);
  }
  if (const auto* m = head.find(format::kLinkInfo, what)) {
    Cursor c(m->data, what);
    c.skip(1);
    if ((c.u8() & 1) != 0) c.skip(8);
    if (!format::is_undefined(c.uint(offset_size_), offset_size_)) {
      fail(Status::kUnsupported,
           "{}: its links are in a fractal heap (dense storage), which is not read; groups with "
           "symbol tables or compact links are",
           what);
    }
  }
  for (const format::Message& m : head.messages) {
    if (m.type == format::kLink) read_link_message(m.data, what, found);
  }
  return links_.emplace(group.address, std::move(found)).first->second;
}

std::vector<std::string> File::children(const Object& group) {
  std::vector<std::string> names;
  for (const auto& [name, address] : links(group)) names.push_back(name);
  return names;
}

std::optional<Object> File::find(const Object& group, std::string_view path) {
  Object here = group;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    if (part.empty()) continue;
    const Links& found = links(here);
    const auto link = found.find(part);
    if (link == found.end()) return std::nullopt;
    here = {link->second, fmt::format("{}{}{}", here.path, here.path == "/" ? "" : "/", part)};
  }
  return here;
}

Object File::at(const Object& group, std::string_view path) {
  auto found = find(group, path);
  if (!found) fail(Status::kCorrupt, "{}: {} holds no {}", name_, group.path, path);
  return *found;
}

}  // namespace pronghorn::import::hdf5
