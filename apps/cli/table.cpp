// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/table.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/peers.h"

namespace pronghorn::cli {
namespace {

namespace fs = std::filesystem;

// A folder of its own, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "pronghorn-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw Error(PH_IO, fmt::format("no folder can be made in {} (TMPDIR names another)",
                                     fs::temp_directory_path().string()));
    }
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

Table convert(const std::string& path) {
  if (!fs::exists(path)) throw Error(PH_NOT_FOUND, fmt::format("{}: no such file", path));
  const TemporaryFolder folder;
  const std::string target = folder.file("table.npy"), names = folder.file("names.json");
  const char* set = std::getenv("PRONGHORN_PYTHON");
  const std::string python = set == nullptr ? "python3" : set;
  const int status = bench::run_command({python, "-m", "pronghorn.sklearn", "to-npy", path, target,
                                         "--dtype", "auto", "--names", names},
                                        [](const std::string&) {});
  if (status != 0) {
    throw Error(PH_UNSUPPORTED,
                fmt::format("{}: {} -m pronghorn.sklearn to-npy ended with status {}; it needs the "
                            "packages pronghorn, scikit-learn and pyarrow (PRONGHORN_PYTHON names "
                            "the interpreter that has them)",
                            path, python, status));
  }
  std::ifstream written(names);
  const auto found = nlohmann::json::parse(written, nullptr, false);
  Table table{Data::open(target), {}};
  if (found.is_array()) table.names = found.get<std::vector<std::string>>();
  return table;
}

}  // namespace

Table open_table(const std::string& path) {
  const std::string ending = fs::path(path).extension().string();
  if (ending == ".parquet" || ending == ".arrow" || ending == ".feather") return convert(path);
  Table table{Data::open(path), {}};
  const std::int64_t columns = table.data.matrix().cols;
  for (std::int64_t c = 0; c < columns && !table.data.column(0).empty(); ++c) {
    table.names.push_back(table.data.column(c));
  }
  return table;
}

}  // namespace pronghorn::cli
