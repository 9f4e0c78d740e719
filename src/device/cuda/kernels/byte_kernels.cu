// SPDX-License-Identifier: Apache-2.0
// One thread makes 16 neighbouring channels where the shape allows it, else one.
#include <cuda_runtime_api.h>

#include "device/cuda/kernels/byte_kernels.h"
#include "device/cuda/kernels/finish.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kThreads = 128;

template <int kCount>
struct alignas(kCount) Bytes {
  std::uint8_t at[kCount];
};

template <int kCount>
__device__ __forceinline__ Bytes<kCount> load(const std::uint8_t* from) {
  return *reinterpret_cast<const Bytes<kCount>*>(from);
}

template <int kCount>
__device__ __forceinline__ void store(std::uint8_t* to, const Bytes<kCount>& bytes) {
  *reinterpret_cast<Bytes<kCount>*>(to) = bytes;
}

__device__ __forceinline__ std::int64_t item() {
  return std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
}

unsigned blocks(std::int64_t items) {
  return static_cast<unsigned>((items + kThreads - 1) / kThreads);
}

int status() { return static_cast<int>(cudaGetLastError()); }

__global__ void __launch_bounds__(kThreads)
    frame_bytes(Frame f, const std::uint8_t* src, const std::uint8_t* fill, std::uint8_t* dst,
                std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  const int channel = static_cast<int>(i % f.oc);
  const std::int64_t pixel = i / f.oc;
  const int block = channel / f.ic;
  std::uint8_t value = 0;
  if (block < f.bh * f.bw) {
    const int c = channel - block * f.ic;
    const std::int64_t line = pixel / f.ow;
    const int y = static_cast<int>(line % f.oh) * f.bh + block / f.bw - f.top;
    const int x = static_cast<int>(pixel % f.ow) * f.bw + block % f.bw - f.left;
    const bool in = y >= 0 && y < f.ih && x >= 0 && x < f.iw;
    value = in ? src[((line / f.oh * f.ih + y) * f.iw + x) * f.ic + c] : fill[c];
  }
  dst[i] = value;
}

// The rewritten first layer of photographs: blocks of 2 x 2 pixels of 3 channels. A thread block
// makes one row of blocks. It brings the two source rows into shared memory, 16 bytes at a time,
// with their borders beside them, so that each thread just picks its 2 x 6 bytes.
constexpr int kMostRow = 4096;  // bytes of a source row that frame_photograph takes
constexpr int kMargin = 32;     // bytes before and behind it for the border

__global__ void __launch_bounds__(kThreads)
    frame_photograph(Frame f, const std::uint8_t* src, const std::uint8_t* fill,
                     std::uint8_t* dst) {
  extern __shared__ __align__(16) std::uint8_t rows[];
  const int thread = static_cast<int>(threadIdx.x);
  const int width = f.iw * 3;
  const int pitch = width + 2 * kMargin;
  const int line = static_cast<int>(blockIdx.x);
  const int top = line % f.oh * 2 - f.top;
  const std::uint8_t* image = src + std::int64_t{line / f.oh} * f.ih * width;
  for (int r = 0; r < 2; ++r) {
    std::uint8_t* row = rows + r * pitch + kMargin;
    if (top + r < 0 || top + r >= f.ih) {
      for (int i = thread - kMargin; i < width + kMargin; i += kThreads) {
        row[i] = fill[(i + 3 * kMargin) % 3];
      }
      continue;
    }
    const std::uint8_t* from = image + std::int64_t{top + r} * width;
    for (int i = thread * 16; i < width; i += kThreads * 16) {
      *reinterpret_cast<uint4*>(row + i) = *reinterpret_cast<const uint4*>(from + i);
    }
    if (thread < 2 * kMargin) {
      const int i = thread < kMargin ? thread - kMargin : width + thread - kMargin;
      row[i] = fill[(i + 3 * kMargin) % 3];
    }
  }
  __syncthreads();
  for (int block = thread; block < f.ow; block += kThreads) {
    const std::uint8_t* first = rows + kMargin + (block * 2 - f.left) * 3;
    Bytes<16> bytes{};
#pragma unroll
    for (int i = 0; i < 6; ++i) {
      bytes.at[i] = first[i];
      bytes.at[6 + i] = first[pitch + i];
    }
    store(dst + (std::int64_t{line} * f.ow + block) * 16, bytes);
  }
}

