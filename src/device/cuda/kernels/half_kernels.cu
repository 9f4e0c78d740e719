// SPDX-License-Identifier: Apache-2.0
// One thread makes eight neighbouring channels where the shape allows it, else one.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include "device/cuda/kernels/half_kernels.h"

namespace pronghorn::device::cuda {
namespace {

constexpr int kThreads = 128;
constexpr float kMost = 65504.0f;  // the largest binary16

template <int kCount>
struct alignas(kCount * 2) Halves {
  __half at[kCount];
};

template <int kCount>
__device__ __forceinline__ Halves<kCount> load(const __half* from) {
  return *reinterpret_cast<const Halves<kCount>*>(from);
}

template <int kCount>
__device__ __forceinline__ void store(__half* to, const Halves<kCount>& halves) {
  *reinterpret_cast<Halves<kCount>*>(to) = halves;
}

__device__ __forceinline__ std::int64_t item() {
  return std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
}

__device__ __forceinline__ __half rounded(float value, float least = -kMost, float most = kMost) {
  return __float2half_rn(fminf(fmaxf(value, least), most));
}

unsigned blocks(std::int64_t items) {
  return static_cast<unsigned>((items + kThreads - 1) / kThreads);
}

int status() { return static_cast<int>(cudaGetLastError()); }

template <typename T>
__device__ __forceinline__ __half convert(T value, int, const float*, const float*) {
  if constexpr (sizeof(T) == 4) {
    return rounded(value);
  } else {
    return value;
  }
}
template <>
__device__ __forceinline__ __half convert(std::uint8_t value, int c, const float* z,
                                          const float* scale) {
  return rounded((static_cast<float>(value) - z[c]) * scale[c]);
}

// A thread makes a pixel of the result: a block of the source in 16 channels, or one channel.
template <typename T, bool kWhole>
__global__ void __launch_bounds__(kThreads)
    frame_halves(Frame f, const T* src, const float* z, const float* scale, float fill, __half* dst,
                 std::int64_t items) {
  constexpr int kCount = kWhole ? 16 : 1;
  const std::int64_t i = item();
  if (i >= items) return;
  const int groups = f.oc / kCount;
  const std::int64_t pixel = i / groups;
  const std::int64_t line = pixel / f.ow;
  const int top = static_cast<int>(line % f.oh) * f.bh - f.top;
  const int left = static_cast<int>(pixel % f.ow) * f.bw - f.left;
  const T* image = src + line / f.oh * f.ih * f.iw * f.ic;
  Halves<kCount> out;
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const int channel = static_cast<int>(i % groups) * kCount + k;
    const int block = channel / f.ic;
    const int c = channel - block * f.ic;
    const int y = top + block / f.bw;
    const int x = left + block % f.bw;
    const bool in = block < f.bh * f.bw && y >= 0 && y < f.ih && x >= 0 && x < f.iw;
    out.at[k] = in ? convert(image[(std::int64_t{y} * f.iw + x) * f.ic + c], c, z, scale)
                   : rounded(block < f.bh * f.bw ? fill : 0.0f);
  }
  store(dst + i * kCount, out);
}

template <typename T>
void frame(const Frame& f, const void* src, const float* z, const float* scale, float fill,
           void* dst, Stream stream) {
  const auto* from = static_cast<const T*>(src);
  auto* to = static_cast<__half*>(dst);
  const std::int64_t pixels = std::int64_t{f.n} * f.oh * f.ow;
  if (f.oc == 16) {
    frame_halves<T, true>
        <<<blocks(pixels), kThreads, 0, stream>>>(f, from, z, scale, fill, to, pixels);
  } else {
    frame_halves<T, false><<<blocks(pixels * f.oc), kThreads, 0, stream>>>(f, from, z, scale, fill,
                                                                           to, pixels * f.oc);
  }
}

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    max_pool(Pool p, const __half* src, __half* dst, std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  const int groups = p.channels / kCount;
  const int channel = static_cast<int>(i % groups) * kCount;
  const std::int64_t pixel = i / groups;
  const std::int64_t line = pixel / p.ow;
  const int top = static_cast<int>(line % p.oh) * p.sh - p.pad_top;
  const int left = static_cast<int>(pixel % p.ow) * p.sw - p.pad_left;
  const __half* image = src + line / p.oh * p.ih * p.iw * p.channels + channel;
  Halves<kCount> largest;
#pragma unroll
  for (int c = 0; c < kCount; ++c) largest.at[c] = __float2half_rn(-kMost);
  for (int y = max(top, 0); y < min(top + p.kh, p.ih); ++y) {
    for (int x = max(left, 0); x < min(left + p.kw, p.iw); ++x) {
      const Halves<kCount> next = load<kCount>(image + (std::int64_t{y} * p.iw + x) * p.channels);
#pragma unroll
      for (int c = 0; c < kCount; ++c) {
        largest.at[c] = __hgt(next.at[c], largest.at[c]) ? next.at[c] : largest.at[c];
      }
    }
  }
  store(dst + i * kCount, largest);
}

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    average_pool(HalfAveragePool a, const __half* src, void* dst, std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  const Pool& p = a.pool;
  const int groups = p.channels / kCount;
  const int channel = static_cast<int>(i % groups) * kCount;
  const std::int64_t pixel = i / groups;
  const std::int64_t line = pixel / p.ow;
  const int top = static_cast<int>(line % p.oh) * p.sh - p.pad_top;
  const int left = static_cast<int>(pixel % p.ow) * p.sw - p.pad_left;
  const int bottom = min(top + p.kh, p.ih);
  const int right = min(left + p.kw, p.iw);
  const __half* image = src + line / p.oh * p.ih * p.iw * p.channels + channel;
  float sums[kCount] = {};
  for (int y = max(top, 0); y < bottom; ++y) {
    for (int x = max(left, 0); x < right; ++x) {
      const Halves<kCount> next = load<kCount>(image + (std::int64_t{y} * p.iw + x) * p.channels);
#pragma unroll
      for (int c = 0; c < kCount; ++c) sums[c] += __half2float(next.at[c]);
    }
  }
  const int count = (bottom - max(top, 0)) * (right - max(left, 0));
  const auto divisor = static_cast<float>(a.count_padding ? p.kh * p.kw : count);
  Halves<kCount> out;
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
    const float mean = __fdiv_rn(sums[c], divisor);
    if (a.to_float) static_cast<float*>(dst)[i * kCount + c] = mean;
    out.at[c] = rounded(mean);
  }
  if (!a.to_float) store(static_cast<__half*>(dst) + i * kCount, out);
}

