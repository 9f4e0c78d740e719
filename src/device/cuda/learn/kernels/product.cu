// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/kernels/product.cuh"

namespace pronghorn::device::cuda {
namespace {

template <class TX, class T, Product kKind, bool kListed, int kVectors>
int start_kernel(const ProductJob& job, int multiprocessors, LearnStream stream) {
  using Tile = ProductTile<T>;
  const int shared = Tile::shared_bytes(kKind == Product::kGauss);
  const auto kernel = product_kernel<TX, T, kKind, kListed, kVectors>;
  const cudaError_t status =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  if (status != cudaSuccess) return status;
  int blocks = 0;
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, Tile::kThreads,
                                                static_cast<std::size_t>(shared));
  const std::int64_t tiles = (job.rows + Tile::kRows - 1) / Tile::kRows;
  const std::int64_t most = std::int64_t{blocks > 0 ? blocks : 1} * multiprocessors;
  kernel<<<static_cast<unsigned>(tiles < most ? tiles : most), Tile::kThreads,
           static_cast<std::size_t>(shared), stream>>>(job);
  return cudaGetLastError();
}

template <class TX, class T, Product kKind, bool kListed = false>
int start(const ProductJob& job, int multiprocessors, LearnStream stream) {
  constexpr int kAll = ProductTile<T>::kVectors;
  if constexpr (kKind != Product::kNearest) {
    if (job.count <= kPanel / kAll) {
      return start_kernel<TX, T, kKind, kListed, 1>(job, multiprocessors, stream);
    }
  }
  return start_kernel<TX, T, kKind, kListed, kAll>(job, multiprocessors, stream);
}

template <Product kKind>
int start_of_type(Dtype x, Dtype work, const ProductJob& job, int multiprocessors,
                  LearnStream stream) {
  if (work == Dtype::kF32) return start<float, float, kKind>(job, multiprocessors, stream);
  if (x == Dtype::kF32) return start<float, double, kKind>(job, multiprocessors, stream);
  return start<double, double, kKind>(job, multiprocessors, stream);
}

}  // namespace

int launch_product(Product kind, Dtype x, Dtype work, const ProductJob& job, int multiprocessors,
                   LearnStream stream) {
  if (job.rows == 0) return cudaSuccess;
  switch (kind) {
    case Product::kScores:
      return start_of_type<Product::kScores>(x, work, job, multiprocessors, stream);
    case Product::kGauss:
      if (x == Dtype::kF32) {
        return start<float, double, Product::kGauss>(job, multiprocessors, stream);
      }
      return start<double, double, Product::kGauss>(job, multiprocessors, stream);
    case Product::kNearest:
      break;
  }
  if (job.list != nullptr) {
    return start<float, float, Product::kNearest, true>(job, multiprocessors, stream);
  }
  if (x == Dtype::kF32) {
    return start<float, float, Product::kNearest>(job, multiprocessors, stream);
  }
  return start<double, double, Product::kNearest>(job, multiprocessors, stream);
}

}  // namespace pronghorn::device::cuda