// Whether the border on either side fits its margin.
bool is_photograph(const Frame& f) {
  const int right = f.ow * 2 - f.left - f.iw;
  return f.ic == 3 && f.bh == 2 && f.bw == 2 && f.oc == 16 && f.iw * 3 % 16 == 0 &&
         f.iw * 3 <= kMostRow && f.left * 3 <= kMargin && right * 3 <= kMargin && f.left >= 0;
}

// The window of an output pixel, cut to the source.
struct Cut {
  int top, bottom, left, right;
  __device__ Cut(const Pool& p, int oh, int ow) {
    const int y = oh * p.sh - p.pad_top;
    const int x = ow * p.sw - p.pad_left;
    top = max(y, 0);
    bottom = min(y + p.kh, p.ih);
    left = max(x, 0);
    right = min(x + p.kw, p.iw);
  }
};

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    max_pool(Pool p, const std::uint8_t* src, std::uint8_t* dst, std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  const int groups = p.channels / kCount;
  const int channel = static_cast<int>(i % groups) * kCount;
  const std::int64_t pixel = i / groups;
  const std::int64_t line = pixel / p.ow;
  const Cut cut(p, static_cast<int>(line % p.oh), static_cast<int>(pixel % p.ow));
  const std::uint8_t* image = src + line / p.oh * p.ih * p.iw * p.channels + channel;
  Bytes<kCount> largest{};
  for (int y = cut.top; y < cut.bottom; ++y) {
    for (int x = cut.left; x < cut.right; ++x) {
      Bytes<kCount> next = load<kCount>(image + (std::int64_t{y} * p.iw + x) * p.channels);
      if constexpr (kCount == 16) {
        auto* a = reinterpret_cast<std::uint32_t*>(&largest);
        const auto* b = reinterpret_cast<const std::uint32_t*>(&next);
#pragma unroll
        for (int w = 0; w < 4; ++w) a[w] = __vmaxu4(a[w], b[w]);
      } else {
        largest.at[0] = max(largest.at[0], next.at[0]);
      }
    }
  }
  store(dst + i * kCount, largest);
}

__device__ __forceinline__ uint4 larger(const uint4& a, const uint4& b) {
  return make_uint4(__vmaxu4(a.x, b.x), __vmaxu4(a.y, b.y), __vmaxu4(a.z, b.z), __vmaxu4(a.w, b.w));
}

constexpr int kStrip = 4;  // rows of the result that a thread makes

