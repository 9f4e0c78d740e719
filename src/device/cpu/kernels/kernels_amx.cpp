// SPDX-License-Identifier: Apache-2.0
// Advanced Matrix Extensions: tdpbusd multiplies 16 pixels x 64 bytes by 64 bytes x 16 channels
// into 16 x 16 exact s32 sums, 16384 products in 16 cycles.
//
// The windows of a block of pixels are first gathered into contiguous tiles of 16 pixels x 64
// bytes, small enough for the second cache (or loaded in place where that is faster); then, for
// each pair of weight panels, 32 pixels x 32 channels are made at a time from four accumulator
// tiles, so that every tile loaded is used twice. The sums start from the bias (a tile load of
// stride 0) and leave through a 4 KiB buffer in the first cache, where AVX-512 requantizes a row of
// 16 channels at a time.
#include <immintrin.h>

#include <cstdint>

#include "device/cpu/kernels/kernel_table.h"

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kRows = 16;         // pixels of a tile
constexpr std::int64_t kTileBytes = 1024;  // 16 rows of 64 bytes
constexpr std::int32_t kDirectPanels = 4;  // above that, gathering the pixels first is faster
constexpr std::int64_t kMostGroups = 64;   // of 16 pixels in one call

struct [[gnu::packed]] TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfig kConfig;

// Where the tiles of 16 pixels are: k tile k at base + at[k], rows `stride` bytes apart.
struct Rows {
  const std::uint8_t* base;
  std::int64_t stride;
  bool direct;
};

// Copies 16 windows into tiles [k tile][16][64]. Rows past the last pixel repeat it.
[[gnu::always_inline]] inline void gather(const MatrixConv& conv, const ConvPixels& px,
                                          std::int64_t first, std::uint8_t* tiles) {
  for (std::int64_t r = 0; r < kRows; ++r) {
    const std::int64_t i = first + r < px.count ? first + r : px.count - 1;
    const std::uint8_t* src = px.src + px.src_at[i];
    std::uint8_t* row = tiles + r * 64;
    if (conv.whole) {
      for (std::int32_t k = 0; k < conv.k_tiles; ++k) {
        _mm512_store_si512(row + k * kTileBytes, _mm512_loadu_si512(src + conv.piece[k].src));
      }
      continue;
    }
    for (std::int32_t p = 0; p < conv.pieces; ++p) {
      const MatrixPiece& piece = conv.piece[p];
      _mm512_mask_storeu_epi8(row + piece.dst, piece.mask,
                              _mm512_maskz_loadu_epi8(piece.mask, src + piece.src));
    }
  }
}

// Tiles can be loaded in place when the 16 windows are equally far apart. Loading them row by row
// from far apart is slower than from a copy, so this pays for few uses only.
[[gnu::always_inline]] inline Rows rows_of(const MatrixConv& conv, const ConvPixels& px,
                                           std::int64_t first, std::int32_t panels,
                                           std::uint8_t* tiles) {
  if (conv.whole && panels <= kDirectPanels && first + kRows <= px.count) {
    const std::int64_t step = px.src_at[first + 1] - px.src_at[first];
    bool even = true;
    for (std::int64_t r = 2; r < kRows; ++r) {
      even &= px.src_at[first + r] - px.src_at[first + r - 1] == step;
    }
    if (even) return {px.src + px.src_at[first], step, true};
  }
  gather(conv, px, first, tiles);
  return {tiles, 64, false};
}

struct Finish {
  __m512 lo, hi;
  __m512i z, z_res, byte_lo, byte_hi;
  __m512 m_res;
  bool small;
};

[[gnu::always_inline]] inline Finish finish_of(const ConvPixels& px) {
  const Store& s = px.store;
  return {_mm512_set1_ps(static_cast<float>(s.lo - s.z)),
          _mm512_set1_ps(static_cast<float>(s.hi - s.z)),
          _mm512_set1_epi32(s.z),
          _mm512_set1_epi32(px.z_res),
          _mm512_set1_epi32(s.lo),
          _mm512_set1_epi32(s.hi),
          _mm512_set1_ps(px.m_res),
          s.small};
}

