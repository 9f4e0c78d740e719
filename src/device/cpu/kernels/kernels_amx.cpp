// SPDX-License-Identifier: Apache-2.0
// Advanced Matrix Extensions: tdpbusd multiplies 16 pixels x 64 bytes by 64 bytes x 16 channels
// into 16 x 16 exact s32 sums, 16384 products in 16 cycles.
//
// A block is 32 positions x 32 channels: two accumulator tiles for the first 16 channels, then two
// for the others. Only four tile registers are ever written: beside a busy hyperthread there are
// few to rename to, and each one more costs time (docs/cpu_plans.md).
//
// Direct convolutions load the pixels' tiles from the activation itself, row by row a window
// further; the others are copied together first. Sums leave through a 4 KiB buffer in the first
// cache. While the tiles of one block are multiplied, the sums of the one before get their bias and
// are requantized between them, two positions of 32 channels at a time: the matrix unit and the
// vector units work side by side. Starting from 0 and adding the bias there is a tenth faster than
// loading it into the accumulators.
#include <immintrin.h>

#include <cstdint>

#include "device/cpu/kernels/kernel_table.h"

#ifdef PRONGHORN_EMULATE_TILES
#include "device/cpu/kernels/tile_emulation.h"
#endif

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kRows = 16;         // pixels of a tile
constexpr std::int64_t kTileBytes = 1024;  // 16 rows of 64 bytes
constexpr std::int64_t kBlock = 32;        // positions of a block, and channels
constexpr std::int64_t kBlockSums = 1024;  // [2 panels][32 positions][16 channels]
constexpr std::int32_t kUnits = 16;        // pairs of positions of a block

struct [[gnu::packed]] TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfig kConfig;

// Tile loads are not seen as reads of memory by the compiler: what they read must be written.
[[gnu::always_inline]] inline void written() { asm volatile("" ::: "memory"); }

// Copies 16 windows into tiles [k tile][16][64]. Rows past the last position repeat it.
void gather(const MatrixConv& conv, const MatrixPixels& px, std::int64_t first,
            std::uint8_t* tiles) {
  for (std::int64_t r = 0; r < kRows; ++r) {
    const std::int64_t i = first + r < px.count ? first + r : px.count - 1;
    const std::uint8_t* src = px.src + px.src_at[i];
    std::uint8_t* row = tiles + r * 64;
    for (std::int32_t p = 0; p < conv.pieces; ++p) {
      const MatrixPiece& piece = conv.piece[p];
      if (piece.mask == ~std::uint64_t{0}) {
        _mm512_storeu_si512(row + piece.dst, _mm512_loadu_si512(src + piece.src));
      } else {
        _mm512_mask_storeu_epi8(row + piece.dst, piece.mask,
                                _mm512_maskz_loadu_epi8(piece.mask, src + piece.src));
      }
    }
  }
}

struct Finish {
  __m512 lo, hi;  // of the float result, for the ones that may leave s32
  __m512i z;      // 16-bit
  __m512i byte_lo, byte_hi;
  __m512i order;
  __m512i z_res;
  __m512 m_res;
  bool small;
};

[[gnu::always_inline]] inline Finish finish_of(const MatrixPixels& px) {
  const Store& s = px.store;
  return {_mm512_set1_ps(static_cast<float>(s.lo - s.z)),
          _mm512_set1_ps(static_cast<float>(s.hi - s.z)),
          _mm512_set1_epi16(static_cast<short>(s.z)), _mm512_set1_epi8(static_cast<char>(s.lo)),
          _mm512_set1_epi8(static_cast<char>(s.hi)),
          // Packing works in quarters of a register; this puts the dwords of two pixels in order.
          _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
          _mm512_set1_epi32(px.z_res), _mm512_set1_ps(px.m_res), s.small};
}

// A block whose sums wait to leave: always 32 positions, some without a place to go.
struct Waiting {
  const std::int32_t* sums = nullptr;  // null: nothing waits
  const std::int32_t* dst_at = nullptr;
  const std::int32_t* res_at = nullptr;
  const std::int32_t* bias = nullptr;
  const float* m = nullptr;
  std::int64_t channel = 0;
  std::int64_t channels = 0;  // of the 32; fewer at the end of a convolution
};

