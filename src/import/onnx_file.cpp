// SPDX-License-Identifier: Apache-2.0
#include "import/onnx_file.h"

#include <queue>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "import/onnx_wire.h"

namespace pronghorn::import {
namespace {

using base::Status;

constexpr std::int64_t kOldestOpset = 7;

std::int64_t read_opset(const onnx::ModelProto& model, const std::string& file) {
  for (const auto& set : model.opset_import()) {
    if (!set.domain().empty() && set.domain() != "ai.onnx") continue;
    if (set.version() < kOldestOpset) {
      base::fail(Status::kUnsupported, "{}: opset {} is older than {}, the oldest supported", file,
                 set.version(), kOldestOpset);
    }
    return set.version();
  }
  base::fail(Status::kCorrupt, "{}: names no opset of the standard ONNX operators", file);
}

void read_initializers(OnnxFile& file, const SlimModel& slim,
                       const std::shared_ptr<const void>& owner) {
  const auto& graph = file.model->graph();
  if (graph.sparse_initializer_size() > 0) {
    base::fail(Status::kUnsupported, "{}: sparse initializers are not supported", file.name);
  }
  for (int i = 0; i < graph.initializer_size(); ++i) {
    const auto& tensor = graph.initializer(i);
    const std::string where = fmt::format("{}: initializer {}", file.name, tensor.name());
    if (tensor.name().empty()) base::fail(Status::kCorrupt, "{}has no name", where);
    const auto index = static_cast<std::size_t>(i);
    const base::Bytes raw = index < slim.raw.size() ? slim.raw[index] : base::Bytes{};
    if (!file.initializers.emplace(tensor.name(), read_constant(tensor, raw, owner, where))
             .second) {
      base::fail(Status::kCorrupt, "{}: the file holds two of this name", where);
    }
  }
}

// For each value the node that makes it; -1 for inputs and initializers.
std::unordered_map<std::string, int> find_makers(const OnnxFile& file) {
  const auto& graph = file.model->graph();
  std::unordered_map<std::string, int> maker;
  for (const auto& [name, constant] : file.initializers) maker.emplace(name, -1);
  std::set<std::string> inputs;
  for (const auto& input : graph.input()) {
    if (input.name().empty())
      base::fail(Status::kCorrupt, "{}: a graph input has no name", file.name);
    if (!inputs.insert(input.name()).second) {
      base::fail(Status::kCorrupt, "{}: two graph inputs are named {}", file.name, input.name());
    }
    maker.emplace(input.name(), -1);
  }
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const auto& output : graph.node(i).output()) {
      if (output.empty()) continue;  // an optional output that is left out
      if (!maker.emplace(output, i).second) {
        base::fail(Status::kCorrupt, "{}: node {} ({}): makes {}, which exists already", file.name,
                   name_of(graph.node(i)), graph.node(i).op_type(), output);
      }
    }
  }
  return maker;
}

// Keeps what the outputs need, in file order as far as that works.
void sort_nodes(OnnxFile& file) {
  const auto& graph = file.model->graph();
  const auto maker = find_makers(file);
  const auto count = static_cast<std::size_t>(graph.node_size());
  std::vector<std::vector<std::size_t>> users(count);
  std::vector<std::size_t> missing(count, 0);
  std::vector<bool> needed(count, false);
  std::vector<std::size_t> open;
  const auto need = [&](int node) {
    if (node < 0 || needed[static_cast<std::size_t>(node)]) return;
    needed[static_cast<std::size_t>(node)] = true;
    open.push_back(static_cast<std::size_t>(node));
  };
  if (graph.output_size() == 0) base::fail(Status::kCorrupt, "{}: no graph output", file.name);
  for (const auto& output : graph.output()) {
    const auto found = maker.find(output.name());
    if (found == maker.end()) {
      base::fail(Status::kCorrupt, "{}: nothing makes the graph output {}", file.name,
                 output.name());
    }
    need(found->second);
  }
  std::size_t total = 0;
  while (!open.empty()) {
    const std::size_t at = open.back();
    open.pop_back();
    ++total;
    const auto& node = graph.node(static_cast<int>(at));
    for (const auto& input : node.input()) {
      if (input.empty()) continue;  // an optional input that is left out
      const auto found = maker.find(input);
      if (found == maker.end()) {
        base::fail(Status::kCorrupt, "{}: node {} ({}): nothing makes its input {}", file.name,
                   name_of(node), node.op_type(), input);
      }
      if (found->second < 0) continue;
      users[static_cast<std::size_t>(found->second)].push_back(at);
      ++missing[at];
      need(found->second);
    }
  }
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t i = 0; i < count; ++i) {
    if (needed[i] && missing[i] == 0) ready.push(i);
  }
  while (!ready.empty()) {
    const std::size_t at = ready.top();
    ready.pop();
    file.nodes.push_back(&graph.node(static_cast<int>(at)));
    for (const std::size_t user : users[at]) {
      if (--missing[user] == 0) ready.push(user);
    }
  }
  if (file.nodes.size() == total) return;
  for (std::size_t i = 0; i < count; ++i) {
    if (!needed[i] || missing[i] == 0) continue;
    const auto& node = graph.node(static_cast<int>(i));
    base::fail(Status::kCorrupt, "{}: node {} ({}): is part of, or behind, a cycle", file.name,
               name_of(node), node.op_type());
  }
}

}  // namespace

std::string name_of(const onnx::NodeProto& node) {
  if (!node.name().empty()) return node.name();
  for (const auto& output : node.output()) {
    if (!output.empty()) return output;
  }
  return "without a name";
}

OnnxFile open_onnx(base::Bytes bytes, const std::shared_ptr<const void>& owner,
                   const std::string& name) {
  if (bytes.empty()) base::fail(Status::kCorrupt, "{}: is empty; an ONNX model is expected", name);
  if (bytes.size() > static_cast<std::size_t>(kMaxElements)) {
    base::fail(Status::kUnsupported, "{}: {} bytes; ONNX models end at 2 GiB", name, bytes.size());
  }
  OnnxFile file;
  file.name = name;
  file.model = std::make_unique<onnx::ModelProto>();
  const SlimModel slim = take_raw_data(bytes, name);
  if (!file.model->ParseFromArray(slim.bytes.data(), static_cast<int>(slim.bytes.size()))) {
    base::fail(Status::kCorrupt, "{}: is not an ONNX model, or a damaged one", name);
  }
  if (!file.model->has_graph() || file.model->graph().node_size() == 0) {
    base::fail(Status::kCorrupt, "{}: is not an ONNX model, or a truncated one: it has no nodes",
               name);
  }
  file.opset = read_opset(*file.model, name);
  read_initializers(file, slim, owner);
  sort_nodes(file);
  return file;
}

}  // namespace pronghorn::import
