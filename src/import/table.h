// SPDX-License-Identifier: Apache-2.0
// Files of numbers: rows are samples, columns features.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/file.h"

namespace pronghorn::import {

// The values lie in the mapped file (.npy) or in memory (.csv, and .npy of other types or byte
// order). Strides in elements, one of them 1.
struct Table {
  const void* data = nullptr;
  bool is_f32 = false;  // else double
  std::int64_t rows = 0, cols = 0;
  std::int64_t row_stride = 0, col_stride = 0;
  std::vector<std::string> names;  // of the columns; empty where the file has none
  std::shared_ptr<base::MappedFile> file;
  base::Buffer values;
};

// By the name's ending. Throws Error: kNotFound, kIo; kCorrupt naming file and line (or what of the
// header); kUnsupported for other formats and types.
Table open_table(const std::filesystem::path& path);

// One format each. NumPy's: "NumPy Enhancement Proposal 1", versions 1.0 to 3.0.
Table read_npy(const std::filesystem::path& path);
// RFC 4180 with numbers only; the first line may be names. Blank lines at the end are allowed.
Table read_csv(const std::filesystem::path& path);

}  // namespace pronghorn::import
