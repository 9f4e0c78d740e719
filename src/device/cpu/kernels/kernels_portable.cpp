// SPDX-License-Identifier: Apache-2.0
// The set that runs on any processor: the definitions, straight from arith, on the packed layout.
#include <algorithm>
#include <array>
#include <cstring>

#include "arith/requantize.h"
#include "device/cpu/kernels/kernel_table.h"

namespace pronghorn::device::cpu {
namespace {

std::uint8_t store(float r, const Store& s) {
  return static_cast<std::uint8_t>(arith::round_clamp(r, s.z, {s.lo, s.hi}));
}

// The epilogue of one pixel, shared by both convolutions.
void finish(const std::array<std::int32_t, kPanel>& acc, const float* m, std::int32_t channels,
            const ConvPixels& px, std::int64_t i) {
  std::uint8_t* dst = px.dst + px.dst_at[i];
  const std::uint8_t* res = px.res + (px.result == ConvResult::kBytesResidual ? px.res_at[i] : 0);
  for (std::int32_t oc = 0; oc < channels; ++oc) {
    const arith::Range range{px.store.lo, px.store.hi};
    const std::int32_t sum = acc[static_cast<std::size_t>(oc)];
    switch (px.result) {
      case ConvResult::kBytes:
        dst[oc] = static_cast<std::uint8_t>(arith::requantize(sum, m[oc], px.store.z, range));
        break;
      case ConvResult::kBytesResidual:
        dst[oc] = static_cast<std::uint8_t>(
            arith::requantize_residual(sum, m[oc], res[oc], px.z_res, px.m_res, px.store.z, range));
        break;
      case ConvResult::kFloat: {
        const float r = arith::dequantize(sum, m[oc], 0);
        std::memcpy(dst + oc * sizeof r, &r, sizeof r);
        break;
      }
    }
  }
}

void conv(const ConvPanel* panel, const ConvPixels* px) {
  for (std::int64_t i = 0; i < px->count; ++i) {
    const std::uint8_t* src = px->src + px->src_at[i];
    std::array<std::int32_t, kPanel> acc;
    std::copy_n(panel->bias, kPanel, acc.begin());
    for (std::int32_t q = 0; q < panel->quads; ++q) {
      const std::uint8_t* x = src + panel->taps[q];
      const std::int8_t* w = panel->weights + std::int64_t{q} * kQuadBytes;
      for (std::size_t oc = 0; oc < kPanel; ++oc) {
        acc[oc] +=
            x[0] * w[4 * oc] + x[1] * w[4 * oc + 1] + x[2] * w[4 * oc + 2] + x[3] * w[4 * oc + 3];
      }
    }
    finish(acc, panel->m, panel->channels, *px, i);
  }
}

void depthwise(const DepthwisePanel* panel, const ConvPixels* px) {
  for (std::int64_t i = 0; i < px->count; ++i) {
    const std::uint8_t* src = px->src + px->src_at[i];
    std::array<std::int32_t, kPanel> acc;
    std::copy_n(panel->bias, kPanel, acc.begin());
    for (std::int32_t pair = 0; pair < panel->pairs; ++pair) {
      const std::uint8_t* a = src + panel->taps[2 * pair];
      const std::uint8_t* b = src + panel->taps[2 * pair + 1];
      const std::int16_t* w = panel->weights + std::int64_t{pair} * 2 * kPanel;
      for (std::int32_t c = 0; c < panel->channels; ++c) {
        acc[static_cast<std::size_t>(c)] += a[c] * w[2 * c] + b[c] * w[2 * c + 1];
      }
    }
    finish(acc, panel->m, panel->channels, *px, i);
  }
}

void add(const AddTerms* t, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* dst,
         std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    dst[i] = static_cast<std::uint8_t>(arith::add(a[i], t->z_a, t->m_a, b[i], t->z_b, t->m_b,
                                                  t->store.z, {t->store.lo, t->store.hi}));
  }
}

void max(const std::uint8_t* const* src, std::int64_t count, std::uint8_t* dst,
         std::int64_t channels, std::int64_t results, std::int64_t step) {
  for (std::int64_t at = 0; at < results * step; at += step, dst += channels) {
    std::memcpy(dst, src[0] + at, static_cast<std::size_t>(channels));
    for (std::int64_t i = 1; i < count; ++i) {
      for (std::int64_t c = 0; c < channels; ++c) dst[c] = std::max(dst[c], src[i][at + c]);
    }
  }
}

void average(const AverageTerms* t, const std::uint8_t* const* src, std::int64_t count,
             std::uint8_t* dst, float* dst_float, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) {
    std::int32_t acc = -t->zero;
    for (std::int64_t i = 0; i < count; ++i) acc += src[i][c];
    const float r = static_cast<float>(acc) * t->m;
    if (dst_float != nullptr) {
      dst_float[c] = r;
    } else {
      dst[c] = store(r, t->store);
    }
  }
}

}  // namespace

const KernelSet kKernelsPortable = {
    .name = "portable",
    .packing = ConvPacking::kQuads,
    .conv = conv,
    .conv_tile = 1,
    .depthwise = depthwise,
    .add = add,
    .max = max,
    .average = average,
};

}  // namespace pronghorn::device::cpu