// What the fast way out may leave undone: zero points of 0, all of u8 as the range, sums that fit.
bool is_plain(const MatrixPixels& px) {
  const Store& s = px.store;
  return s.small && s.z == 0 && s.lo == 0 && s.hi == 255 &&
         (px.result != ConvResult::kBytesResidual || px.z_res == 0);
}

// 16 channels of a position; `res` are its bytes of the residual, unused without one.
template <ConvResult kMode, bool kPlain>
[[gnu::always_inline]] inline __m512 scaled(const std::int32_t* sums, __m512i bias, __m512 m,
                                            __m128i res, const Finish& f) {
  const __m512 r = _mm512_cvtepi32_ps(_mm512_add_epi32(bias, _mm512_load_si512(sums)));
  if constexpr (kMode == ConvResult::kBytesResidual) {
    __m512i q = _mm512_cvtepu8_epi32(res);
    if constexpr (!kPlain) q = _mm512_sub_epi32(q, f.z_res);
    return _mm512_fmadd_ps(r, m, _mm512_mul_ps(_mm512_cvtepi32_ps(q), f.m_res));
  } else {
    return _mm512_mul_ps(r, m);
  }
}

// The way out of a block with all 32 channels, in registers.
struct Leaving {
  const std::int32_t* sums;
  const std::int32_t* dst_at;
  const std::int32_t* res_at;
  std::uint8_t* dst;
  const std::uint8_t* res;
  __m512i bias0, bias1;
  __m512 m0, m1;
};

// 32 channels of a position in 16 bits, in quarters of a register. Saturating to 16 bits and later
// to 8 changes nothing: every bound that may be asked for lies within these.
template <ConvResult kMode, bool kPlain>
[[gnu::always_inline]] inline __m512i words_of(const Leaving& l, std::int64_t position,
                                               const std::uint8_t* res, const Finish& f) {
  const std::int32_t* sums = l.sums + position * 16;
  __m128i res0 = _mm_setzero_si128();
  __m128i res1 = res0;
  if constexpr (kMode == ConvResult::kBytesResidual) {
    res0 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(res));
    res1 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(res + 16));
  }
  __m512 r0 = scaled<kMode, kPlain>(sums, l.bias0, l.m0, res0, f);
  __m512 r1 = scaled<kMode, kPlain>(sums + kBlockSums / 2, l.bias1, l.m1, res1, f);
  if constexpr (!kPlain) {
    if (!f.small) {
      r0 = _mm512_min_ps(_mm512_max_ps(r0, f.lo), f.hi);
      r1 = _mm512_min_ps(_mm512_max_ps(r1, f.lo), f.hi);
    }
  }
  const __m512i words = _mm512_packs_epi32(_mm512_cvtps_epi32(r0), _mm512_cvtps_epi32(r1));
  if constexpr (kPlain) return words;
  return _mm512_adds_epi16(words, f.z);
}

[[gnu::always_inline]] inline Leaving leaving_of(const Waiting& w, const MatrixPixels& px) {
  return {w.sums,
          w.dst_at,
          w.res_at,
          px.dst + w.channel,
          px.res + w.channel,
          _mm512_loadu_si512(w.bias),
          _mm512_loadu_si512(w.bias + 16),
          _mm512_loadu_ps(w.m),
          _mm512_loadu_ps(w.m + 16)};
}

// The next two positions.
template <ConvResult kMode, bool kPlain>
[[gnu::always_inline]] inline void leave_two(Leaving& l, const Finish& f) {
  const std::uint8_t* res[2] = {nullptr, nullptr};
  if constexpr (kMode == ConvResult::kBytesResidual) {
    res[0] = l.res + l.res_at[0];
    res[1] = l.res + l.res_at[1];
    l.res_at += 2;
  }
  __m512i bytes = _mm512_packus_epi16(words_of<kMode, kPlain>(l, 0, res[0], f),
                                      words_of<kMode, kPlain>(l, 1, res[1], f));
  if constexpr (!kPlain) bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, f.byte_lo), f.byte_hi);
  bytes = _mm512_permutexvar_epi32(f.order, bytes);
  const std::int64_t at0 = l.dst_at[0];
  const std::int64_t at1 = l.dst_at[1];
  if (at0 >= 0) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(l.dst + at0), _mm512_castsi512_si256(bytes));
  }
  if (at1 >= 0) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(l.dst + at1),
                        _mm512_extracti64x4_epi64(bytes, 1));
  }
  l.sums += 32;
  l.dst_at += 2;
}

