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
#include <optional>
#include <string>
#include <vector>

#include "device/cuda/kernels/byte_kernels.h"
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
  std::vector<Slot> reads;
  Slot writes = 0;
  std::shared_ptr<const ConvStep> conv = nullptr;  // of a convolution, else null
  std::optional<Pool> max_pool = {};               // of a max pool of bytes, n is 1
  bool with_next = false;  // this and the next step can be one launch (run_with_next)
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

  // Of activations that a step reads and writes, for one image.
  std::int64_t step_bytes(const Step& step) const;

  Slot add_slot(std::int64_t bytes) {
    slot_bytes.push_back(bytes);
    return slot_bytes.size() - 1;
  }
};

// In place of a variant: this step and the next are one launch; the step before did it already.
enum : int { kWithNext = -1, kWithPrevious = -2 };

// Whether that is faster for so many images, and the launch; a cudaError_t. After a convolution
// that runs with its max pool, nobody finds its own result.
bool pays_with_next(const Step& step, const Step& next, int images, int multiprocessors);
int run_with_next(const Step& step, const Step& next, const Launch& launch);

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
// The same with these variants in place of the cost model's; tuning.h says which fit.
Schedule make_schedule(const Plan& plan, int images, std::vector<int> variants);

// The nodes that this device does not take, and why.
Refusal refuse(const graph::Graph& graph, Precision precision = Precision::kModel);

// With kFp16 `graph` is of float ops (its input may be bytes that are dequantized first), else
// integer form.
std::shared_ptr<const Plan> make_plan(std::shared_ptr<const graph::Graph> graph, int capability,
                                      int multiprocessors, Precision precision = Precision::kModel);

// One file a family. They append to plan.steps, plan.constants and plan.slot_bytes.
void add_conv_steps(Plan& plan, const graph::Node& node);
void add_byte_steps(Plan& plan, const graph::Node& node);

// Half precision, whole graphs: half_step.cpp. The reason against a node is empty where there is
// none.
std::string reason_against_half(const graph::Graph& graph, const graph::Node& node);
void add_half_plan(Plan& plan);

// The kernel that a problem gets: the first row of the table that supports it, from the row on that
// PRONGHORN_CUDA_KERNEL names.
const ConvKernel& choose_kernel(const ConvProblem& problem, int capability);

// A first layer's problem with blocks of stride x stride pixels as the 16 channels of one: kernel
// place (y, x), channel c becomes place (y / sh, x / sw), channel ((y % sh) * sw + x % sw) * ic +
// c. Elements are one byte here; `weights` is moved along.
bool fits_blocks(const ConvProblem& problem);
ConvProblem in_blocks(const ConvProblem& problem);
template <typename T>
std::vector<T> in_blocks(const ConvProblem& p, const std::vector<T>& weights) {
  const ConvProblem b = in_blocks(p);
  std::vector<T> blocks(static_cast<std::size_t>(std::int64_t{b.oc} * b.window()), T{});
  const T* from = weights.data();
  for (std::int64_t oc = 0; oc < p.oc; ++oc) {
    for (int y = 0; y < p.kh; ++y) {
      for (int x = 0; x < p.kw; ++x) {
        const std::int64_t place = (oc * b.kh + y / p.sh) * b.kw + x / p.sw;
        const std::int64_t channel = (y % p.sh * p.sw + x % p.sw) * p.ic;
        for (int c = 0; c < p.ic; ++c) {
          blocks[static_cast<std::size_t>(place * 16 + channel + c)] = *from++;
        }
      }
    }
  }
  return blocks;
}

// The window, sizes and groups of a convolution or pool node, for one image; ic in channels.
ConvProblem geometry_of(const graph::Graph& graph, const graph::Node& node,
                        const graph::Window& window);
Pool pool_of(const graph::Graph& graph, const graph::Node& node, const graph::Window& window);

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
