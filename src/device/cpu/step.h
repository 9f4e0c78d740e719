// SPDX-License-Identifier: Apache-2.0
// What a compiled graph is made of: a list of steps over slots. A slot is the buffer of one
// activation of one image; slot i holds graph value i, slots after the last value are copies with
// another border.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "device/cpu/kernels/kernel_table.h"
#include "device/cpu/layout.h"
#include "device/cpu/schedule.h"
#include "device/cpu/space_to_depth.h"
#include "device/device.h"
#include "graph/graph.h"

namespace pronghorn::device::cpu {

using Slot = std::size_t;
using Slots = std::span<std::byte* const>;

// Images whose buffers lie side by side: slot s of image i is slots[s] + i * layouts[s].stride().
struct Group {
  Slots slots;  // of the first image
  std::int64_t images = 1;
};

// One node (or copy) on one image. `items` independent parts may run at once, in any order, after
// the borders of `dst` have been filled.
struct Step {
  std::string node;
  std::string kernel;
  std::size_t index = 0;  // of the node
  Slot dst = 0;
  // A residual that is read byte for byte before the result is written, no byte besides: `dst` may
  // lie in its place.
  std::optional<Slot> in_place;
  std::int64_t items = 1;
  std::int64_t memory_bytes = 0;  // weights and tables
  std::int64_t macs = 0;          // of one image
  std::int64_t bytes = 0;         // read and written for one image, weights included
  std::size_t scratch_bytes = 0;  // of the slot after the last layout, contents immaterial
  std::function<void(Slots, std::int64_t item)> run;
  // All items of all images (at most Plan::images_of) on one thread, in an order that suits that;
  // null where images just take turns.
  std::function<void(const Group&)> run_group;
};

// What the builders of steps share.
struct Plan {
  std::shared_ptr<const graph::Graph> graph;
  const KernelSet* kernels = nullptr;
  base::ThreadPool* pool = nullptr;  // packs weights; its size is how many threads an image may get
  std::vector<Layout> layouts;       // by slot
  // The slot that a convolution reads when it is not that of its input: by index of node.
  std::map<std::size_t, Slot> copies;
  // Those copies that hold blocks, see space_to_depth.h.
  std::map<std::size_t, SpaceToDepth> blocks;
  std::map<graph::ValueId, graph::Tensor> dequantized;  // constants behind a kDequantize
  Schedule schedule;                                    // its split is an index of nodes

  // Images that a node is given at once.
  std::int64_t images_of(std::size_t node) const {
    return node < schedule.split ? 1 : schedule.images;
  }
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

// The slot whose place the result of `step` may take: a residual that nothing reads after it.
std::optional<Slot> place_for(const Plan& plan, const Step& step);

// The nodes that this device does not take, and why.
Refusal refuse(const graph::Graph& graph);

// In order; copies stand before the node that needs them. `split` becomes the index of the first
// step that takes whole groups.
std::vector<Step> make_steps(const Plan& plan, std::size_t& split);

// One file a family.
Step make_conv_step(const Plan& plan, std::size_t node_index);
Step make_matrix_step(const Plan& plan, std::size_t node_index);  // of a set with a matrix unit
Step make_copy_step(const Plan& plan, const std::string& node, Slot src, Slot dst);
Step make_blocks_step(const Plan& plan, std::size_t node_index);
Step make_byte_step(const Plan& plan, const graph::Node& node);
Step make_float_step(const Plan& plan, const graph::Node& node);

}  // namespace pronghorn::device::cpu
