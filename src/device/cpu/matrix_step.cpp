// SPDX-License-Identifier: Apache-2.0
// kQConv on a matrix unit. Convolutions of stride 1 read their tiles from the activation itself:
// the windows of a row, of all rows and of all images of a group are one pixel apart, and the few
// between two rows are made and thrown away. With stride 2 that holds within a row, so each row
// starts a tile of its own and what its last tile has too many is thrown away. Where that would be
// much, or the stride is larger, windows are gathered first.
#include <algorithm>
#include <limits>

#include "device/cpu/conv_terms.h"
#include "device/cpu/pack_matrix.h"

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kBlock = 32;  // positions that a kernel makes at once
// With so few k tiles the way out is what costs, and it is shorter for 64 channels at once.
constexpr std::int64_t kWideTiles = 8;
constexpr std::int64_t kTogether = 64;
// Of a tile product: 42 beside a busy hyperthread, and its share of the way out.
constexpr std::int64_t kProductCycles = 48;
// Weights up to this stay in the second cache while all positions pass them block by block, each
// block staying in the first one. Larger ones pass once, pair by pair of panels, and positions
// stream past each pair.
constexpr std::int64_t kResidentWeights = 512 << 10;
// Of direct convolutions: a tile may read this many pixels times 16 from its first window on, which
// must lie in the buffer and what follows it.
constexpr std::int64_t kMostStride = 2;
constexpr std::int64_t kGatheredBytes = 1 << 20;  // of gathered windows between two passes
// For 64 bytes, with what it costs the caches: windows of several taps copy each byte several
// times.
constexpr std::int64_t kGatherCycles = 12;
constexpr std::int64_t kGatherTapsCycles = 36;
// Of one thread among all that share an image: weights, which stay in its second cache at best, and
// windows, most of which other threads have just written.
constexpr double kWeightBytesPerCycle = 4;
constexpr double kWindowBytesPerCycle = 1;

struct MatrixStep {
  PackedMatrix packed;
  std::vector<std::int32_t> src_at, dst_at, res_at;  // by position, for all images of a group
  std::vector<std::int32_t> tile_at;                 // by 16 positions, where rows are tiles
  MatrixPixels pixels{};                             // all but pointers, count and block
  Slot src = 0, dst = 0, res = 0;
  std::int64_t src_first = 0, dst_first = 0, res_first = 0;
  std::int64_t row = 0;        // positions of a row of results
  std::int64_t positions = 0;  // of one image
  std::int64_t next = 0;       // positions from an image to the next
  std::int64_t panels = 0;
  std::int64_t block = 0;  // positions, on one thread
  // For several threads: how an image is divided.
  std::int64_t part = 0;   // positions, whole blocks
  std::int64_t range = 0;  // panels, as many as stand together or a multiple
  std::int64_t ranges = 0;
};

std::int64_t divide(std::int64_t n, std::int64_t by) { return (n + by - 1) / by; }

// Positions of the windows of one image when they run on over the ends of rows.
std::int64_t direct_positions(const Layout& src, const graph::Shape& dst) {
  return (dst.h - 1) * (src.pitch() / src.pixel()) + dst.w;
}

// The same where each row starts a tile of its own.
std::int64_t row_positions(const graph::Shape& dst) {
  return dst.h * divide(dst.w, kTileWindows) * kTileWindows;
}

// Cycles of the matrix unit, and of gathering.
std::int64_t cycles(std::int64_t positions, std::int64_t panels, const WindowTiles& tiles,
                    std::int64_t gather_cycles) {
  const std::int64_t groups = divide(positions, kTileWindows);
  const std::int64_t gather =
      tiles.direct ? 0 : gather_cycles * static_cast<std::int64_t>(tiles.parts.size()) * positions;
  return groups * tiles.k_tiles * panels * kProductCycles + gather;
}

WindowTiles choose_tiles(const ConvTerms& terms, std::int64_t images) {
  const Layout& src = *terms.src_layout;
  const graph::Window& window = terms.weights.window;
  const graph::Shape& dst = terms.dst_layout->shape;
  const std::int64_t panels = divide(dst.c, kPanel);
  WindowTiles gathered = gathered_tiles(window, src.shape.c, src.pitch());
  if (window.sw > kMostStride) return gathered;
  WindowTiles direct = direct_tiles(window, src.shape.c, src.pitch());
  direct.rows = window.sh != 1 || window.sw != 1;
  const std::int64_t positions =
      direct.rows ? images * row_positions(dst)
                  : (images - 1) * (src.stride() / src.pixel()) + direct_positions(src, dst);
  const std::int64_t each = window.kh * window.kw > 1 ? kGatherTapsCycles : kGatherCycles;
  return cycles(positions, panels, direct, each) <=
                 cycles(images * dst.h * dst.w, panels, gathered, each)
             ? direct
             : gathered;
}

