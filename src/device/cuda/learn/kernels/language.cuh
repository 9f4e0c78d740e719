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

// The warp's sum, in every lane; always in the same order.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(~0u, value, mask);
  return value;
}

}  // namespace pronghorn::device::cuda
