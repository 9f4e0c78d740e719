// SPDX-License-Identifier: Apache-2.0
#include "image/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "image/tar.h"

namespace pronghorn::image {
namespace {

namespace fs = std::filesystem;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool ends_with(std::string_view name, std::string_view lower_case_end) {
  return name.size() >= lower_case_end.size() &&
         std::equal(lower_case_end.begin(), lower_case_end.end(),
                    name.end() - static_cast<std::ptrdiff_t>(lower_case_end.size()),
                    [](char a, char b) { return a == lower(b); });
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_image_name(std::string_view path) {
  const std::string_view file = file_name(path);
  if (file.starts_with("._")) return false;  // macOS keeps attributes of x.jpg in ._x.jpg
  return ends_with(file, ".jpg") || ends_with(file, ".jpeg") || ends_with(file, ".png");
}

// "a/b/c.jpg" -> "b"; "c.jpg" -> "". Folders that say nothing ("." and "..") count as none.
std::string_view folder_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {};
  const std::string_view folder = file_name(path.substr(0, slash));
  return folder == "." || folder == ".." ? std::string_view() : folder;
}

std::string_view wordnet_id(std::string_view path) {
  constexpr std::size_t kLength = 9;  // n and eight digits
  const std::string_view file = file_name(path);
  if (file.size() < kLength || file[0] != 'n') return {};
  const std::string_view id = file.substr(0, kLength);
  const bool digits =
      std::all_of(id.begin() + 1, id.end(), [](char c) { return c >= '0' && c <= '9'; });
  const bool longer = file.size() > kLength && file[kLength] >= '0' && file[kLength] <= '9';
  return digits && !longer ? id : std::string_view();
}

std::string first_of(std::string_view a, std::string_view b) {
  return std::string(a.empty() ? b : a);
}

[[noreturn]] void fail_read(const fs::path& path, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR;
  base::fail(missing ? base::Status::kNotFound : base::Status::kIo, "cannot read {}: {}",
             path.string(), std::strerror(error));
}

// Read rather than mapped: for small files one call is cheaper than page faults, and a file which
// somebody shortens meanwhile gives an error instead of a signal.
Encoded read_file(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail_read(path, errno);
  struct Close {
    int file;
    ~Close() { ::close(file); }
  } const close{file};
  struct stat info{};
  if (::fstat(file, &info) != 0) fail_read(path, errno);
  if (!S_ISREG(info.st_mode)) {
    base::fail(base::Status::kIo, "cannot read {}: not a regular file", path.string());
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  std::shared_ptr<std::byte[]> data(new std::byte[size]);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file, data.get() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_read(path, errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return {base::Bytes(data.get(), done), data};
}

class FileSource : public Source {
 public:
  // names[i] is what folder labels come from: the path inside the source.
  FileSource(std::vector<fs::path> files, std::vector<std::string> inner_names,
             bool file_name_first)
      : files_(std::move(files)),
        inner_names_(std::move(inner_names)),
        file_name_first_(file_name_first) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  std::string name(std::int64_t index) const override { return files_.at(index).string(); }
  std::string label(std::int64_t index) const override {
    const std::string& inner = inner_names_.at(index);
    return file_name_first_ ? first_of(wordnet_id(inner), folder_name(inner))
                            : first_of(folder_name(inner), wordnet_id(inner));
  }
  Encoded read(std::int64_t index) const override { return read_file(files_.at(index)); }

 private:
  std::vector<fs::path> files_;
  std::vector<std::string> inner_names_;
  bool file_name_first_;
};

class TarSource : public Source {
 public:
  TarSource(std::shared_ptr<const base::MappedFile> archive, std::vector<TarMember> members)
      : archive_(std::move(archive)), members_(std::move(members)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(members_.size()); }
  std::string name(std::int64_t index) const override { return members_.at(index).name; }
  std::string label(std::int64_t index) const override {
    const std::string& name = members_.at(index).name;
    return first_of(folder_name(name), wordnet_id(name));
  }
  Encoded read(std::int64_t index) const override { return {members_.at(index).bytes, archive_}; }

 private:
  std::shared_ptr<const base::MappedFile> archive_;
  std::vector<TarMember> members_;
};

class MemorySource : public Source {
 public:
  MemorySource(std::vector<std::string> names, std::vector<Encoded> images)
      : names_(std::move(names)), images_(std::move(images)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(images_.size()); }
  std::string name(std::int64_t index) const override { return names_.at(index); }
  std::string label(std::int64_t) const override { return {}; }
  Encoded read(std::int64_t index) const override { return images_.at(index); }

 private:
  std::vector<std::string> names_;
  std::vector<Encoded> images_;
};

class RepeatedSource : public Source {
 public:
  RepeatedSource(std::shared_ptr<const Source> inner, std::int64_t size)
      : inner_(std::move(inner)), size_(size) {}

  std::int64_t size() const override { return size_; }
  std::string name(std::int64_t index) const override {
    return inner_->name(index % inner_->size());
  }
  std::string label(std::int64_t index) const override {
    return inner_->label(index % inner_->size());
  }
  Encoded read(std::int64_t index) const override { return inner_->read(index % inner_->size()); }

 private:
  std::shared_ptr<const Source> inner_;
  std::int64_t size_;
};

// Collects image files below `folder`; `above` are the real paths of the folders which it lies in,
// so that a link to one of them ends the search instead of going round.
void search(const fs::path& folder, const std::string& inner, std::vector<fs::path>& above,
            std::vector<std::string>& found) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (std::find(above.begin(), above.end(), real) != above.end()) return;
  fs::directory_iterator entries(folder, error);
  if (error) fail_read(folder, error.value());
  above.push_back(real);
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    if (error) fail_read(folder, error.value());
    const std::string name = entries->path().filename().string();
    std::error_code ignored;  // a dangling link is neither a folder nor worth an error
    if (entries->is_directory(ignored)) {
      search(entries->path(), inner + name + '/', above, found);
    } else if (is_image_name(name)) {
      found.push_back(inner + name);
    }
  }
  above.pop_back();
}

[[noreturn]] void fail_empty(const fs::path& path) {
  base::fail(base::Status::kInvalidArgument, "no image in {}; .jpg, .jpeg and .png files count",
             path.string());
}

std::unique_ptr<Source> open_folder(const fs::path& folder) {
  std::vector<fs::path> above;
  std::vector<std::string> names;
  search(folder, "", above, names);
  if (names.empty()) fail_empty(folder);
  std::sort(names.begin(), names.end());
  std::vector<fs::path> files;
  files.reserve(names.size());
  for (const std::string& name : names) files.push_back(folder / name);
  return std::make_unique<FileSource>(std::move(files), std::move(names), false);
}

std::unique_ptr<Source> open_tar(const fs::path& path) {
  const auto archive = std::make_shared<const base::MappedFile>(path);
  std::vector<TarMember> members = read_tar(archive->bytes(), path.string());
  std::erase_if(members, [](const TarMember& member) { return !is_image_name(member.name); });
  if (members.empty()) fail_empty(path);
  // Of equal names the last one stays: reversed first, then sorted stably, then made unique.
  std::reverse(members.begin(), members.end());
  std::stable_sort(members.begin(), members.end(),
                   [](const TarMember& a, const TarMember& b) { return a.name < b.name; });
  const auto same = [](const TarMember& a, const TarMember& b) { return a.name == b.name; };
  members.erase(std::unique(members.begin(), members.end(), same), members.end());
  return std::make_unique<TarSource>(archive, std::move(members));
}

}  // namespace

std::unique_ptr<Source> open_source(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) fail_read(path, ENOENT);
  if (error) fail_read(path, error.value());
  if (fs::is_directory(status)) return open_folder(path);
  if (ends_with(path.string(), ".tar")) return open_tar(path);
  return std::make_unique<FileSource>(std::vector<fs::path>{path},
                                      std::vector<std::string>{path.filename().string()}, false);
}

