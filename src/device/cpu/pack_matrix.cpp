// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/pack_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace pronghorn::device::cpu {

WindowTiles direct_tiles(const graph::Window& window, std::int64_t ic, std::int64_t pitch) {
  WindowTiles tiles;
  tiles.direct = true;
  const auto add = [&](std::int64_t tap, std::int64_t weight, std::int64_t length) {
    tiles.parts.push_back({tap, weight, length, tiles.k_tiles++ * kTileRow});
  };
  if (ic % kTileRow == 0) {
    for (std::int64_t c = 0; c < ic; c += kTileRow) {
      for (std::int64_t y = 0; y < window.kh; ++y) {
        for (std::int64_t x = 0; x < window.kw; ++x) {
          add(y * pitch + x * ic + c, (y * window.kw + x) * ic + c, kTileRow);
        }
      }
    }
    return tiles;
  }
  const std::int64_t row = window.kw * ic;
  for (std::int64_t y = 0; y < window.kh; ++y) {
    for (std::int64_t i = 0; i < row; i += kTileRow) {
      add(y * pitch + i, y * row + i, std::min(kTileRow, row - i));
    }
  }
  return tiles;
}

WindowTiles gathered_tiles(const graph::Window& window, std::int64_t ic, std::int64_t pitch) {
  WindowTiles tiles;
  const std::int64_t row = window.kw * ic;
  std::int64_t k = 0;
  for (std::int64_t y = 0; y < window.kh; ++y) {
    for (std::int64_t i = 0; i < row;) {
      const std::int64_t length = std::min(kTileRow - k % kTileRow, row - i);
      tiles.parts.push_back({y * pitch + i, y * row + i, length, k});
      i += length;
      k += length;
    }
  }
  tiles.k_tiles = (k + kTileRow - 1) / kTileRow;
  return tiles;
}

std::int64_t PackedMatrix::bytes() const {
  return static_cast<std::int64_t>(weights.size() + 8 * bias.size() + 4 * taps.size() +
                                   sizeof(MatrixPiece) * pieces.size());
}

// With x = 2^23 + acc, put together from bits, and r = fma(x, m, -2^23 * m), the constant exact:
// 0 <= acc < 2^23: x is that number, so r is fp32(acc) * m, rounded once as the law has it.
// acc < 0: bits below those of 2^23 are of a smaller number, down to 0, so r <= 0 and leaves as 0,
//   as does fp32(acc) * m.
// acc >= 2^23: x >= 2^24, so r >= 2^23 * m; with that at least 255 both leave as 255.
bool may_shift(double largest, float m) {
  constexpr double kExact = 8388608.0;
  if (!(m >= 0.0f && m < 128.0f) || largest >= 0x1p29) return false;
  if (largest < kExact) return true;
  const int octaves = static_cast<int>(largest / kExact);  // of x above 2^23
  return kExact * double{m} >= 256.0 && std::ldexp(double{m}, 24 + octaves) < 0x1p30;
}

std::int64_t column_of(std::int64_t oc, std::int64_t width) {
  if (width == 2) return oc;
  return oc / 64 * 64 + oc % 16 / 4 * 16 + oc % 64 / 16 * 4 + oc % 4;
}

PackedMatrix pack_matrix(const ConvWeights& w, const WindowTiles& tiles, std::int64_t width,
                         base::ThreadPool& pool) {
  PackedMatrix matrix;
  const std::int64_t panels = (w.oc + kPanel - 1) / kPanel;
  const std::int64_t k_tiles = tiles.k_tiles;
  matrix.weights = base::Buffer(static_cast<std::size_t>(panels * k_tiles * kTileBytes));
  std::memset(matrix.weights.data(), 0, matrix.weights.size());
  matrix.bias.assign(static_cast<std::size_t>(panels * kPanel), 0);
  matrix.m.assign(static_cast<std::size_t>(panels * kPanel), 0.0f);
  std::vector<double> largest(static_cast<std::size_t>(panels), 0.0);
  std::vector<char> shifted(static_cast<std::size_t>(panels), 1);
  const std::int64_t size = w.ic * w.window.kh * w.window.kw;
  pool.parallel_for(panels, [&](std::int64_t part, int) {  // 16 channels, of any panels
    for (std::int64_t oc = part * kPanel; oc < std::min(w.oc, (part + 1) * kPanel); ++oc) {
      const std::int64_t column = column_of(oc, width);
      const std::int64_t panel = column / kPanel;
      const std::int64_t first = panel / width * width;  // of those that stand together
      const std::int64_t beside = std::min(width, panels - first);
      auto* start = matrix.weights.as<std::int8_t>() + first * k_tiles * kTileBytes;
      double& most = largest[static_cast<std::size_t>(part)];
      float& m = matrix.m[static_cast<std::size_t>(column)];
      const double sum = pack_channel(w, oc, &matrix.bias[static_cast<std::size_t>(column)], &m);
      most = std::max(most, sum * std::abs(double{m}));
      if (!may_shift(sum, m)) shifted[static_cast<std::size_t>(part)] = 0;
      const std::int8_t* weights = w.values.data() + oc * size;
      for (const WindowPart& piece : tiles.parts) {
        for (std::int64_t i = 0; i < piece.length; ++i) {
          const std::int64_t k = piece.k + i;
          start[(k / kTileRow * beside + panel - first) * kTileBytes +
                k % kTileRow / kQuad * kQuadBytes + column % kPanel * kQuad + k % kQuad] =
              weights[piece.weight + i];
        }
      }
    }
  });
  for (std::int64_t k = 0; k < k_tiles; ++k) {
    const std::int64_t tap =
        tiles.direct ? tiles.parts[static_cast<std::size_t>(k)].tap : k * kTileBytes;
    matrix.taps.push_back(static_cast<std::int32_t>(tap));
  }
  if (!tiles.direct) {
    for (const WindowPart& part : tiles.parts) {
      matrix.pieces.push_back(
          {part.length == kTileRow ? ~std::uint64_t{0} : (std::uint64_t{1} << part.length) - 1,
           static_cast<std::int32_t>(part.tap),
           static_cast<std::int32_t>(part.k / kTileRow * kTileBytes + part.k % kTileRow)});
    }
  }
  MatrixConv& conv = matrix.conv;
  conv.weights = matrix.weights.as<std::int8_t>();
  conv.bias = matrix.bias.data();
  conv.m = matrix.m.data();
  conv.tap = matrix.taps.data();
  conv.piece = matrix.pieces.data();
  conv.pieces = static_cast<std::int32_t>(matrix.pieces.size());
  conv.k_tiles = static_cast<std::int32_t>(k_tiles);
  conv.width = static_cast<std::int32_t>(width);
  conv.channels = static_cast<std::int32_t>(w.oc);
  conv.direct = tiles.direct;
  conv.shifted = std::all_of(shifted.begin(), shifted.end(), [](char may) { return may != 0; });
  matrix.largest = *std::max_element(largest.begin(), largest.end());
  return matrix;
}

}  // namespace pronghorn::device::cpu
