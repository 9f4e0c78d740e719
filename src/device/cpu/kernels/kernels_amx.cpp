// SPDX-License-Identifier: Apache-2.0
// Advanced Matrix Extensions: tdpbusd multiplies 16 pixels x 64 bytes by 64 bytes x 16 channels
// into 16 x 16 exact s32 sums, 16384 products in 16 cycles.
//
// A block is 32 positions x 32 channels, or 64 where there is little to add up and the way out is
// what costs: two accumulator tiles for the first 16 channels, then two for the next. Only four
// tile registers are ever written: beside a busy hyperthread there are few to rename to, and each
// one more costs time (docs/cpu_plans.md).
//
// Direct convolutions load the pixels' tiles from the activation itself, row by row a window
// further; the others are copied together first. Sums leave through a buffer of 4 or 8 KiB in the
// first cache. While the tiles of one block are multiplied, the sums of the one before get their
// bias and are requantized between them, 64 results at a time: the matrix unit and the vector units
// work side by side. Starting from 0 and adding the bias there is a tenth faster than loading it
// into the accumulators.
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
constexpr std::int64_t kBlock = 32;        // positions of a block
constexpr std::int64_t kPanelSums = 512;   // [32 positions][16 channels] of a block

// Of 64 results: two positions where blocks are two panels wide, one where they are four.
template <int kWidth>
constexpr std::int32_t kUnits = 8 * kWidth;

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
  __m512i spread[4];  // blocks of four panels: from 64 bytes of a residual to the dwords of each
  __m512i z_res;
  __m512 m_res;
  bool small;
};

// Bytes first to first + 3 of each quarter, widened to 32 bits.
[[gnu::always_inline]] inline __m512i spread(std::int32_t first) {
  const std::int32_t zeros = static_cast<std::int32_t>(0x80808000);
  return _mm512_broadcast_i32x4(
      _mm_setr_epi32(zeros + first, zeros + first + 1, zeros + first + 2, zeros + first + 3));
}

[[gnu::always_inline]] inline Finish finish_of(const MatrixPixels& px) {
  const Store& s = px.store;
  return {_mm512_set1_ps(static_cast<float>(s.lo - s.z)),
          _mm512_set1_ps(static_cast<float>(s.hi - s.z)),
          _mm512_set1_epi16(static_cast<short>(s.z)),
          _mm512_set1_epi8(static_cast<char>(s.lo)),
          _mm512_set1_epi8(static_cast<char>(s.hi)),
          // Packing works in quarters of a register; this puts the dwords of two pixels in order.
          _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
          {spread(0), spread(4), spread(8), spread(12)},
          _mm512_set1_epi32(px.z_res),
          _mm512_set1_ps(px.m_res),
          s.small};
}

// A block whose sums wait to leave: always 32 positions, some without a place to go.
struct Waiting {
  const std::int32_t* sums = nullptr;  // null: nothing waits
  const std::int32_t* dst_at = nullptr;
  const std::int32_t* res_at = nullptr;
  const std::int32_t* bias = nullptr;
  const float* m = nullptr;
  std::int64_t channel = 0;
  std::int64_t channels = 0;  // of the block; fewer at the end of a convolution
};

// What the fast way out may leave undone: zero points of 0, all of u8 as the range, sums that fit.
bool is_plain(const MatrixConv& conv, const MatrixPixels& px) {
  const Store& s = px.store;
  return s.small && s.z == 0 && s.lo == 0 && s.hi == 255 &&
         (px.result == ConvResult::kBytesResidual ? px.z_res == 0 : conv.shifted);
}

// Sums become floats and are scaled by one multiplication and addition, see MatrixConv::shifted.
template <ConvResult kMode, bool kPlain>
constexpr bool kShifted = kPlain && kMode == ConvResult::kBytes;

// 16 channels of a position; `q` are its residuals, unused without one.
template <ConvResult kMode, bool kPlain>
[[gnu::always_inline]] inline __m512 scaled(const std::int32_t* sums, __m512i bias, __m512 m,
                                            __m512i q, const Finish& f) {
  const __m512 r = _mm512_cvtepi32_ps(_mm512_add_epi32(bias, _mm512_load_si512(sums)));
  if constexpr (kMode == ConvResult::kBytesResidual) {
    if constexpr (!kPlain) q = _mm512_sub_epi32(q, f.z_res);
    return _mm512_fmadd_ps(r, m, _mm512_mul_ps(_mm512_cvtepi32_ps(q), f.m_res));
  } else {
    return _mm512_mul_ps(r, m);
  }
}

