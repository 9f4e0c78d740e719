// SPDX-License-Identifier: Apache-2.0
// Advanced Matrix Extensions: tdpbusd multiplies 16 pixels x 64 bytes by 64 bytes x 16 channels
// into 16 x 16 exact s32 sums, 16384 products in 16 cycles.
//
// A block is 32 positions x 32 channels in four accumulator tiles. Its k tiles pass in short runs,
// first for the upper 16 positions, then for the lower ones, so that both read the same weights
// from the first cache. Two accumulators at a time are as fast as four when the core is ours
// alone; beside a busy hyperthread, which leaves few tile registers to rename to, one and a half
// times as fast (docs/cpu_plans.md).
//
// Direct convolutions load the pixels' tiles from the activation itself, row by row a window
// further; the others are copied together first. The sums start from the bias (a tile load of
// stride 0) and leave through a 4 KiB buffer in the first cache. While the tiles of one block are
// multiplied, the sums of the one before are requantized between them, two pixels of 32 channels at
// a time: the matrix unit and the vector units work side by side.
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
constexpr std::int32_t kRun = 8;           // k tiles: 16 KiB of weights
constexpr std::int64_t kBlockSums = 1024;  // [2 groups][2 panels][16 positions][16 channels]

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
  bool small, shift, clamp;
};

[[gnu::always_inline]] inline Finish finish_of(const MatrixPixels& px) {
  const Store& s = px.store;
  return {_mm512_set1_ps(static_cast<float>(s.lo - s.z)),
          _mm512_set1_ps(static_cast<float>(s.hi - s.z)),
          _mm512_set1_epi16(static_cast<short>(s.z)), _mm512_set1_epi8(static_cast<char>(s.lo)),
          _mm512_set1_epi8(static_cast<char>(s.hi)),
          // Packing works in quarters of a register; this puts the dwords of two pixels in order.
          _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
          _mm512_set1_epi32(px.z_res), _mm512_set1_ps(px.m_res), s.small, s.z != 0,
          s.lo != 0 || s.hi != 255};
}

// A block whose sums wait to leave.
struct Waiting {
  const std::int32_t* sums = nullptr;
  const std::int32_t* dst_at = nullptr;  // of its 32 positions
  const std::int32_t* res_at = nullptr;
  const float* m = nullptr;
  std::int64_t channel = 0;
  std::int64_t left = 0;  // pairs of positions
  std::int64_t next = 0;
  std::int64_t channels = 0;  // of the 32; fewer at the end of a convolution
};

// 16 channels of a position; `res` are its bytes of the residual, unused without one.
template <ConvResult kMode>
[[gnu::always_inline]] inline __m512 scaled(const std::int32_t* sums, __m512 m, __m128i res,
                                            const Finish& f) {
  const __m512 r = _mm512_cvtepi32_ps(_mm512_load_si512(sums));
  if constexpr (kMode == ConvResult::kBytesResidual) {
    const __m512i q = _mm512_cvtepu8_epi32(res);
    const __m512 second = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(q, f.z_res)), f.m_res);
    return _mm512_fmadd_ps(r, m, second);
  } else {
    return _mm512_mul_ps(r, m);
  }
}

// Rounded, saturated to 16 bits in pack() and to 8 in the end: every bound that may be asked for
// lies within these, so that saturating first changes nothing.
template <ConvResult kMode>
[[gnu::always_inline]] inline __m512i rounded(const std::int32_t* sums, __m512 m,
                                              const std::uint8_t* res, const Finish& f) {
  __m128i bytes = _mm_setzero_si128();
  if constexpr (kMode == ConvResult::kBytesResidual) {
    bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(res));
  }
  __m512 r = scaled<kMode>(sums, m, bytes, f);
  if (!f.small) r = _mm512_min_ps(_mm512_max_ps(r, f.lo), f.hi);
  return _mm512_cvtps_epi32(r);
}

[[gnu::always_inline]] inline __m512i pack(__m512i a, __m512i b, const Finish& f) {
  const __m512i words = _mm512_packs_epi32(a, b);
  return f.shift ? _mm512_adds_epi16(words, f.z) : words;
}

// Two positions of 32 channels.
template <ConvResult kMode>
[[gnu::always_inline]] inline void leave_two(Waiting& w, const MatrixPixels& px, const Finish& f,
                                             __m512 m0, __m512 m1) {
  const std::int64_t pair = w.next++;
  const std::int32_t* s = w.sums + (pair >> 3) * 512 + (pair & 7) * 32;
  const std::uint8_t* r0 = nullptr;
  const std::uint8_t* r1 = nullptr;
  if constexpr (kMode == ConvResult::kBytesResidual) {
    r0 = px.res + w.res_at[2 * pair] + w.channel;
    r1 = px.res + w.res_at[2 * pair + 1] + w.channel;
  }
  const __m512i words0 =
      pack(rounded<kMode>(s, m0, r0, f), rounded<kMode>(s + 256, m1, r0 + 16, f), f);
  const __m512i words1 =
      pack(rounded<kMode>(s + 16, m0, r1, f), rounded<kMode>(s + 272, m1, r1 + 16, f), f);
  __m512i bytes = _mm512_packus_epi16(words0, words1);
  if (f.clamp) bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, f.byte_lo), f.byte_hi);
  bytes = _mm512_permutexvar_epi32(f.order, bytes);
  const std::int32_t at0 = w.dst_at[2 * pair];
  const std::int32_t at1 = w.dst_at[2 * pair + 1];
  if (at0 >= 0) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(px.dst + at0 + w.channel),
                        _mm512_castsi512_si256(bytes));
  }
  if (at1 >= 0) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(px.dst + at1 + w.channel),
                        _mm512_extracti64x4_epi64(bytes, 1));
  }
}

