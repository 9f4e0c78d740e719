// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/kernels/tensor_map.h"

#include <cuda_runtime_api.h>

namespace pronghorn::device::cuda {
namespace {

using EncodeTiled = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*,
                                 const cuuint64_t*, const cuuint64_t*, const cuuint32_t*,
                                 const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                                 CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
using EncodeIm2col = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*,
                                  const cuuint64_t*, const cuuint64_t*, const int*, const int*,
                                  cuuint32_t, cuuint32_t, const cuuint32_t*, CUtensorMapInterleave,
                                  CUtensorMapSwizzle, CUtensorMapL2promotion,
                                  CUtensorMapFloatOOBfill);

EncodeTiled encode_tiled = nullptr;
EncodeIm2col encode_im2col = nullptr;

int look_up(const char* name, void** function) {
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, function, 12000, cudaEnableDefault, &found);
  if (error != cudaSuccess) return error;
  return found == cudaDriverEntryPointSuccess ? cudaSuccess : cudaErrorSymbolNotFound;
}

CUtensorMapSwizzle swizzle(std::int32_t bytes) {
  return bytes == 128 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B;
}

int status(CUresult result) { return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue; }

}  // namespace

int prepare_tensor_maps() {
  int error = look_up("cuTensorMapEncodeTiled", reinterpret_cast<void**>(&encode_tiled));
  if (error == cudaSuccess) {
    error = look_up("cuTensorMapEncodeIm2col", reinterpret_cast<void**>(&encode_im2col));
  }
  return error;
}

int matrix_map(CUtensorMap& map, const void* data, std::int64_t rows, std::int64_t columns,
               std::int64_t pitch, std::int32_t box_rows, std::int32_t box_columns) {
  const cuuint64_t dims[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(pitch)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(box_columns),
                            static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[] = {1, 1};
  return status(encode_tiled(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 2, const_cast<void*>(data), dims,
                             strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                             swizzle(box_columns), CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
}

int window_map(CUtensorMap& map, const ConvProblem& p, const void* src, std::int32_t pixels,
               std::int32_t channels) {
  const auto c = static_cast<cuuint64_t>(p.ic);
  const auto w = static_cast<cuuint64_t>(p.iw);
  const auto h = static_cast<cuuint64_t>(p.ih);
  const cuuint64_t dims[] = {c, w, h, static_cast<cuuint64_t>(p.n)};
  const cuuint64_t strides[] = {c, c * w, c * w * h};
  // The window's first place moves from -pad to its last position, counted from the far corner.
  const int lower[] = {-p.pad_left, -p.pad_top};
  const int upper[] = {(p.ow - 1) * p.sw - p.pad_left - (p.iw - 1),
                       (p.oh - 1) * p.sh - p.pad_top - (p.ih - 1)};
  const cuuint32_t steps[] = {1, static_cast<cuuint32_t>(p.sw), static_cast<cuuint32_t>(p.sh), 1};
  return status(encode_im2col(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 4, const_cast<void*>(src), dims,
                              strides, lower, upper, static_cast<cuuint32_t>(channels),
                              static_cast<cuuint32_t>(pixels), steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                              swizzle(channels), CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                              CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
}

int box_map(CUtensorMap& map, const ConvProblem& p, const void* src, std::int32_t width,
            std::int32_t height) {
  const auto c = static_cast<cuuint64_t>(p.ic);
  const auto w = static_cast<cuuint64_t>(p.iw);
  const auto h = static_cast<cuuint64_t>(p.ih);
  const cuuint64_t dims[] = {c, w, h, static_cast<cuuint64_t>(p.n)};
  const cuuint64_t strides[] = {c, c * w, c * w * h};
  const cuuint32_t box[] = {64, static_cast<cuuint32_t>(width), static_cast<cuuint32_t>(height), 1};
  const cuuint32_t steps[] = {1, 1, 1, 1};
  return status(encode_tiled(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 4, const_cast<void*>(src), dims,
                             strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle(64),
                             CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
}

}  // namespace pronghorn::device::cuda
