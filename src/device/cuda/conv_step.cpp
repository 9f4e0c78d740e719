// SPDX-License-Identifier: Apache-2.0
// kQConv: what kernels/conv_kernel.h promises to kernels is made true here.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/error.h"
#include "device/cuda/kernels/byte_kernels.h"
#include "device/cuda/plan.h"

namespace pronghorn::device::cuda {
namespace {

// A convolution with its weights, zero points and bias, as the graph has it or rewritten.
struct Conv {
  ConvProblem problem{};
  std::vector<std::int8_t> weights;  // [oc][kh][kw][ic / groups]
  std::vector<std::int32_t> bias;
};

// bias - z_src * weights over whole windows. The exact sum is the same modulo 2^32.
void fold_zero_points(Conv& conv, const std::vector<std::int32_t>& z_src) {
  const ConvProblem& p = conv.problem;
  const std::int64_t ic = p.ic / p.groups;
  const std::int64_t window = p.window();
  for (std::int64_t oc = 0; oc < p.oc; ++oc) {
    const std::int64_t first = oc / (p.oc / p.groups) * ic;
    auto sum = static_cast<std::uint32_t>(conv.bias[static_cast<std::size_t>(oc)]);
    for (std::int64_t i = 0; i < window; ++i) {
      const std::size_t c = z_src.size() == 1 ? 0 : static_cast<std::size_t>(first + i % ic);
      sum -= static_cast<std::uint32_t>(z_src[c] *
                                        conv.weights[static_cast<std::size_t>(oc * window + i)]);
    }
    conv.bias[static_cast<std::size_t>(oc)] = static_cast<std::int32_t>(sum);
  }
}

Conv with_border(const Conv& conv) {
  Conv framed = conv;
  ConvProblem& b = framed.problem;
  b.ih = (b.oh - 1) * b.sh + b.kh;
  b.iw = (b.ow - 1) * b.sw + b.kw;
  b.pad_top = b.pad_left = 0;
  return framed;
}

ConvProblem problem_of(const graph::Graph& graph, const graph::Node& node) {
  const auto& q = node.as<graph::QConv>();
  const graph::Value& dst = graph.value(node.output);
  ConvProblem p = geometry_of(graph, node, q.window);
  const bool residual = node.inputs.size() == 4;
  p.result = dst.dtype == graph::DType::kF32 ? ConvResult::kFloat
             : residual                      ? ConvResult::kBytesResidual
                                             : ConvResult::kBytes;
  const std::int32_t shift = to_u8(dst.dtype);
  p.z_dst = q.z_dst + shift;
  p.lo = q.range.lo + shift;
  p.hi = q.range.hi + shift;
  if (residual) {
    p.z_res = q.z_res + to_u8(graph.value(node.inputs[3]).dtype);
    p.m_res = q.m_res;
  }
  return p;
}

}  // namespace

const ConvKernel& choose_kernel(const ConvProblem& problem, int capability) {
  const char* forced = std::getenv("PRONGHORN_CUDA_KERNEL");
  bool begun = forced == nullptr || *forced == '\0';
  std::string known;
  for (std::int32_t i = 0; i < kConvKernelCount; ++i) {
    const ConvKernel& kernel = *kConvKernels[i];
    begun = begun || std::string(kernel.name) == forced;
    if (begun && kernel.supports(problem, capability)) return kernel;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", kernel.name);
  }
  base::fail(base::Status::kInvalidArgument,
             "PRONGHORN_CUDA_KERNEL is \"{}\"; kernels for this GPU are {}",
             forced == nullptr ? "" : forced, known);
}

bool fits_blocks(const ConvProblem& p) {
  return p.groups == 1 && p.ic % 16 != 0 && p.sh * p.sw * p.ic <= 16;
}

ConvProblem in_blocks(const ConvProblem& p) {
  ConvProblem b = p;
  b.kh = (p.kh + p.sh - 1) / p.sh;
  b.kw = (p.kw + p.sw - 1) / p.sw;
  b.ic = 16;
  b.sh = b.sw = 1;
  b.pad_top = b.pad_left = 0;
  b.ih = b.oh + b.kh - 1;
  b.iw = b.ow + b.kw - 1;
  return b;
}

ConvProblem geometry_of(const graph::Graph& graph, const graph::Node& node,
                        const graph::Window& w) {
  const graph::Shape& src = graph.value(node.inputs[0]).shape;
  const graph::Shape& dst = graph.value(node.output).shape;
  ConvProblem p{};
  p.n = 1;
  p.ih = static_cast<int>(src.h);
  p.iw = static_cast<int>(src.w);
  p.ic = static_cast<int>(src.c);
  p.oh = static_cast<int>(dst.h);
  p.ow = static_cast<int>(dst.w);
  p.oc = static_cast<int>(dst.c);
  p.kh = w.kh;
  p.kw = w.kw;
  p.sh = w.sh;
  p.sw = w.sw;
  p.pad_top = w.pad_top;
  p.pad_left = w.pad_left;
  p.groups = w.groups;
  return p;
}

ConvProblem ConvStep::problem_for(int images) const {
  ConvProblem p = problem;
  p.n = images;
  return p;
}

ConvBuffers ConvStep::buffers(const Launch& l) const {
  const bool residual = problem.result == ConvResult::kBytesResidual;
  return {bytes_at(l, src),
          constant_at<std::int8_t>(l, weights),
          l.constants + bias,
          constant_at<float>(l, m),
          residual ? bytes_at(l, res) : nullptr,
          l.slots[dst],
          constant_at<std::uint8_t>(l, pad),
          reinterpret_cast<std::uint8_t*>(l.workspace)};
}

void add_conv_steps(Plan& plan, const graph::Node& node) {
  const graph::Graph& graph = *plan.graph;
  const auto& q = node.as<graph::QConv>();
  const auto weights = graph.constant(node.inputs[1]).values<std::int8_t>();
  const auto bias = graph.constant(node.inputs[2]).values<std::int32_t>();
  Conv conv{problem_of(graph, node), {weights.begin(), weights.end()}, {bias.begin(), bias.end()}};
  const ConvProblem p = conv.problem;
  std::vector<std::int32_t> z_src = q.z_src;
  for (std::int32_t& z : z_src) z += to_u8(graph.value(node.inputs[0]).dtype);
  const bool one_z = std::all_of(z_src.begin(), z_src.end(), [&](auto z) { return z == z_src[0]; });
  fold_zero_points(conv, z_src);

  auto step = std::make_shared<ConvStep>();
  step->src = static_cast<Slot>(node.inputs[0]);
  step->dst = static_cast<Slot>(node.output);
  if (node.inputs.size() == 4) step->res = static_cast<Slot>(node.inputs[3]);

  const bool blocks = fits_blocks(p);
  if (blocks || (!one_z && !p.inside())) {
    conv = blocks ? Conv{in_blocks(p), in_blocks(p, conv.weights), conv.bias} : with_border(conv);
    const ConvProblem& b = conv.problem;
    std::vector<std::uint8_t> values(static_cast<std::size_t>(p.ic));
    for (std::size_t c = 0; c < values.size(); ++c) {
      values[c] = static_cast<std::uint8_t>(z_src[z_src.size() == 1 ? 0 : c]);
    }
    const std::int64_t fill = plan.constants.add(values);
    const Slot src = step->src;
    const Slot dst = plan.add_slot(std::int64_t{b.ih} * b.iw * b.ic);
    step->src = dst;
    const Frame frame{
        1,         p.ih,      p.iw, p.ic, b.ih, b.iw, b.ic, blocks ? p.sh : 1, blocks ? p.sw : 1,
        p.pad_top, p.pad_left};
    plan.steps.push_back({node.name,
                          blocks ? "frame_blocks" : "frame_border",
                          [=](const Launch& l) {
                            Frame f = frame;
                            f.n = l.images;
                            return launch_frame(f, bytes_at(l, src),
                                                constant_at<std::uint8_t>(l, fill),
                                                bytes_at(l, dst), l.stream);
                          },
                          {src},
                          dst});
  }

  step->problem = conv.problem;
  step->problem.z_src = one_z ? z_src[0] : 0;
  step->kernel = &choose_kernel(step->problem_for(plan.most_images), plan.capability);
  step->weights = plan.constants.add(step->kernel->packed_bytes(step->problem));
  step->kernel->pack(step->problem, conv.weights.data(),
                     reinterpret_cast<std::int8_t*>(plan.constants.at(step->weights)));
  const auto channels =
      static_cast<std::size_t>((p.oc + kChannelPad - 1) / kChannelPad * kChannelPad);
  conv.bias.resize(channels);
  std::vector<float> m = q.m;
  m.resize(channels);
  step->bias = plan.constants.add(conv.bias);
  step->m = plan.constants.add(m);
  step->pad = plan.constants.add(
      std::vector<std::uint8_t>(kAlignment, static_cast<std::uint8_t>(step->problem.z_src)));
  std::vector<Slot> reads = {step->src};
  if (node.inputs.size() == 4) reads.push_back(step->res);
  plan.steps.push_back({node.name, step->kernel->name,
                        [step](const Launch& l) {
                          return step->kernel->launch(step->problem_for(l.images), step->buffers(l),
                                                      l.variant, l.stream);
                        },
                        std::move(reads), step->dst, step});
}

}  // namespace pronghorn::device::cuda
