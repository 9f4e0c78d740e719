// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/download.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <pronghorn/pronghorn.hpp>

#include "apps/cli/digest.h"

namespace pronghorn::cli {
namespace {

namespace fs = std::filesystem;

// "" when the file is what it should be.
std::string difference(const RemoteFile& file, const fs::path& path) {
  const auto size = static_cast<std::int64_t>(fs::file_size(path));
  if (file.size > 0 && size != file.size) {
    return fmt::format("{} bytes instead of {}", size, file.size);
  }
  const std::string got = digest_of(path, file.digest);
  if (got.rfind(file.checksum, 0) == 0) return "";
  return fmt::format("{} is {} instead of {}", file.digest, got, file.checksum);
}

struct Transfer {
  std::FILE* out = nullptr;
  std::int64_t already = 0;  // bytes of an earlier download
  std::int64_t expected = 0;
  const std::function<bool(std::int64_t, std::int64_t)>* progress = nullptr;
  bool write_failed = false;
};

std::size_t on_bytes(char* data, std::size_t one, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::size_t written = std::fwrite(data, one, count, transfer.out);
  transfer.write_failed |= written != count;
  return written * one;
}

int on_progress(void* user, curl_off_t total, curl_off_t now, curl_off_t, curl_off_t) {
  const auto& transfer = *static_cast<Transfer*>(user);
  const std::int64_t all = total > 0 ? transfer.already + total : transfer.expected;
  return (*transfer.progress)(transfer.already + now, all) ? 0 : 1;
}

struct Answer {
  CURLcode code = CURLE_OK;
  long http = 0;
  std::string reason;
};

Answer download(const RemoteFile& file, Transfer& transfer) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (ready != CURLE_OK || !curl) throw Error(PH_INTERNAL, "libcurl does not start");
  char reason[CURL_ERROR_SIZE] = "";
  CURL* c = curl.get();
  curl_easy_setopt(c, CURLOPT_URL, file.url.c_str());
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 15L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 100L);  // bytes a second
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 30L);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "pronghorn");
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, &transfer);
  if (transfer.already > 0) {
    curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(transfer.already));
  }
  Answer answer;
  answer.code = curl_easy_perform(c);
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &answer.http);
  answer.reason = reason[0] != '\0' ? reason : curl_easy_strerror(answer.code);
  return answer;
}

}  // namespace

Fetched fetch(const RemoteFile& file, const fs::path& folder,
              const std::function<bool(std::int64_t, std::int64_t)>& progress) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) {
    throw Error(PH_IO, fmt::format("cannot make the cache folder {}: {}", folder.string(),
                                   failed.message()));
  }
  const fs::path place = folder / file.name;
  if (fs::exists(place) && difference(file, place).empty()) return Fetched::kAlreadyThere;

  const fs::path part = folder / (file.name + ".part");
  Transfer transfer;
  transfer.progress = &progress;
  transfer.expected = file.size;
  transfer.already = fs::exists(part) ? static_cast<std::int64_t>(fs::file_size(part)) : 0;
  if (file.size > 0 && transfer.already > file.size) transfer.already = 0;
  bool resumed = transfer.already > 0;
  // A part with every byte only lacks its verification.
  const bool complete = file.size > 0 && transfer.already == file.size;

  for (int attempt = 0; !complete; ++attempt) {
    transfer.out = std::fopen(part.c_str(), resumed ? "ab" : "wb");
    if (transfer.out == nullptr) {
      throw Error(PH_IO, fmt::format("cannot write {}: {}", part.string(), std::strerror(errno)));
    }
    const Answer answer = download(file, transfer);
    const bool closed = std::fclose(transfer.out) == 0;
    // The server cannot continue, or has nothing left to send: once more from the start.
    if (resumed && attempt == 0 && (answer.code == CURLE_RANGE_ERROR || answer.http == 416)) {
      resumed = false;
      transfer.already = 0;
      continue;
    }
    if (answer.code == CURLE_ABORTED_BY_CALLBACK) {
      throw Error(PH_CANCELLED,
                  fmt::format("interrupted; run it again to continue {}", part.string()));
    }
    if (transfer.write_failed || !closed) {
      throw Error(PH_IO, fmt::format("cannot write {}: disk full?", part.string()));
    }
    if (answer.code == CURLE_HTTP_RETURNED_ERROR) {
      if (!resumed) fs::remove(part, failed);
      throw Error(PH_UNAVAILABLE, fmt::format("{}: the server answers {}", file.url, answer.http));
    }
    if (answer.code == CURLE_PARTIAL_FILE || answer.code == CURLE_RECV_ERROR ||
        answer.code == CURLE_OPERATION_TIMEDOUT) {
      if (fs::file_size(part) > 0) {
        throw Error(PH_UNAVAILABLE,
                    fmt::format("{}: the connection broke after {} bytes ({}); run it again to "
                                "continue",
                                file.url, fs::file_size(part), answer.reason));
      }
    }
    if (answer.code != CURLE_OK) {
      if (fs::file_size(part) == 0) fs::remove(part, failed);
      throw Error(PH_UNAVAILABLE, fmt::format("{}: not reached, is there a network? ({})", file.url,
                                              answer.reason));
    }
    break;
  }
  if (const std::string wrong = difference(file, part); !wrong.empty()) {
    fs::remove(part, failed);
    throw Error(PH_CORRUPT, fmt::format("{}: {}; what was downloaded is removed{}", file.url, wrong,
                                        resumed ? ", run it again" : ""));
  }
  fs::rename(part, place, failed);
  if (failed) {
    throw Error(PH_IO, fmt::format("cannot write {}: {}", place.string(), failed.message()));
  }
  return resumed ? Fetched::kResumed : Fetched::kDownloaded;
}

}  // namespace pronghorn::cli
