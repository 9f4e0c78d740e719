// SPDX-License-Identifier: Apache-2.0
// Weight words, constant words, and what the host puts into memory and takes out of it.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "device/fpga/plan.h"

namespace pronghorn::device::fpga {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;

class Packer {
 public:
  Packer(const Graph& graph, const Schedule& schedule, const Configuration& c)
      : g_(graph), s_(schedule), c_(c) {}

  Constants run() {
    for (const Step& step : s_.steps) {
      const auto words = static_cast<std::int64_t>(out_.weight_words.size()) / (c_.oc * c_.ic);
      const auto constants = static_cast<std::int64_t>(out_.constant_words.size()) / (8 * c_.ic);
      out_.address.push_back({words, constants});
      const Node& node = g_.nodes[static_cast<std::size_t>(step.node)];
      if (step.relayout) {
        identity(step);
      } else if (node.op == Op::kQConv) {
        convolution(step, node);
      } else if (node.op == Op::kQAdd) {
        const auto& q = node.as<graph::QAdd>();
        pointwise(step, -(q.z_a + shift(node.inputs[0])), q.m_a);
      } else if (node.op == Op::kRequantize) {
        const auto& q = node.as<graph::Requantize>();
        pointwise(step, -(q.z_src + shift(node.inputs[0])), q.m);
      } else if (node.op == Op::kQAveragePool) {
        const auto& q = node.as<graph::QAveragePool>();
        const int count = q.window.kh * q.window.kw;
        pointwise(step, -count * (q.z_src + shift(node.inputs[0])),
                  q.m[static_cast<std::size_t>(count) - 1]);
      }
    }
    return std::move(out_);
  }

 private:
  int shift(graph::ValueId id) const { return shift_of(g_.value(id).dtype); }

  void constant(std::int64_t channel_word, int channel, std::int32_t bias, float m) {
    std::byte* at = out_.constant_words.data() + (channel_word * c_.ic + channel) * 8;
    std::memcpy(at, &bias, 4);
    std::memcpy(at + 4, &m, 4);
  }

  std::int64_t add_constant_words(std::int64_t count) {
    const auto first = static_cast<std::int64_t>(out_.constant_words.size()) / (8 * c_.ic);
    out_.constant_words.resize(out_.constant_words.size() +
                               static_cast<std::size_t>(count * 8 * c_.ic));
    return first;
  }

  // The same constants for every channel.
  void pointwise(const Step& step, std::int32_t bias, float m) {
    const int groups = s_.tensors[static_cast<std::size_t>(step.dst)].groups;
    const std::int64_t first = add_constant_words(groups);
    for (int i = 0; i < groups * c_.ic; ++i) constant(first + i / c_.ic, i % c_.ic, bias, m);
  }

  // acc = q', r = q' * 1: every byte comes out as it went in.
  void identity(const Step& step) { pointwise(step, 0, 1.0f); }

  void convolution(const Step& step, const Node& node) {
    const auto& q = node.as<graph::QConv>();
    const graph::Shape& src = g_.value(node.inputs[0]).shape;
    const std::int64_t oc = g_.value(node.output).shape.c;
    const std::int64_t ic = src.c / q.window.groups;
    const auto weights = g_.constant(node.inputs[1]).values<std::int8_t>();
    const auto bias = g_.constant(node.inputs[2]).values<std::int32_t>();
    const int kh = q.window.kh, kw = q.window.kw;

    // Rows of the array see columns of the kernel as channels when the source is expanded.
    const std::int64_t channels = step.expanded ? src.c * kw : src.c;
    const int taps = step.expanded ? kh : kh * kw;
    const std::int64_t groups = ceil_div(channels, c_.ic);
    const std::int64_t tiles = ceil_div(ceil_div(oc, c_.ic), c_.oc / c_.ic);
    const std::size_t word = static_cast<std::size_t>(c_.oc) * static_cast<std::size_t>(c_.ic);
    const std::size_t begin = out_.weight_words.size();
    out_.weight_words.resize(begin + word * static_cast<std::size_t>(tiles * taps * groups), 0);

    const std::int64_t first = add_constant_words(ceil_div(oc, c_.ic));
    for (std::int64_t o = 0; o < oc; ++o) {
      const std::int64_t base = q.window.groups == 1 ? 0 : o / (oc / q.window.groups) * ic;
      std::uint32_t folded = 0;
      for (int y = 0; y < kh; ++y) {
        for (int x = 0; x < kw; ++x) {
          for (std::int64_t i = 0; i < ic; ++i) {
            const std::int8_t w =
                weights[static_cast<std::size_t>(((o * kh + y) * kw + x) * ic + i)];
            const std::int64_t channel = step.expanded ? x * src.c + i : base + i;
            const int tap = step.expanded ? y : y * kw + x;
            const std::int64_t at = ((o / c_.oc) * taps + tap) * groups + channel / c_.ic;
            out_.weight_words[begin + static_cast<std::size_t>(at) * word +
                              static_cast<std::size_t>(o % c_.oc * c_.ic + channel % c_.ic)] = w;
            const std::size_t z = q.z_src.size() > 1 ? static_cast<std::size_t>(base + i) : 0;
            folded += static_cast<std::uint32_t>((q.z_src[z] + shift(node.inputs[0])) * w);
          }
        }
      }
      constant(first + o / c_.ic, static_cast<int>(o % c_.ic),
               static_cast<std::int32_t>(
                   static_cast<std::uint32_t>(bias[static_cast<std::size_t>(o)]) - folded),
               q.m[static_cast<std::size_t>(o)]);
    }
  }