// 16 channels of one pixel. kMode is a ConvResult.
template <ConvResult kMode>
[[gnu::always_inline]] inline void put(__m512i acc, __m512 m, const Finish& f,
                                       const std::uint8_t* res, std::uint8_t* dst, __mmask16 mask) {
  __m512 r = _mm512_cvtepi32_ps(acc);
  if constexpr (kMode == ConvResult::kBytesResidual) {
    const __m512i q = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, res));
    const __m512 second = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(q, f.z_res)), f.m_res);
    r = _mm512_fmadd_ps(r, m, second);
  } else {
    r = _mm512_mul_ps(r, m);
  }
  if constexpr (kMode == ConvResult::kFloat) {
    _mm512_mask_storeu_ps(dst, mask, r);
  } else {
    if (!f.small) r = _mm512_min_ps(_mm512_max_ps(r, f.lo), f.hi);
    __m512i v = _mm512_add_epi32(_mm512_cvtps_epi32(r), f.z);
    v = _mm512_min_epi32(_mm512_max_epi32(v, f.byte_lo), f.byte_hi);
    _mm512_mask_cvtepi32_storeu_epi8(dst, mask, v);
  }
}

template <ConvResult kMode>
[[gnu::always_inline]] inline void put_rows(const std::int32_t* sums, const ConvPixels& px,
                                            std::int64_t first, std::int64_t rows,
                                            std::int64_t channel, __mmask16 mask, __m512 m,
                                            const Finish& f) {
  constexpr std::int64_t kBytes = kMode == ConvResult::kFloat ? 4 : 1;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t i = first + r;
    const std::uint8_t* res =
        kMode == ConvResult::kBytesResidual ? px.res + px.res_at[i] + channel : nullptr;
    put<kMode>(_mm512_load_si512(sums + r * 16), m, f, res,
               px.dst + px.dst_at[i] + channel * kBytes, mask);
  }
}

// kGroups x kPanels tiles of sums, 1 or 2 each.
template <int kGroups, int kPanels>
[[gnu::always_inline]] inline void multiply(const MatrixConv& conv, const Rows* rows,
                                            const std::int8_t* b, const std::int32_t* bias,
                                            std::int32_t* sums) {
  _tile_loadd(0, bias, 0);
  if constexpr (kPanels == 2) _tile_loadd(1, bias + 16, 0);
  if constexpr (kGroups == 2) _tile_loadd(2, bias, 0);
  if constexpr (kGroups == 2 && kPanels == 2) _tile_loadd(3, bias + 16, 0);
  const std::int64_t b_panel = conv.k_tiles * kTileBytes;
  const std::uint8_t* a0 = rows[0].base;
  const std::uint8_t* a1 = rows[kGroups - 1].base;
  const std::int64_t stride0 = rows[0].stride;
  const std::int64_t stride1 = rows[kGroups - 1].stride;
  for (std::int32_t k = 0; k < conv.k_tiles; ++k) {
    _tile_loadd(6, b, 64);
    _tile_loadd(4, a0 + (rows[0].direct ? conv.piece[k].src : k * kTileBytes), stride0);
    _tile_dpbusd(0, 4, 6);
    if constexpr (kPanels == 2) {
      _tile_loadd(7, b + b_panel, 64);
      _tile_dpbusd(1, 4, 7);
    }
    if constexpr (kGroups == 2) {
      _tile_loadd(5, a1 + (rows[1].direct ? conv.piece[k].src : k * kTileBytes), stride1);
      _tile_dpbusd(2, 5, 6);
      if constexpr (kPanels == 2) _tile_dpbusd(3, 5, 7);
    }
    b += kTileBytes;
  }
  _tile_stored(0, sums, 64);
  if constexpr (kPanels == 2) _tile_stored(1, sums + 256, 64);
  if constexpr (kGroups == 2) _tile_stored(2, sums + 512, 64);
  if constexpr (kGroups == 2 && kPanels == 2) _tile_stored(3, sums + 768, 64);
}

