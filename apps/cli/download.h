// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>

#include "apps/cli/catalog.h"

namespace pronghorn::cli {

enum class Fetched { kAlreadyThere, kDownloaded, kResumed };

// Fetches `file` into `folder`. A download goes to NAME.part, which an interrupted one leaves
// behind and the next one continues; NAME appears only after size and checksum were found right. A
// file that is there already is verified too. progress(done, total) returns false to stop; total is
// 0 while unknown. Throws Error: PH_UNAVAILABLE (no network, server's refusal), PH_CORRUPT (size or
// checksum differ; the bytes are removed), PH_IO (cannot write), PH_CANCELLED.
Fetched fetch(const RemoteFile& file, const std::filesystem::path& folder,
              const std::function<bool(std::int64_t, std::int64_t)>& progress);

}  // namespace pronghorn::cli
