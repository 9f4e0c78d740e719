// SPDX-License-Identifier: Apache-2.0
// What a device is. A device either compiles a whole graph or refuses it, naming each op that it
// does not take and why; it never runs part of a graph elsewhere behind the caller's back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "device/input_path.h"
#include "device/learner.h"
#include "device/scored.h"
#include "graph/graph.h"

namespace pronghorn::device {

struct DeviceProperties {
  std::string name;         // what PRONGHORN_DEVICE and --device take: "cpu", "reference", "cuda:0"
  std::string description;  // "AMD EPYC 7713, 2 cores"
  std::string isa;          // the kernel set in use: "avx2", "portable", "sm_90a"; empty if none
  int cores = 0;
  std::int64_t memory_bytes = 0;
  double clock_hz = 0;  // nominal; 0 when unknown
};

// What a submission's threads should be good at. With kThroughput every image stays on one thread,
// with kLatency all threads share each image, one after another; kAuto gives whole images to
// threads as far as they go round and shares the rest. The first two bind the device's own threads
// to processors; kAuto does not, for it may live in a program with threads of its own.
enum class Hint { kAuto, kThroughput, kLatency };

// How numbers are held: as the model has them (integers where it is quantized, else binary32), or
// activations and weights of a float model as binary16 with sums in binary32.
enum class Precision { kModel, kFp16 };

struct CompileOptions {
  int threads = 0;  // host threads that one submission may use; 0: every core of this process
  Hint hint = Hint::kAuto;
  Precision precision = Precision::kModel;  // one of those that the device offers
};

struct RefusedOp {
  std::string node;
  std::string op;
  std::string reason;
};
struct Refusal {
  std::vector<RefusedOp> ops;
  std::string message() const;  // all of them, one a line
};

// One batch. Pointers are host memory, NHWC, `batch` images one after another, in the element type
// of the graph's input or output value; they must stay valid until the completion is waited for.
struct Submission {
  std::span<const void* const> inputs;
  std::span<void* const> outputs;
  int batch = 1;
  // Host threads for this batch: 0 all that were compiled for, 1 the calling thread alone.
  int threads = 0;
  // Above 0, for programs that rank: outputs[0] takes `best` Scored an image in place of the
  // scores, in the order of before(). At most as many as an image has scores.
  int best = 0;
};

// Time spent in one node, summed over submissions since profiling was switched on.
struct NodeTime {
  std::string node;
  std::string kernel;
  double seconds = 0;
  std::int64_t calls = 0;  // images
  std::int64_t macs = 0;   // of one image; 0 for copies and ops without products
  std::int64_t bytes = 0;  // that one image reads and writes, weights once; 0: unknown
};

class Completion {
 public:
  virtual ~Completion() = default;
  virtual void wait() = 0;  // rethrows what went wrong; returns at once when already done
};

// A compiled graph. submit() may be called from many threads at once.
class Program {
 public:
  virtual ~Program() = default;
  virtual const graph::Graph& graph() const = 0;
  // A host device does the work inside submit; nullptr then means that it is complete.
  virtual std::unique_ptr<Completion> submit(const Submission& submission) = 0;
  // Whether a submission may ask for the best scores of the first output alone.
  virtual bool ranks() const { return false; }
  virtual std::int64_t memory_bytes() const = 0;  // packed weights and arenas held now
  virtual void set_profiling(bool) {}
  virtual std::vector<NodeTime> profile() const { return {}; }
  // What the device knows of the compiled program beyond this interface, as a JSON object, and its
  // commands as text, one a line; empty where a device has none.
  virtual std::string details() const { return {}; }
  virtual std::string listing() const { return {}; }
};

using CompileResult = std::variant<std::unique_ptr<Program>, Refusal>;

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceProperties properties() const = 0;
  // `graph` is float or integer form (passes::lower_quantized is the caller's job).
  virtual CompileResult compile(std::shared_ptr<const graph::Graph> graph,
                                const CompileOptions& options) = 0;
  // Whether compile() takes it.
  virtual bool offers(Precision precision) const { return precision == Precision::kModel; }
  // Passes for machine learning on `threads` host threads (0: every core); nullptr where the device
  // has none.
  virtual std::unique_ptr<Learner> learner(int) { return nullptr; }
  // Where photographs are decoded and resized for this device's programs; nullptr: on the processor
  // alone. Lives as long as the device; may be used from many threads.
  virtual InputPath* input_path() { return nullptr; }
  // 8-bit multiply-adds a second that the arithmetic units in use reach from registers, measured
  // now (about 0.1 s) on `threads` threads together; 0 where the device has no such measurement.
  virtual double measure_ceiling(int) { return 0; }
  // A monotonic energy counter in joules, where the device has one.
  virtual std::optional<double> energy_joules() const { return std::nullopt; }
};

// compile() for callers to whom a refusal is an error: throws Error(kUnsupported) with its message,
// or that the device does not offer the precision.
std::unique_ptr<Program> compile_or_throw(Device& device, std::shared_ptr<const graph::Graph> graph,
                                          const CompileOptions& options = {});

}  // namespace pronghorn::device
