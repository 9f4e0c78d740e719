// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace pronghorn::cli {

// Lower-case hex of the file's "md5" or "sha256".
std::string digest_of(const std::filesystem::path& path, const std::string& algorithm);

}  // namespace pronghorn::cli
