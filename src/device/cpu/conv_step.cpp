// SPDX-License-Identifier: Apache-2.0
// kQConv. An item is a block of pixels by a range of panels; within it the panel is the outer loop,
// so that its weights stay in the first cache while the block's pixels pass, and the block is small
// enough to stay in the second.
#include <algorithm>
#include <cmath>

#include "device/cpu/pack_conv.h"
#include "device/cpu/step.h"

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kBlockBytes = 48 << 10;  // of input, when the weights are small
constexpr std::int64_t kBigBlockBytes = 192
                                        << 10;  // when each block reads more than that of weights
constexpr std::int64_t kItemsPerThread = 6;     // enough to keep threads evenly loaded
constexpr std::int64_t kTile = 5;               // pixels that the AVX2 kernel makes at once
constexpr std::int64_t kMatrixTile = 32;        // pixels that a matrix unit makes at once
constexpr std::int64_t kMatrixItemsPerThread = 2;      // an item has its tiles to set up
constexpr std::int64_t kMatrixBlockBytes = 512 << 10;  // of gathered windows
constexpr std::int64_t kGroupWeights = 200 << 10;  // weights worth reading once for several images

struct ConvStep {
  PackedConv packed;
  std::vector<std::int32_t> src_at, dst_at, res_at;
  ConvPixels pixels{};  // all but the pointers
  Slot src = 0, dst = 0, res = 0;
  std::int64_t src_first = 0, dst_first = 0, res_first = 0;
  std::int64_t element = 1;  // bytes of a result
  std::int64_t block = 0;    // pixels
  std::int64_t range = 0;    // panels
  std::int64_t ranges = 0;
  std::int64_t panels = 0;
  std::int64_t group_block = 0;  // pixels, of several images
};

void run_matrix(const ConvStep& step, const KernelSet& kernels, const ConvPixels& px,
                std::int64_t first_panel, std::int64_t last_panel) {
  thread_local base::Buffer tiles;  // a few hundred KiB a thread, kept from layer to layer
  const MatrixConv& conv = step.packed.matrix->conv;
  const auto needed = static_cast<std::size_t>((px.count + 15) / 16 * 16 * conv.k_tiles * 64);
  if (tiles.size() < needed) tiles = base::Buffer(needed);
  kernels.conv_matrix(&conv, static_cast<std::int32_t>(first_panel),
                      static_cast<std::int32_t>(last_panel), &px, tiles.as<std::uint8_t>());
}

// The pixels of all images as one list, so that tiles run across their borders.
void run_group(const ConvStep& step, const KernelSet& kernels, const Group& group) {
  const auto pixels = static_cast<std::int64_t>(step.src_at.size());
  ConvPixels px = step.pixels;
  px.src = reinterpret_cast<const std::uint8_t*>(group.slots[step.src]) + step.src_first;
  px.dst = reinterpret_cast<std::uint8_t*>(group.slots[step.dst]) + step.dst_first;
  const bool residual = px.result == ConvResult::kBytesResidual;
  if (residual) {
    px.res = reinterpret_cast<const std::uint8_t*>(group.slots[step.res]) + step.res_first;
  }
  thread_local std::vector<std::int32_t> at[3];
  const auto spread = [&](const std::vector<std::int32_t>& one, std::vector<std::int32_t>& all) {
    all.resize(static_cast<std::size_t>(pixels * group.images));
    for (std::int64_t i = 0; i < group.images; ++i) {
      const auto shift = static_cast<std::int32_t>(i * group.stride);
      for (std::int64_t p = 0; p < pixels; ++p) {
        all[static_cast<std::size_t>(i * pixels + p)] = one[static_cast<std::size_t>(p)] + shift;
      }
    }
    return all.data();
  };
  const std::int32_t* src_at = spread(step.src_at, at[0]);
  const std::int32_t* dst_at = spread(step.dst_at, at[1]);
  const std::int32_t* res_at = residual ? spread(step.res_at, at[2]) : nullptr;
  for (std::int64_t first = 0; first < pixels * group.images; first += step.group_block) {
    px.count = std::min(step.group_block, pixels * group.images - first);
    px.src_at = src_at + first;
    px.dst_at = dst_at + first;
    px.res_at = residual ? res_at + first : nullptr;
    run_matrix(step, kernels, px, 0, step.panels);
  }
}

