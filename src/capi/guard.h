// SPDX-License-Identifier: Apache-2.0
// The border of the C ABI: no exception passes it; each becomes a status and this thread's message.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "base/error.h"
#include "pronghorn/pronghorn.h"

namespace pronghorn::capi {

void set_last_error(const char* message);
ph_status status_of(std::exception_ptr error, std::string* message);

template <typename Body>
ph_status guard(Body&& body) {
  try {
    body();
    return PH_OK;
  } catch (...) {
    std::string message;
    const ph_status status = status_of(std::current_exception(), &message);
    set_last_error(message.c_str());
    return status;
  }
}

// Throws Error(kInvalidArgument) when a pointer that must be given is NULL.
void require(const void* pointer, const char* argument);

// A copy that ph_string_free ends.
char* new_string(const std::string& text);

// Reads a caller's struct of possibly older size: fields beyond its struct_size keep their zeros.
template <typename T>
T read_struct(const T* given, const char* argument) {
  T result{};
  if (given == nullptr) return result;
  if (given->struct_size < sizeof(std::size_t) || given->struct_size > 4096) {
    base::fail(base::Status::kInvalidArgument, "{}: struct_size is {}, set it to sizeof", argument,
               given->struct_size);
  }
  __builtin_memcpy(static_cast<void*>(&result), given,
                   given->struct_size < sizeof(T) ? given->struct_size : sizeof(T));
  return result;
}

// Fills a caller's struct, no more than its struct_size.
template <typename T>
void write_struct(T filled, T* given, const char* argument) {
  require(given, argument);
  const std::size_t size = given->struct_size;
  if (size < sizeof(std::size_t) || size > 4096) {
    base::fail(base::Status::kInvalidArgument, "{}: struct_size is {}, set it to sizeof", argument,
               size);
  }
  filled.struct_size = size;
  __builtin_memcpy(static_cast<void*>(given), &filled, size < sizeof(T) ? size : sizeof(T));
}

}  // namespace pronghorn::capi