template <int kCount, bool kTwo>
__global__ void __launch_bounds__(kThreads)
    add_halves(std::int64_t items, const __half* a, const __half* b, float least, float most,
               __half* dst) {
  const std::int64_t i = item();
  if (i >= items) return;
  Halves<kCount> sum = load<kCount>(a + i * kCount);
  Halves<kCount> other = sum;
  if constexpr (kTwo) other = load<kCount>(b + i * kCount);
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
    float value = __half2float(sum.at[c]);
    if constexpr (kTwo) value += __half2float(other.at[c]);
    sum.at[c] = rounded(value, least, most);
  }
  store(dst + i * kCount, sum);
}

template <int kCount>
void add(std::int64_t items, const void* a, const void* b, float least, float most, void* dst,
         Stream stream) {
  const auto* left = static_cast<const __half*>(a);
  const auto* right = static_cast<const __half*>(b);
  auto* to = static_cast<__half*>(dst);
  if (right != nullptr) {
    add_halves<kCount, true>
        <<<blocks(items), kThreads, 0, stream>>>(items, left, right, least, most, to);
  } else {
    add_halves<kCount, false>
        <<<blocks(items), kThreads, 0, stream>>>(items, left, nullptr, least, most, to);
  }
}

__global__ void __launch_bounds__(kThreads)
    to_floats(std::int64_t size, const __half* src, float* dst) {
  const std::int64_t i = item();
  if (i < size) dst[i] = __half2float(src[i]);
}

}  // namespace

int launch_half_frame(const Frame& f, HalfSource type, const void* src, const float* z,
                      const float* scale, float fill, void* dst, Stream stream) {
  switch (type) {
    case HalfSource::kHalf:
      frame<__half>(f, src, z, scale, fill, dst, stream);
      break;
    case HalfSource::kFloat:
      frame<float>(f, src, z, scale, fill, dst, stream);
      break;
    case HalfSource::kByte:
      frame<std::uint8_t>(f, src, z, scale, fill, dst, stream);
      break;
  }
  return status();
}

int launch_half_max_pool(const Pool& p, const void* src, void* dst, Stream stream) {
  const std::int64_t items = std::int64_t{p.n} * p.oh * p.ow * p.channels;
  const auto* from = static_cast<const __half*>(src);
  auto* to = static_cast<__half*>(dst);
  if (p.channels % 8 == 0) {
    max_pool<8><<<blocks(items / 8), kThreads, 0, stream>>>(p, from, to, items / 8);
  } else {
    max_pool<1><<<blocks(items), kThreads, 0, stream>>>(p, from, to, items);
  }
  return status();
}

int launch_half_average_pool(const HalfAveragePool& a, const void* src, void* dst, Stream stream) {
  const Pool& p = a.pool;
  const std::int64_t items = std::int64_t{p.n} * p.oh * p.ow * p.channels;
  const auto* from = static_cast<const __half*>(src);
  if (p.channels % 4 == 0) {
    average_pool<4><<<blocks(items / 4), kThreads, 0, stream>>>(a, from, dst, items / 4);
  } else {
    average_pool<1><<<blocks(items), kThreads, 0, stream>>>(a, from, dst, items);
  }
  return status();
}

int launch_half_add(std::int64_t size, const void* a, const void* b, float least, float most,
                    void* dst, Stream stream) {
  if (size % 8 == 0) {
    add<8>(size / 8, a, b, least, most, dst, stream);
  } else {
    add<1>(size, a, b, least, most, dst, stream);
  }
  return status();
}

int launch_half_to_float(std::int64_t size, const void* src, float* dst, Stream stream) {
  to_floats<<<blocks(size), kThreads, 0, stream>>>(size, static_cast<const __half*>(src), dst);
  return status();
}

}  // namespace pronghorn::device::cuda
