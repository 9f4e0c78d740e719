// SPDX-License-Identifier: Apache-2.0
#include "device/device.h"

namespace pronghorn::device {

std::string Refusal::message() const {
  std::string text;
  for (const RefusedOp& op : ops) {
    text += fmt::format("{}{} ({}): {}", text.empty() ? "" : "\n", op.node, op.op, op.reason);
  }
  return text;
}

std::unique_ptr<Program> compile_or_throw(Device& device, std::shared_ptr<const graph::Graph> graph,
                                          const CompileOptions& options) {
  if (!device.offers(options.precision)) {
    base::fail(base::Status::kUnsupported,
               "device {} does not compute in precision fp16; the cuda devices do",
               device.properties().name);
  }
  CompileResult result = device.compile(std::move(graph), options);
  if (const auto* refusal = std::get_if<Refusal>(&result)) {
    base::fail(base::Status::kUnsupported, "device {} cannot run this graph:\n{}",
               device.properties().name, refusal->message());
  }
  return std::move(std::get<std::unique_ptr<Program>>(result));
}

}  // namespace pronghorn::device
