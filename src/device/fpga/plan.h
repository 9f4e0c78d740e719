// SPDX-License-Identifier: Apache-2.0
// A graph compiled for one configuration and one batch: commands, the model's memory image, and how
// the host lays out inputs and reads outputs.
//
// The way of a graph: refuse() names what the hardware does not take; schedule() chooses the layout
// of every tensor and the steps in order; allocate() gives tensors their places; pack_constants()
// makes weight and constant words; emit() writes the commands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "device/device.h"
#include "device/fpga/command.h"
#include "device/fpga/layout.h"
#include "fpga_configurations.h"
#include "graph/graph.h"

namespace pronghorn::device::fpga {

// A first convolution over few channels reads words of whole kernel rows (docs/fpga.md, IMAGE):
// word (row r, position x) holds the kw * c bytes that row ky of its window covers at column x.
struct Expansion {
  int channels = 0, height = 0, width = 0;  // of the graph's input
  graph::Window window;
  int positions = 0;           // words in a row: the grid's width
  int groups = 1;              // words for kw * c bytes
  int bands = 1;               // pieces of an image, loaded one while the other is computed
  bool by_hardware = false;    // IMAGE spreads rows; else the host does and LOAD takes them
  std::int64_t row_bytes = 0;  // by_hardware: of a padded row in memory
  std::vector<std::int8_t> z;  // what padding holds, by channel, after the shift to s8
  int rows(int grid_height) const { return (grid_height - 1) * window.sh + window.kh; }
  int planes() const { return window.sh; }
};

// A tensor on chip. Several may hold one value of the graph (a copy in another layout), and the
// buffers of an expanded input hold none.
struct TensorPlan {
  graph::ValueId value = graph::kNoValue;
  Layout layout;
  std::int64_t flat = 0;  // positions of one group
  int groups = 1;
  int first_step = 0, last_step = 0;  // written, read for the last time
  bool kept = false;                  // an output: its place is not used again
  Region region;
};

// One COMPUTE command (an expanded convolution: one for each band of each image).
struct Step {
  Opcode opcode = Opcode::kConv;
  int node = 0;
  int src = -1, res = -1, dst = -1;  // tensors
  int buffer = -1;                   // expanded convolution: the second source buffer
  bool expanded = false;
  bool scatter = false;   // the destination is written in planes
  bool relayout = false;  // a copy of a value, made by ADD
};

struct Schedule {
  int batch = 1;
  std::vector<TensorPlan> tensors;
  std::vector<Step> steps;
  std::vector<Expansion> expansion;  // none or one: of the graph's input
  std::vector<int> input_tensor;     // by graph input; -1: expanded
  std::vector<int> output_tensor;    // by graph output
};

struct Plan {
  const Configuration* configuration = nullptr;
  std::shared_ptr<const graph::Graph> graph;
  Schedule schedule;
  std::vector<std::byte> model;                           // memory behind base register 0
  std::vector<Command> setup;                             // loads weights and constants; once
  std::vector<Command> commands;                          // one batch
  std::vector<std::int64_t> input_offset, output_offset;  // by graph input, output
  std::int64_t input_bytes = 0, output_bytes = 0;         // behind base registers 1 and 2
  std::vector<std::string> names;                         // of the nodes, by tag
};

// Where a node's weights and constants begin, in words.
struct ConstantAddress {
  std::int64_t weights = 0, constants = 0;
};
struct Constants {
  std::vector<ConstantAddress> address;  // by step
  std::vector<std::int8_t> weight_words;
  std::vector<std::byte> constant_words;
};

// Every op that the hardware does not take, and why.
Refusal refuse(const graph::Graph& graph);

// Why the array's taps cannot follow this window; empty when they can.
std::string window_fault(const graph::Window& window);

// Layouts and steps for `batch` images. A Refusal when shapes do not fit the layouts.
std::variant<Schedule, Refusal> schedule(const graph::Graph& graph, const Configuration& c,
                                         int batch);

// Gives every tensor its region, or returns what did not fit.
std::string allocate(Schedule& schedule, const Configuration& c);

Constants pack_constants(const graph::Graph& graph, const Schedule& schedule,
                         const Configuration& c);

// Compiles for the largest batch up to `max_batch` that fits the chip.
std::variant<Plan, Refusal> make_plan(std::shared_ptr<const graph::Graph> graph,
                                      const Configuration& c, int max_batch);

// The commands of one batch; fills the plan's offsets and sizes.
void emit(Plan& plan, const Constants& constants);

// Host side. `pixels` are `images` images of graph input `index` as the caller has them (u8 or s8,
// NHWC); memory is plan.input_bytes long. Missing images of the batch stay as they are.
void pack_input(const Plan& plan, std::size_t index, const void* pixels, int images,
                std::byte* memory);
// The reverse for an output: u8, s8 or binary32, NHWC.
void unpack_output(const Plan& plan, std::size_t index, const std::byte* memory, int images,
                   void* values);

// The number added to a stored integer to make it the chip's s8: -128 for u8.
inline int shift_of(graph::DType dtype) { return dtype == graph::DType::kU8 ? -128 : 0; }

}  // namespace pronghorn::device::fpga