void run(const ConvStep& step, const KernelSet& kernels, Slots slots, std::int64_t item) {
  const auto first = static_cast<std::size_t>(item / step.ranges * step.block);
  const std::int64_t panel = item % step.ranges * step.range;
  ConvPixels px = step.pixels;
  px.count = std::min(step.block, static_cast<std::int64_t>(step.src_at.size() - first));
  px.src = reinterpret_cast<const std::uint8_t*>(slots[step.src]) + step.src_first;
  px.src_at = step.src_at.data() + first;
  px.dst_at = step.dst_at.data() + first;
  auto* dst = reinterpret_cast<std::uint8_t*>(slots[step.dst]) + step.dst_first;
  const std::uint8_t* res = nullptr;
  if (px.result == ConvResult::kBytesResidual) {
    res = reinterpret_cast<const std::uint8_t*>(slots[step.res]) + step.res_first;
    px.res_at = step.res_at.data() + first;
  }
  if (step.packed.matrix != nullptr) {
    px.dst = dst;
    px.res = res;
    run_matrix(step, kernels, px, panel, std::min(panel + step.range, step.panels));
    return;
  }
  const std::int64_t count = step.panels;
  for (std::int64_t p = panel; p < std::min(panel + step.range, count); ++p) {
    const PackedPanel& packed = step.packed.panels[static_cast<std::size_t>(p)];
    px.dst = dst + packed.channel * step.element;
    px.res = res == nullptr ? nullptr : res + packed.channel;
    if (step.packed.depthwise) {
      kernels.depthwise(&packed.depthwise, &px);
    } else {
      kernels.conv(&packed.conv, &px);
    }
  }
}

std::vector<std::int32_t> offsets(const graph::Shape& dst, std::int64_t row_step,
                                  std::int64_t pixel_step) {
  std::vector<std::int32_t> at;
  at.reserve(static_cast<std::size_t>(dst.h * dst.w));
  for (std::int64_t y = 0; y < dst.h; ++y) {
    for (std::int64_t x = 0; x < dst.w; ++x) {
      at.push_back(static_cast<std::int32_t>(y * row_step + x * pixel_step));
    }
  }
  return at;
}

void choose_blocks(ConvStep& step, const Layout& src, const graph::Window& window, int threads) {
  const auto pixels = static_cast<std::int64_t>(step.src_at.size());
  const std::int64_t panels = step.panels;
  if (step.packed.matrix != nullptr) {
    const std::int64_t per_tile = std::int64_t{step.packed.matrix->conv.k_tiles} * 64 * kMatrixTile;
    const std::int64_t tiles = std::max<std::int64_t>(kMatrixBlockBytes / per_tile, 1);
    step.group_block = tiles * kMatrixTile;
    // Alone, an image is shared by threads: enough items for them, whole tiles each.
    const std::int64_t all = (pixels + kMatrixTile - 1) / kMatrixTile;
    const std::int64_t items = threads * kMatrixItemsPerThread;
    const std::int64_t blocks = std::max(std::min(all, items), (all + tiles - 1) / tiles);
    step.block = (all + blocks - 1) / blocks * kMatrixTile;
    const std::int64_t wanted = std::max<std::int64_t>(1, items / blocks);
    step.range = std::max<std::int64_t>(2, (panels / wanted + 1) / 2 * 2);
    step.ranges = (panels + step.range - 1) / step.range;
    return;
  }
  const std::int64_t limit = step.packed.bytes() > kBigBlockBytes ? kBigBlockBytes : kBlockBytes;
  const std::int64_t per_pixel = src.pixel() * window.sh * window.sw;
  const std::int64_t block = std::max<std::int64_t>(limit / per_pixel, 2 * kTile);
  // Blocks of equal size, in whole tiles.
  const std::int64_t blocks = (pixels + block - 1) / block;
  step.block = ((pixels + blocks - 1) / blocks + kTile - 1) / kTile * kTile;
  const std::int64_t wanted = std::max<std::int64_t>(1, kItemsPerThread * threads / blocks);
  step.range = std::max<std::int64_t>(1, panels / wanted);
  step.ranges = (panels + step.range - 1) / step.range;
}

}  // namespace