  const Graph& g_;
  const Schedule& s_;
  const Configuration& c_;
  Constants out_;
};

// The chip's byte of a stored one: u8 moves by 128, which inverts its top bit.
std::uint8_t to_chip(std::uint8_t stored, graph::DType dtype) {
  return dtype == graph::DType::kU8 ? stored ^ 0x80 : stored;
}

}  // namespace

Constants pack_constants(const Graph& graph, const Schedule& schedule, const Configuration& c) {
  return Packer(graph, schedule, c).run();
}

void pack_input(const Plan& plan, std::size_t index, const void* pixels, int images,
                std::byte* memory) {
  const Configuration& c = *plan.configuration;
  const graph::Value& value = plan.graph->value(plan.graph->inputs[index]);
  const graph::Shape& shape = value.shape;
  auto* out = reinterpret_cast<std::uint8_t*>(memory) + plan.input_offset[index];
  const auto* in = static_cast<const std::uint8_t*>(pixels);
  const int tensor = plan.schedule.input_tensor[index];

  if (tensor >= 0) {  // words as they lie on chip
    const TensorPlan& t = plan.schedule.tensors[static_cast<std::size_t>(tensor)];
    for (int n = 0; n < images; ++n) {
      for (int y = 0; y < shape.h; ++y) {
        for (int x = 0; x < shape.w; ++x, in += shape.c) {
          const std::int64_t flat = t.layout.position(n, y, x);
          for (std::int64_t ch = 0; ch < shape.c; ++ch) {
            const std::int64_t word = ch / c.ic * t.region.gs * c.px + flat;
            out[word * c.ic + ch % c.ic] = to_chip(in[ch], value.dtype);
          }
        }
      }
    }
    return;
  }

  const Expansion& e = plan.schedule.expansion[0];
  const graph::Window& w = e.window;
  const int grid_height =
      plan.schedule.tensors[static_cast<std::size_t>(plan.schedule.steps[0].dst)]
          .layout.grid_height;
  const int rows = e.rows(grid_height);
  const int width = e.width + w.pad_left + w.pad_right;
  std::vector<std::uint8_t> border(static_cast<std::size_t>(width) * e.z.size());
  for (std::size_t i = 0; i < border.size(); ++i) {
    border[i] = static_cast<std::uint8_t>(e.z[i % e.z.size()]);
  }
  const std::int64_t source_row = std::int64_t{e.width} * e.channels;
  std::vector<std::uint8_t> row;
  for (int n = 0; n < images; ++n) {
    for (int r = 0; r < rows; ++r) {
      row = border;
      const int y = r - w.pad_top;
      if (y >= 0 && y < e.height) {
        const std::uint8_t* from = in + (std::int64_t{n} * e.height + y) * source_row;
        std::uint8_t* to = row.data() + std::int64_t{w.pad_left} * e.channels;
        for (std::int64_t i = 0; i < source_row; ++i) to[i] = to_chip(from[i], value.dtype);
      }
      if (e.by_hardware) {
        std::uint8_t* to = out + (std::int64_t{n} * rows + r) * e.row_bytes;
        std::copy(row.begin(), row.end(), to);
        std::fill(to + row.size(), to + e.row_bytes, 0);
        continue;
      }
      const TensorPlan& t =
          plan.schedule.tensors[static_cast<std::size_t>(plan.schedule.steps[0].src)];
      std::uint8_t* image = out + n * t.region.rows() * c.px * c.ic;
      const std::int64_t plane = ceil_div(rows, e.planes()) * e.positions;
      for (int x = 0; x < e.positions; ++x) {
        const std::int64_t flat = r % e.planes() * plane + r / e.planes() * e.positions + x;
        for (int i = 0; i < e.groups * c.ic; ++i) {
          const std::size_t from = static_cast<std::size_t>(x * w.sw * e.channels + i);
          const std::int64_t word = i / c.ic * t.region.gs * c.px + flat;
          image[word * c.ic + i % c.ic] = from < row.size() ? row[from] : 0;
        }
      }
    }
  }
}

void unpack_output(const Plan& plan, std::size_t index, const std::byte* memory, int images,
                   void* values) {
  const Configuration& c = *plan.configuration;
  const graph::Value& value = plan.graph->value(plan.graph->outputs[index]);
  const graph::Shape& shape = value.shape;
  const TensorPlan& t =
      plan.schedule.tensors[static_cast<std::size_t>(plan.schedule.output_tensor[index])];
  const auto* in = reinterpret_cast<const std::uint8_t*>(memory) + plan.output_offset[index];
  const bool logits = value.dtype == graph::DType::kF32;
  const std::int64_t size = logits ? 4 : 1;
  const std::int64_t in_a_word = c.ic / size;
  auto* out = static_cast<std::uint8_t*>(values);
  for (int n = 0; n < images; ++n) {
    for (int y = 0; y < shape.h; ++y) {
      for (int x = 0; x < shape.w; ++x) {
        const std::int64_t flat = t.layout.position(n, y, x);
        for (std::int64_t ch = 0; ch < shape.c; ++ch, out += size) {
          const std::int64_t word = ch / in_a_word * t.region.gs * c.px + flat;
          const std::uint8_t* from = in + word * c.ic + ch % in_a_word * size;
          if (logits) {
            std::memcpy(out, from, 4);
          } else {
            *out = to_chip(*from, value.dtype);
          }
        }
      }
    }
  }
}

}  // namespace pronghorn::device::fpga