[[gnu::always_inline]] inline __m512 shifted(const std::int32_t* sums, __m512i bias, __m512 m,
                                             __m512 less) {
  return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_add_epi32(bias, _mm512_load_si512(sums))), m,
                         less);
}

// The way out of a block with all its channels, in registers.
template <int kWidth>
struct Leaving {
  const std::int32_t* sums;
  const std::int32_t* dst_at;
  const std::int32_t* res_at;
  std::uint8_t* dst;
  const std::uint8_t* res;
  __m512i bias[kWidth];  // 2^23 as a float added to its bits where sums are shifted
  __m512 m[kWidth];
  __m512 less[kWidth];  // -2^23 * m
};

template <ConvResult kMode, bool kPlain, int kWidth>
[[gnu::always_inline]] inline Leaving<kWidth> leaving_of(const Waiting& w, const MatrixPixels& px) {
  Leaving<kWidth> l;
  l.sums = w.sums;
  l.dst_at = w.dst_at;
  l.res_at = w.res_at;
  l.dst = px.dst + w.channel;
  l.res = px.res + w.channel;
  for (int p = 0; p < kWidth; ++p) {
    l.bias[p] = _mm512_loadu_si512(w.bias + 16 * p);
    l.m[p] = _mm512_loadu_ps(w.m + 16 * p);
    if constexpr (kShifted<kMode, kPlain>) {
      l.bias[p] = _mm512_add_epi32(l.bias[p], _mm512_castps_si512(_mm512_set1_ps(8388608.0f)));
      l.less[p] = _mm512_mul_ps(l.m[p], _mm512_set1_ps(-8388608.0f));
    }
  }
  return l;
}

// Panel `panel` of a position, as s32.
template <ConvResult kMode, bool kPlain, int kWidth>
[[gnu::always_inline]] inline __m512i rounded(const Leaving<kWidth>& l, std::int64_t position,
                                              int panel, __m512i res, const Finish& f) {
  const std::int32_t* sums = l.sums + panel * kPanelSums + position * 16;
  if constexpr (kShifted<kMode, kPlain>) {
    return _mm512_cvtps_epi32(shifted(sums, l.bias[panel], l.m[panel], l.less[panel]));
  }
  __m512 r = scaled<kMode, kPlain>(sums, l.bias[panel], l.m[panel], res, f);
  if constexpr (!kPlain) {
    if (!f.small) r = _mm512_min_ps(_mm512_max_ps(r, f.lo), f.hi);
  }
  return _mm512_cvtps_epi32(r);
}

// Two panels of a position in 16 bits, in quarters of a register. Saturating to 16 bits and later
// to 8 changes nothing: every bound that may be asked for lies within these.
template <bool kPlain>
[[gnu::always_inline]] inline __m512i words_of(__m512i a, __m512i b, const Finish& f) {
  const __m512i words = _mm512_packs_epi32(a, b);
  if constexpr (kPlain) return words;
  return _mm512_adds_epi16(words, f.z);
}

template <bool kPlain>
[[gnu::always_inline]] inline __m512i bytes_of(__m512i a, __m512i b, const Finish& f) {
  const __m512i bytes = _mm512_packus_epi16(a, b);
  if constexpr (kPlain) return bytes;
  return _mm512_min_epu8(_mm512_max_epu8(bytes, f.byte_lo), f.byte_hi);
}

[[gnu::always_inline]] inline __m512i widened(const std::uint8_t* res) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(res)));
}

// The next two positions of 32 channels.
template <ConvResult kMode, bool kPlain>
[[gnu::always_inline]] inline void leave(Leaving<2>& l, const Finish& f) {
  __m512i words[2];
  for (int i = 0; i < 2; ++i) {
    __m512i res[2] = {};
    if constexpr (kMode == ConvResult::kBytesResidual) {
      res[0] = widened(l.res + l.res_at[i]);
      res[1] = widened(l.res + l.res_at[i] + 16);
    }
    words[i] = words_of<kPlain>(rounded<kMode, kPlain>(l, i, 0, res[0], f),
                                rounded<kMode, kPlain>(l, i, 1, res[1], f), f);
  }
  const __m512i bytes = _mm512_permutexvar_epi32(f.order, bytes_of<kPlain>(words[0], words[1], f));
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
  if constexpr (kMode == ConvResult::kBytesResidual) l.res_at += 2;
}

