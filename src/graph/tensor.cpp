// SPDX-License-Identifier: Apache-2.0
#include "graph/tensor.h"

namespace pronghorn::graph {

std::size_t size_of(DType dtype) { return dtype == DType::kF32 || dtype == DType::kS32 ? 4 : 1; }

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kU8:
      return "uint8";
    case DType::kS8:
      return "int8";
    case DType::kS32:
      return "int32";
  }
  return "unknown";
}

Tensor::Tensor(DType dtype, std::vector<std::int64_t> dims, std::shared_ptr<const void> owner,
               const void* data)
    : dtype_(dtype), dims_(std::move(dims)), size_(1), owner_(std::move(owner)), data_(data) {
  for (const std::int64_t d : dims_) size_ *= d;
}

std::span<const std::byte> Tensor::bytes() const {
  return {static_cast<const std::byte*>(data_), static_cast<std::size_t>(size_) * size_of(dtype_)};
}

}  // namespace pronghorn::graph
