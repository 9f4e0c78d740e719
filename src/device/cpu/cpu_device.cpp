// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/cpu_device.h"

#include <fstream>
#include <string>
#include <utility>

#include "base/thread_pool.h"
#include "device/cpu/ceiling.h"
#include "device/cpu/cpu_program.h"
#include "device/cpu/learn/cpu_learner.h"

namespace pronghorn::device::cpu {
namespace {

// The value of a line "key : value" of a file under /proc; empty when there is none.
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const std::size_t value = line.find_first_not_of(" \t", line.find(':') + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

double number(const std::string& text) {
  return text.empty() ? 0 : std::strtod(text.c_str(), nullptr);
}

class CpuDevice final : public Device {
 public:
  CpuDevice() : kernels_(choose_kernels()) {}

  DeviceProperties properties() const override {
    DeviceProperties p;
    p.name = "cpu";
    p.cores = base::available_cores();
    const std::string model = proc_value("/proc/cpuinfo", "model name");
    p.description = fmt::format("{}, {} core{}", model.empty() ? "processor" : model, p.cores,
                                p.cores == 1 ? "" : "s");
    p.isa = kernels_.name;
    p.memory_bytes =
        static_cast<std::int64_t>(number(proc_value("/proc/meminfo", "MemTotal"))) * 1024;
    p.clock_hz = 1e6 * number(proc_value("/proc/cpuinfo", "cpu MHz"));
    return p;
  }

  double measure_ceiling(int threads) override {
    return kernels_.peak == nullptr ? 0 : cpu::measure_ceiling(kernels_, threads);
  }

  CompileResult compile(std::shared_ptr<const graph::Graph> graph,
                        const CompileOptions& options) override {
    graph::verify(*graph);
    if (Refusal refusal = refuse(*graph); !refusal.ops.empty()) return refusal;
    const int threads = options.threads > 0 ? options.threads : base::available_cores();
    return std::make_unique<CpuProgram>(std::move(graph), kernels_, threads, options.hint);
  }

  std::unique_ptr<Learner> learner(int threads) override {
    return make_learner(threads > 0 ? threads : base::available_cores());
  }

 private:
  const KernelSet& kernels_;
};

}  // namespace

std::unique_ptr<Device> make_device() { return std::make_unique<CpuDevice>(); }

}  // namespace pronghorn::device::cpu
