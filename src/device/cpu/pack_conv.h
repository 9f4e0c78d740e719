// SPDX-License-Identifier: Apache-2.0
// Weights of a convolution in the layout that kernels/kernel_table.h describes. Done once, when a
// graph is compiled; about 6 ns a weight quad and panel, spread over the threads of the pool.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "device/cpu/kernels/kernel_table.h"
#include "device/cpu/layout.h"
#include "graph/graph.h"

namespace pronghorn::device::cpu {

struct ConvWeights {
  graph::Window window;
  std::int64_t oc = 0;
  std::int64_t ic = 0;                  // of the whole input
  std::span<const std::int8_t> values;  // [oc][kh][kw][ic / groups]
  std::span<const std::int32_t> bias;   // [oc]
  std::span<const float> m;             // [oc]
  std::span<const std::int32_t> z_src;  // one or ic, as stored (u8)
};

// One panel owns what its descriptor points to.
struct PackedPanel {
  std::int64_t channel = 0;  // first output channel
  base::Buffer weights;
  std::vector<std::int32_t> taps;
  std::vector<std::int32_t> bias;
  std::vector<float> m;
  ConvPanel conv{};            // of a convolution
  DepthwisePanel depthwise{};  // of a depthwise one
};

struct PackedConv {
  bool depthwise = false;
  std::vector<PackedPanel> panels;
  std::vector<ConvPanel> conv;  // of the panels, one after another
  std::vector<bool> pairs;      // may panels i and i + 1 go to KernelSet::conv_pair together?
  double largest = 0;           // a bound on |acc * m|
  std::int64_t bytes() const;
};

// Writes the bias with the zero point inside and the multiplier of output channel `oc`; returns a
// bound on |acc|.
double pack_channel(const ConvWeights& w, std::int64_t oc, std::int32_t* bias_dst, float* m_dst);

PackedConv pack_conv(const ConvWeights& weights, const Layout& src, const KernelSet& kernels,
                     base::ThreadPool& pool);

}  // namespace pronghorn::device::cpu
