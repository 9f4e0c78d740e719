// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/file.h"

namespace pronghorn::image {

struct TarMember {
  std::string name;
  base::Bytes bytes;  // inside the archive
};

// The regular files of an uncompressed tar archive, in its order: ustar and old headers, PAX path
// and size records, GNU long names, base-256 sizes. Links, folders and devices are left out. Throws
// Error naming `archive`: kCorrupt (damaged, truncated, no tar at all), kUnsupported (sparse).
std::vector<TarMember> read_tar(base::Bytes bytes, const std::string& archive);

}  // namespace pronghorn::image
