// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <pronghorn/pronghorn.hpp>

namespace pronghorn::cli {
namespace {

[[noreturn]] void fail(const std::string& path) {
  throw Error(PH_IO, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

bool is_special(const std::string& path) {
  struct stat facts{};
  return stat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode);
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path) {
  if (path.empty()) return;
  if (is_special(path)) {
    file_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
      errno = EISDIR;
      fail(path);
    }
    temporary_ = fmt::format("{}.{}.part", path, getpid());
    file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  }
  if (file_ < 0) {
    temporary_.clear();
    fail(path);
  }
}

OutputFile::~OutputFile() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::write(std::string_view text) {
  if (file_ < 0) return;
  while (!text.empty()) {
    const ssize_t n = ::write(file_, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  const int closed = close(file_);
  file_ = -1;
  if (closed != 0) fail(path_);
  if (temporary_.empty()) return;
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_);
  temporary_.clear();
}

void require_writable(const std::string& path) { const OutputFile probe(path); }

}  // namespace pronghorn::cli
