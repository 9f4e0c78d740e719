// SPDX-License-Identifier: Apache-2.0
// A compiled graph as the device sees it: slots for activations, constants in one block that each
// GPU holds a copy of, and steps that enqueue kernels. A plan is made once, knows no GPU memory and
// is shared by all GPUs and contexts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device/cuda/kernels/conv_kernel.h"
#include "device/device.h"
#include "graph/graph.h"

namespace pronghorn::device::cuda {

// Slot v < graph.values.size() is value v; copies that a step needs stand behind.
using Slot = std::size_t;

// Constants of all steps, host side.
class Constants {
 public:
  // Returns the offset of a zeroed place of at least `size` bytes, aligned to kAlignment.
  std::int64_t add(std::int64_t size);
  template <typename T>
  std::int64_t add(const std::vector<T>& values) {
    const std::int64_t offset = add(static_cast<std::int64_t>(values.size() * sizeof(T)));
    std::memcpy(at(offset), values.data(), values.size() * sizeof(T));
    return offset;
  }
  std::byte* at(std::int64_t offset) { return bytes_.data() + offset; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// What a step needs to enqueue its work for `images` images.
struct Launch {
  int images;
  std::byte* const* slots;
  const std::byte* constants;
  std::byte* workspace;
  Stream stream;
  int variant;  // of a convolution's kernel
};

struct ConvStep {
  ConvProblem problem;  // n is 1
  const ConvKernel* kernel = nullptr;
  std::int64_t weights = 0, bias = 0, m = 0, pad = 0;  // offsets of constants
  Slot src = 0, dst = 0, res = 0;

  ConvProblem problem_for(int images) const;
  ConvBuffers buffers(const Launch& launch) const;
};

struct Step {
  std::string node;
  std::string kernel;
  std::function<int(const Launch&)> run;  // returns a cudaError_t
  std::shared_ptr<const ConvStep> conv;   // of a convolution, else null
  std::int64_t bytes = 0;                 // of activations read and written, for one image
};

// Softmax runs on the host, where its exponentials are the same for every device.
struct HostSoftmax {
  bool wanted = false;
  std::int64_t pixels = 0;
  std::int64_t channels = 0;
};

struct Export {
  Slot slot = 0;
  std::int64_t bytes = 0;  // of one image
  HostSoftmax softmax;
};

struct Plan {
  std::shared_ptr<const graph::Graph> graph;
  int capability = 0;       // the lowest of the GPUs, as ConvKernel::supports takes it
  int multiprocessors = 0;  // the fewest
  int most_images = 1;      // of one launch: every kernel's indices hold
  Constants constants;
  std::vector<std::int64_t> slot_bytes;  // of one image; 0: not an activation
  std::vector<Step> steps;
  std::vector<Slot> inputs;     // where the caller's bytes go
  std::vector<Export> outputs;  // where they come from

  Slot add_slot(std::int64_t bytes) {
    slot_bytes.push_back(bytes);
    return slot_bytes.size() - 1;
  }
};

// How a batch of so many images runs: the variant of each step, and where each slot lies in a
// context's memory.
struct Schedule {
  int images = 0;
  std::vector<int> variants;         // by step
  std::vector<std::int64_t> offset;  // by slot; -1: none
  std::int64_t workspace = 0;        // offset
  std::int64_t workspace_bytes = 0;
  std::int64_t size = 0;
};
Schedule make_schedule(const Plan& plan, int images);

// The nodes that this device does not take, and why.
Refusal refuse(const graph::Graph& graph);

std::shared_ptr<const Plan> make_plan(std::shared_ptr<const graph::Graph> graph, int capability,
                                      int multiprocessors);

// One file a family. They append to plan.steps, plan.constants and plan.slot_bytes.
void add_conv_steps(Plan& plan, const graph::Node& node);
void add_byte_steps(Plan& plan, const graph::Node& node);

// Added to a stored s8 and its zero point; 0 for u8.
inline std::int32_t to_u8(graph::DType dtype) { return dtype == graph::DType::kS8 ? 128 : 0; }

// The byte at `slot`.
inline std::uint8_t* bytes_at(const Launch& launch, Slot slot) {
  return reinterpret_cast<std::uint8_t*>(launch.slots[slot]);
}
template <typename T>
const T* constant_at(const Launch& launch, std::int64_t offset) {
  return reinterpret_cast<const T*>(launch.constants + offset);
}

}  // namespace pronghorn::device::cuda
