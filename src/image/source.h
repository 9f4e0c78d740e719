// SPDX-License-Identifier: Apache-2.0
// Where images come from: a file, a folder, a tar archive read in place, a list of paths, memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

namespace pronghorn::image {

// One encoded image. `bytes` lives as long as `owner`.
struct Encoded {
  base::Bytes bytes;
  std::shared_ptr<const void> owner;
};

// A fixed, ordered list of encoded images; order is by path, bytewise (a list keeps its own order).
// read() may be called from many threads.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::int64_t size() const = 0;
  virtual std::string name(std::int64_t index) const = 0;  // path, or path inside the archive
  // The folder directly above the image, inside the source; else the WordNet id that its file name
  // starts with ("n01443537_goldfish.JPEG"); empty when there is neither. In a list of files the
  // file name comes first, since the folder may be any.
  virtual std::string label(std::int64_t index) const = 0;
  virtual Encoded read(std::int64_t index) const = 0;  // throws Error(kIo, kNotFound) naming it
};

// A file (image or .tar) or a folder (searched recursively for .jpg .jpeg .png, any case; links are
// followed). An archive is mapped, never unpacked; of two members of one name the later counts.
// macOS's "._" companions are left out.
// Throws Error: kNotFound, kIo, kCorrupt (a broken archive), kUnsupported (a sparse member),
// kInvalidArgument (no image inside).
std::unique_ptr<Source> open_source(const std::filesystem::path& path);
// The files in this order; one that cannot be read fails in read() only.
// Throws Error(kInvalidArgument) when there is none.
std::unique_ptr<Source> list_source(std::vector<std::filesystem::path> files);
// list_source of one path a line, relative to the working directory; empty lines are left out.
std::unique_ptr<Source> open_list(std::istream& lines);
// `images` are copied views: their owners are kept. Labels are empty.
std::unique_ptr<Source> memory_source(std::vector<std::string> names, std::vector<Encoded> images);
// `inner` repeated end to end until `size` images; fewer than inner's are its first ones.
std::unique_ptr<Source> repeated_source(std::shared_ptr<const Source> inner, std::int64_t size);

}  // namespace pronghorn::image