// The last channels of a convolution, and float results: 16 channels of a position at a time.
template <ConvResult kMode>
void leave_few(Waiting& w, const MatrixPixels& px, const Finish& f) {
  constexpr std::int64_t kBytes = kMode == ConvResult::kFloat ? 4 : 1;
  const std::int64_t pair = w.next++;
  for (std::int64_t i = 2 * pair; i < 2 * pair + 2; ++i) {
    if (w.dst_at[i] < 0) continue;
    for (std::int64_t c = 0; c < w.channels; c += 16) {
      const std::int64_t valid = w.channels - c;
      const auto mask = static_cast<__mmask16>(valid >= 16 ? 0xffff : (1u << valid) - 1);
      const std::int32_t* s = w.sums + (i >> 4) * 512 + c * 16 + (i & 15) * 16;
      __m128i res = _mm_setzero_si128();
      if constexpr (kMode == ConvResult::kBytesResidual) {
        res = _mm_maskz_loadu_epi8(mask, px.res + w.res_at[i] + w.channel + c);
      }
      std::uint8_t* dst = px.dst + w.dst_at[i] + (w.channel + c) * kBytes;
      __m512 r = scaled<kMode>(s, _mm512_loadu_ps(w.m + c), res, f);
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

template <ConvResult kMode>
[[gnu::always_inline]] inline void leave(Waiting& w, std::int64_t pairs, const MatrixPixels& px,
                                         const Finish& f, __m512 m0, __m512 m1) {
  if (pairs > w.left) pairs = w.left;
  w.left -= pairs;
  if (kMode == ConvResult::kFloat || w.channels < kBlock) {
    for (; pairs > 0; --pairs) leave_few<kMode>(w, px, f);
  } else {
    for (; pairs > 0; --pairs) leave_two<kMode>(w, px, f, m0, m1);
  }
}

// What a block multiplies: tile rows from `a` (second group `a_next` further), `stride` apart.
struct Block {
  const std::uint8_t* a;
  std::int64_t a_next;
  std::int64_t stride;
  const std::int8_t* b;
  const std::int32_t* bias;
  std::int32_t* sums;
};

// Asks for weights of the next pair while this one is in use.
struct Ahead {
  const std::int8_t* at = nullptr;
  std::int64_t lines = 0;  // a k tile
};

// The compiler's own take numbers of tiles as text.
template <int kSums>
[[gnu::always_inline]] inline void add_products() {
  if constexpr (kSums == 0) _tile_dpbusd(0, 4, 6);
  if constexpr (kSums == 1) _tile_dpbusd(1, 4, 7);
  if constexpr (kSums == 2) _tile_dpbusd(2, 4, 6);
  if constexpr (kSums == 3) _tile_dpbusd(3, 4, 7);
}

// k tiles [from, to) of 16 positions into accumulators kSums and kSums + 1; `pairs` of what waits
// leave after each.
template <ConvResult kMode, int kSums, int kPanels>
[[gnu::always_inline]] inline void multiply_rows(const MatrixConv& conv, const Block& block,
                                                 std::int32_t from, std::int32_t to,
                                                 Waiting& waiting, std::int64_t pairs, Ahead& ahead,
                                                 const MatrixPixels& px, const Finish& f, __m512 m0,
                                                 __m512 m1) {
  const std::uint8_t* a = block.a + (kSums == 0 ? 0 : block.a_next);
  const std::int8_t* b = block.b + from * (kPanels * kTileBytes);
  for (std::int32_t k = from; k < to; ++k, b += kPanels * kTileBytes) {
    _tile_loadd(4, a + conv.tap[k], block.stride);
    _tile_loadd(6, b, 64);
    add_products<kSums>();
    if constexpr (kPanels == 2) {
      _tile_loadd(7, b + kTileBytes, 64);
      add_products<kSums + 1>();
    }
    for (std::int64_t l = 0; l < ahead.lines; ++l, ahead.at += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead.at), _MM_HINT_T1);
    }
    leave<kMode>(waiting, pairs, px, f, m0, m1);
  }
}

// kGroups x kPanels tiles of sums, 1 or 2 each.
template <ConvResult kMode, int kGroups, int kPanels>
void multiply(const MatrixConv& conv, const Block& block, Waiting& waiting, Ahead& ahead,
              const MatrixPixels& px, const Finish& finish) {
  const Finish f = finish;
  Waiting w = waiting;
  const __m512 m0 = _mm512_loadu_ps(w.m);
  const __m512 m1 = w.channels < kBlock ? m0 : _mm512_loadu_ps(w.m + 16);
  _tile_loadd(0, block.bias, 0);
  if constexpr (kPanels == 2) _tile_loadd(1, block.bias + 16, 0);
  if constexpr (kGroups == 2) _tile_loadd(2, block.bias, 0);
  if constexpr (kGroups == 2 && kPanels == 2) _tile_loadd(3, block.bias + 16, 0);
  const std::int64_t steps = kGroups * conv.k_tiles;
  const std::int64_t pairs = (w.left + steps - 1) / steps;
  for (std::int32_t k = 0; k < conv.k_tiles; k += kRun) {
    const std::int32_t to = k + kRun < conv.k_tiles ? k + kRun : conv.k_tiles;
    multiply_rows<kMode, 0, kPanels>(conv, block, k, to, w, pairs, ahead, px, f, m0, m1);
    if constexpr (kGroups == 2) {
      multiply_rows<kMode, 2, kPanels>(conv, block, k, to, w, pairs, ahead, px, f, m0, m1);
    }
  }
  leave<kMode>(w, w.left, px, f, m0, m1);
  _tile_stored(0, block.sums, 64);
  if constexpr (kPanels == 2) _tile_stored(1, block.sums + 256, 64);
  if constexpr (kGroups == 2) _tile_stored(2, block.sums + 512, 64);
  if constexpr (kGroups == 2 && kPanels == 2) _tile_stored(3, block.sums + 768, 64);
}

template <ConvResult kMode>
void run(const MatrixConv& conv, std::int32_t first_panel, std::int32_t last_panel,
         const MatrixPixels& px, std::uint8_t* tiles) {
  alignas(64) std::int32_t sums[2][kBlockSums];
  std::int32_t ends[2][2][kBlock];  // dst_at and res_at of blocks that end early
  const Finish f = finish_of(px);
  const std::int64_t gathered = conv.k_tiles * kTileBytes;  // bytes of 16 windows
  Waiting waiting;
  waiting.m = conv.m;
  Ahead ahead;
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
      const bool two_panels = last_panel - p > 1;
      const std::int8_t* b = conv.weights + p * gathered;
      if (conv.distant) {
        const std::int64_t steps = (to - from + kRows - 1) / kRows * conv.k_tiles;
        ahead.at = b + (two_panels ? 2 : 1) * gathered;
        ahead.lines = p + 2 < last_panel ? (gathered / 32 + steps - 1) / steps : 0;
      }
      for (std::int64_t i = from; i < to; i += kBlock, turn ^= 1) {
        const bool two_groups = to - i > kRows;
        Block block;
        block.a = conv.direct ? px.src + i * px.step : tiles + (i - from) / kRows * gathered;
        block.a_next = conv.direct ? kRows * px.step : gathered;
        block.stride = conv.direct ? px.step : 64;
        block.b = b;
        block.bias = conv.bias + p * 16;
        block.sums = sums[turn];
        if (two_groups && two_panels) {
          multiply<kMode, 2, 2>(conv, block, waiting, ahead, px, f);
        } else if (two_groups) {
          multiply<kMode, 2, 1>(conv, block, waiting, ahead, px, f);
        } else if (two_panels) {
          multiply<kMode, 1, 2>(conv, block, waiting, ahead, px, f);
        } else {
          multiply<kMode, 1, 1>(conv, block, waiting, ahead, px, f);
        }
        waiting.sums = block.sums;
        waiting.dst_at = px.dst_at + i;
        waiting.res_at = px.res_at + i;
        waiting.m = conv.m + p * 16;
        waiting.channel = p * 16;
        const std::int64_t channels = conv.channels - p * 16;
        const std::int64_t most = two_panels ? kBlock : 16;
        waiting.channels = channels < most ? channels : most;
        const std::int64_t positions = to - i < kBlock ? to - i : kBlock;
        waiting.left = (positions + 1) / 2;
        waiting.next = 0;
        if (positions % 2 != 0) {
          for (std::int64_t j = 0; j < positions; ++j) {
            ends[turn][0][j] = waiting.dst_at[j];
            ends[turn][1][j] = kMode == ConvResult::kBytesResidual ? waiting.res_at[j] : 0;
          }
          ends[turn][0][positions] = -1;
          ends[turn][1][positions] = ends[turn][1][0];
          waiting.dst_at = ends[turn][0];
          waiting.res_at = ends[turn][1];
        }
      }
    }
  }
  const __m512 m0 = _mm512_loadu_ps(waiting.m);
  const __m512 m1 = waiting.channels < kBlock ? m0 : _mm512_loadu_ps(waiting.m + 16);
  leave<kMode>(waiting, waiting.left, px, f, m0, m1);
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
      run<ConvResult::kFloat>(*conv, first, last, *px, tiles);
      break;
  }
  _tile_release();
}

// Four accumulator tiles, as in multiply().
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