// 3 x 3 with stride 2, as after most first layers: 16 channels of kStrip results below each other,
// whose windows share rows.
__global__ void __launch_bounds__(kThreads)
    max_pool_3x3(Pool p, const std::uint8_t* src, std::uint8_t* dst, std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  const int groups = p.channels / 16;
  const int strips = (p.oh + kStrip - 1) / kStrip;
  const int channel = static_cast<int>(i % groups) * 16;
  const int column = static_cast<int>(i / groups % p.ow);
  const std::int64_t strip = i / groups / p.ow;
  const int first = static_cast<int>(strip % strips) * kStrip;
  const std::int64_t image = strip / strips;
  const std::uint8_t* from = src + image * p.ih * p.iw * p.channels + channel;
  const int top = first * 2 - p.pad_top;
  const int left = column * 2 - p.pad_left;
  uint4 rows[2 * kStrip + 1];
#pragma unroll
  for (int r = 0; r < 2 * kStrip + 1; ++r) {
    rows[r] = make_uint4(0, 0, 0, 0);
    const int y = top + r;
    if (y < 0 || y >= p.ih) continue;
#pragma unroll
    for (int s = 0; s < 3; ++s) {
      const int x = left + s;
      if (x < 0 || x >= p.iw) continue;
      rows[r] =
          larger(rows[r],
                 *reinterpret_cast<const uint4*>(from + (std::int64_t{y} * p.iw + x) * p.channels));
    }
  }
#pragma unroll
  for (int k = 0; k < kStrip; ++k) {
    if (first + k >= p.oh) break;
    *reinterpret_cast<uint4*>(dst + ((image * p.oh + first + k) * p.ow + column) * p.channels +
                              channel) =
        larger(larger(rows[2 * k], rows[2 * k + 1]), rows[2 * k + 2]);
  }
}

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    average_pool(AveragePool a, Finish f, const std::uint8_t* src, const float* m, void* dst,
                 std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  const Pool& p = a.pool;
  const int groups = p.channels / kCount;
  const int channel = static_cast<int>(i % groups) * kCount;
  const std::int64_t pixel = i / groups;
  const std::int64_t line = pixel / p.ow;
  const Cut cut(p, static_cast<int>(line % p.oh), static_cast<int>(pixel % p.ow));
  const std::uint8_t* image = src + line / p.oh * p.ih * p.iw * p.channels + channel;
  const int count = (cut.bottom - cut.top) * (cut.right - cut.left);
  std::int32_t sums[kCount];
#pragma unroll
  for (int c = 0; c < kCount; ++c) sums[c] = -count * a.z_src;
  for (int y = cut.top; y < cut.bottom; ++y) {
    for (int x = cut.left; x < cut.right; ++x) {
      const Bytes<kCount> next = load<kCount>(image + (std::int64_t{y} * p.iw + x) * p.channels);
#pragma unroll
      for (int c = 0; c < kCount; ++c) sums[c] += next.at[c];
    }
  }
  const float scale = m[(a.count_padding ? p.kh * p.kw : count) - 1];
  if (a.to_float) {
    for (int c = 0; c < kCount; ++c) {
      static_cast<float*>(dst)[i * kCount + c] = finish_float(sums[c], scale);
    }
    return;
  }
  Bytes<kCount> bytes;
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
    bytes.at[c] = static_cast<std::uint8_t>(finish(sums[c], scale, f));
  }
  store(static_cast<std::uint8_t*>(dst) + i * kCount, bytes);
}

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    add_bytes(Add p, Finish f, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* dst,
              std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  Bytes<kCount> left = load<kCount>(a + i * kCount);
  const Bytes<kCount> right = load<kCount>(b + i * kCount);
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
    // The law's order: fma(a - z_a, m_a, (b - z_b) * m_b).
    left.at[c] =
        static_cast<std::uint8_t>(finish_residual(left.at[c] - p.z_a, p.m_a, right.at[c], f));
  }
  store(dst + i * kCount, left);
}

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    rescale_bytes(Rescale p, Finish f, const std::uint8_t* src, std::uint8_t* dst,
                  std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  Bytes<kCount> bytes = load<kCount>(src + i * kCount);
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
    bytes.at[c] = static_cast<std::uint8_t>(finish(bytes.at[c] - p.z_src, p.m, f));
  }
  store(dst + i * kCount, bytes);
}

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    copy_channels(ChannelCopy p, const std::uint8_t* src, std::uint8_t* dst, std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  const int groups = p.from / kCount;
  const std::int64_t pixel = i / groups;
  const int channel = static_cast<int>(i % groups) * kCount;
  store(dst + pixel * p.to + p.at + channel, load<kCount>(src + i * kCount));
}

__global__ void __launch_bounds__(kThreads)
    quantize_floats(Bridge p, const float* src, const float* scale, const std::int32_t* z,
                    std::uint8_t* dst) {
  const std::int64_t i = item();
  if (i >= p.size) return;
  const int c = static_cast<int>(i % p.channels);
  const float r = __fdiv_rn(src[i], scale[c]);
  const Finish f{static_cast<float>(p.lo - z[c]), static_cast<float>(p.hi - z[c]), z[c], 0, 0};
  dst[i] = static_cast<std::uint8_t>(round_clamp(r != r ? 0.0f : r, f));
}

__global__ void __launch_bounds__(kThreads)
    dequantize_bytes(Bridge p, const std::uint8_t* src, const float* scale, const std::int32_t* z,
                     float* dst) {
  const std::int64_t i = item();
  if (i >= p.size) return;
  const int c = static_cast<int>(i % p.channels);
  dst[i] = finish_float(src[i] - z[c], scale[c]);
}

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    flip_sign(const std::uint8_t* src, std::uint8_t* dst, std::int64_t items) {
  const std::int64_t i = item();
  if (i >= items) return;
  Bytes<kCount> bytes = load<kCount>(src + i * kCount);
#pragma unroll
  for (int c = 0; c < kCount; ++c) bytes.at[c] ^= 0x80;
  store(dst + i * kCount, bytes);
}

}  // namespace

int launch_frame(const Frame& f, const std::uint8_t* src, const std::uint8_t* fill,
                 std::uint8_t* dst, Stream stream) {
  const std::int64_t pixels = std::int64_t{f.n} * f.oh * f.ow;
  if (is_photograph(f)) {
    const auto lines = static_cast<unsigned>(std::int64_t{f.n} * f.oh);
    const auto bytes = static_cast<std::size_t>(2 * (f.iw * 3 + 2 * kMargin));
    frame_photograph<<<lines, kThreads, bytes, stream>>>(f, src, fill, dst);
  } else {
    frame_bytes<<<blocks(pixels * f.oc), kThreads, 0, stream>>>(f, src, fill, dst, pixels * f.oc);
  }
  return status();
}

