// SPDX-License-Identifier: Apache-2.0
// Every op that is neither a convolution nor a pool, and the switch over all ops.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "arith/softmax.h"
#include "device/reference/ops.h"

namespace pronghorn::device::reference {
namespace {

using graph::Op;

// Calls body(i) for every element of the result.
template <typename Body>
void for_elements(const Call& call, const Body& body) {
  const std::int64_t row = call.dst.shape.w * call.dst.shape.c;
  call.for_rows(call.dst.shape.h, [&](std::int64_t y) {
    for (std::int64_t i = y * row; i < (y + 1) * row; ++i) body(i);
  });
}

void batch_norm(const Call& call) {
  const float* src = call.inputs[0].as<float>();
  const float* scale = call.inputs[1].as<float>();
  const float* shift = call.inputs[2].as<float>();
  for_elements(call, [&](std::int64_t i) {
    const std::int64_t c = i % call.dst.shape.c;
    call.dst.as<float>()[i] = static_cast<float>(static_cast<double>(src[i]) * scale[c] + shift[c]);
  });
}

void clip(const Call& call, float lo, float hi) {
  const float* src = call.inputs[0].as<float>();
  for_elements(
      call, [&](std::int64_t i) { call.dst.as<float>()[i] = std::min(std::max(src[i], lo), hi); });
}

void add(const Call& call) {
  for_elements(call, [&](std::int64_t i) {
    call.dst.as<float>()[i] = call.inputs[0].as<float>()[i] + call.inputs[1].as<float>()[i];
  });
}

// Over the channels of each pixel.
void softmax(const Call& call) {
  const std::int64_t channels = call.dst.shape.c;
  call.for_rows(call.dst.shape.h * call.dst.shape.w, [&](std::int64_t pixel) {
    arith::softmax(call.inputs[0].as<float>() + pixel * channels,
                   call.dst.as<float>() + pixel * channels, channels);
  });
}

void pad(const Call& call) {
  const auto& border = call.node.as<graph::Pad>();
  const Tensor& src = call.inputs[0];
  const graph::Shape& dst = call.dst.shape;
  const std::size_t element = graph::size_of(call.dst.dtype);
  for (std::int64_t i = 0; i < dst.size(); ++i) {
    if (call.dst.dtype == graph::DType::kF32) {
      call.dst.as<float>()[i] = border.value;
    } else {
      store(call.dst, i, static_cast<std::int32_t>(border.value));
    }
  }
  const std::size_t row = static_cast<std::size_t>(src.shape.w * src.shape.c) * element;
  for (std::int64_t y = 0; y < src.shape.h; ++y) {
    const std::int64_t first = ((y + border.top) * dst.w + border.left) * dst.c;
    std::memcpy(call.dst.as<std::byte>() + static_cast<std::size_t>(first) * element,
                src.as<std::byte>() + static_cast<std::size_t>(y) * row, row);
  }
}

void concat(const Call& call) {
  const std::size_t element = graph::size_of(call.dst.dtype);
  auto* dst = call.dst.as<std::byte>();
  for (std::int64_t pixel = 0; pixel < call.dst.shape.h * call.dst.shape.w; ++pixel) {
    for (const Tensor& src : call.inputs) {
      const std::size_t bytes = static_cast<std::size_t>(src.shape.c) * element;
      std::memcpy(dst, src.as<std::byte>() + static_cast<std::size_t>(pixel) * bytes, bytes);
      dst += bytes;
    }
  }
}

void flatten(const Call& call) {
  std::memcpy(call.dst.data, call.inputs[0].data,
              static_cast<std::size_t>(call.dst.shape.size()) * graph::size_of(call.dst.dtype));
}

void quantize(const Call& call) {
  const auto& q = call.node.as<graph::Quant>();
  const arith::Range range = call.dst.dtype == graph::DType::kU8 ? arith::kU8 : arith::kS8;
  for_elements(call, [&](std::int64_t i) {
    const auto c = static_cast<std::size_t>(q.per_channel() ? i % call.dst.shape.c : 0);
    store(call.dst, i,
          arith::quantize(call.inputs[0].as<float>()[i], q.scale[c], q.zero_point[c], range));
  });
}

void dequantize(const Call& call) {
  const auto& q = call.node.as<graph::Quant>();
  const Tensor& src = call.inputs[0];
  for_elements(call, [&](std::int64_t i) {
    const auto c = static_cast<std::size_t>(q.per_channel() ? i % call.dst.shape.c : 0);
    const std::int32_t stored =
        src.dtype == graph::DType::kS32 ? src.as<std::int32_t>()[i] : load(src, i);
    call.dst.as<float>()[i] = arith::dequantize(stored, q.scale[c], q.zero_point[c]);
  });
}

void qadd(const Call& call) {
  const auto& q = call.node.as<graph::QAdd>();
  for_elements(call, [&](std::int64_t i) {
    store(call.dst, i,
          arith::add(load(call.inputs[0], i), q.z_a, q.m_a, load(call.inputs[1], i), q.z_b, q.m_b,
                     q.z_dst, q.range));
  });
}

void requantize(const Call& call) {
  const auto& q = call.node.as<graph::Requantize>();
  for_elements(call, [&](std::int64_t i) {
    store(call.dst, i, arith::requantize(load(call.inputs[0], i) - q.z_src, q.m, q.z_dst, q.range));
  });
}

}  // namespace

void run(const Call& call) {
  switch (call.node.op) {
    case Op::kConv:
      return conv(call);
    case Op::kBatchNorm:
      return batch_norm(call);
    case Op::kRelu:
      return clip(call, 0.0f, std::numeric_limits<float>::infinity());
    case Op::kClip:
      return clip(call, call.node.as<graph::Clip>().lo, call.node.as<graph::Clip>().hi);
    case Op::kAdd:
      return add(call);
    case Op::kAveragePool:
      return average_pool(call);
    case Op::kSoftmax:
      return softmax(call);
    case Op::kMaxPool:
      return max_pool(call);
    case Op::kPad:
      return pad(call);
    case Op::kConcat:
      return concat(call);
    case Op::kFlatten:
      return flatten(call);
    case Op::kQuantize:
      return quantize(call);
    case Op::kDequantize:
      return dequantize(call);
    case Op::kQConv:
      return qconv(call);
    case Op::kQAdd:
      return qadd(call);
    case Op::kQAveragePool:
      return qaverage_pool(call);
    case Op::kRequantize:
      return requantize(call);
  }
}

}  // namespace pronghorn::device::reference
