// SPDX-License-Identifier: Apache-2.0
#include "device/fpga/fpga_program.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

namespace pronghorn::device::fpga {
namespace {

// Cycles of each node: from the completion of the command before to its own. The first node's
// contain the first load.
std::vector<std::int64_t> node_cycles(const Plan& plan, const RunReport& report) {
  std::vector<std::int64_t> cycles(plan.graph->nodes.size(), 0);
  std::int64_t before = 0;
  for (std::size_t i = 0; i < plan.commands.size(); ++i) {
    if (plan.commands[i].opcode == Opcode::kEnd) continue;
    const std::int64_t end = std::max(before, report.completed[i]);
    cycles[static_cast<std::size_t>(plan.commands[i].tag)] += end - before;
    before = end;
  }
  return cycles;
}

}  // namespace

FpgaProgram::FpgaProgram(std::vector<Plan> plans, std::unique_ptr<Port> port)
    : plans_(std::move(plans)), port_(std::move(port)) {
  port_->run(encode(plans_[0].setup), {plans_[0].model, {}, {}});
  for (Plan& plan : plans_) {
    if (plan.model != plans_[0].model) {
      base::fail(base::Status::kInternal, "two batch sizes of {} pack different weights",
                 plan.graph->name);
    }
    Loaded loaded;
    loaded.words = encode(plan.commands);
    loaded.input.resize(static_cast<std::size_t>(plan.input_bytes));
    loaded.output.resize(static_cast<std::size_t>(plan.output_bytes));
    loaded.counted = count_cycles(*plan.configuration, plan.commands);
    loaded.plan = plan;
    loaded_.push_back(std::move(loaded));
  }
  for (const graph::Node& node : plans_[0].graph->nodes) {
    times_.push_back({node.name, port_->name() + "/" + std::string(graph::name_of(node.op)), 0, 0});
  }
}

std::unique_ptr<Completion> FpgaProgram::submit(const Submission& submission) {
  const graph::Graph& g = graph();
  if (submission.inputs.size() != g.inputs.size() ||
      submission.outputs.size() != g.outputs.size() || submission.batch < 1) {
    base::fail(base::Status::kInvalidArgument,
               "graph {} takes {} inputs, {} outputs and a batch of at least 1; got {}, {} and {}",
               g.name, g.inputs.size(), g.outputs.size(), submission.inputs.size(),
               submission.outputs.size(), submission.batch);
  }
  const std::lock_guard lock(mutex_);
  int first = 0;
  for (Loaded& loaded : loaded_) {
    const int batch = loaded.plan.schedule.batch;
    for (; submission.batch - first >= batch; first += batch) run(loaded, submission, first, batch);
  }
  return nullptr;
}

void FpgaProgram::run(Loaded& loaded, const Submission& submission, int first, int images) {
  const Plan& plan = loaded.plan;
  const graph::Graph& g = *plan.graph;
  for (std::size_t i = 0; i < g.inputs.size(); ++i) {
    const auto* pixels = static_cast<const std::byte*>(submission.inputs[i]);
    const std::int64_t image = g.value(g.inputs[i]).shape.size();
    pack_input(plan, i, pixels + first * image, images, loaded.input.data());
  }
  const RunReport report = port_->run(loaded.words, {plan.model, loaded.input, loaded.output});
  loaded.cycles = report.cycles;
  for (std::size_t i = 0; i < g.outputs.size(); ++i) {
    const graph::Value& value = g.value(g.outputs[i]);
    const auto image = value.shape.size() * static_cast<std::int64_t>(graph::size_of(value.dtype));
    unpack_output(plan, i, loaded.output.data(), images,
                  static_cast<std::byte*>(submission.outputs[i]) + first * image);
  }
  if (!profiling_) return;
  const RunReport& counted = report.completed.empty() ? loaded.counted : report;
  const std::vector<std::int64_t> cycles = node_cycles(plan, counted);
  for (std::size_t n = 0; n < cycles.size(); ++n) {
    times_[n].seconds += static_cast<double>(cycles[n]) / (1e6 * plan.configuration->logic_mhz);
    ++times_[n].calls;
  }
}

std::int64_t FpgaProgram::memory_bytes() const {
  std::size_t bytes = 0;
  for (const Loaded& loaded : loaded_) {
    bytes += loaded.plan.model.size() + loaded.input.size() + loaded.output.size();
  }
  return static_cast<std::int64_t>(bytes);
}

void FpgaProgram::set_profiling(bool on) {
  const std::lock_guard lock(mutex_);
  profiling_ = on;
  for (NodeTime& time : times_) {
    time.seconds = 0;
    time.calls = 0;
  }
}

std::vector<NodeTime> FpgaProgram::profile() const {
  const std::lock_guard lock(mutex_);
  return times_;
}

std::string FpgaProgram::details() const {
  const Configuration& c = *plans_[0].configuration;
  const double products = static_cast<double>(c.oc) * c.ic * c.px;
  nlohmann::ordered_json root;
  root["port"] = port_->name();
  root["modelled"] = !port_->is_card();
  root["configuration"] = std::string(c.name);
  root["logic_mhz"] = c.logic_mhz;
  root["multiplier_mhz"] = 2 * c.logic_mhz;
  root["products_per_cycle"] = static_cast<std::int64_t>(products);
  if (const auto watts = port_->watts()) root["watts"] = *watts;
  if (const auto celsius = port_->celsius()) root["celsius"] = *celsius;
  for (const Loaded& loaded : loaded_) {
    const graph::Graph& g = *loaded.plan.graph;
    const int batch = loaded.plan.schedule.batch;
    const double hz = 1e6 * c.logic_mhz;
    const auto cycles = static_cast<double>(loaded.counted.cycles);
    const std::vector<std::int64_t> by_node = node_cycles(loaded.plan, loaded.counted);
    nlohmann::ordered_json entry;
    entry["batch"] = batch;
    entry["cycles"] = loaded.counted.cycles;
    if (port_->name() == "verilator" && loaded.cycles > 0) entry["rtl_cycles"] = loaded.cycles;
    entry["utilisation"] = static_cast<double>(graph::macs(g)) * batch / (cycles * products);
    entry["array_busy"] = static_cast<double>(loaded.counted.steps) / cycles;
    entry["images_per_second"] = batch * hz / cycles;
    entry["latency_ms"] = 1e3 * cycles / hz;
    for (std::size_t n = 0; n < g.nodes.size(); ++n) {
      const auto macs = static_cast<double>(graph::macs(g, g.nodes[n])) * batch;
      nlohmann::ordered_json layer;
      layer["node"] = g.nodes[n].name;
      layer["op"] = std::string(graph::name_of(g.nodes[n].op));
      layer["mmac"] = macs / 1e6;
      layer["cycles"] = by_node[n];
      layer["utilisation"] =
          by_node[n] > 0 ? macs / (static_cast<double>(by_node[n]) * products) : 0.0;
      entry["layers"].push_back(std::move(layer));
    }
    root["batches"].push_back(std::move(entry));
  }
  return root.dump();
}

std::string FpgaProgram::listing() const {
  std::string text;
  for (const Loaded& loaded : loaded_) {
    text += fmt::format("; {} images, {} words\n", loaded.plan.schedule.batch, loaded.words.size());
    text += fpga::listing(loaded.plan.commands, loaded.plan.names);
  }
  return text;
}

}  // namespace pronghorn::device::fpga
