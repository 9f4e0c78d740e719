// SPDX-License-Identifier: Apache-2.0
// The float path of the CPU device: plain functions on NHWC binary32 buffers of one image.
//
// None of them starts a thread of its own unless told to: the program spreads images over threads.
// All are deterministic: the same inputs give the same bytes, whatever the batch and whichever
// thread calls. `dst` may be `src` in the elementwise functions (batch_norm, clip, add, softmax)
// and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>

#include "graph/graph.h"

namespace pronghorn::device::cpu {

// No bound at all; Relu is {0, kNoClip.hi}.
inline constexpr graph::Clip kNoClip{-std::numeric_limits<float>::infinity(),
                                     std::numeric_limits<float>::infinity()};
inline constexpr graph::Clip kRelu{0.0f, std::numeric_limits<float>::infinity()};

// A convolution (any groups, depthwise, asymmetric pads, fully connected) with bias and clamp,
// prepared once: oneDNN chooses a kernel and gets the weights in its own layout. weights are
// [oc][kh][kw][ic / groups]; bias has oc entries or is empty; both are copied.
class FloatConv {
 public:
  // `threads` is how many threads one run() uses: 1 is the calling thread alone, more are oneDNN's
  // own team. Another count may give other bits; the same count gives the same.
  // Throws Error(kInternal) with oneDNN's words when it refuses the problem.
  FloatConv(const graph::Shape& src, const graph::Window& window, std::span<const float> weights,
            std::span<const float> bias, const graph::Clip& clip = kNoClip, int threads = 1);
  ~FloatConv();
  FloatConv(FloatConv&&) noexcept;
  FloatConv& operator=(FloatConv&&) noexcept;

  // May be called from many threads at once, each with its own `scratch`: scratch_bytes() bytes
  // aligned to 64 (base::Buffer), contents immaterial; nullptr when that is 0.
  void run(const float* src, float* dst, int batch, void* scratch) const;
  std::size_t scratch_bytes() const;
  std::int64_t memory_bytes() const;  // packed weights and bias
  const char* kernel() const;         // oneDNN's name for what it chose

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// dst = src * scale[c] + shift[c], rounded twice. `pixels` is batch * h * w.
void batch_norm(const float* src, const float* scale, const float* shift, float* dst,
                std::int64_t pixels, std::int64_t channels);

// dst = min(max(src, clip.lo), clip.hi); kRelu for Relu. NaN stays NaN.
void clip(const float* src, float* dst, std::int64_t size, const graph::Clip& clip);

// dst = clamp(a + b).
void add(const float* a, const float* b, float* dst, std::int64_t size,
         const graph::Clip& clip = kNoClip);

// One image; `dst` has the window's output size. Sums run in row order in binary32.
void average_pool(const float* src, const graph::Shape& src_shape, const graph::Window& window,
                  float* dst);
// Padding never wins.
void max_pool(const float* src, const graph::Shape& src_shape, const graph::Window& window,
              float* dst);

// Over the channels of each pixel, as arith::softmax defines it.
void softmax(const float* src, float* dst, std::int64_t pixels, std::int64_t channels);

// Along channels: srcs[i] has channels[i] of them; all have `pixels` pixels.
void concat(std::span<const float* const> srcs, std::span<const std::int64_t> channels, float* dst,
            std::int64_t pixels);

// One image with a border of pad.value.
void pad(const float* src, const graph::Shape& src_shape, const graph::Pad& pad, float* dst);

}  // namespace pronghorn::device::cpu