template <ConvResult kMode>
void run(const MatrixConv& conv, std::int32_t first_panel, std::int32_t last_panel,
         const ConvPixels& px, std::uint8_t* tiles) {
  alignas(64) std::int32_t sums[1024];
  Rows rows[kMostGroups];
  const Finish f = finish_of(px);
  const std::int64_t groups = (px.count + kRows - 1) / kRows;
  for (std::int64_t g = 0; g < groups; ++g) {
    rows[g] = rows_of(conv, px, g * kRows, last_panel - first_panel,
                      tiles + g * conv.k_tiles * kTileBytes);
  }
  for (std::int64_t p = first_panel; p < last_panel; p += 2) {
    const std::int64_t panels = last_panel - p < 2 ? 1 : 2;
    const std::int8_t* b = conv.weights + p * conv.k_tiles * kTileBytes;
    const std::int32_t* bias = conv.bias + p * 16;
    __mmask16 mask[2];
    __m512 m[2];
    for (std::int64_t q = 0; q < panels; ++q) {
      const std::int64_t left = conv.channels - (p + q) * 16;
      mask[q] = static_cast<__mmask16>(left >= 16 ? 0xffff : (1u << left) - 1);
      m[q] = _mm512_loadu_ps(conv.m + (p + q) * 16);
    }
    for (std::int64_t g = 0; g < groups; g += 2) {
      const bool two = g + 1 < groups;
      if (two && panels == 2) {
        multiply<2, 2>(conv, rows + g, b, bias, sums);
      } else if (two) {
        multiply<2, 1>(conv, rows + g, b, bias, sums);
      } else if (panels == 2) {
        multiply<1, 2>(conv, rows + g, b, bias, sums);
      } else {
        multiply<1, 1>(conv, rows + g, b, bias, sums);
      }
      for (std::int64_t h = 0; h < (two ? 2 : 1); ++h) {
        const std::int64_t first = (g + h) * kRows;
        const std::int64_t count = px.count - first < kRows ? px.count - first : kRows;
        for (std::int64_t q = 0; q < panels; ++q) {
          put_rows<kMode>(sums + h * 512 + q * 256, px, first, count, (p + q) * 16, mask[q], m[q],
                          f);
        }
      }
    }
  }
}

void conv_matrix(const MatrixConv* conv, std::int32_t first, std::int32_t last,
                 const ConvPixels* px, std::uint8_t* tiles) {
  _tile_loadconfig(&kConfig);
  ConvPixels block = *px;
  for (std::int64_t done = 0; done < px->count; done += kMostGroups * kRows) {
    block.count = px->count - done < kMostGroups * kRows ? px->count - done : kMostGroups * kRows;
    switch (px->result) {
      case ConvResult::kBytes:
        run<ConvResult::kBytes>(*conv, first, last, block, tiles);
        break;
      case ConvResult::kBytesResidual:
        run<ConvResult::kBytesResidual>(*conv, first, last, block, tiles);
        break;
      case ConvResult::kFloat:
        run<ConvResult::kFloat>(*conv, first, last, block, tiles);
        break;
    }
    block.src_at += kMostGroups * kRows;
    block.dst_at += kMostGroups * kRows;
    if (block.res_at != nullptr) block.res_at += kMostGroups * kRows;
  }
  _tile_release();
}

}  // namespace

// Convolutions with groups and everything else are left to the next sets of the table.
extern constexpr KernelSet kKernelsAmx{
    .name = "amx",
    .packing = ConvPacking::kQuads,
    .conv_matrix = conv_matrix,
};

}  // namespace pronghorn::device::cpu
