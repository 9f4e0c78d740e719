// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/pack_matrix.h"

#include <algorithm>
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

PackedMatrix pack_matrix(const ConvWeights& w, const WindowTiles& tiles, base::ThreadPool& pool) {
  PackedMatrix matrix;
  const std::int64_t panels = (w.oc + kPanel - 1) / kPanel;
  const std::int64_t k_tiles = tiles.k_tiles;
  matrix.weights = base::Buffer(static_cast<std::size_t>(panels * k_tiles * kTileBytes));
  std::memset(matrix.weights.data(), 0, matrix.weights.size());
  matrix.bias.assign(static_cast<std::size_t>(panels * kPanel), 0);
  matrix.m.assign(static_cast<std::size_t>(panels * kPanel), 0.0f);
  std::vector<double> largest(static_cast<std::size_t>(panels), 0.0);
  const std::int64_t size = w.ic * w.window.kh * w.window.kw;
  pool.parallel_for(panels, [&](std::int64_t panel, int) {
    const std::int64_t first = panel / 2 * 2;  // of the pair
    const std::int64_t width = std::min<std::int64_t>(2, panels - first);
    auto* pair = matrix.weights.as<std::int8_t>() + first * k_tiles * kTileBytes;
    for (std::int64_t oc = panel * kPanel; oc < std::min(w.oc, (panel + 1) * kPanel); ++oc) {
      double& most = largest[static_cast<std::size_t>(panel)];
      most = std::max(most, pack_channel(w, oc, &matrix.bias[static_cast<std::size_t>(oc)],
                                         &matrix.m[static_cast<std::size_t>(oc)]));
      const std::int8_t* weights = w.values.data() + oc * size;
      for (const WindowPart& part : tiles.parts) {
        for (std::int64_t i = 0; i < part.length; ++i) {
          const std::int64_t k = part.k + i;
          pair[(k / kTileRow * width + panel - first) * kTileBytes +
               k % kTileRow / kQuad * kQuadBytes + oc % kPanel * kQuad + k % kQuad] =
              weights[part.weight + i];
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
  conv.channels = static_cast<std::int32_t>(w.oc);
  conv.direct = tiles.direct;
  matrix.largest = *std::max_element(largest.begin(), largest.end());
  return matrix;
}

}  // namespace pronghorn::device::cpu
