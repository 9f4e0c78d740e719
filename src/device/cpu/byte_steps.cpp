// SPDX-License-Identifier: Apache-2.0
// The other ops on 8-bit activations. Each item is one row of the result.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "device/cpu/step.h"

namespace pronghorn::device::cpu {
namespace {

using Row = std::uint8_t*;

// Pixel (y, 0) of a slot.
struct Rows {
  Slot slot = 0;
  std::int64_t first = 0, pitch = 0, pixel = 0;

  Rows(const Plan& plan, graph::ValueId id)
      : slot(plan.slot_of(id)),
        first(plan.layout_of(id).first()),
        pitch(plan.layout_of(id).pitch()),
        pixel(plan.layout_of(id).pixel()) {}
  Row at(Slots slots, std::int64_t y) const {
    return reinterpret_cast<Row>(slots[slot]) + first + y * pitch;
  }
};

Store store_of(std::int32_t z, arith::Range range, graph::DType dtype, double largest) {
  const std::int32_t shift = to_u8(dtype);
  return {z + shift, range.lo + shift, range.hi + shift, largest < 0x1p30};
}

void make_add(const Plan& plan, const graph::Node& node, Step& step) {
  const auto& q = node.as<graph::QAdd>();
  const Layout& a = plan.layout_of(node.inputs[0]);
  const Layout& b = plan.layout_of(node.inputs[1]);
  const Layout& dst = plan.layout_of(node.output);
  const double largest = 512.0 * (std::abs(double{q.m_a}) + std::abs(double{q.m_b}));
  const AddTerms terms{q.z_a + to_u8(a.dtype), q.z_b + to_u8(b.dtype), q.m_a, q.m_b,
                       store_of(q.z_dst, q.range, dst.dtype, largest)};
  step.run = [terms, kernels = plan.kernels, row = dst.row(), a = Rows(plan, node.inputs[0]),
              b = Rows(plan, node.inputs[1]),
              dst = Rows(plan, node.output)](Slots slots, std::int64_t y) {
    kernels->add(&terms, a.at(slots, y), b.at(slots, y), dst.at(slots, y), row);
  };
}

// Visits each result of row y with the window pixels that lie inside the input.
template <typename Body>
void for_windows(const graph::Window& w, const graph::Shape& src_shape, const graph::Shape& shape,
                 const Rows& src, Slots slots, std::int64_t y, Body body) {
  std::vector<const std::uint8_t*> inside;
  const std::int64_t top = y * w.sh - w.pad_top;
  for (std::int64_t x = 0; x < shape.w; ++x) {
    const std::int64_t left = x * w.sw - w.pad_left;
    const std::int64_t x0 = std::max<std::int64_t>(left, 0);
    const std::int64_t x1 = std::min<std::int64_t>(left + w.kw, src_shape.w);
    inside.clear();
    for (std::int64_t iy = std::max<std::int64_t>(top, 0);
         iy < std::min<std::int64_t>(top + w.kh, src_shape.h); ++iy) {
      const std::uint8_t* row = src.at(slots, iy);
      for (std::int64_t ix = x0; ix < x1; ++ix) inside.push_back(row + ix * src.pixel);
    }
    body(x, inside);
  }
}

// First over the rows of a window, all columns at once, then over columns.
void make_max_pool(const Plan& plan, const graph::Node& node, Step& step) {
  const auto window = node.as<graph::Window>();
  const graph::Shape src_shape = plan.layout_of(node.inputs[0]).shape;
  const Layout& layout = plan.layout_of(node.output);
  const graph::Shape shape = layout.shape;
  step.run = [=, kernels = plan.kernels, src = Rows(plan, node.inputs[0]),
              dst = Rows(plan, node.output)](Slots slots, std::int64_t y) {
    thread_local std::vector<const std::uint8_t*> inside;
    thread_local std::vector<std::uint8_t> row;
    const std::int64_t top = y * window.sh - window.pad_top;
    inside.clear();
    for (std::int64_t iy = std::max<std::int64_t>(top, 0);
         iy < std::min<std::int64_t>(top + window.kh, src_shape.h); ++iy) {
      inside.push_back(src.at(slots, iy));
    }
    // A window of padding alone yields the least value there is.
    const std::int64_t width = src_shape.w * src.pixel;
    row.resize(static_cast<std::size_t>(width + 64));  // vectors reach over
    if (inside.empty()) {
      std::fill(row.begin(), row.end(), std::uint8_t{0});
    } else {
      kernels->max(inside.data(), static_cast<std::int64_t>(inside.size()), row.data(), width, 1,
                   width);
    }
    std::int64_t results = 0;
    for (std::int64_t x = 0; x < shape.w; x += results) {
      const std::int64_t left = x * window.sw - window.pad_left;
      inside.clear();
      for (std::int64_t ix = std::max<std::int64_t>(left, 0);
           ix < std::min<std::int64_t>(left + window.kw, src_shape.w); ++ix) {
        inside.push_back(row.data() + ix * src.pixel);
      }
      // Whole windows differ only in where they start: all at once.
      const bool whole = left >= 0 && left + window.kw <= src_shape.w;
      results = whole ? std::min((src_shape.w - window.kw - left) / window.sw + 1, shape.w - x) : 1;
      Row pixel = dst.at(slots, y) + x * dst.pixel;
      if (inside.empty()) {
        std::memset(pixel, 0, static_cast<std::size_t>(shape.c));
      } else {
        kernels->max(inside.data(), static_cast<std::int64_t>(inside.size()), pixel, shape.c,
                     results, window.sw * src.pixel);
      }
    }
  };
}

void make_average_pool(const Plan& plan, const graph::Node& node, Step& step) {
  const auto& q = node.as<graph::QAveragePool>();
  const Layout& src_layout = plan.layout_of(node.inputs[0]);
  const Layout& layout = plan.layout_of(node.output);
  double m = 0;
  for (const float x : q.m) m = std::max(m, std::abs(double{x}));
  const double largest = 512.0 * q.window.kh * q.window.kw * m;
  const Store store = store_of(q.z_dst, q.range, layout.dtype, largest);
  const std::int32_t z_src = q.z_src + to_u8(src_layout.dtype);
  step.run = [q, store, z_src, src_shape = src_layout.shape, shape = layout.shape,
              floats = layout.dtype == graph::DType::kF32, kernels = plan.kernels,
              src = Rows(plan, node.inputs[0]),
              dst = Rows(plan, node.output)](Slots slots, std::int64_t y) {
    const graph::Window& w = q.window;
    for_windows(w, src_shape, shape, src, slots, y,
                [&](std::int64_t x, const std::vector<const std::uint8_t*>& inside) {
                  const auto count = static_cast<std::int64_t>(inside.size());
                  const std::int64_t divisor = w.count_include_pad
                                                   ? std::int64_t{w.kh} * w.kw
                                                   : std::max<std::int64_t>(count, 1);
                  const AverageTerms terms{static_cast<std::int32_t>(count * z_src),
                                           q.m[static_cast<std::size_t>(divisor - 1)], store};
                  Row pixel = dst.at(slots, y) + x * dst.pixel;
                  kernels->average(&terms, inside.data(), count, floats ? nullptr : pixel,
                                   floats ? reinterpret_cast<float*>(pixel) : nullptr, shape.c);
                });
  };
}

// u8 to u8 through a table of all 256 values.
void make_requantize(const Plan& plan, const graph::Node& node, Step& step) {
  const auto& q = node.as<graph::Requantize>();
  const std::int32_t in = to_u8(plan.layout_of(node.inputs[0]).dtype);
  const std::int32_t out = to_u8(plan.layout_of(node.output).dtype);
  std::array<std::uint8_t, 256> table;
  for (std::int32_t i = 0; i < 256; ++i) {
    const std::int32_t value = arith::requantize(i - in - q.z_src, q.m, q.z_dst, q.range);
    table[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value + out);
  }
  step.run = [table, row = plan.layout_of(node.output).row(), src = Rows(plan, node.inputs[0]),
              dst = Rows(plan, node.output)](Slots slots, std::int64_t y) {
    const std::uint8_t* from = src.at(slots, y);
    Row to = dst.at(slots, y);
    for (std::int64_t i = 0; i < row; ++i) to[i] = table[from[i]];
  };
}

void make_pad(const Plan& plan, const graph::Node& node, Step& step) {
  const auto pad = node.as<graph::Pad>();
  const Layout& src_layout = plan.layout_of(node.inputs[0]);
  const Layout& layout = plan.layout_of(node.output);
  const int value = static_cast<int>(pad.value) + to_u8(layout.dtype);
  step.run = [pad, value, rows = src_layout.shape.h, src_row = src_layout.row(),
              dst_row = layout.row(), src = Rows(plan, node.inputs[0]),
              dst = Rows(plan, node.output)](Slots slots, std::int64_t y) {
    Row to = dst.at(slots, y);
    std::memset(to, value, static_cast<std::size_t>(dst_row));
    if (y < pad.top || y >= pad.top + rows) return;
    std::memcpy(to + pad.left * dst.pixel, src.at(slots, y - pad.top),
                static_cast<std::size_t>(src_row));
  };
}

void make_concat(const Plan& plan, const graph::Node& node, Step& step) {
  std::vector<Rows> srcs;
  for (const graph::ValueId id : node.inputs) srcs.emplace_back(plan, id);
  step.run = [srcs, w = plan.layout_of(node.output).shape.w, dst = Rows(plan, node.output)](
                 Slots slots, std::int64_t y) {
    std::int64_t channel = 0;
    for (const Rows& src : srcs) {
      const std::uint8_t* from = src.at(slots, y);
      Row to = dst.at(slots, y) + channel;
      for (std::int64_t x = 0; x < w; ++x) {
        std::memcpy(to + x * dst.pixel, from + x * src.pixel, static_cast<std::size_t>(src.pixel));
      }
      channel += src.pixel;
    }
  };
}

void make_flatten(const Plan& plan, const graph::Node& node, Step& step) {
  const Layout& src_layout = plan.layout_of(node.inputs[0]);
  step.items = 1;
  step.run = [rows = src_layout.shape.h, bytes = src_layout.row(), src = Rows(plan, node.inputs[0]),
              dst = Rows(plan, node.output)](Slots slots, std::int64_t) {
    for (std::int64_t y = 0; y < rows; ++y) {
      std::memcpy(dst.at(slots, 0) + y * bytes, src.at(slots, y), static_cast<std::size_t>(bytes));
    }
  };
}

// arith::quantize of a whole row with one scale, in a form that compilers make vectors of: between
// the integers lo and hi it matters not whether one clamps before rounding or after it, and adding
// and taking away 1.5 * 2^23 rounds to even what is smaller than 2^22.
void quantize_row(const float* from, Row to, std::int64_t count, float scale, std::int32_t z,
                  arith::Range range, std::int32_t shift) {
  constexpr float kRound = 12582912.0f;
  const auto lo = static_cast<float>(range.lo - z), hi = static_cast<float>(range.hi - z);
  for (std::int64_t i = 0; i < count; ++i) {
    float r = from[i] / scale;
    r = r == r ? r : 0.0f;
    r = r < lo ? lo : r;
    r = r > hi ? hi : r;
    r = (r + kRound) - kRound;
    to[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(r) + z + shift);
  }
}

void make_quantize(const Plan& plan, const graph::Node& node, Step& step) {
  const auto& q = node.as<graph::Quant>();
  const Layout& layout = plan.layout_of(node.output);
  const std::int32_t shift = to_u8(layout.dtype);
  const arith::Range range = shift == 0 ? arith::kU8 : arith::kS8;
  step.run = [q, shift, range, shape = layout.shape, src = Rows(plan, node.inputs[0]),
              dst = Rows(plan, node.output)](Slots slots, std::int64_t y) {
    const auto* from = reinterpret_cast<const float*>(src.at(slots, y));
    Row to = dst.at(slots, y);
    if (!q.per_channel()) {
      quantize_row(from, to, shape.w * shape.c, q.scale[0], q.zero_point[0], range, shift);
      return;
    }
    for (std::int64_t i = 0; i < shape.w * shape.c; ++i) {
      const auto c = static_cast<std::size_t>(i % shape.c);
      to[i] = static_cast<std::uint8_t>(
          arith::quantize(from[i], q.scale[c], q.zero_point[c], range) + shift);
    }
  };
}

void make_dequantize(const Plan& plan, const graph::Node& node, Step& step) {
  const auto& q = node.as<graph::Quant>();
  const Layout& src_layout = plan.layout_of(node.inputs[0]);
  const std::int32_t shift = to_u8(src_layout.dtype);
  step.run = [q, shift, shape = src_layout.shape, src = Rows(plan, node.inputs[0]),
              dst = Rows(plan, node.output)](Slots slots, std::int64_t y) {
    const std::uint8_t* from = src.at(slots, y);
    auto* to = reinterpret_cast<float*>(dst.at(slots, y));
    for (std::int64_t i = 0; i < shape.w * shape.c; ++i) {
      const auto c = static_cast<std::size_t>(q.per_channel() ? i % shape.c : 0);
      to[i] = arith::dequantize(from[i] - shift, q.scale[c], q.zero_point[c]);
    }
  };
}

}  // namespace

Step make_copy_step(const Plan& plan, const std::string& node, Slot src, Slot dst) {
  const Layout& from = plan.layouts[src];
  const Layout& to = plan.layouts[dst];
  Step step;
  step.node = node;
  step.kernel = "copy";
  step.dst = dst;
  step.run = [src, dst, rows = to.shape.h, bytes = to.row(), src_first = from.first(),
              src_pitch = from.pitch(), dst_first = to.first(),
              dst_pitch = to.pitch()](Slots slots, std::int64_t) {
    for (std::int64_t y = 0; y < rows; ++y) {
      std::memcpy(slots[dst] + dst_first + y * dst_pitch, slots[src] + src_first + y * src_pitch,
                  static_cast<std::size_t>(bytes));
    }
  };
  return step;
}

Step make_blocks_step(const Plan& plan, std::size_t node_index) {
  const graph::Node& node = plan.graph->nodes[node_index];
  const SpaceToDepth& blocks = plan.blocks.at(node_index);
  const Slot src = plan.slot_of(node.inputs[0]);
  Step step;
  step.node = node.name;
  step.kernel = "blocks";
  step.dst = plan.copies.at(node_index);
  step.items = blocks.layout.shape.h;
  step.run = [blocks, src, layout = plan.layouts[src], dst = step.dst](Slots slots,
                                                                       std::int64_t row) {
    to_blocks(blocks, layout, reinterpret_cast<const std::uint8_t*>(slots[src]),
              reinterpret_cast<std::uint8_t*>(slots[dst]), row, row + 1);
  };
  return step;
}

Step make_byte_step(const Plan& plan, const graph::Node& node) {
  Step step;
  step.node = node.name;
  step.dst = plan.slot_of(node.output);
  step.items = plan.layout_of(node.output).shape.h;
  const auto kernel = [&](std::string_view name, bool of_set) {
    step.kernel = of_set ? fmt::format("{}/{}", plan.kernels->name, name) : std::string(name);
  };
  switch (node.op) {
    case graph::Op::kQAdd:
      kernel("add", true);
      make_add(plan, node, step);
      break;
    case graph::Op::kMaxPool:
      kernel("max", true);
      make_max_pool(plan, node, step);
      break;
    case graph::Op::kQAveragePool:
      kernel("average", true);
      make_average_pool(plan, node, step);
      break;
    case graph::Op::kRequantize:
      kernel("table", false);
      make_requantize(plan, node, step);
      break;
    case graph::Op::kPad:
      kernel("copy", false);
      make_pad(plan, node, step);
      break;
    case graph::Op::kConcat:
      kernel("copy", false);
      make_concat(plan, node, step);
      break;
    case graph::Op::kFlatten:
      kernel("copy", false);
      make_flatten(plan, node, step);
      break;
    case graph::Op::kQuantize:
      kernel("quantize", false);
      make_quantize(plan, node, step);
      break;
    case graph::Op::kDequantize:
      kernel("dequantize", false);
      make_dequantize(plan, node, step);
      break;
    default:
      base::fail(base::Status::kInternal, "node {} ({}) has no byte step", node.name,
                 graph::name_of(node.op));
  }
  return step;
}

}  // namespace pronghorn::device::cpu
