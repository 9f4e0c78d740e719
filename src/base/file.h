// SPDX-License-Identifier: Apache-2.0
// Whole files: mapped for reading, replaced atomically for writing.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace pronghorn::base {

using Bytes = std::span<const std::byte>;

// A read-only memory map of a regular file. Throws Error (kNotFound, kIo) naming the file.
// An empty file maps to an empty span. Share it to keep views into it alive.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Bytes bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  Bytes bytes_;
};

// Writes a temporary file beside `path`, syncs it and renames it over `path`: a reader sees the old
// file or the new one, never a part. Throws Error(kIo) naming the file; nothing is left behind
// then.
void write_file(const std::filesystem::path& path, Bytes content);
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace pronghorn::base
