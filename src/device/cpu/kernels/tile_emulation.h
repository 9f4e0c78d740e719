// SPDX-License-Identifier: Apache-2.0
// The tile instructions in plain C++, for tests on processors without a matrix unit: included in
// kernels_amx.cpp instead of the compiler's own when PRONGHORN_EMULATE_TILES is set, which
// src/device/cpu/CMake does for one test program only. Slow and obvious; tiles are 16 rows of 64
// bytes.
#pragma once

#include <cstdint>

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_zero
#undef _tile_stored
#undef _tile_dpbusd

namespace pronghorn::device::cpu {
namespace {

struct Tile {
  alignas(64) std::uint8_t bytes[16][64];
};
thread_local Tile emulated[8];

void emulated_load(int tile, const void* base, std::int64_t stride) {
  for (int r = 0; r < 16; ++r) {
    __builtin_memcpy(emulated[tile].bytes[r], static_cast<const std::uint8_t*>(base) + r * stride,
                     64);
  }
}

void emulated_zero(int tile) { emulated[tile] = {}; }

void emulated_store(int tile, void* base, std::int64_t stride) {
  for (int r = 0; r < 16; ++r) {
    __builtin_memcpy(static_cast<std::uint8_t*>(base) + r * stride, emulated[tile].bytes[r], 64);
  }
}

// sums += pixels (u8) * weights (s8), four products a sum.
void emulated_multiply(int sums, int pixels, int weights) {
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 16; ++c) {
      std::int32_t sum;
      __builtin_memcpy(&sum, &emulated[sums].bytes[r][4 * c], 4);
      for (int k = 0; k < 64; ++k) {
        sum += emulated[pixels].bytes[r][k] *
               static_cast<std::int8_t>(emulated[weights].bytes[k / 4][4 * c + k % 4]);
      }
      __builtin_memcpy(&emulated[sums].bytes[r][4 * c], &sum, 4);
    }
  }
}

}  // namespace
}  // namespace pronghorn::device::cpu

#define _tile_loadconfig(config) static_cast<void>(config)
#define _tile_release() static_cast<void>(0)
#define _tile_loadd(tile, base, stride) emulated_load(tile, base, stride)
#define _tile_stream_loadd(tile, base, stride) emulated_load(tile, base, stride)
#define _tile_zero(tile) emulated_zero(tile)
#define _tile_stored(tile, base, stride) emulated_store(tile, base, stride)
#define _tile_dpbusd(sums, pixels, weights) emulated_multiply(sums, pixels, weights)
