// SPDX-License-Identifier: Apache-2.0
#include "import/table.h"

#include "base/error.h"

namespace pronghorn::import {

Table open_table(const std::filesystem::path& path) {
  const std::string ending = path.extension().string();
  if (ending == ".npy") return read_npy(path);
  if (ending == ".csv") return read_csv(path);
  if (ending == ".parquet" || ending == ".arrow" || ending == ".feather") {
    base::fail(base::Status::kUnsupported,
               "{}: this program does not read {} files; write the table as .npy, piece by piece "
               "with pyarrow: python3 -m pronghorn.sklearn to-npy FILE FILE.npy",
               path.string(), ending.substr(1));
  }
  base::fail(base::Status::kUnsupported, "{}: a table is a .npy or .csv file", path.string());
}

}  // namespace pronghorn::import
