// SPDX-License-Identifier: Apache-2.0
// What the kernels of this folder are written in: CUDA, or the same names on the host (emulate.h).
#pragma once

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#else
#include "device/cuda/learn/kernels/emulate.h"
#endif

namespace pronghorn::device::cuda {

// A block's dynamic shared memory.
__device__ __forceinline__ unsigned char* shared_memory() {
#ifdef __CUDACC__
  extern __shared__ __align__(16) unsigned char memory[];
  return memory;
#else
  return emulate::launch().shared_memory();
#endif
}

#ifdef __CUDACC__
// sum += a b on the matrix unit, which reads the upper 19 bits of the operands. Of lane 4 g + t: a
// is rows g, g + 8, g, g + 8 and columns t, t, t + 4, t + 4; b rows t, t + 4, column g; sum rows g,
// g, g + 8, g + 8, columns 2 t, 2 t + 1 (PTX ISA, mma.m16n8k8 for .tf32).
__device__ __forceinline__ void multiply_add_tf32(float (&sum)[4], const float (&a)[4],
                                                  const float (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}
// Memory to shared memory without registers; zeros where nothing is `there`.
template <int kBytes>
__device__ __forceinline__ void copy_async(void* to, const void* from, bool there) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = there ? kBytes : 0;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
                 "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %3, %2;" ::"r"(address), "l"(from),
                 "r"(bytes), "n"(kBytes)
                 : "memory");
  }
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;"); }
// Until at most kPending of the thread's groups are under way.
template <int kPending>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}
#endif

// As many values as 16 bytes hold; one load or store.
template <class T>
struct alignas(16) Pack {
  static constexpr int kCount = 16 / sizeof(T);
  T at[kCount];
};

template <class T>
__device__ __forceinline__ Pack<T> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T>*>(from);
}
template <class T>
__device__ __forceinline__ void store_pack(T* to, const Pack<T>& pack) {
  *reinterpret_cast<Pack<T>*>(to) = pack;
}

// A float as the sum of what the matrix unit reads of it and a rest. Three products of such halves
// leave out some 2^-21 of a product.
struct Halves {
  float high, low;
};
__device__ __forceinline__ float with_bits(float value, unsigned add, unsigned mask) {
#ifdef __CUDACC__
  return __uint_as_float((__float_as_uint(value) + add) & mask);
#else
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  bits = (bits + add) & mask;
  std::memcpy(&value, &bits, 4);
  return value;
#endif
}
__device__ __forceinline__ Halves halves_of(float value) {
  const float high = with_bits(value, 0, 0xFFFFE000u);
  return {high, value - high};
}
// The unit then reads the value rounded to 11 bits, not cut.
__device__ __forceinline__ float rounded(float value) {
  return with_bits(value, 0x1000u, 0xFFFFFFFFu);
}
// To two units of the last place.
__device__ __forceinline__ float quotient(float a, float b) {
#ifdef __CUDACC__
  return __fdividef(a, b);
#else
  return a / b;
#endif
}

// Of a normal number below 2^126, to a unit of the last place.
__device__ __forceinline__ float reciprocal(float value) {
#ifdef __CUDACC__
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
#else
  return 1.0f / value;
#endif
}
// The square root to two units of the last place.
__device__ __forceinline__ float root(float value) {
#ifdef __CUDACC__
  float result;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
#else
  return std::sqrt(value);
#endif
}
// e^value to two units of the last place, for finite values up to 88; 0 below -87. The power of two
// next to it, and what its exponent's rounding left.
__device__ __forceinline__ float exponential(float value) {
#ifdef __CUDACC__
  constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;
  const float exponent = value * kLog2E;
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
  return fmaf(power, fmaf(-kLn2, exponent, value), power);
#else
  return value < -87 ? 0.0f : std::exp(value);
#endif
}

// Rows of 64 floats in shared memory, as the products on the matrix unit read them: 16 pieces,
// those of row r at their number xor swizzle(r). Four neighbouring pieces of rows 2 n and 2 n + 1
// have banks of their own, and so have pieces 2 n and 2 n + 1 of four even or four odd rows.
__device__ __forceinline__ int swizzle(int row) { return (row & 6) ^ (row & 1) << 2; }
__device__ __forceinline__ int piece_at(int row, int piece) {
  return row * 16 + (piece ^ swizzle(row));  // in pieces
}
__device__ __forceinline__ Pack<float> load_piece(const void* rows, int row, int piece) {
  return load_pack(static_cast<const float*>(rows) + piece_at(row, piece) * 4);
}

// The warp's sum, in every lane; always in the same order.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(~0u, value, mask);
  return value;
}

}  // namespace pronghorn::device::cuda
