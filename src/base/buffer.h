// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace pronghorn::base {

inline constexpr std::size_t kBufferAlignment = 64;

// Owned memory aligned to 64 bytes, followed by at least 64 readable bytes, so that a vector load
// which starts inside the buffer never faults. Contents start out undefined. Move-only.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size);  // throws Error(kOutOfMemory)

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

}  // namespace pronghorn::base
