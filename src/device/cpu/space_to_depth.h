// SPDX-License-Identifier: Apache-2.0
// The first convolution of a network has three channels and a stride: its windows are many short
// pieces. Cut into blocks of stride by stride pixels of four bytes each, the image becomes smaller
// and deeper, and the same convolution has stride 1, no padding and whole rows of a window in one
// piece: 7x7 of stride 2 on three channels is 4x4 on sixteen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "device/cpu/layout.h"
#include "graph/graph.h"

namespace pronghorn::device::cpu {

struct SpaceToDepth {
  graph::Window source;               // as the graph has it
  graph::Window window;               // on blocks
  Layout layout;                      // of the blocks, padding inside
  std::vector<std::uint8_t> outside;  // of a pixel in the padding, four bytes
};

// Whether a convolution gains by it: few channels, a stride, no groups.
bool suits_space_to_depth(const graph::Window& window, std::int64_t ic);

// `outside` are the zero points as stored, one or one a channel; `dst` is the convolution's result.
SpaceToDepth make_space_to_depth(const graph::Window& window, const graph::Shape& dst,
                                 std::int64_t ic, const std::vector<std::int32_t>& outside);

// Rows [first, last) of blocks from an image of layout `src`.
void to_blocks(const SpaceToDepth& blocks, const Layout& src, const std::uint8_t* image,
               std::uint8_t* dst, std::int64_t first, std::int64_t last);

// Weights [oc][kh][kw][ic] for the blocks: [oc][kh'][kw'][sh][sw][4], zero where there were none.
std::vector<std::int8_t> block_weights(const SpaceToDepth& blocks, std::int64_t ic,
                                       std::span<const std::int8_t> weights);

}  // namespace pronghorn::device::cpu