// The last channels of a convolution, and float results: 16 channels of a position at a time.
template <ConvResult kMode>
[[gnu::noinline]] void leave_few(const Waiting& w, const MatrixPixels& px, const Finish& f) {
  constexpr std::int64_t kBytes = kMode == ConvResult::kFloat ? 4 : 1;
  for (std::int64_t i = 0; i < kBlock; ++i) {
    if (w.dst_at[i] < 0) continue;
    for (std::int64_t c = 0; c < w.channels; c += 16) {
      const std::int64_t valid = w.channels - c;
      const auto mask = static_cast<__mmask16>(valid >= 16 ? 0xffff : (1u << valid) - 1);
      const std::int32_t* s = w.sums + c / 16 * (kBlockSums / 2) + i * 16;
      __m128i res = _mm_setzero_si128();
      if constexpr (kMode == ConvResult::kBytesResidual) {
        res = _mm_maskz_loadu_epi8(mask, px.res + w.res_at[i] + w.channel + c);
      }
      std::uint8_t* dst = px.dst + w.dst_at[i] + (w.channel + c) * kBytes;
      __m512 r =
          scaled<kMode, false>(s, _mm512_loadu_si512(w.bias + c), _mm512_loadu_ps(w.m + c), res, f);
      if constexpr (kMode == ConvResult::kFloat) {
        _mm512_mask_storeu_ps(dst, mask, r);
      } else {
        r = f.small ? r : _mm512_min_ps(_mm512_max_ps(r, f.lo), f.hi);
        __m512i v = _mm512_add_epi32(_mm512_cvtps_epi32(r), _mm512_set1_epi32(px.store.z));
        v = _mm512_min_epi32(_mm512_max_epi32(v, _mm512_set1_epi32(px.store.lo)),
                             _mm512_set1_epi32(px.store.hi));
        _mm512_mask_cvtepi32_storeu_epi8(dst, mask, v);
      }
    }
  }
}

// What a block multiplies: tile rows from `a` (the second 16 positions `a_next` further), `stride`
// apart.
struct Block {
  const std::uint8_t* a;
  std::int64_t a_next;
  std::int64_t stride;
  const std::int8_t* b;  // of the first panel
  std::int64_t b_panel;  // to the second panel of a k tile
  std::int64_t b_step;   // to the next k tile
  std::int32_t* sums;
};

// Weights of the next pair of panels, asked for while this one is in use: `burst` lines for each k
// tile when a panel starts, then `step` bytes on with each k tile (0: nothing is asked for).
struct Ahead {
  const std::int8_t* at;
  std::int64_t burst = 0;
  std::int64_t step = 0;
};

[[gnu::always_inline]] inline void ask_for(const std::int8_t* at) {
  _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T1);
}

// One k tile of a panel: products of 16 or 32 positions.
template <int kGroups>
[[gnu::always_inline]] inline void add_products(const std::uint8_t* a, std::int64_t a_next,
                                                std::int64_t stride, const std::int8_t* b) {
  _tile_loadd(3, b, 64);
  _tile_loadd(2, a, stride);
  _tile_dpbusd(0, 2, 3);
  if constexpr (kGroups == 2) {
    _tile_loadd(2, a + a_next, stride);
    _tile_dpbusd(1, 2, 3);
  }
}

