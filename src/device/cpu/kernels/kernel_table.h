// SPDX-License-Identifier: Apache-2.0
// The integer kernels of the CPU device: plain functions over plain structs, one KernelSet an
// instruction set, one table of all sets in order of preference. docs/add_a_kernel.md is the
// recipe.
//
// Files with an instruction-set suffix include intrinsics, <cstdint> and this header, nothing else,
// so nothing here may be a function: a copy compiled with their flags could be linked into others.
//
// Stored activations are u8 everywhere inside the device: an s8 tensor is held as value + 128 and
// its zero point moves along, which changes no result and halves the number of kernels.
#pragma once

#include <cstdint>

namespace pronghorn::device::cpu {

enum : std::int32_t {
  kPanel = 16,      // output channels that one kernel call makes for each pixel
  kQuad = 4,        // consecutive bytes of one pixel window that one step multiplies
  kQuadBytes = 64,  // weights of one quad: [16 output channels][4]
  kDepthCount = 4,  // how many group depths there are
  kPeakSteps = 256,
};

// How a result leaves: clamp(round_even(r) + z, lo, hi), see arith::round_clamp.
struct Store {
  std::int32_t z;
  std::int32_t lo;  // of the stored u8
  std::int32_t hi;
  // The plan proved |r| < 2^30, so r may be rounded before it is clamped.
  bool small;
};

enum class ConvResult : std::int32_t { kBytes, kBytesResidual, kFloat };

// The weights of up to 16 output channels. acc[oc] = bias[oc] + sum over quads and their 4 bytes of
// src[origin + tap[quad] + byte] * weights[quad][oc][byte]; the zero point is inside the bias.
//
// Quads come in groups of 4, 3, 2 and 1, `groups` of each in this order. Packed for kPairSums,
// every group keeps this promise: for each output channel and each half (bytes 0-1, bytes 2-3) the
// sum of its positive weights over all its quads is at most 128, and so is that of its negative
// ones. 255 * 128 fits 16 bits, so the products of a group may be added up there. Kernels that add
// in 32 bits ignore groups: `quads` counts them all, in storage order.
struct ConvPanel {
  const std::int8_t* weights;  // 64 bytes a quad, aligned to 64
  const std::int32_t* taps;    // one a quad
  std::int32_t groups[kDepthCount];
  std::int32_t quads;
  std::int32_t channels;     // valid output channels, 1 to 16
  const std::int32_t* bias;  // 16
  const float* m;            // 16
};

// The pixels that a call makes: byte offsets of each one's window origin, result and residual.
struct ConvPixels {
  std::int64_t count;
  const std::uint8_t* src;
  const std::int32_t* src_at;  // ascending
  std::int64_t step;           // between windows that are neighbours in a row
  std::uint8_t* dst;           // of the panel's first channel; float results are binary32 there
  const std::int32_t* dst_at;
  const std::uint8_t* res;  // kBytesResidual only
  const std::int32_t* res_at;
  std::int32_t z_res;
  float m_res;
  ConvResult result;
  Store store;
};

// 16 channels of a depthwise convolution. Taps come in pairs: weights[pair][16 channels][2]; an odd
// last tap is paired with a tap of weight 0.
struct DepthwisePanel {
  const std::int16_t* weights;
  const std::int32_t* taps;  // two a pair
  std::int32_t pairs;
  std::int32_t channels;
  const std::int32_t* bias;
  const float* m;
};

// q = clamp(rne(fma(a - z_a, m_a, (b - z_b) * m_b)) + z).
struct AddTerms {
  std::int32_t z_a, z_b;
  float m_a, m_b;
  Store store;
};

// Requantized (or, with `dst_float`, scaled) sums of `count` windows less `zero` = count * z_src.
struct AverageTerms {
  std::int32_t zero;
  float m;
  Store store;
};

// Up to 64 bytes of a pixel's window that lie together: from `src` bytes behind its origin to `dst`
// bytes behind the start of its row in the first tile.
struct MatrixPiece {
  std::uint64_t mask;  // bit i: byte i is copied
  std::int32_t src;
  std::int32_t dst;
};

// A convolution for a matrix unit: all output channels, the window as k tiles of 64 bytes. Panels
// stand in pairs, the last of which may be one panel alone, or in fours without a rest: channel
// 16 a + 4 b + c of those 64 is then column 4 a + c of panel b.
struct MatrixConv {
  const std::int8_t* weights;  // [pair][k tile][panel of the pair][16 quads][16 columns][4]
  const std::int32_t* bias;    // one a column, whole panels; zero point inside
  const float* m;              // likewise
  // Bytes from a window's origin to k tile k: in the activation when `direct`, else in the gathered
  // tiles, where the windows of 16 pixels are [k tile][16][64].
  const std::int32_t* tap;
  const MatrixPiece* piece;  // how a window is gathered; unused when `direct`
  std::int32_t pieces;
  std::int32_t k_tiles;
  std::int32_t width;     // 2 or 4: panels that stand together; 4 not for float results
  std::int32_t channels;  // valid output channels
  bool direct;            // windows are `MatrixPixels::step` bytes apart
  // Where results leave without a residual, z 0 and range [0, 255], fp32(acc) * m may be made as
  // fma(float with the bits of 2^23 plus acc, m, -2^23 * m): the same bytes for every sum.
  bool shifted;
  bool distant;  // weights come from behind the second cache: ask for them ahead
};

// The positions that a call of a matrix kernel makes, and how their results leave. Direct windows
// run on over the ends of rows, so some positions are between two rows and have no result; with a
// stride, each row starts a tile of its own, whose last positions may have none.
struct MatrixPixels {
  std::int64_t count;
  std::int64_t block;       // positions that pass all panels before the next ones start
  const std::uint8_t* src;  // origin of the first window, or what src_at counts from
  std::int64_t step;        // direct only
  // Direct: from `src` to the first window of each 16 positions; null: they run on without end.
  const std::int32_t* tile_at;
  const std::int32_t* src_at;  // gathered only
  std::uint8_t* dst;           // of channel 0; float results are binary32 there
  const std::int32_t* dst_at;  // negative: no result
  const std::uint8_t* res;     // kBytesResidual only
  const std::int32_t* res_at;  // readable, whatever dst_at says
  std::int32_t z_res;
  float m_res;
  ConvResult result;
  Store store;
};

// What a set's convolution wants its weights to be packed for.
enum class ConvPacking : std::int32_t {
  kQuads,     // each quad once, all of depth 1, without the promise about 16-bit sums
  kPairSums,  // groups as ConvPanel says; a quad that breaks the promise is split into two
};

// A null function is that of the next available set of the table.
struct KernelSet {
  const char* name;
  ConvPacking packing;
  void (*conv)(const ConvPanel*, const ConvPixels*);
  // Two panels of neighbouring channels with the same taps, the first one full: for kQuads. May be
  // null where there is a `conv`.
  void (*conv_pair)(const ConvPanel*, const ConvPixels*);
  std::int32_t conv_tile;  // pixels that `conv` likes to make at once
  void (*depthwise)(const DepthwisePanel*, const ConvPixels*);
  void (*add)(const AddTerms*, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* dst,
              std::int64_t size);
  // Over `count` sources of `channels` bytes each, element by element; count >= 1. `results` times,
  // the sources `step` bytes further each time, results one after another.
  void (*max)(const std::uint8_t* const* src, std::int64_t count, std::uint8_t* dst,
              std::int64_t channels, std::int64_t results, std::int64_t step);
  void (*average)(const AverageTerms*, const std::uint8_t* const* src, std::int64_t count,
                  std::uint8_t* dst, float* dst_float, std::int64_t channels);
  // Convolutions without groups, where the set has a matrix unit, else null: never inherited.
  // Panels [first, last), `first` a multiple of the width. `tiles` is scratch for gathered windows,
  // aligned to 64: block rounded up to 32, times k_tiles * 64 bytes. Direct windows are read in
  // whole tiles, up to 31 positions past the last one.
  void (*conv_matrix)(const MatrixConv*, std::int32_t first, std::int32_t last, const MatrixPixels*,
                      std::uint8_t* tiles);
  // The set's ceiling, null when it has none of its own: exact 8-bit products added up in registers
  // and nothing else, `rounds` times kPeakSteps steps of the convolution's inner loop. Returns the
  // multiply-adds done.
  std::int64_t (*peak)(std::int64_t rounds);
};

// One row a set, the preferred one first; the last runs everywhere.
struct KernelRow {
  const KernelSet* set;
  bool (*available)();  // does this processor have what the set needs
};
extern const KernelRow kKernelRows[];
extern const std::int32_t kKernelRowCount;

extern const KernelSet kKernelsPortable;
extern const KernelSet kKernelsAvx2;
extern const KernelSet kKernelsAvxVnni;
extern const KernelSet kKernelsAvx512Vnni;
extern const KernelSet kKernelsAmx;

// The first available set with its null functions filled in, or the one that PRONGHORN_ISA names.
// Throws Error(kInvalidArgument) naming the known sets when it knows no such name,
// Error(kUnavailable) when this processor lacks it.
const KernelSet& choose_kernels();

}  // namespace pronghorn::device::cpu
