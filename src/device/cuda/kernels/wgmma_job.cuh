// SPDX-License-Identifier: Apache-2.0
// What the two convolutions for sm_90a share: conv_wgmma_sm90a.cu for many pixels,
// conv_cluster_sm90a.cu for few. They read the same packed weights, so the kernel "wgmma_sm90a"
// offers both as variants.
#pragma once

#include "device/cuda/kernels/conv_kernel.h"
#include "device/cuda/kernels/finish.cuh"
#include "device/cuda/kernels/tensor_map.h"

namespace pronghorn::device::cuda {

// How windows become the rows of a matrix product.
//   kMatrix   a pointwise convolution: the pixels themselves
//   kWindows  any other: an im2col map, one row an output pixel
//   kLines    few channels and a border included: one row an input pixel, from which a window row
//             goes on over its neighbours; rows of windows that leave the image are dropped
enum class WgmmaSource : std::int32_t { kMatrix, kWindows, kLines };

// What a block needs to know of a problem, either way.
struct WgmmaJob {
  CUtensorMap src;      // boxes of output pixels by inner steps
  CUtensorMap weights;  // boxes of channels by inner steps
  const void* bias;     // as ConvBuffers has it
  const float* m;
  const std::uint8_t* res;
  void* dst;
  Finish finish;
  float least, most;                  // of half-precision results
  std::int32_t rows, oc;              // of the product: see Source; channels
  std::int32_t steps, channel_steps;  // of the inner dimension; of them for one window place
  std::int32_t kw;
  std::int32_t iw, ih, ow, oh, sw, sh, pad_left, pad_top;
  WgmmaSource source;
};

// 64 or 128 bytes of one window row, which lie together when nothing is padded or skipped.
constexpr bool wgmma_lines(const ConvProblem& p) {
  return (p.ic == 16 || p.ic == 32) && (p.kw * p.ic == 64 || p.kw * p.ic == 128) && p.sh == 1 &&
         p.sw == 1 && p.inside();
}

// Bytes of the inner dimension that one step takes.
constexpr std::int32_t wgmma_step(const ConvProblem& p) {
  return wgmma_lines(p) ? p.kw * p.ic : p.ic % 128 == 0 ? 128 : 64;
}

// Rows of the product.
constexpr std::int64_t wgmma_rows(const ConvProblem& p) {
  return wgmma_lines(p) ? std::int64_t{p.n} * p.ih * p.iw : p.pixels();
}

// What a variant takes, in microseconds on an H200, fitted to the times of all layers of ResNet-50
// with 1, 8, 32 and 128 images (cuda_bench --layers): a launch takes `start`, `fill` for each 1024
// bytes of the inner dimension, and for each further tile that a multiprocessor makes after its
// first `tile`, `residual` if there is one, and `inner` for each 1024 bytes.
struct WgmmaCost {
  float start, fill, tile, residual, inner;

  constexpr float estimate(const ConvProblem& p, float bytes, float more_tiles) const {
    const float k = bytes / 1024;
    return start + fill * k +
           more_tiles *
               (tile + (p.result == ConvResult::kBytesResidual ? residual : 0) + inner * k);
  }
};

// The output pixel that a row of the product is; -1 if none.
__device__ __forceinline__ int wgmma_pixel(const WgmmaJob& job, int row) {
  if (row >= job.rows) return -1;
  if (job.source != WgmmaSource::kLines) return row;
  const int line = row / job.iw;
  const int x = row - line * job.iw;
  const int n = line / job.ih;
  const int y = line - n * job.ih;
  return x < job.ow && y < job.oh ? (n * job.oh + y) * job.ow + x : -1;
}

// Fills everything for boxes of `rows` pixels and `columns` channels; a cudaError_t.
int make_wgmma_job(WgmmaJob& job, const ConvProblem& problem, const ConvBuffers& buffers,
                   std::int32_t rows, std::int32_t columns);

// conv_cluster_sm90a.cu. A variant is an index below kClusterVariants.
inline constexpr std::int32_t kClusterVariants = 8;
const char* cluster_name(std::int32_t variant);
float cluster_estimate(const ConvProblem& problem, std::int32_t variant,
                       std::int32_t multiprocessors);
bool cluster_takes(const ConvProblem& problem, std::int32_t variant);
int cluster_prepare();
int cluster_launch(const ConvProblem& problem, const ConvBuffers& buffers, std::int32_t variant,
                   Stream stream);

// conv_patch_sm90a.cu, one variant.
float patch_estimate(const ConvProblem& problem, std::int32_t multiprocessors);
bool patch_takes(const ConvProblem& problem);
int patch_prepare();
int patch_launch(const ConvProblem& problem, const ConvBuffers& buffers, Stream stream);

}  // namespace pronghorn::device::cuda
