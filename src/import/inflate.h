// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/file.h"

namespace pronghorn::import {

enum class DeflateForm { kZlib, kRaw };  // with a zlib header (HDF5) or without (ZIP)

// Decompresses `stored`, which must give exactly `size` bytes; Error(kCorrupt) naming `what`
// otherwise. Memory grows with what was really decompressed, not with what `size` promises.
std::vector<std::byte> inflate(base::Bytes stored, DeflateForm form, std::size_t size,
                               const std::string& what);

}  // namespace pronghorn::import
