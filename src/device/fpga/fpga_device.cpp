// SPDX-License-Identifier: Apache-2.0
#include "device/fpga/fpga_device.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "device/fpga/fpga_program.h"
#include "device/fpga/plan.h"
#include "device/fpga/port.h"

namespace pronghorn::device::fpga {
namespace {

constexpr int kMostImages = 8;  // of one batch
constexpr const char* kDefaultConfiguration = "u250";

const Configuration& configuration(std::string_view name) {
  std::string known;
  for (const Configuration& c : kConfigurations) {
    if (c.name == name) return c;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", c.name);
  }
  base::fail(base::Status::kInvalidArgument, "FPGA configuration \"{}\": there are {}", name,
             known);
}

std::unique_ptr<Port> open_port(const std::string& name, const Configuration& c, int threads) {
  if (name == "model") return make_model_port(c, threads);
  if (name == "verilator") {
#ifdef PRONGHORN_RTL_SIMULATOR
    return make_verilator_port(c);
#else
    base::fail(base::Status::kUnavailable,
               "FPGA port verilator: this build has no simulator; install Verilator and configure "
               "with -DPRONGHORN_RTL_SIMULATOR={} (docs/fpga.md)",
               c.name);
#endif
  }
  const char* bitstream = std::getenv("PRONGHORN_XCLBIN");
  return make_xrt_port(c, bitstream != nullptr ? bitstream : "");
}

// Whether a card answers, without an error when none does.
bool has_card(const Configuration& c) {
  try {
    return open_port("xrt", c, 1) != nullptr;
  } catch (const base::Error&) {
    return false;
  }
}

class FpgaDevice final : public Device {
 public:
  FpgaDevice(std::string name, std::string port, const Configuration& c)
      : name_(std::move(name)), port_(std::move(port)), c_(c) {}

  DeviceProperties properties() const override {
    DeviceProperties p;
    p.name = name_;
    p.description =
        fmt::format("{} overlay, {} products a cycle, {}", c_.name, c_.oc * c_.ic * c_.px,
                    port_ == "model"       ? "modelled (no card)"
                    : port_ == "verilator" ? "simulated RTL (no card)"
                                           : "card");
    p.isa = port_;
    p.cores = 1;
    p.clock_hz = 1e6 * c_.logic_mhz;
    return p;
  }

  CompileResult compile(std::shared_ptr<const graph::Graph> graph,
                        const CompileOptions& options) override {
    graph::verify(*graph);
    std::vector<Plan> plans;
    for (int batch = kMostImages; batch >= 1; batch = 1) {
      auto outcome = make_plan(graph, c_, batch);
      if (auto* refusal = std::get_if<Refusal>(&outcome)) return std::move(*refusal);
      plans.push_back(std::get<Plan>(std::move(outcome)));
      if (plans.back().schedule.batch == 1) break;
    }
    const int threads = options.threads > 0 ? options.threads : base::available_cores();
    return std::make_unique<FpgaProgram>(std::move(plans), open_port(port_, c_, threads));
  }

 private:
  std::string name_, port_;
  const Configuration& c_;
};

}  // namespace

std::unique_ptr<Device> make_device(const std::string& name) {
  std::string port;
  std::string wanted = kDefaultConfiguration;
  if (const std::size_t first = name.find(':'); first != std::string::npos) {
    const std::size_t second = name.find(':', first + 1);
    port = name.substr(first + 1, second == std::string::npos ? second : second - first - 1);
    if (second != std::string::npos) wanted = name.substr(second + 1);
    if (port != "model" && port != "verilator" && port != "xrt") {
      base::fail(base::Status::kInvalidArgument,
                 "FPGA port \"{}\": there are model, verilator and xrt", port);
    }
  }
  const Configuration& c = configuration(wanted);
  if (port.empty()) port = has_card(c) ? "xrt" : "model";
  if (port != "model") open_port(port, c, 1);  // says now what is missing
  return std::make_unique<FpgaDevice>(name, port, c);
}

}  // namespace pronghorn::device::fpga
