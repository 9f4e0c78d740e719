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
};

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
  const auto count = static_cast<std::int64_t>(step.packed.panels.size());
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
  const auto panels = static_cast<std::int64_t>(step.packed.panels.size());
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
      src, plan.kernels->packing, *plan.pool);
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
  result.kernel =
      fmt::format("{}/{}", plan.kernels->name, step->packed.depthwise ? "depthwise" : "conv");
  result.dst = step->dst;
  const auto pixels = static_cast<std::int64_t>(step->src_at.size());
  result.items = (pixels + step->block - 1) / step->block * step->ranges;
  result.memory_bytes = step->packed.bytes() + 4 * pixels * (residual ? 3 : 2);
  result.run = [step, kernels = plan.kernels](Slots slots, std::int64_t item) {
    run(*step, *kernels, slots, item);
  };
  return result;
}

}  // namespace pronghorn::device::cpu
