// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime_api.h>

#include "device/cuda/kernels/wgmma_job.cuh"

namespace pronghorn::device::cuda {

int make_wgmma_job(WgmmaJob& job, const ConvProblem& p, const ConvBuffers& b, std::int32_t rows,
                   std::int32_t columns) {
  const std::int32_t step = wgmma_step(p);
  job.bias = b.bias;
  job.m = b.m;
  job.res = b.res;
  job.dst = b.dst;
  job.finish = make_finish(p.z_dst, p.lo, p.hi, p.z_res, p.m_res);
  job.least = p.least;
  job.most = p.most;
  job.oc = p.oc;
  job.kw = p.kw;
  job.iw = p.iw;
  job.ih = p.ih;
  job.ow = p.ow;
  job.oh = p.oh;
  job.sw = p.sw;
  job.sh = p.sh;
  job.pad_left = p.pad_left;
  job.pad_top = p.pad_top;
  job.steps = p.window() / step;
  job.channel_steps = wgmma_lines(p) ? 1 : p.ic / step;
  job.rows = static_cast<std::int32_t>(wgmma_rows(p));
  const int error = matrix_map(job.weights, b.weights, (p.oc + 63) / 64 * 64, p.window(),
                               p.window(), columns, step);
  if (error != cudaSuccess) return error;
  if (wgmma_lines(p)) {
    job.source = WgmmaSource::kLines;
    return matrix_map(job.src, b.src, job.rows, step, p.ic, rows, step);
  }
  if (p.pointwise() && p.sw == 1 && p.sh == 1) {
    job.source = WgmmaSource::kMatrix;
    return matrix_map(job.src, b.src, job.rows, p.ic, p.ic, rows, step);
  }
  job.source = WgmmaSource::kWindows;
  return window_map(job.src, p, b.src, rows, step);
}

}  // namespace pronghorn::device::cuda
