// SPDX-License-Identifier: Apache-2.0
// Convolution: the source is copied into a frame that holds the padding, so that each output is a
// sum of plain dot products: one for each kernel row (of kw * ic neighbours), or, with groups, one
// for each kernel place.
#include <cstddef>
#include <vector>

#include "device/reference/ops.h"

namespace pronghorn::device::reference {
namespace {

// s8 times (u8 - zero point): both factors fit s16, which is what compilers vectorise.
std::int32_t dot(const std::int16_t* a, const std::int16_t* b, std::int64_t n) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<std::int32_t>(a[i]) * b[i];
  return sum;
}

// Eight partial sums, so that the additions do not wait for each other.
double dot(const float* a, const float* b, std::int64_t n) {
  double partial[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int j = 0; j < 8; ++j) partial[j] += static_cast<double>(a[i + j]) * b[i + j];
  }
  double sum = 0;
  for (; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  for (const double p : partial) sum += p;
  return sum;
}

// The source with its padding: zeros around `src(i)`.
template <typename T, typename Source>
std::vector<T> framed(const graph::Shape& shape, const graph::Window& w, const Source& src) {
  const std::int64_t width = shape.w + w.pad_left + w.pad_right;
  std::vector<T> frame(
      static_cast<std::size_t>((shape.h + w.pad_top + w.pad_bottom) * width * shape.c), T{0});
  for (std::int64_t y = 0; y < shape.h; ++y) {
    T* row = frame.data() + ((y + w.pad_top) * width + w.pad_left) * shape.c;
    for (std::int64_t i = 0; i < shape.w * shape.c; ++i) row[i] = src(y * shape.w * shape.c + i);
  }
  return frame;
}

// Calls finish(index of the output element, output channel, sum) for every output element.
template <typename Sum, typename T, typename Finish>
void convolve(const Call& call, const graph::Window& w, const std::vector<T>& frame,
              const T* weights, const Finish& finish) {
  const graph::Shape& src = call.inputs[0].shape;
  const graph::Shape& dst = call.dst.shape;
  const std::int64_t frame_row = (src.w + w.pad_left + w.pad_right) * src.c;
  const std::int64_t ic = src.c / w.groups;
  const std::int64_t oc_group = dst.c / w.groups;
  call.for_rows(dst.h, [&](std::int64_t oh) {
    for (std::int64_t oc = 0; oc < dst.c; ++oc) {
      const T* kernel = weights + oc * w.kh * w.kw * ic;
      for (std::int64_t ow = 0; ow < dst.w; ++ow) {
        const T* corner =
            frame.data() + oh * w.sh * frame_row + ow * w.sw * src.c + oc / oc_group * ic;
        Sum sum = 0;
        for (std::int64_t kh = 0; kh < w.kh; ++kh) {
          const T* row = corner + kh * frame_row;
          const T* kernel_row = kernel + kh * w.kw * ic;
          if (w.groups == 1) {
            sum += dot(row, kernel_row, w.kw * ic);
            continue;
          }
          for (std::int64_t kw = 0; kw < w.kw; ++kw) {
            sum += dot(row + kw * src.c, kernel_row + kw * ic, ic);
          }
        }
        finish((oh * dst.w + ow) * dst.c + oc, oc, sum);
      }
    }
  });
}

}  // namespace

void conv(const Call& call) {
  const auto& w = call.node.as<graph::Window>();
  const Tensor& src = call.inputs[0];
  const float* bias = call.inputs.size() > 2 ? call.inputs[2].as<float>() : nullptr;
  const auto frame =
      framed<float>(src.shape, w, [&](std::int64_t i) { return src.as<float>()[i]; });
  convolve<double>(call, w, frame, call.inputs[1].as<float>(),
                   [&](std::int64_t i, std::int64_t oc, double sum) {
                     if (bias != nullptr) sum += bias[oc];
                     call.dst.as<float>()[i] = static_cast<float>(sum);
                   });
}

void qconv(const Call& call) {
  const auto& q = call.node.as<graph::QConv>();
  const Tensor& src = call.inputs[0];
  const Tensor* residual = call.inputs.size() > 3 ? &call.inputs[3] : nullptr;
  const bool one_zero_point = q.z_src.size() == 1;
  const auto frame = framed<std::int16_t>(src.shape, q.window, [&](std::int64_t i) {
    const std::int64_t c = one_zero_point ? 0 : i % src.shape.c;
    return static_cast<std::int16_t>(load(src, i) - q.z_src[static_cast<std::size_t>(c)]);
  });
  const std::int64_t weights_size =
      call.dst.shape.c * q.window.kh * q.window.kw * (src.shape.c / q.window.groups);
  const auto* s8 = call.inputs[1].as<std::int8_t>();
  const std::vector<std::int16_t> weights(s8, s8 + weights_size);
  const auto* bias = call.inputs[2].as<std::int32_t>();

  convolve<std::int32_t>(call, q.window, frame, weights.data(),
                         [&](std::int64_t i, std::int64_t oc, std::int32_t sum) {
                           const std::int32_t acc = sum + bias[oc];
                           const float m = q.m[static_cast<std::size_t>(oc)];
                           if (call.dst.dtype == graph::DType::kF32) {
                             call.dst.as<float>()[i] = arith::dequantize(acc, m, 0);
                           } else if (residual != nullptr) {
                             store(call.dst, i,
                                   arith::requantize_residual(acc, m, load(*residual, i), q.z_res,
                                                              q.m_res, q.z_dst, q.range));
                           } else {
                             store(call.dst, i, arith::requantize(acc, m, q.z_dst, q.range));
                           }
                         });
}

}  // namespace pronghorn::device::reference