Step make_conv_step(const Plan& plan, std::size_t node_index) {
  const graph::Graph& graph = *plan.graph;
  const graph::Node& node = graph.nodes[node_index];
  const auto& q = node.as<graph::QConv>();
  const auto copy = plan.copies.find(node_index);
  const Slot src_slot = copy == plan.copies.end() ? plan.slot_of(node.inputs[0]) : copy->second;
  const Layout& src = plan.layouts[src_slot];
  const Layout& dst = plan.layout_of(node.output);
  const bool residual = node.inputs.size() == 4;

  auto step = std::make_shared<ConvStep>();
  std::vector<std::int32_t> z_src = q.z_src;
  for (std::int32_t& z : z_src) z += to_u8(src.dtype);
  step->packed = pack_conv(
      {&q.window, dst.shape.c, src.shape.c, graph.constant(node.inputs[1]).values<std::int8_t>(),
       graph.constant(node.inputs[2]).values<std::int32_t>(), q.m, z_src},
      src, *plan.kernels, *plan.pool);
  step->panels = (dst.shape.c + kPanel - 1) / kPanel;
  if (step->packed.matrix == nullptr) {
    step->panels = static_cast<std::int64_t>(step->packed.panels.size());
  }
  step->src = src_slot;
  step->dst = plan.slot_of(node.output);
  step->src_first = src.first() - q.window.pad_top * src.pitch() - q.window.pad_left * src.pixel();
  step->dst_first = dst.first();
  step->src_at = offsets(dst.shape, q.window.sh * src.pitch(), q.window.sw * src.pixel());
  step->dst_at = offsets(dst.shape, dst.pitch(), dst.pixel());
  step->element = dst.element();
  double largest = step->packed.largest;
  if (residual) {
    const Layout& res = plan.layout_of(node.inputs[3]);
    step->res = plan.slot_of(node.inputs[3]);
    step->res_first = res.first();
    step->res_at = offsets(dst.shape, res.pitch(), res.pixel());
    step->pixels.z_res = q.z_res + to_u8(res.dtype);
    step->pixels.m_res = q.m_res;
    largest += 512.0 * std::abs(static_cast<double>(q.m_res));
  }
  step->pixels.result = dst.dtype == graph::DType::kF32 ? ConvResult::kFloat
                        : residual                      ? ConvResult::kBytesResidual
                                                        : ConvResult::kBytes;
  const std::int32_t shift = to_u8(dst.dtype);
  step->pixels.store = {q.z_dst + shift, q.range.lo + shift, q.range.hi + shift, largest < 0x1p30};
  choose_blocks(*step, src, q.window, plan.pool->size());

  Step result;
  result.node = node.name;
  result.kernel = fmt::format("{}/{}", plan.kernels->name,
                              step->packed.depthwise           ? "depthwise"
                              : step->packed.matrix == nullptr ? "conv"
                                                               : "conv_matrix");
  result.dst = step->dst;
  const auto pixels = static_cast<std::int64_t>(step->src_at.size());
  result.items = (pixels + step->block - 1) / step->block * step->ranges;
  result.memory_bytes = step->packed.bytes() + 4 * pixels * (residual ? 3 : 2);
  result.run = [step, kernels = plan.kernels](Slots slots, std::int64_t item) {
    run(*step, *kernels, slots, item);
  };
  if (step->packed.matrix != nullptr) {
    result.together = step->packed.bytes() >= kGroupWeights;
    result.run_group = [step, kernels = plan.kernels](const Group& group) {
      run_group(*step, *kernels, group);
    };
  }
  return result;
}

}  // namespace pronghorn::device::cpu
