// SPDX-License-Identifier: Apache-2.0
// kQConv. An item is a block of pixels by a range of panels; within it the panel is the outer loop,
// so that its weights stay in the first cache while the block's pixels pass, and the block is small
// enough to stay in the second.
#include <algorithm>
#include <cmath>

#include "device/cpu/conv_terms.h"

namespace pronghorn::device::cpu {
namespace {

constexpr std::int64_t kBlockBytes = 48 << 10;  // of input, when the weights are small
constexpr std::int64_t kBigBlockBytes = 192
                                        << 10;  // when each block reads more than that of weights
constexpr std::int64_t kLongTile = 8;           // tiles of more pixels keep to a row
constexpr std::int64_t kItemsPerThread = 6;     // enough to keep threads evenly loaded

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
  const std::int64_t last = std::min(panel + step.range, step.panels);
  for (std::int64_t p = panel; p < last; ++p) {
    const PackedPanel& packed = step.packed.panels[static_cast<std::size_t>(p)];
    px.dst = dst + packed.channel * step.element;
    px.res = res == nullptr ? nullptr : res + packed.channel;
    if (step.packed.depthwise) {
      kernels.depthwise(&packed.depthwise, &px);
    } else {
      const bool pair = kernels.conv_pair != nullptr && p + 1 < last &&
                        step.packed.pairs[static_cast<std::size_t>(p)];
      (pair ? kernels.conv_pair : kernels.conv)(&step.packed.conv[static_cast<std::size_t>(p)],
                                                &px);
      if (pair) ++p;
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

void choose_blocks(ConvStep& step, const Layout& src, const graph::Window& window, std::int64_t row,
                   const KernelSet& kernels, int threads) {
  const auto pixels = static_cast<std::int64_t>(step.src_at.size());
  const std::int64_t panels = step.panels;
  const std::int64_t tile = kernels.conv_tile;
  const bool paired = kernels.conv_pair != nullptr && step.packed.pairs[0];
  const std::int64_t limit = step.packed.bytes() > kBigBlockBytes ? kBigBlockBytes : kBlockBytes;
  const std::int64_t per_pixel = src.pixel() * window.sh * window.sw;
  // Blocks of equal size, in whole tiles; in whole rows where tiles end with them.
  const std::int64_t unit = tile < kLongTile || row % tile == 0 ? tile : row;
  const std::int64_t block = std::max<std::int64_t>(limit / per_pixel, 2 * unit);
  const std::int64_t blocks = (pixels + block - 1) / block;
  step.block = ((pixels + blocks - 1) / blocks + unit - 1) / unit * unit;
  const std::int64_t wanted = std::max<std::int64_t>(1, kItemsPerThread * threads / blocks);
  step.range = std::max<std::int64_t>(1, panels / wanted);
  if (paired) step.range += step.range % 2;
  step.ranges = (panels + step.range - 1) / step.range;
}

}  // namespace

Store ConvTerms::store(double largest) const {
  const std::int32_t shift = to_u8(dst_layout->dtype);
  return {q->z_dst + shift, q->range.lo + shift, q->range.hi + shift, largest < 0x1p30};
}

ConvTerms conv_terms(const Plan& plan, std::size_t node_index) {
  const graph::Graph& graph = *plan.graph;
  const graph::Node& node = graph.nodes[node_index];
  const auto copy = plan.copies.find(node_index);
  ConvTerms terms;
  terms.q = &node.as<graph::QConv>();
  terms.src = copy == plan.copies.end() ? plan.slot_of(node.inputs[0]) : copy->second;
  terms.dst = plan.slot_of(node.output);
  const Layout& src = plan.layouts[terms.src];
  const graph::Window& window = terms.q->window;
  terms.src_layout = &src;
  terms.dst_layout = &plan.layout_of(node.output);
  terms.src_first = src.first() - window.pad_top * src.pitch() - window.pad_left * src.pixel();
  if (node.inputs.size() == 4) {
    terms.res = plan.slot_of(node.inputs[3]);
    terms.res_layout = &plan.layout_of(node.inputs[3]);
    terms.z_res = terms.q->z_res + to_u8(terms.res_layout->dtype);
  }
  terms.result = terms.dst_layout->dtype == graph::DType::kF32 ? ConvResult::kFloat
                 : terms.res_layout != nullptr                 ? ConvResult::kBytesResidual
                                                               : ConvResult::kBytes;
  terms.z_src = terms.q->z_src;
  for (std::int32_t& z : terms.z_src) z += to_u8(src.dtype);
  terms.weights = {window,
                   terms.dst_layout->shape.c,
                   src.shape.c,
                   graph.constant(node.inputs[1]).values<std::int8_t>(),
                   graph.constant(node.inputs[2]).values<std::int32_t>(),
                   terms.q->m,
                   terms.z_src};
  if (const auto found = plan.blocks.find(node_index); found != plan.blocks.end()) {
    const SpaceToDepth& blocks = found->second;
    terms.block_weights =
        block_weights(blocks, graph.value(node.inputs[0]).shape.c, terms.weights.values);
    terms.weights.values = terms.block_weights;
    terms.weights.window = blocks.window;
    terms.src_first = 0;
    terms.weights.ic = src.shape.c;
    // A zero point for each byte of a block; weights are 0 where there is no channel.
    std::vector<std::int32_t> z_block;
    for (std::int64_t i = 0; i < src.shape.c; ++i) {
      z_block.push_back(blocks.outside[static_cast<std::size_t>(i) % blocks.outside.size()]);
    }
    terms.z_src = std::move(z_block);
    terms.weights.z_src = terms.z_src;
  }
  return terms;
}

Step make_conv_step(const Plan& plan, std::size_t node_index) {
  const ConvTerms terms = conv_terms(plan, node_index);
  const Layout& src = *terms.src_layout;
  const Layout& dst = *terms.dst_layout;
  const graph::Window& window = terms.weights.window;
  const bool residual = terms.res_layout != nullptr;

  auto step = std::make_shared<ConvStep>();
  step->packed = pack_conv(terms.weights, src, *plan.kernels, *plan.pool);
  step->panels = static_cast<std::int64_t>(step->packed.panels.size());
  step->src = terms.src;
  step->dst = terms.dst;
  step->res = terms.res;
  step->src_first = terms.src_first;
  step->dst_first = dst.first();
  step->src_at = offsets(dst.shape, window.sh * src.pitch(), window.sw * src.pixel());
  step->dst_at = offsets(dst.shape, dst.pitch(), dst.pixel());
  step->element = dst.element();
  double largest = step->packed.largest;
  if (residual) {
    const Layout& res = *terms.res_layout;
    step->res_first = res.first();
    step->res_at = offsets(dst.shape, res.pitch(), res.pixel());
    step->pixels.z_res = terms.z_res;
    step->pixels.m_res = terms.q->m_res;
    largest += 512.0 * std::abs(static_cast<double>(terms.q->m_res));
  }
  step->pixels.result = terms.result;
  step->pixels.store = terms.store(largest);
  step->pixels.step = window.sw * src.pixel();
  choose_blocks(*step, src, window, dst.shape.w, *plan.kernels, plan.pool->size());

  Step result;
  result.node = plan.graph->nodes[node_index].name;
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
