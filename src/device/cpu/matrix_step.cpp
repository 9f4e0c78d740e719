// SPDX-License-Identifier: Apache-2.0
// kQConv on a matrix unit. Convolutions of stride 1 read their tiles from the activation itself:
// the windows of a row, of all rows and of all images of a group are one pixel apart, and the few
// between two rows are made and thrown away. Where that would be many, or the stride is larger,
// windows are gathered first.
#include <algorithm>
#include <limits>

#include "device/cpu/conv_terms.h"
#include "device/cpu/pack_matrix.h"

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kBlock = 32;  // positions, and channels, that a kernel makes at once
constexpr std::int64_t kPairPanels = 2;
// Weights up to this stay in the second cache while all positions pass them block by block, each
// block staying in the first one. Larger ones pass once, pair by pair of panels, and positions
// stream past each pair.
constexpr std::int64_t kResidentWeights = 512 << 10;
constexpr std::int64_t kGatheredBytes = 1 << 20;  // of gathered windows between two passes
constexpr std::int64_t kGatherCycles = 12;        // for 64 bytes, with what it costs the caches
// Of one thread among all that share an image: weights, which stay in its second cache at best, and
// windows, most of which other threads have just written.
constexpr double kWeightBytesPerCycle = 4;
constexpr double kWindowBytesPerCycle = 1;

struct MatrixStep {
  PackedMatrix packed;
  std::vector<std::int32_t> src_at, dst_at, res_at;  // by position, for all images of a group
  MatrixPixels pixels{};                             // all but pointers, count and block
  Slot src = 0, dst = 0, res = 0;
  std::int64_t src_first = 0, dst_first = 0, res_first = 0;
  std::int64_t positions = 0;  // of one image
  std::int64_t next = 0;       // positions from an image to the next
  std::int64_t panels = 0;
  std::int64_t block = 0;  // positions, on one thread
  // For several threads: how an image is divided.
  std::int64_t part = 0;   // positions, whole blocks
  std::int64_t range = 0;  // panels, whole pairs
  std::int64_t ranges = 0;
};

std::int64_t divide(std::int64_t n, std::int64_t by) { return (n + by - 1) / by; }

// Positions of the windows of one image when they run on over the ends of rows.
std::int64_t direct_positions(const Layout& src, const graph::Shape& dst) {
  return (dst.h - 1) * (src.pitch() / src.pixel()) + dst.w;
}

// Cycles of the matrix unit, and of gathering.
std::int64_t cycles(std::int64_t positions, std::int64_t panels, const WindowTiles& tiles) {
  const std::int64_t groups = divide(positions, kTileWindows);
  const std::int64_t gather =
      tiles.direct ? 0 : kGatherCycles * static_cast<std::int64_t>(tiles.parts.size()) * positions;
  return groups * tiles.k_tiles * panels * 16 + gather;
}

WindowTiles choose_tiles(const ConvTerms& terms, std::int64_t images) {
  const Layout& src = *terms.src_layout;
  const graph::Window& window = terms.weights.window;
  const graph::Shape& dst = terms.dst_layout->shape;
  const std::int64_t panels = divide(dst.c, kPanel);
  WindowTiles gathered = gathered_tiles(window, src.shape.c, src.pitch());
  if (window.sh != 1 || window.sw != 1) return gathered;
  WindowTiles direct = direct_tiles(window, src.shape.c, src.pitch());
  const std::int64_t positions =
      (images - 1) * (src.stride() / src.pixel()) + direct_positions(src, dst);
  return cycles(positions, panels, direct) <= cycles(images * dst.h * dst.w, panels, gathered)
             ? direct
             : gathered;
}

