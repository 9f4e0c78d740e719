// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>

#include "device/reference/ops.h"

namespace pronghorn::device::reference {
namespace {

// Calls body(index of the output element, channel, rows, columns) where rows x columns is the part
// of the window that lies inside the source.
template <typename Body>
void for_windows(const Call& call, const graph::Window& w, const Body& body) {
  const graph::Shape& src = call.inputs[0].shape;
  const graph::Shape& dst = call.dst.shape;
  call.for_rows(dst.h, [&](std::int64_t oh) {
    const Span rows = span_inside(oh, w.sh, w.pad_top, w.kh, src.h);
    for (std::int64_t ow = 0; ow < dst.w; ++ow) {
      const Span columns = span_inside(ow, w.sw, w.pad_left, w.kw, src.w);
      for (std::int64_t c = 0; c < dst.c; ++c) {
        body((oh * dst.w + ow) * dst.c + c, c, rows, columns);
      }
    }
  });
}

// The largest element of the window's part inside the source; the smallest type value loses to all.
template <typename T>
void max_pool_of(const Call& call) {
  const graph::Shape& shape = call.inputs[0].shape;
  const T* src = call.inputs[0].as<T>();
  for_windows(call, call.node.as<graph::Window>(),
              [&](std::int64_t i, std::int64_t c, Span rows, Span columns) {
                T largest = src[(rows.begin * shape.w + columns.begin) * shape.c + c];
                for (std::int64_t y = rows.begin; y < rows.end; ++y) {
                  for (std::int64_t x = columns.begin; x < columns.end; ++x) {
                    largest = std::max(largest, src[(y * shape.w + x) * shape.c + c]);
                  }
                }
                call.dst.as<T>()[i] = largest;
              });
}

std::int64_t divisor(const graph::Window& w, Span rows, Span columns) {
  return w.count_include_pad ? std::int64_t{w.kh} * w.kw
                             : (rows.end - rows.begin) * (columns.end - columns.begin);
}

}  // namespace

void max_pool(const Call& call) {
  switch (call.dst.dtype) {
    case graph::DType::kF32:
      return max_pool_of<float>(call);
    case graph::DType::kU8:
      return max_pool_of<std::uint8_t>(call);
    case graph::DType::kS8:
      return max_pool_of<std::int8_t>(call);
    case graph::DType::kS32:
      return max_pool_of<std::int32_t>(call);
  }
}

void average_pool(const Call& call) {
  const auto& w = call.node.as<graph::Window>();
  const graph::Shape& shape = call.inputs[0].shape;
  const float* src = call.inputs[0].as<float>();
  for_windows(call, w, [&](std::int64_t i, std::int64_t c, Span rows, Span columns) {
    double sum = 0;
    for (std::int64_t y = rows.begin; y < rows.end; ++y) {
      for (std::int64_t x = columns.begin; x < columns.end; ++x) {
        sum += src[(y * shape.w + x) * shape.c + c];
      }
    }
    call.dst.as<float>()[i] =
        static_cast<float>(sum / static_cast<double>(divisor(w, rows, columns)));
  });
}

void qaverage_pool(const Call& call) {
  const auto& q = call.node.as<graph::QAveragePool>();
  const Tensor& src = call.inputs[0];
  for_windows(call, q.window, [&](std::int64_t i, std::int64_t c, Span rows, Span columns) {
    std::int32_t acc = 0;
    for (std::int64_t y = rows.begin; y < rows.end; ++y) {
      for (std::int64_t x = columns.begin; x < columns.end; ++x) {
        acc += load(src, (y * src.shape.w + x) * src.shape.c + c) - q.z_src;
      }
    }
    const float m = q.m[static_cast<std::size_t>(divisor(q.window, rows, columns) - 1)];
    if (call.dst.dtype == graph::DType::kF32) {
      call.dst.as<float>()[i] = arith::dequantize(acc, m, 0);
    } else {
      store(call.dst, i, arith::requantize(acc, m, q.z_dst, q.range));
    }
  });
}

}  // namespace pronghorn::device::reference
