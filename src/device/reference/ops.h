// SPDX-License-Identifier: Apache-2.0
// One function for each op, for one image, written as its definition in graph/graph.h says.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "graph/graph.h"

namespace pronghorn::device::reference {

// One tensor: an activation of one image, or a constant.
struct Tensor {
  graph::DType dtype = graph::DType::kF32;
  graph::Shape shape;  // activations
  void* data = nullptr;

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// Calls its argument for every row in [0, rows), perhaps on several threads.
using Rows = std::function<void(std::int64_t rows, const std::function<void(std::int64_t)>&)>;

struct Call {
  const graph::Node& node;
  std::vector<Tensor> inputs;
  Tensor dst;
  const Rows& for_rows;
};

// Runs one node. Every op of graph.h is here.
void run(const Call& call);

// conv.cpp
void conv(const Call& call);   // kConv: products and sums in binary64, rounded once at the end
void qconv(const Call& call);  // kQConv
// pool.cpp
void average_pool(const Call& call);   // kAveragePool: as conv
void qaverage_pool(const Call& call);  // kQAveragePool
void max_pool(const Call& call);       // kMaxPool, any type

// Stored integers of either 8-bit type.
inline std::int32_t load(const Tensor& t, std::int64_t i) {
  return t.dtype == graph::DType::kU8 ? t.as<std::uint8_t>()[i] : t.as<std::int8_t>()[i];
}
inline void store(const Tensor& t, std::int64_t i, std::int32_t q) {
  t.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(q);  // the same eight bits for s8
}

// The part of a window that lies inside the source, along one axis.
struct Span {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
inline Span span_inside(std::int64_t dst, int stride, int pad, int kernel, std::int64_t size) {
  const std::int64_t begin = dst * stride - pad;
  return {begin < 0 ? 0 : begin, begin + kernel > size ? size : begin + kernel};
}

}  // namespace pronghorn::device::reference