// Fills `at` with the place of each window's pixel in an activation; -1 between rows.
std::vector<std::int32_t> places(const MatrixStep& step, const ConvTerms& terms,
                                 std::int64_t images, const Layout& layout, std::int64_t sh,
                                 std::int64_t sw) {
  const graph::Shape& dst = terms.dst_layout->shape;
  const Layout& src = *terms.src_layout;
  const std::int64_t row = step.packed.conv.direct ? src.pitch() / src.pixel() : dst.w;
  const std::int64_t count = (images - 1) * step.next + step.positions;
  std::vector<std::int32_t> at(static_cast<std::size_t>(divide(count, kBlock) * kBlock), -1);
  for (std::int64_t i = 0; i < images; ++i) {
    for (std::int64_t y = 0; y < dst.h; ++y) {
      for (std::int64_t x = 0; x < dst.w; ++x) {
        at[static_cast<std::size_t>(i * step.next + y * row + x)] = static_cast<std::int32_t>(
            i * layout.stride() + y * sh * layout.pitch() + x * sw * layout.pixel());
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
  const std::int64_t pairs = divide(step.panels, kPairPanels);
  const std::int64_t k_tiles = step.packed.conv.k_tiles;
  double least = std::numeric_limits<double>::infinity();
  for (std::int64_t parts = 1; parts <= std::min<std::int64_t>(blocks, threads); ++parts) {
    const std::int64_t part = divide(blocks, parts);
    for (std::int64_t range = 1; range <= pairs; ++range) {
      const std::int64_t items = divide(blocks, part) * divide(pairs, range);
      if (items > 2 * threads) continue;
      const std::int64_t rounds = divide(items, threads);
      const auto work = static_cast<double>(part * range * k_tiles * 64);
      const auto weights = static_cast<double>(range * k_tiles * 2 * kTileBytes);
      const auto windows = static_cast<double>(part * kBlock * pixel);
      const double cost = static_cast<double>(rounds) *
                          (work + weights / kWeightBytesPerCycle + windows / kWindowBytesPerCycle);
      if (cost >= least) continue;
      least = cost;
      step.part = part * kBlock;
      step.range = range * kPairPanels;
      step.ranges = divide(pairs, range);
    }
  }
}

void run(const MatrixStep& step, const KernelSet& kernels, Slots slots, MatrixPixels px,
         std::int64_t first, std::int64_t first_panel, std::int64_t last_panel) {
  const MatrixConv& conv = step.packed.conv;
  px.src = reinterpret_cast<const std::uint8_t*>(slots[step.src]) + step.src_first;
  if (conv.direct) {
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
  step->packed = pack_matrix(terms.weights, choose_tiles(terms, images), *plan.pool);
  MatrixConv& conv = step->packed.conv;
  step->panels = divide(dst.shape.c, kPanel);
  step->src = terms.src;
  step->dst = terms.dst;
  step->res = terms.res;
  step->src_first = terms.src_first;
  step->dst_first = dst.first();
  step->positions = conv.direct ? direct_positions(src, dst.shape) : dst.shape.h * dst.shape.w;
  step->next = conv.direct ? src.stride() / src.pixel() : step->positions;
  if (!conv.direct) {
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
  step->pixels.step = src.pixel();
  step->pixels.result = terms.result;
  step->pixels.store = terms.store(largest);

  const std::int64_t weights = static_cast<std::int64_t>(step->packed.weights.size());
  const std::int64_t all = (images - 1) * step->next + step->positions;
  step->block = weights <= kResidentWeights ? kBlock : divide(all, kBlock) * kBlock;
  if (!conv.direct) {
    const std::int64_t most =
        std::max<std::int64_t>(kGatheredBytes / (conv.k_tiles * kTileRow * kBlock), 1) * kBlock;
    step->block = weights <= kResidentWeights ? kBlock : std::min(step->block, most);
  }
  conv.distant = weights > second_cache_bytes() / 4;
  choose_parts(*step, src.pixel(), plan.pool->size());

  const graph::Node& node = plan.graph->nodes[node_index];
  Step result;
  result.node = node.name;
  result.kernel = fmt::format("{}/{}", plan.kernels->name,
                              conv.direct ? "conv_matrix" : "conv_matrix_gathered");
  result.dst = step->dst;
  if (residual) result.in_place = step->res;
  result.items = divide(step->positions, step->part) * step->ranges;
  result.memory_bytes = step->packed.bytes() +
                        4 * static_cast<std::int64_t>(step->src_at.size() + step->dst_at.size() +
                                                      step->res_at.size());
  result.run = [step, kernels = plan.kernels](Slots slots, std::int64_t item) {
    run_item(*step, *kernels, slots, item);
  };
  result.run_group = [step, kernels = plan.kernels](const Group& group) {
    run_group(*step, *kernels, group);
  };
  return result;
}

}  // namespace pronghorn::device::cpu