// The next position of 64 channels, whose columns stand so that packing puts them in order.
template <ConvResult kMode, bool kPlain>
[[gnu::always_inline]] inline void leave(Leaving<4>& l, const Finish& f) {
  __m512i res[4] = {};
  if constexpr (kMode == ConvResult::kBytesResidual) {
    const __m512i bytes = _mm512_loadu_si512(l.res + *l.res_at++);
    for (int p = 0; p < 4; ++p) res[p] = _mm512_shuffle_epi8(bytes, f.spread[p]);
  }
  const __m512i lower = words_of<kPlain>(rounded<kMode, kPlain>(l, 0, 0, res[0], f),
                                         rounded<kMode, kPlain>(l, 0, 1, res[1], f), f);
  const __m512i upper = words_of<kPlain>(rounded<kMode, kPlain>(l, 0, 2, res[2], f),
                                         rounded<kMode, kPlain>(l, 0, 3, res[3], f), f);
  const std::int64_t at = *l.dst_at++;
  if (at >= 0) _mm512_storeu_si512(l.dst + at, bytes_of<kPlain>(lower, upper, f));
  l.sums += 16;
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
      const std::int32_t* s = w.sums + c / 16 * kPanelSums + i * 16;
      __m128i res = _mm_setzero_si128();
      if constexpr (kMode == ConvResult::kBytesResidual) {
        res = _mm_maskz_loadu_epi8(mask, px.res + w.res_at[i] + w.channel + c);
      }
      std::uint8_t* dst = px.dst + w.dst_at[i] + (w.channel + c) * kBytes;
      __m512 r = scaled<kMode, false>(s, _mm512_loadu_si512(w.bias + c), _mm512_loadu_ps(w.m + c),
                                      _mm512_cvtepu8_epi32(res), f);
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

// Direct windows of 32 positions: the first one, and how much further the second 16 are.
struct Windows {
  const std::uint8_t* first;
  std::int64_t next;
};

Windows windows_at(const MatrixPixels& px, std::int64_t i) {
  if (px.tile_at == nullptr) return {px.src + i * px.step, kRows * px.step};
  const std::int32_t* at = px.tile_at + i / kRows;
  return {px.src + at[0], px.count - i > kRows ? at[1] - at[0] : 0};
}

// Weights of the next panels, asked for while these are in use: `burst` lines for each k
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
  _tile_stream_loadd(3, b, 64);
  _tile_loadd(2, a, stride);
  _tile_dpbusd(0, 2, 3);
  if constexpr (kGroups == 2) {
    _tile_loadd(2, a + a_next, stride);
    _tile_dpbusd(1, 2, 3);
  }
}

// All panels of a block; kEach units of the block before leave after each k tile, until all have
// left.
template <ConvResult kMode, bool kPlain, int kWidth, int kGroups, int kEach>
[[gnu::noinline]] void multiply(const MatrixConv& conv, const Block& block, std::int32_t panels,
                                const Waiting& waiting, Ahead& ahead, const MatrixPixels& px,
                                const Finish& finish) {
  const Finish f = finish;
  Leaving<kWidth> leaving;
  std::int32_t left = 0;  // times that kEach units leave
  if constexpr (kEach > 0) {
    leaving = leaving_of<kMode, kPlain, kWidth>(waiting, px);
    left = kUnits<kWidth> / kEach;
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
        for (int i = 0; i < kEach; ++i) leave<kMode, kPlain>(leaving, f);
      }
    }
    for (; tap != end; ++tap, b += b_step) {
      add_products<kGroups>(a + *tap, a_next, stride, b);
      ask_for(next);
      next += ahead.step;
    }
    std::int32_t* sums = block.sums + panel * kPanelSums;
    _tile_stored(0, sums, 64);
    if constexpr (kGroups == 2) _tile_stored(1, sums + kPanelSums / 2, 64);
  }
  ahead.at = next;
  if constexpr (kEach > 0) {
    for (std::int32_t i = 0; i < left * kEach; ++i) leave<kMode, kPlain>(leaving, f);
  }
}