// Fills `at` with the place of each window's pixel in an activation; -1 between rows.
std::vector<std::int32_t> places(const MatrixStep& step, const ConvTerms& terms,
                                 std::int64_t images, const Layout& layout, std::int64_t sh,
                                 std::int64_t sw) {
  const graph::Shape& dst = terms.dst_layout->shape;
  const std::int64_t count = (images - 1) * step.next + step.positions;
  std::vector<std::int32_t> at(static_cast<std::size_t>(divide(count, kBlock) * kBlock), -1);
  for (std::int64_t i = 0; i < images; ++i) {
    for (std::int64_t y = 0; y < dst.h; ++y) {
      for (std::int64_t x = 0; x < dst.w; ++x) {
        at[static_cast<std::size_t>(i * step.next + y * step.row + x)] = static_cast<std::int32_t>(
            i * layout.stride() + y * sh * layout.pitch() + x * sw * layout.pixel());
      }
    }
  }
  return at;
}

// Where the tiles of a group start when each row starts one of its own.
std::vector<std::int32_t> row_tiles(const MatrixStep& step, const ConvTerms& terms,
                                    std::int64_t images) {
  const Layout& src = *terms.src_layout;
  const graph::Window& window = terms.weights.window;
  std::vector<std::int32_t> at;
  for (std::int64_t i = 0; i < images; ++i) {
    for (std::int64_t y = 0; y < terms.dst_layout->shape.h; ++y) {
      for (std::int64_t x = 0; x < step.row; x += kTileWindows) {
        at.push_back(static_cast<std::int32_t>(i * src.stride() + y * window.sh * src.pitch() +
                                               x * window.sw * src.pixel()));
      }
    }
  }
  return at;
}

// Positions without a place get that of one before them, or behind them in their block: what is
// read there is not used, but nobody else may be writing it.
void keep_to_blocks(std::vector<std::int32_t>& at) {
  for (std::size_t i = 0; i < at.size(); ++i) {
    if (at[i] >= 0) continue;
    const bool first = i % kBlock == 0;
    const auto end = at.begin() + static_cast<std::ptrdiff_t>((i / kBlock + 1) * kBlock);
    const auto next = std::find_if(at.begin() + static_cast<std::ptrdiff_t>(i), end,
                                   [](std::int32_t place) { return place >= 0; });
    at[i] = first && next != end ? *next : at[i - 1];
  }
}

void choose_parts(MatrixStep& step, std::int64_t pixel, int threads) {
  const std::int64_t blocks = divide(step.positions, kBlock);
  const std::int64_t width = step.packed.conv.width;
  const std::int64_t pairs = divide(step.panels, width);
  const std::int64_t k_tiles = step.packed.conv.k_tiles;
  double least = std::numeric_limits<double>::infinity();
  for (std::int64_t parts = 1; parts <= std::min<std::int64_t>(blocks, threads); ++parts) {
    const std::int64_t part = divide(blocks, parts);
    for (std::int64_t range = 1; range <= pairs; ++range) {
      const std::int64_t items = divide(blocks, part) * divide(pairs, range);
      if (items > 2 * threads) continue;
      const std::int64_t rounds = divide(items, threads);
      const auto work = static_cast<double>(part * range * width * k_tiles * 32);
      const auto weights = static_cast<double>(range * width * k_tiles * kTileBytes);
      const auto windows = static_cast<double>(part * kBlock * pixel);
      const double cost = static_cast<double>(rounds) *
                          (work + weights / kWeightBytesPerCycle + windows / kWindowBytesPerCycle);
      if (cost >= least) continue;
      least = cost;
      step.part = part * kBlock;
      step.range = range * width;
      step.ranges = divide(pairs, range);
    }
  }
}

void run(const MatrixStep& step, const KernelSet& kernels, Slots slots, MatrixPixels px,
         std::int64_t first, std::int64_t first_panel, std::int64_t last_panel) {
  const MatrixConv& conv = step.packed.conv;
  px.src = reinterpret_cast<const std::uint8_t*>(slots[step.src]) + step.src_first;
  if (!step.tile_at.empty()) {
    px.tile_at = step.tile_at.data() + first / kTileWindows;
  } else if (conv.direct) {
    px.src += first * px.step;
  } else {
    px.src_at = step.src_at.data() + first;
  }
  px.dst = reinterpret_cast<std::uint8_t*>(slots[step.dst]) + step.dst_first;
  px.dst_at = step.dst_at.data() + first;
  if (px.result == ConvResult::kBytesResidual) {
    px.res = reinterpret_cast<const std::uint8_t*>(slots[step.res]) + step.res_first;
    px.res_at = step.res_at.data() + first;
  }
  thread_local base::Buffer tiles;  // kept from layer to layer
  if (!conv.direct) {
    const auto needed = static_cast<std::size_t>(divide(std::min(px.block, px.count), kBlock) *
                                                 kBlock * conv.k_tiles * kTileRow);
    if (tiles.size() < needed) tiles = base::Buffer(needed);
  }
  kernels.conv_matrix(&conv, static_cast<std::int32_t>(first_panel),
                      static_cast<std::int32_t>(last_panel), &px, tiles.as<std::uint8_t>());
}

