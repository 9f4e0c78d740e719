// SPDX-License-Identifier: Apache-2.0
#include "device/reference/reference_device.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "device/reference/ops.h"
#include "graph/passes/uses.h"
#include "graph/quantized_constant.h"

namespace pronghorn::device::reference {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::Value;
using graph::ValueId;

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

std::size_t bytes_of(const Value& v) {
  return static_cast<std::size_t>(v.shape.size()) * graph::size_of(v.dtype);
}

class ReferenceProgram final : public Program {
 public:
  ReferenceProgram(std::shared_ptr<const Graph> graph, int threads)
      : graph_(std::move(graph)), uses_(*graph_), pool_(threads) {
    for (const Node& node : graph_->nodes) {
      if (node.op != Op::kDequantize || !graph_->value(node.inputs[0]).constant) continue;
      dequantized_[node.output] =
          graph::dequantize_constant(graph_->constant(node.inputs[0]), node.as<graph::Quant>());
    }
  }

  const Graph& graph() const override { return *graph_; }

  std::unique_ptr<Completion> submit(const Submission& submission) override {
    if (submission.inputs.size() != graph_->inputs.size() ||
        submission.outputs.size() != graph_->outputs.size() || submission.batch < 1) {
      base::fail(
          base::Status::kInvalidArgument,
          "graph {} takes {} inputs, {} outputs and a batch of at least 1; got {}, {} and {}",
          graph_->name, graph_->inputs.size(), graph_->outputs.size(), submission.inputs.size(),
          submission.outputs.size(), submission.batch);
    }
    const Rows serial = [](std::int64_t rows, const std::function<void(std::int64_t)>& body) {
      for (std::int64_t row = 0; row < rows; ++row) body(row);
    };
    const Rows parallel = [this](std::int64_t rows, const std::function<void(std::int64_t)>& body) {
      pool_.parallel_for(rows, [&](std::int64_t row, int) { body(row); });
    };
    for (int image = 0; image < submission.batch; ++image) {
      run_image(submission, static_cast<std::size_t>(image),
                submission.threads == 1 ? serial : parallel);
    }
    return nullptr;
  }

  std::int64_t memory_bytes() const override {
    std::int64_t total = 0;
    for (const auto& [id, values] : dequantized_) {
      total += static_cast<std::int64_t>(values.bytes().size());
    }
    return total;
  }

 private:
  void run_image(const Submission& submission, std::size_t image, const Rows& rows) {
    std::vector<base::Buffer> buffers(graph_->values.size());
    std::vector<void*> data(graph_->values.size(), nullptr);
    for (std::size_t v = 0; v < data.size(); ++v) {
      const Value& value = graph_->values[v];
      if (value.constant) data[v] = const_cast<std::byte*>(value.constant->bytes().data());
    }
    for (const auto& [id, values] : dequantized_) {
      data[at(id)] = const_cast<std::byte*>(values.bytes().data());
    }
    for (std::size_t i = 0; i < graph_->inputs.size(); ++i) {
      const ValueId id = graph_->inputs[i];
      data[at(id)] = const_cast<std::byte*>(static_cast<const std::byte*>(submission.inputs[i])) +
                     image * bytes_of(graph_->value(id));
    }
    const auto tensor = [&](ValueId id) {
      return Tensor{graph_->value(id).dtype, graph_->value(id).shape, data[at(id)]};
    };
    for (std::size_t n = 0; n < graph_->nodes.size(); ++n) {
      const Node& node = graph_->nodes[n];
      if (dequantized_.count(node.output) != 0) continue;
      buffers[at(node.output)] = base::Buffer(bytes_of(graph_->value(node.output)));
      data[at(node.output)] = buffers[at(node.output)].data();
      std::vector<Tensor> inputs;
      for (const ValueId id : node.inputs) inputs.push_back(tensor(id));
      run({node, std::move(inputs), tensor(node.output), rows});
      for (const ValueId id : node.inputs) {
        const auto& readers = uses_.consumers[at(id)];
        if (!uses_.is_output[at(id)] && readers.back() == static_cast<int>(n)) {
          buffers[at(id)] = base::Buffer();
        }
      }
    }
    for (std::size_t i = 0; i < graph_->outputs.size(); ++i) {
      const ValueId id = graph_->outputs[i];
      const std::size_t bytes = bytes_of(graph_->value(id));
      std::memcpy(static_cast<std::byte*>(submission.outputs[i]) + image * bytes, data[at(id)],
                  bytes);
    }
  }

  std::shared_ptr<const Graph> graph_;
  graph::passes::Uses uses_;
  std::map<ValueId, graph::Tensor> dequantized_;
  base::ThreadPool pool_;
};

class ReferenceDevice final : public Device {
 public:
  DeviceProperties properties() const override {
    DeviceProperties p;
    p.name = "reference";
    p.description = "plain definitions of every op, the judge of all other devices";
    p.cores = base::available_cores();
    return p;
  }

  CompileResult compile(std::shared_ptr<const Graph> graph,
                        const CompileOptions& options) override {
    graph::verify(*graph);
    const int threads = options.threads > 0 ? options.threads : base::available_cores();
    return std::make_unique<ReferenceProgram>(std::move(graph), threads);
  }
};

}  // namespace

std::unique_ptr<Device> make_device() { return std::make_unique<ReferenceDevice>(); }

}  // namespace pronghorn::device::reference