int launch_max_pool(const Pool& p, const std::uint8_t* src, std::uint8_t* dst, Stream stream) {
  const std::int64_t items = std::int64_t{p.n} * p.oh * p.ow * p.channels;
  if (p.channels % 16 == 0 && p.kh == 3 && p.kw == 3 && p.sh == 2 && p.sw == 2) {
    const std::int64_t strips =
        std::int64_t{p.n} * ((p.oh + kStrip - 1) / kStrip) * p.ow * (p.channels / 16);
    max_pool_3x3<<<blocks(strips), kThreads, 0, stream>>>(p, src, dst, strips);
  } else if (p.channels % 16 == 0) {
    max_pool<16><<<blocks(items / 16), kThreads, 0, stream>>>(p, src, dst, items / 16);
  } else {
    max_pool<1><<<blocks(items), kThreads, 0, stream>>>(p, src, dst, items);
  }
  return status();
}

int launch_average_pool(const AveragePool& a, const std::uint8_t* src, const float* m, void* dst,
                        Stream stream) {
  const Pool& p = a.pool;
  const std::int64_t items = std::int64_t{p.n} * p.oh * p.ow * p.channels;
  const Finish f = make_finish(a.z_dst, a.lo, a.hi);
  if (p.channels % 4 == 0) {
    average_pool<4><<<blocks(items / 4), kThreads, 0, stream>>>(a, f, src, m, dst, items / 4);
  } else {
    average_pool<1><<<blocks(items), kThreads, 0, stream>>>(a, f, src, m, dst, items);
  }
  return status();
}

int launch_add(const Add& p, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* dst,
               Stream stream) {
  const Finish f = make_finish(p.z_dst, p.lo, p.hi, p.z_b, p.m_b);
  if (p.size % 16 == 0) {
    add_bytes<16><<<blocks(p.size / 16), kThreads, 0, stream>>>(p, f, a, b, dst, p.size / 16);
  } else {
    add_bytes<1><<<blocks(p.size), kThreads, 0, stream>>>(p, f, a, b, dst, p.size);
  }
  return status();
}

int launch_rescale(const Rescale& p, const std::uint8_t* src, std::uint8_t* dst, Stream stream) {
  const Finish f = make_finish(p.z_dst, p.lo, p.hi);
  if (p.size % 16 == 0) {
    rescale_bytes<16><<<blocks(p.size / 16), kThreads, 0, stream>>>(p, f, src, dst, p.size / 16);
  } else {
    rescale_bytes<1><<<blocks(p.size), kThreads, 0, stream>>>(p, f, src, dst, p.size);
  }
  return status();
}

int launch_channel_copy(const ChannelCopy& p, const std::uint8_t* src, std::uint8_t* dst,
                        Stream stream) {
  const std::int64_t items = p.pixels * p.from;
  if (p.from % 16 == 0 && p.to % 16 == 0 && p.at % 16 == 0) {
    copy_channels<16><<<blocks(items / 16), kThreads, 0, stream>>>(p, src, dst, items / 16);
  } else {
    copy_channels<1><<<blocks(items), kThreads, 0, stream>>>(p, src, dst, items);
  }
  return status();
}

int launch_quantize(const Bridge& p, const float* src, const float* scale, const std::int32_t* z,
                    std::uint8_t* dst, Stream stream) {
  quantize_floats<<<blocks(p.size), kThreads, 0, stream>>>(p, src, scale, z, dst);
  return status();
}

int launch_dequantize(const Bridge& p, const std::uint8_t* src, const float* scale,
                      const std::int32_t* z, float* dst, Stream stream) {
  dequantize_bytes<<<blocks(p.size), kThreads, 0, stream>>>(p, src, scale, z, dst);
  return status();
}

int launch_flip_sign(std::int64_t size, const std::uint8_t* src, std::uint8_t* dst, Stream stream) {
  if (size % 16 == 0) {
    flip_sign<16><<<blocks(size / 16), kThreads, 0, stream>>>(src, dst, size / 16);
  } else {
    flip_sign<1><<<blocks(size), kThreads, 0, stream>>>(src, dst, size);
  }
  return status();
}

}  // namespace pronghorn::device::cuda
