// SPDX-License-Identifier: Apache-2.0
// Everything that is not a convolution: small kernels bound by memory, one launch function each.
// Activations are u8 as conv_kernel.h says; tensors are NHWC without gaps, device memory, aligned
// to 256 bytes. The functions enqueue, never wait, and return a cudaError_t.
#pragma once

#include <cstdint>

#include "device/cuda/kernels/conv_kernel.h"

namespace pronghorn::device::cuda {

// dst[n][y][x][(r * bw + s) * ic + c] = src[n][y * bh + r - top][x * bw + s - left][c]; outside the
// source fill[c] (device memory), beyond bh * bw * ic channels 0. A block of 1 x 1 is a border; a
// larger one turns a strided convolution of few channels into one of stride 1 (oc then holds them).
struct Frame {
  std::int32_t n, ih, iw, ic;
  std::int32_t oh, ow, oc;
  std::int32_t bh, bw;
  std::int32_t top, left;
};
int launch_frame(const Frame& frame, const std::uint8_t* src, const std::uint8_t* fill,
                 std::uint8_t* dst, Stream stream);

struct Pool {
  std::int32_t n, ih, iw, oh, ow, channels;
  std::int32_t kh, kw, sh, sw, pad_top, pad_left;
};
int launch_max_pool(const Pool& pool, const std::uint8_t* src, std::uint8_t* dst, Stream stream);

// acc = sum (src - z_src) over the window's part inside the source. `m` is device memory, one entry
// for each divisor from 1: the number of those pixels, or kh * kw with `count_padding`.
struct AveragePool {
  Pool pool;
  std::int32_t z_src, z_dst, lo, hi;
  bool to_float;
  bool count_padding;
};
int launch_average_pool(const AveragePool& pool, const std::uint8_t* src, const float* m, void* dst,
                        Stream stream);

struct Add {
  std::int64_t size;
  std::int32_t z_a, z_b, z_dst, lo, hi;
  float m_a, m_b;
};
int launch_add(const Add& add, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* dst,
               Stream stream);

struct Rescale {
  std::int64_t size;
  std::int32_t z_src, z_dst, lo, hi;
  float m;
};
int launch_rescale(const Rescale& rescale, const std::uint8_t* src, std::uint8_t* dst,
                   Stream stream);

// Copies `from` channels of each pixel to channel `at` of pixels with `to` channels.
struct ChannelCopy {
  std::int64_t pixels;
  std::int32_t from, to, at;
};
int launch_channel_copy(const ChannelCopy& copy, const std::uint8_t* src, std::uint8_t* dst,
                        Stream stream);

// QuantizeLinear and DequantizeLinear; scale and z hold `channels` entries, or one.
struct Bridge {
  std::int64_t size;
  std::int32_t channels;  // 1: one scale for all
  std::int32_t lo, hi;    // of the stored u8
};
int launch_quantize(const Bridge& bridge, const float* src, const float* scale,
                    const std::int32_t* z, std::uint8_t* dst, Stream stream);
int launch_dequantize(const Bridge& bridge, const std::uint8_t* src, const float* scale,
                      const std::int32_t* z, float* dst, Stream stream);

// Adds 128 to each byte, modulo 256: s8 to its stored u8 and back.
int launch_flip_sign(std::int64_t size, const std::uint8_t* src, std::uint8_t* dst, Stream stream);

}  // namespace pronghorn::device::cuda
