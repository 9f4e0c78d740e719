// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>

#include "capi/guard.h"

namespace pronghorn::capi {
namespace {

static_assert(static_cast<int>(base::Status::kInvalidArgument) == PH_INVALID_ARGUMENT);
static_assert(static_cast<int>(base::Status::kNotFound) == PH_NOT_FOUND);
static_assert(static_cast<int>(base::Status::kUnsupported) == PH_UNSUPPORTED);
static_assert(static_cast<int>(base::Status::kCorrupt) == PH_CORRUPT);
static_assert(static_cast<int>(base::Status::kIo) == PH_IO);
static_assert(static_cast<int>(base::Status::kOutOfMemory) == PH_OUT_OF_MEMORY);
static_assert(static_cast<int>(base::Status::kUnavailable) == PH_UNAVAILABLE);
static_assert(static_cast<int>(base::Status::kCancelled) == PH_CANCELLED);
static_assert(static_cast<int>(base::Status::kInternal) == PH_INTERNAL);

std::string& last_error() {
  thread_local std::string message;
  return message;
}

}  // namespace

void set_last_error(const char* message) { last_error() = message; }

ph_status status_of(std::exception_ptr error, std::string* message) {
  try {
    std::rethrow_exception(error);
  } catch (const base::Error& e) {
    *message = e.what();
    return static_cast<ph_status>(e.status());
  } catch (const std::bad_alloc&) {
    *message = "out of memory";
    return PH_OUT_OF_MEMORY;
  } catch (const std::exception& e) {
    *message = e.what();
    return PH_INTERNAL;
  } catch (...) {
    *message = "unknown exception";
    return PH_INTERNAL;
  }
}

void require(const void* pointer, const char* argument) {
  if (pointer == nullptr) {
    base::fail(base::Status::kInvalidArgument, "argument {} is NULL", argument);
  }
}

char* new_string(const std::string& text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

}  // namespace pronghorn::capi

const char* ph_version(void) { return PRONGHORN_VERSION; }
int ph_abi_version(void) { return PH_ABI_MAJOR * 1000 + PH_ABI_MINOR; }
const char* ph_last_error(void) { return pronghorn::capi::last_error().c_str(); }
void ph_string_free(char* text) { std::free(text); }
