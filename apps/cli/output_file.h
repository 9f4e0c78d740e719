// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace pronghorn::cli {

// A file that appears whole or not at all: written under a temporary name beside its place and
// renamed by write(). The constructor already fails when it cannot be written, so a long run does
// not end with that news. Devices and pipes (/dev/stdout) are written directly.
class OutputFile {
 public:
  OutputFile() = default;                        // writes nowhere
  explicit OutputFile(const std::string& path);  // "" likewise
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  explicit operator bool() const { return file_ >= 0; }
  void write(std::string_view text);  // the whole content; once

 private:
  std::string path_;
  std::string temporary_;  // "" when written directly
  int file_ = -1;
};

// Throws when no file can be made beside `path`; leaves nothing behind.
void require_writable(const std::string& path);

}  // namespace pronghorn::cli
