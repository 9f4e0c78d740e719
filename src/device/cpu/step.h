// SPDX-License-Identifier: Apache-2.0
// What a compiled graph is made of: a list of steps over slots. A slot is the buffer of one
// activation of one image; slot i holds graph value i, slots after the last value are copies with
// another border.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "device/cpu/kernels/kernel_table.h"
#include "device/cpu/layout.h"
#include "device/device.h"
#include "graph/graph.h"

namespace pronghorn::device::cpu {

using Slot = std::size_t;
using Slots = std::span<std::byte* const>;

// Images whose buffers lie side by side: slot s of image i is slots[s] + i * stride.
struct Group {
  Slots slots;  // of the first image
  std::int64_t stride = 0;
  std::int64_t images = 1;
};

// One node (or copy) on one image. `items` independent parts may run at once, in any order, after
// the borders of `dst` have been filled.
struct Step {
  std::string node;
  std::string kernel;
  Slot dst = 0;
  std::int64_t items = 1;
  std::int64_t memory_bytes = 0;  // weights and tables
  std::size_t scratch_bytes = 0;  // of the slot after the last layout, contents immaterial
  std::function<void(Slots, std::int64_t item)> run;
  // All items of all images on one thread, in blocks that suit that; where set, `together` says
  // that weights outweigh activations, so that images of a group should not take turns.
  std::function<void(const Group&)> run_group;
  bool together = false;
};

// What the builders of steps share.
struct Plan {
  // Images that steps with run_group may be given.
  static constexpr std::int64_t kMostImages = 8;
  std::shared_ptr<const graph::Graph> graph;
  const KernelSet* kernels = nullptr;
  base::ThreadPool* pool = nullptr;  // packs weights; its size is how many threads an image may get
  std::vector<Layout> layouts;       // by slot
  // The slot that a convolution reads when it is not that of its input: by index of node.
  std::map<std::size_t, Slot> copies;
  std::map<graph::ValueId, graph::Tensor> dequantized;  // constants behind a kDequantize

  Slot slot_of(graph::ValueId id) const { return static_cast<Slot>(id); }
  const Layout& layout_of(graph::ValueId id) const { return layouts[slot_of(id)]; }
  const graph::Tensor& constant(graph::ValueId id) const {
    const auto found = dequantized.find(id);
    return found == dequantized.end() ? graph->constant(id) : found->second;
  }
};

// Layouts, border copies and dequantized constants of a graph that the device takes.
Plan make_plan(std::shared_ptr<const graph::Graph> graph, const KernelSet& kernels,
               base::ThreadPool& pool);

// The nodes that this device does not take, and why.
Refusal refuse(const graph::Graph& graph);

// In order; copies stand before the node that needs them.
std::vector<Step> make_steps(const Plan& plan);

// One file a family.
Step make_conv_step(const Plan& plan, std::size_t node_index);
Step make_copy_step(const Plan& plan, const std::string& node, Slot src, Slot dst);
Step make_byte_step(const Plan& plan, const graph::Node& node);
Step make_float_step(const Plan& plan, const graph::Node& node);

}  // namespace pronghorn::device::cpu