// All panels (1 or 2) of a block; kEach pairs of positions of the block before leave after each k
// tile, until all have left.
template <ConvResult kMode, bool kPlain, int kGroups, int kEach>
[[gnu::noinline]] void multiply(const MatrixConv& conv, const Block& block, std::int32_t panels,
                                const Waiting& waiting, Ahead& ahead, const MatrixPixels& px,
                                const Finish& finish) {
  const Finish f = finish;
  Leaving leaving{};
  std::int32_t left = 0;  // times that kEach pairs leave
  if constexpr (kEach > 0) {
    leaving = leaving_of(waiting, px);
    left = kUnits / kEach;
  }
  const std::int64_t a_next = block.a_next;
  const std::int64_t stride = block.stride;
  const std::int64_t b_step = block.b_step;
  const std::int32_t k_tiles = conv.k_tiles;
  const std::int8_t* next = ahead.at;
  for (std::int32_t panel = 0; panel < panels; ++panel) {
    _tile_zero(0);
    if constexpr (kGroups == 2) _tile_zero(1);
    const std::uint8_t* a = block.a;
    const std::int8_t* b = block.b + panel * block.b_panel;
    const std::int32_t* tap = conv.tap;
    const std::int32_t* end = tap + k_tiles;
    for (std::int64_t l = 0; l < ahead.burst * k_tiles; ++l, next += 64) ask_for(next);
    if constexpr (kEach > 0) {
      const std::int32_t with = left < k_tiles ? left : k_tiles;
      left -= with;
      for (const std::int32_t* to = tap + with; tap != to; ++tap, b += b_step) {
        add_products<kGroups>(a + *tap, a_next, stride, b);
        ask_for(next);
        next += ahead.step;
#pragma GCC unroll 8
        for (int i = 0; i < kEach; ++i) leave_two<kMode, kPlain>(leaving, f);
      }
    }
    for (; tap != end; ++tap, b += b_step) {
      add_products<kGroups>(a + *tap, a_next, stride, b);
      ask_for(next);
      next += ahead.step;
    }
    std::int32_t* sums = block.sums + panel * (kBlockSums / 2);
    _tile_stored(0, sums, 64);
    if constexpr (kGroups == 2) _tile_stored(1, sums + kBlockSums / 4, 64);
  }
  ahead.at = next;
  if constexpr (kEach > 0) {
    for (std::int32_t i = 0; i < left * kEach; ++i) leave_two<kMode, kPlain>(leaving, f);
  }
}

template <ConvResult kMode, bool kPlain, int kGroups>
void multiply_and_leave(const MatrixConv& conv, const Block& block, std::int32_t panels,
                        const Waiting& waiting, Ahead& ahead, const MatrixPixels& px,
                        const Finish& f) {
  if (waiting.sums == nullptr || kMode == ConvResult::kFloat || waiting.channels < kBlock) {
    if (waiting.sums != nullptr) leave_few<kMode>(waiting, px, f);
    return multiply<kMode, kPlain, kGroups, 0>(conv, block, panels, waiting, ahead, px, f);
  }
  if constexpr (kMode != ConvResult::kFloat) {
    const std::int32_t steps = panels * conv.k_tiles;
    if (steps >= kUnits) {
      multiply<kMode, kPlain, kGroups, 1>(conv, block, panels, waiting, ahead, px, f);
    } else if (steps >= kUnits / 2) {
      multiply<kMode, kPlain, kGroups, 2>(conv, block, panels, waiting, ahead, px, f);
    } else if (steps >= kUnits / 4) {
      multiply<kMode, kPlain, kGroups, 4>(conv, block, panels, waiting, ahead, px, f);
    } else {
      multiply<kMode, kPlain, kGroups, 8>(conv, block, panels, waiting, ahead, px, f);
    }
  }
}

