// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/kernels/rows.cuh"

namespace pronghorn::device::cuda {
namespace {

constexpr int kMostBlocks = 132 * 16;

unsigned blocks_for(std::int64_t items, int each) {
  const std::int64_t blocks = (items + each - 1) / each;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < kMostBlocks ? blocks : kMostBlocks);
}

// Calls body with a value of the type.
template <class Body>
int of_type(Dtype dtype, Body&& body) {
  if (dtype == Dtype::kF32) {
    body(float{});
  } else {
    body(double{});
  }
  return cudaGetLastError();
}

}  // namespace

int launch_finish(Dtype work, const void* scores, std::int64_t rows, int outputs, bool binary,
                  Output output, void* out, LearnStream stream) {
  if (rows == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((rows + 255) / 256);
  return of_type(work, [&](auto zero) {
    using T = decltype(zero);
    finish_kernel<T><<<blocks, 256, 0, stream>>>(static_cast<const T*>(scores), rows, outputs,
                                                 binary, output, static_cast<T*>(out),
                                                 static_cast<std::int32_t*>(out));
  });
}

int launch_label_distances(Dtype x, const RowJob& job, const std::int32_t* labels,
                           const double* centers, double* out, LearnStream stream) {
  return of_type(x, [&](auto zero) {
    label_distance_kernel<decltype(zero)>
        <<<blocks_for(job.rows, kRowWarps), 32 * kRowWarps, 0, stream>>>(job, labels, centers, out);
  });
}

int launch_distances(Dtype x, const RowJob& job, const double* centers, int count, void* out,
                     LearnStream stream) {
  return of_type(x, [&](auto zero) {
    using TX = decltype(zero);
    distance_kernel<TX><<<blocks_for(job.rows, kRowWarps), 32 * kRowWarps, 0, stream>>>(
        job, centers, count, static_cast<TX*>(out));
  });
}

int launch_closest(Dtype x, const RowJob& job, const double* point, double* closest,
                   LearnStream stream) {
  return of_type(x, [&](auto zero) {
    closest_kernel<decltype(zero)>
        <<<blocks_for(job.rows, kRowWarps), 32 * kRowWarps, 0, stream>>>(job, point, closest);
  });
}

int launch_potentials(Dtype x, const RowJob& job, const double* points, int count,
                      const double* closest, double* partial, double* sums, LearnStream stream) {
  const int status = of_type(x, [&](auto zero) {
    potential_kernel<decltype(zero)>
        <<<kPotentialParts, 32 * kRowWarps, 32 * kRowWarps * sizeof(double), stream>>>(
            job, points, count, closest, partial);
  });
  if (status != cudaSuccess) return status;
  return launch_add_parts(partial, kPotentialParts, 32, sums, false, stream);
}

int launch_weighted_sum(const double* values, const double* weight, std::int64_t rows,
                        double* partial, double* sums, LearnStream stream) {
  weighted_sum_kernel<<<kPotentialParts, 256, 8 * sizeof(double), stream>>>(values, weight, rows,
                                                                            partial);
  const int status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  return launch_add_parts(partial, kPotentialParts, 1, sums, false, stream);
}

int launch_find(Dtype x, const RowJob& job, bool negative, std::int64_t first_row, int width,
                unsigned long long* entry, LearnStream stream) {
  return of_type(x, [&](auto zero) {
    find_kernel<decltype(zero)><<<blocks_for(job.rows * job.cols, 256), 256, 0, stream>>>(
        job, negative, first_row, width, entry);
  });
}

int launch_turn(Dtype x, const void* src, std::int64_t src_stride, std::int64_t rows, int cols,
                void* dst, std::int64_t ld, LearnStream stream) {
  if (rows == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>((rows + 31) / 32), static_cast<unsigned>((ld + 31) / 32));
  return of_type(x, [&](auto zero) {
    using TX = decltype(zero);
    turn_kernel<TX><<<grid, 256, 32 * 33 * sizeof(TX), stream>>>(
        static_cast<const TX*>(src), src_stride, rows, cols, static_cast<TX*>(dst), ld);
  });
}

}  // namespace pronghorn::device::cuda
