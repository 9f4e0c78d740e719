// SPDX-License-Identifier: Apache-2.0
// What the two ways to run a convolution ask of its node alike.
#pragma once

#include <cstdint>
#include <vector>

#include "device/cpu/pack_conv.h"
#include "device/cpu/step.h"

namespace pronghorn::device::cpu {

struct ConvTerms {
  const graph::QConv* q = nullptr;
  Slot src = 0, dst = 0, res = 0;
  const Layout* src_layout = nullptr;
  const Layout* dst_layout = nullptr;
  const Layout* res_layout = nullptr;  // null without a residual
  std::int64_t src_first = 0;          // of the first window
  std::vector<std::int32_t> z_src;     // as stored
  std::int32_t z_res = 0;              // likewise
  ConvResult result = ConvResult::kBytes;
  std::vector<std::int8_t> block_weights;  // of a convolution on blocks, see space_to_depth.h
  ConvWeights weights;                     // refers to z_src, so terms stay where they are made

  ConvTerms() = default;
  ConvTerms(ConvTerms&&) = default;  // moves the storage of z_src along

  // `largest` is a bound on |acc * m|.
  Store store(double largest) const;
};

ConvTerms conv_terms(const Plan& plan, std::size_t node_index);

}  // namespace pronghorn::device::cpu