template <ConvResult kMode, bool kPlain>
void run(const MatrixConv& conv, std::int32_t first_panel, std::int32_t last_panel,
         const MatrixPixels& px, std::uint8_t* tiles) {
  alignas(64) std::int32_t sums[2][kBlockSums] = {};
  std::int32_t ends[2][2][kBlock];  // dst_at and res_at of blocks that end early
  const Finish f = finish_of(px);
  const std::int64_t gathered = conv.k_tiles * kTileBytes;  // bytes of 16 windows
  Waiting waiting;
  Ahead ahead{conv.weights};
  int turn = 0;
  for (std::int64_t from = 0; from < px.count; from += px.block) {
    const std::int64_t to = from + px.block < px.count ? from + px.block : px.count;
    if (!conv.direct) {
      for (std::int64_t i = from; i < to; i += kRows) {
        gather(conv, px, i, tiles + (i - from) / kRows * gathered);
      }
      written();
    }
    for (std::int64_t p = first_panel; p < last_panel; p += 2) {
      const std::int32_t panels = last_panel - p > 1 ? 2 : 1;
      const std::int8_t* b = conv.weights + p * gathered;
      if (conv.distant) {
        const std::int64_t steps = (to - from + kBlock - 1) / kBlock * panels * conv.k_tiles;
        ahead = {b};
        if (p + 2 < last_panel) {
          ahead.at += panels * gathered;
          ahead.burst = (gathered / 32 + steps - 1) / steps - 1;
          ahead.step = 64;
        }
      }
      for (std::int64_t i = from; i < to; i += kBlock, turn ^= 1) {
        const Block block{
            .a = conv.direct ? px.src + i * px.step : tiles + (i - from) / kRows * gathered,
            .a_next = conv.direct ? kRows * px.step : gathered,
            .stride = conv.direct ? px.step : 64,
            .b = b,
            .b_panel = kTileBytes,
            .b_step = panels * kTileBytes,
            .sums = sums[turn]};
        if (to - i > kRows) {
          multiply_and_leave<kMode, kPlain, 2>(conv, block, panels, waiting, ahead, px, f);
        } else {
          multiply_and_leave<kMode, kPlain, 1>(conv, block, panels, waiting, ahead, px, f);
        }
        const std::int64_t channels = conv.channels - p * 16;
        const std::int64_t most = panels * 16;
        waiting = {block.sums,
                   px.dst_at + i,
                   px.res_at + i,
                   conv.bias + p * 16,
                   conv.m + p * 16,
                   p * 16,
                   channels < most ? channels : most};
        if (to - i < kBlock) {
          for (std::int64_t j = 0; j < kBlock; ++j) {
            const bool valid = j < to - i;
            ends[turn][0][j] = valid ? waiting.dst_at[j] : -1;
            if constexpr (kMode == ConvResult::kBytesResidual) {
              ends[turn][1][j] = waiting.res_at[valid ? j : 0];
            }
          }
          waiting.dst_at = ends[turn][0];
          waiting.res_at = ends[turn][1];
        }
      }
    }
  }
  if (waiting.sums == nullptr) return;
  if (kMode == ConvResult::kFloat || waiting.channels < kBlock) {
    leave_few<kMode>(waiting, px, f);
  } else if constexpr (kMode != ConvResult::kFloat) {
    Leaving leaving = leaving_of(waiting, px);
    for (std::int32_t i = 0; i < kUnits; ++i) leave_two<kMode, kPlain>(leaving, f);
  }
}

template <ConvResult kMode>
void run(const MatrixConv& conv, std::int32_t first, std::int32_t last, const MatrixPixels& px,
         std::uint8_t* tiles) {
  if (is_plain(px)) {
    run<kMode, true>(conv, first, last, px, tiles);
  } else {
    run<kMode, false>(conv, first, last, px, tiles);
  }
}

void conv_matrix(const MatrixConv* conv, std::int32_t first, std::int32_t last,
                 const MatrixPixels* px, std::uint8_t* tiles) {
  _tile_loadconfig(&kConfig);
  switch (px->result) {
    case ConvResult::kBytes:
      run<ConvResult::kBytes>(*conv, first, last, *px, tiles);
      break;
    case ConvResult::kBytesResidual:
      run<ConvResult::kBytesResidual>(*conv, first, last, *px, tiles);
      break;
    case ConvResult::kFloat:
      run<ConvResult::kFloat, false>(*conv, first, last, *px, tiles);
      break;
  }
  _tile_release();
}

// Four accumulator tiles: nothing but products.
std::int64_t peak(std::int64_t rounds) {
  _tile_loadconfig(&kConfig);
  alignas(64) std::uint8_t bytes[kTileBytes];
  for (std::int64_t i = 0; i < kTileBytes; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37);
  written();
  _tile_loadd(4, bytes, 64);
  _tile_loadd(5, bytes, 64);
  _tile_loadd(6, bytes, 64);
  _tile_loadd(7, bytes, 64);
  for (std::int64_t i = 0; i < rounds * kPeakSteps / 4; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
  return rounds * kPeakSteps * kRows * kRows * 64;
}

}  // namespace

// Convolutions with groups and everything else are left to the next sets of the table.
extern constexpr KernelSet kKernelsAmx{
    .name = "amx",
    .packing = ConvPacking::kQuads,
    .conv_matrix = conv_matrix,
    .peak = peak,
};

}  // namespace pronghorn::device::cpu
