// SPDX-License-Identifier: Apache-2.0
// The one error type of the library. Library code throws Error, never prints, aborts or exits;
// the C ABI (src/capi) turns it into a ph_status and a thread-local message.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace pronghorn::base {

// The values equal those of ph_status in include/pronghorn/pronghorn.h (checked in src/capi).
enum class Status : int {
  kInvalidArgument = 1,  // an argument is outside what the function accepts
  kNotFound = 2,         // a file, device or name does not exist
  kUnsupported = 3,      // well-formed, but not something Pronghorn does
  kCorrupt = 4,          // a file or stream breaks its own format
  kIo = 5,               // reading or writing failed
  kOutOfMemory = 6,      // an allocation failed or a stated limit would be passed
  kUnavailable = 7,      // a device or a network cannot be reached
  kCancelled = 8,        // the caller asked to stop
  kInternal = 9,         // a mistake of ours
};

// `message` names the file, node or argument, and what would be accepted.
class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

template <typename... Args>
[[noreturn]] void fail(Status status, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(status, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace pronghorn::base
