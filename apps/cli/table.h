// SPDX-License-Identifier: Apache-2.0
// Files of numbers: those that the library reads, and those that pyarrow makes one of first.
#pragma once

#include <pronghorn/ml.hpp>
#include <string>
#include <vector>

namespace pronghorn::cli {

struct Table {
  Data data;
  std::vector<std::string> names;  // of the columns; empty where the file has none
};

// .npy and .csv as ph_data_open() reads them. .parquet, .arrow and .feather are turned into a .npy
// file in the folder of temporary files, a batch of rows at a time, by `python3 -m
// pronghorn.sklearn to-npy` (PRONGHORN_PYTHON names another interpreter); that file is mapped and
// has no name any more when this returns. Throws Error as ph_data_open(); PH_UNSUPPORTED where the
// conversion failed, which has said why on standard error.
Table open_table(const std::string& path);

}  // namespace pronghorn::cli