template <ConvResult kMode, bool kPlain, int kWidth, int kGroups>
void multiply_and_leave(const MatrixConv& conv, const Block& block, std::int32_t panels,
                        const Waiting& waiting, Ahead& ahead, const MatrixPixels& px,
                        const Finish& f) {
  if (waiting.sums == nullptr || kMode == ConvResult::kFloat || waiting.channels < 16 * kWidth) {
    if (waiting.sums != nullptr) leave_few<kMode>(waiting, px, f);
    return multiply<kMode, kPlain, kWidth, kGroups, 0>(conv, block, panels, waiting, ahead, px, f);
  }
  if constexpr (kMode != ConvResult::kFloat) {
    constexpr std::int32_t kAll = kUnits<kWidth>;
    const std::int32_t steps = panels * conv.k_tiles;
    if (steps >= kAll) {
      multiply<kMode, kPlain, kWidth, kGroups, 1>(conv, block, panels, waiting, ahead, px, f);
    } else if (steps >= kAll / 2) {
      multiply<kMode, kPlain, kWidth, kGroups, 2>(conv, block, panels, waiting, ahead, px, f);
    } else if (steps >= kAll / 4) {
      multiply<kMode, kPlain, kWidth, kGroups, 4>(conv, block, panels, waiting, ahead, px, f);
    } else {
      multiply<kMode, kPlain, kWidth, kGroups, 8>(conv, block, panels, waiting, ahead, px, f);
    }
  }
}

template <ConvResult kMode, bool kPlain, int kWidth>
void run(const MatrixConv& conv, std::int32_t first_panel, std::int32_t last_panel,
         const MatrixPixels& px, std::uint8_t* tiles) {
  alignas(64) std::int32_t sums[2][kWidth * kPanelSums] = {};
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
    for (std::int64_t p = first_panel; p < last_panel; p += kWidth) {
      const auto panels =
          static_cast<std::int32_t>(last_panel - p < kWidth ? last_panel - p : kWidth);
      const std::int8_t* b = conv.weights + p * gathered;
      if (conv.distant) {
        const std::int64_t steps = (to - from + kBlock - 1) / kBlock * panels * conv.k_tiles;
        ahead = {b};
        if (p + kWidth < last_panel) {
          ahead.at += panels * gathered;
          ahead.burst = (panels * gathered / 64 + steps - 1) / steps - 1;
          ahead.step = 64;
        }
      }
      for (std::int64_t i = from; i < to; i += kBlock, turn ^= 1) {
        const Windows windows = conv.direct
                                    ? windows_at(px, i)
                                    : Windows{tiles + (i - from) / kRows * gathered, gathered};
        const Block block{.a = windows.first,
                          .a_next = windows.next,
                          .stride = conv.direct ? px.step : 64,
                          .b = b,
                          .b_panel = kTileBytes,
                          .b_step = panels * kTileBytes,
                          .sums = sums[turn]};
        if (to - i > kRows) {
          multiply_and_leave<kMode, kPlain, kWidth, 2>(conv, block, panels, waiting, ahead, px, f);
        } else {
          multiply_and_leave<kMode, kPlain, kWidth, 1>(conv, block, panels, waiting, ahead, px, f);
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
  if (kMode == ConvResult::kFloat || waiting.channels < 16 * kWidth) {
    leave_few<kMode>(waiting, px, f);
  } else if constexpr (kMode != ConvResult::kFloat) {
    Leaving<kWidth> leaving = leaving_of<kMode, kPlain, kWidth>(waiting, px);
    for (std::int32_t i = 0; i < kUnits<kWidth>; ++i) leave<kMode, kPlain>(leaving, f);
  }
}

template <ConvResult kMode>
void run(const MatrixConv& conv, std::int32_t first, std::int32_t last, const MatrixPixels& px,
         std::uint8_t* tiles) {
  const bool plain = is_plain(conv, px);
  if (conv.width == 4) {
    plain ? run<kMode, true, 4>(conv, first, last, px, tiles)
          : run<kMode, false, 4>(conv, first, last, px, tiles);
  } else {
    plain ? run<kMode, true, 2>(conv, first, last, px, tiles)
          : run<kMode, false, 2>(conv, first, last, px, tiles);
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
      run<ConvResult::kFloat, false, 2>(*conv, first, last, *px, tiles);
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
