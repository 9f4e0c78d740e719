// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/labels.h"
#include "apps/cli/model_flags.h"
#include "apps/cli/output_file.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::string model = "tin200";
  bool layers = false;
  bool labels = false;
  bool commands = false;
  std::string device = "fpga";
  std::string json;
};

void info(const Flags& flags, const Context& context) {
  OutputFile json_file(flags.json);
  const Model model = open_model_as_is(flags.model);
  const ModelInfo facts = model.info();
  std::vector<NodeInfo> nodes;
  std::map<std::string, int> ops;
  for (int i = 0; i < facts.nodes; ++i) {
    nodes.push_back(model.node(i));
    ++ops[nodes.back().op];
  }
  std::string op_text;
  for (const auto& [op, count] : ops) {
    op_text += fmt::format("{}{} {}", op_text.empty() ? "" : ", ", op, count);
  }
  const bool named = !model.label(0).empty();

  const auto line = [](const char* name, const std::string& value) {
    if (!value.empty()) fmt::print("{:<12} {}\n", name, value);
  };
  line("model", facts.name);
  line("format", facts.format);
  line("precision", facts.quantized ? "INT8 (quantized)" : "float32");
  line("input", fmt::format("{} x {} x {}, {}", facts.input_height, facts.input_width,
                            facts.input_channels, facts.input_is_u8 ? "uint8 pixels" : "float32"));
  line("preprocess", facts.input_is_u8 ? "inside the model" : facts.preprocess);
  line("resize", facts.resize);
  line("classes", fmt::format("{}{}", facts.classes, named ? ", named" : ", without names"));
  line("operations", op_text);
  line("products", fmt::format("{:.2f} MMAC an image", static_cast<double>(facts.macs) * 1e-6));
  line("parameters", fmt::format("{:.1f} KB", static_cast<double>(facts.parameter_bytes) * 1e-3));

  nlohmann::ordered_json json{{"schema", bench::kSchema}, {"command", context.command}};
  json["model"] = to_json(facts, flags.model);
  json["macs"] = facts.macs;
  json["parameter_bytes"] = facts.parameter_bytes;
  json["ops"] = ops;
  json["layers"] = nlohmann::ordered_json::array();
  if (flags.layers) {
    fmt::print("\n{:<44} {:<14} {:<8} {:>16} {:>10} {:>10}\n", "layer", "op", "type", "output",
               "MMAC", "KB");
  }
  for (const NodeInfo& node : nodes) {
    json["layers"].push_back({{"name", node.name},
                              {"op", node.op},
                              {"dtype", node.dtype},
                              {"output", {node.height, node.width, node.channels}},
                              {"macs", node.macs},
                              {"parameter_bytes", node.parameter_bytes}});
    if (!flags.layers) continue;
    fmt::print("{:<44} {:<14} {:<8} {:>16} {:>10.2f} {:>10.1f}\n", node.name, node.op, node.dtype,
               fmt::format("{}x{}x{}", node.height, node.width, node.channels),
               static_cast<double>(node.macs) * 1e-6,
               static_cast<double>(node.parameter_bytes) * 1e-3);
  }
  if (flags.labels) {
    fmt::print("\n");
    for (std::int64_t i = 0; i < facts.classes; ++i) {
      fmt::print("{:>5}  {}\n", i, class_text(model, i));
    }
  }
  if (flags.commands) fmt::print("\n{}", Session(model, flags.device, 1).listing());
  json_file.write(json.dump(2) + "\n");
}

}  // namespace

void add_info(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("info", "Show what a model file holds");
  command->add_option("model", flags->model, "tin200, a model file, or a pulled name")
      ->capture_default_str();
  command->add_flag("--layers", flags->layers, "Also every layer");
  command->add_flag("--labels", flags->labels, "Also every class");
  command->add_flag("--commands", flags->commands,
                    "Also the commands that a device with a command stream runs");
  command->add_option("-d,--device", flags->device, "For --commands: the device")
      ->capture_default_str();
  command->add_option("--json", flags->json, "Also write everything to this file");
  command->footer("Example:\n  pronghorn info resnet50.onnx --layers");
  command->callback([flags, &context] { info(*flags, context); });
}

}  // namespace pronghorn::cli
