// SPDX-License-Identifier: Apache-2.0
// Weights of a convolution as tiles of a matrix unit, see MatrixConv in kernels/kernel_table.h.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "device/cpu/kernels/kernel_table.h"
#include "device/cpu/layout.h"
#include "device/cpu/pack_conv.h"

namespace pronghorn::device::cpu {

inline constexpr std::int64_t kTileRow = 64;      // bytes of a window in one tile
inline constexpr std::int64_t kTileBytes = 1024;  // of 16 windows, or 16 quads of 16 channels
inline constexpr std::int64_t kTileWindows = 16;

// Up to 64 bytes of a window that lie together, in the activation and in the weights of one output
// channel; `k` is their place in the row of all k tiles.
struct WindowPart {
  std::int64_t tap;
  std::int64_t weight;
  std::int64_t length;
  std::int64_t k;
};

// How a window is cut into k tiles.
struct WindowTiles {
  std::vector<WindowPart> parts;
  std::int64_t k_tiles = 0;
  bool direct = false;
  bool rows = false;  // direct, and each row of results starts a tile of its own
};

// One part a k tile. Where input channels come in whole tiles, the taps of the same channels follow
// each other: neighbouring windows share their bytes, which then stay in the first cache.
WindowTiles direct_tiles(const graph::Window& window, std::int64_t ic, std::int64_t pitch);
// As few k tiles as there can be: kernel rows laid end to end and cut every 64 bytes.
WindowTiles gathered_tiles(const graph::Window& window, std::int64_t ic, std::int64_t pitch);

struct PackedMatrix {
  base::Buffer weights;
  std::vector<std::int32_t> bias;
  std::vector<float> m;
  std::vector<std::int32_t> taps;
  std::vector<MatrixPiece> pieces;
  MatrixConv conv{};
  double largest = 0;  // a bound on |acc * m|
  std::int64_t bytes() const;
};

// May sums of at most `largest` be converted and scaled as MatrixConv::shifted says?
bool may_shift(double largest, float m);

// The place of output channel `oc` among all columns of all panels, see MatrixConv.
std::int64_t column_of(std::int64_t oc, std::int64_t width);

// `width` panels stand together: 2, or 4 where output channels come in 64s.
PackedMatrix pack_matrix(const ConvWeights& weights, const WindowTiles& tiles, std::int64_t width,
                         base::ThreadPool& pool);

}  // namespace pronghorn::device::cpu
