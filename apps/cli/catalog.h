// SPDX-License-Identifier: Apache-2.0
// Models that `pronghorn pull` knows, and the folder they are kept in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace pronghorn::cli {

struct RemoteFile {
  std::string name;  // in the cache
  std::string url;
  std::int64_t size = 0;  // bytes; 0: not known beforehand
  std::string digest;     // "md5" or "sha256"
  std::string checksum;   // lower-case hex; a prefix of eight digits or more counts
};

struct Entry {
  std::string name;
  std::string about;
  std::vector<RemoteFile> files;  // the weights first
  std::string model_file;         // what --model NAME opens, in the cache
  std::string preprocess;         // when the file does not say
  std::string note;               // what else there is to do, "" for nothing
  std::string labels_file;        // name of the file with class names, "" for none
};

// Built-in entries, then those of the file that PRONGHORN_CATALOG names (docs/cli.md).
// Throws Error(PH_CORRUPT) naming that file.
const std::vector<Entry>& catalog();
const Entry* find_entry(const std::string& name);  // nullptr when unknown
std::string entry_names();                         // "a, b"

// $PRONGHORN_CACHE, else $XDG_CACHE_HOME/pronghorn, else ~/.cache/pronghorn.
std::filesystem::path cache_folder();

}  // namespace pronghorn::cli
