// SPDX-License-Identifier: Apache-2.0
// A small read-only HDF5 reader: what Keras writes, and nothing that damaged bytes could abuse.
// Written from the HDF5 File Format Specification 3.0; docs/dependencies.md says why not libhdf5.
//
// Read: superblocks 0 to 3, object headers 1 and 2, groups as symbol tables or compact links,
// datasets stored contiguous, compact or in chunks under a version 1 B-tree (deflate, shuffle,
// fletcher32), of binary16/32/64 and 8 to 64 bit integers, little endian; attributes held in object
// headers. Refused by name (kUnsupported): dense links and attributes (fractal heaps), newer chunk
// indexes, other filters and types, external and shared data, big-endian numbers.
//
// Every offset and length is checked against the file before it is followed, and the work and the
// memory spent on one File are bounded by its size, so loops in a damaged file end. Anything that
// breaks the format throws Error(kCorrupt) naming the file and the object.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "graph/tensor.h"

namespace pronghorn::import::hdf5 {

// The eight bytes every HDF5 file starts with (after a user block of 0, 512, 1024, ... bytes).
bool is_hdf5(base::Bytes bytes);

// A group or dataset, named by its path for messages.
struct Object {
  std::uint64_t address = 0;
  std::string path;
};

namespace format {
struct Header;
class Cursor;
struct Layout;
struct Datatype;
}  // namespace format

class File {
 public:
  // `name` stands for the file in messages; `owner` keeps `bytes` alive.
  File(base::Bytes bytes, std::shared_ptr<const void> owner, std::string name);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& name() const { return name_; }
  Object root() const { return {root_, "/"}; }

  // The object `path` ("a/b/c", relative) under `group`; nothing when a part does not exist.
  std::optional<Object> find(const Object& group, std::string_view path);
  // find, or Error(kCorrupt) naming the path.
  Object at(const Object& group, std::string_view path);
  // Names of the hard links of a group, sorted bytewise. Empty for a dataset.
  std::vector<std::string> children(const Object& group);

  bool has_attribute(const Object& object, std::string_view attribute);
  // The attribute's strings, one for a scalar, in order; fixed- and variable-length. An attribute
  // without elements gives an empty list whatever its type. Nothing when it does not exist.
  std::optional<std::vector<std::string>> strings(const Object& object, std::string_view attribute);
  // The only string of the attribute.
  std::optional<std::string> string(const Object& object, std::string_view attribute);

  // Dimensions of a dataset; empty for a scalar.
  std::vector<std::int64_t> dims(const Object& dataset);
  // The elements as float32, shaped as stored. A contiguous, aligned float32 dataset aliases the
  // file's bytes; anything else is converted into memory of its own.
  graph::Tensor read(const Object& dataset);

 private:
  using Links = std::map<std::string, std::uint64_t, std::less<>>;

  // Bytes [address, address + size) of the file; `what` names them in the error.
  base::Bytes range(std::uint64_t address, std::uint64_t size, const std::string& what) const;
  // Charges `cost` units (about bytes touched) against the bound on total work.
  void spend(std::uint64_t cost, const std::string& what);

  void read_superblock();
  const format::Header& header(const Object& object);
  const Links& links(const Object& group);
  void read_link_tree(std::uint64_t address, int level, base::Bytes heap, const std::string& what,
                      Links& links);
  void read_symbols(std::uint64_t address, base::Bytes heap, const std::string& what, Links& links);
  void read_link_message(base::Bytes message, const std::string& what, Links& links);
  base::Bytes heap_object(std::uint64_t collection, std::uint32_t index, const std::string& what);
  base::Bytes find_attribute(const Object& object, std::string_view attribute);
  std::vector<std::byte> read_chunks(const Object& dataset, const format::Layout& layout,
                                     std::size_t element_size,
                                     const std::vector<std::int64_t>& dims);

  base::Bytes bytes_;
  std::shared_ptr<const void> owner_;
  std::string name_;
  std::uint64_t base_ = 0;
  int offset_size_ = 8;
  int length_size_ = 8;
  std::uint64_t root_ = 0;
  std::uint64_t work_left_ = 0;
  std::uint64_t memory_left_ = 0;
  std::map<std::uint64_t, std::unique_ptr<format::Header>> headers_;
  std::map<std::uint64_t, Links> links_;
  std::map<std::uint64_t, std::map<std::uint32_t, base::Bytes>> heaps_;
};

}  // namespace pronghorn::import::hdf5