std::unique_ptr<Source> list_source(std::vector<fs::path> files) {
  if (files.empty()) {
    base::fail(base::Status::kInvalidArgument, "the list of images is empty; one path at least");
  }
  std::vector<std::string> names;
  names.reserve(files.size());
  for (const fs::path& file : files) names.push_back(file.string());
  return std::make_unique<FileSource>(std::move(files), std::move(names), true);
}

std::unique_ptr<Source> open_list(std::istream& lines) {
  std::vector<fs::path> files;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) files.emplace_back(std::move(line));
  }
  return list_source(std::move(files));
}

std::unique_ptr<Source> memory_source(std::vector<std::string> names, std::vector<Encoded> images) {
  if (names.size() != images.size()) {
    base::fail(base::Status::kInvalidArgument, "{} names for {} images; one each", names.size(),
               images.size());
  }
  return std::make_unique<MemorySource>(std::move(names), std::move(images));
}

std::unique_ptr<Source> repeated_source(std::shared_ptr<const Source> inner, std::int64_t size) {
  if (inner == nullptr || inner->size() < 1 || size < 1) {
    base::fail(base::Status::kInvalidArgument,
               "cannot repeat {} images to {}; at least one of each",
               inner == nullptr ? 0 : inner->size(), size);
  }
  return std::make_unique<RepeatedSource>(std::move(inner), size);
}

}  // namespace pronghorn::image
