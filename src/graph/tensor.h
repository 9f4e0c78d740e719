// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pronghorn::graph {

enum class DType : std::uint8_t { kF32, kU8, kS8, kS32 };

std::size_t size_of(DType dtype);       // bytes of one element
std::string_view name_of(DType dtype);  // "float32", "uint8", "int8", "int32"

template <typename T>
inline constexpr DType kDTypeOf = DType::kF32;
template <>
inline constexpr DType kDTypeOf<std::uint8_t> = DType::kU8;
template <>
inline constexpr DType kDTypeOf<std::int8_t> = DType::kS8;
template <>
inline constexpr DType kDTypeOf<std::int32_t> = DType::kS32;

// A constant: weights, bias. Immutable and shared; `owner` keeps the bytes alive, whatever they
// live in (a mapped file, a vector). Convolution weights are [oc][kh][kw][ic / groups].
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, std::vector<std::int64_t> dims, std::shared_ptr<const void> owner,
         const void* data);

  // Copies `values` into a new tensor.
  template <typename T>
  static Tensor from(std::vector<std::int64_t> dims, std::vector<T> values) {
    auto owner = std::make_shared<const std::vector<T>>(std::move(values));
    const T* data = owner->data();
    Tensor t(kDTypeOf<T>, std::move(dims), owner, data);
    if (static_cast<std::size_t>(t.size()) != owner->size()) {
      base::fail(base::Status::kInternal, "tensor of {} elements made from {} values", t.size(),
                 owner->size());
    }
    return t;
  }

  DType dtype() const { return dtype_; }
  const std::vector<std::int64_t>& dims() const { return dims_; }
  std::int64_t size() const { return size_; }  // elements
  std::span<const std::byte> bytes() const;

  template <typename T>
  std::span<const T> values() const {
    if (kDTypeOf<T> != dtype_) {
      base::fail(base::Status::kInternal, "tensor is {}, read as {}", name_of(dtype_),
                 name_of(kDTypeOf<T>));
    }
    return {static_cast<const T*>(data_), static_cast<std::size_t>(size_)};
  }

 private:
  DType dtype_ = DType::kF32;
  std::vector<std::int64_t> dims_;
  std::int64_t size_ = 0;
  std::shared_ptr<const void> owner_;
  const void* data_ = nullptr;
};

}  // namespace pronghorn::graph