void run_group(const MatrixStep& step, const KernelSet& kernels, const Group& group) {
  MatrixPixels px = step.pixels;
  px.count = (group.images - 1) * step.next + step.positions;
  px.block = step.block;
  run(step, kernels, group.slots, px, 0, 0, step.panels);
}

void run_item(const MatrixStep& step, const KernelSet& kernels, Slots slots, std::int64_t item) {
  const std::int64_t first = item / step.ranges * step.part;
  const std::int64_t panel = item % step.ranges * step.range;
  MatrixPixels px = step.pixels;
  px.count = std::min(step.part, step.positions - first);
  px.block = std::min(step.part, step.block);
  run(step, kernels, slots, px, first, panel, std::min(panel + step.range, step.panels));
}

}  // namespace

Step make_matrix_step(const Plan& plan, std::size_t node_index) {
  const ConvTerms terms = conv_terms(plan, node_index);
  const Layout& src = *terms.src_layout;
  const Layout& dst = *terms.dst_layout;
  const std::int64_t images = plan.images_of(node_index);
  const graph::Window& window = terms.weights.window;
  const bool residual = terms.res_layout != nullptr;

  auto step = std::make_shared<MatrixStep>();
  const WindowTiles tiles = choose_tiles(terms, images);
  const bool wide = tiles.k_tiles <= kWideTiles && dst.shape.c % kTogether == 0 &&
                    terms.result != ConvResult::kFloat;
  step->packed = pack_matrix(terms.weights, tiles, wide ? 4 : 2, *plan.pool);
  MatrixConv& conv = step->packed.conv;
  step->panels = divide(dst.shape.c, kPanel);
  step->src = terms.src;
  step->dst = terms.dst;
  step->res = terms.res;
  step->src_first = terms.src_first;
  step->dst_first = dst.first();
  if (tiles.rows) {
    step->row = divide(dst.shape.w, kTileWindows) * kTileWindows;
    step->positions = step->next = row_positions(dst.shape);
    step->tile_at = row_tiles(*step, terms, images);
  } else if (conv.direct) {
    step->row = src.pitch() / src.pixel();
    step->positions = direct_positions(src, dst.shape);
    step->next = src.stride() / src.pixel();
  } else {
    step->row = dst.shape.w;
    step->positions = step->next = dst.shape.h * dst.shape.w;
    step->src_at =
        places(*step, terms, images, src, std::int64_t{window.sh}, std::int64_t{window.sw});
  }
  step->dst_at = places(*step, terms, images, dst, 1, 1);
  double largest = step->packed.largest;
  if (residual) {
    step->res_first = terms.res_layout->first();
    step->res_at = places(*step, terms, images, *terms.res_layout, 1, 1);
    keep_to_blocks(step->res_at);
    step->pixels.z_res = terms.z_res;
    step->pixels.m_res = terms.q->m_res;
    largest += 512.0 * std::abs(static_cast<double>(terms.q->m_res));
  }
  step->pixels.step = (tiles.rows ? window.sw : 1) * src.pixel();
  step->pixels.result = terms.result;
  step->pixels.store = terms.store(largest);

  const std::int64_t weights = static_cast<std::int64_t>(step->packed.weights.size());
  const std::int64_t all = (images - 1) * step->next + step->positions;
  step->block = weights <= kResidentWeights ? kBlock : divide(all, kBlock) * kBlock;
  const std::int64_t position = conv.direct ? divide(images * src.stride(), all)  // bytes
                                            : conv.k_tiles * kTileRow;
  const std::int64_t pass = conv.direct ? second_cache_bytes() / 2 : kGatheredBytes;
  step->block =
      std::min(step->block, std::max<std::int64_t>(pass / (position * kBlock), 1) * kBlock);
  conv.distant = weights > second_cache_bytes() / 4;
  choose_parts(*step, src.pixel(), plan.pool->size());

  const graph::Node& node = plan.graph->nodes[node_index];
  Step result;
  result.node = node.name;
  result.kernel = fmt::format("{}/{}", plan.kernels->name,
                              tiles.rows    ? "conv_matrix_rows"
                              : conv.direct ? "conv_matrix"
                                            : "conv_matrix_gathered");
  result.dst = step->dst;
  if (residual) result.in_place = step->res;
  result.items = divide(step->positions, step->part) * step->ranges;
  result.memory_bytes = step->packed.bytes() +
                        4 * static_cast<std::int64_t>(step->src_at.size() + step->dst_at.size() +
                                                      step->res_at.size() + step->tile_at.size());
  result.run = [step, kernels = plan.kernels](Slots slots, std::int64_t item) {
    run_item(*step, *kernels, slots, item);
  };
  result.run_group = [step, kernels = plan.kernels](const Group& group) {
    run_group(*step, *kernels, group);
  };
  return result;
}

}  // namespace pronghorn::device::cpu
