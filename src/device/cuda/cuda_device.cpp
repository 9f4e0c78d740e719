// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/cuda_device.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "device/cuda/cuda_input_path.h"
#include "device/cuda/cuda_program.h"
#include "device/cuda/driver.h"
#include "device/cuda/learn/cuda_learner.h"
#include "device/cuda/nvml.h"

namespace pronghorn::device::cuda {
namespace {

constexpr int kLeastCapability = 75;
constexpr std::size_t kMostGpus = 64;

int attribute(cudaDeviceAttr which, int gpu) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, gpu), "a property of the GPU");
  return value;
}

int capability(int gpu) {
  return 10 * attribute(cudaDevAttrComputeCapabilityMajor, gpu) +
         attribute(cudaDevAttrComputeCapabilityMinor, gpu);
}

// Why there is none, or how many the driver shows.
std::pair<int, std::string> count_gpus() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess) return {count, count == 0 ? "the driver shows no GPU" : ""};
  cudaGetLastError();
  if (status == cudaErrorInsufficientDriver) {
    return {0, "no NVIDIA driver for CUDA 13 (release 580 or newer) is loaded"};
  }
  return {0, cudaGetErrorString(status)};
}

std::vector<int> usable_gpus() {
  std::vector<int> gpus;
  const int count = count_gpus().first;
  for (int gpu = 0; gpu < count; ++gpu) {
    if (capability(gpu) >= kLeastCapability) gpus.push_back(gpu);
  }
  return gpus;
}

std::string bus_id(int gpu) {
  std::array<char, 32> text{};
  check(cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), gpu),
        "the GPU's address");
  return text.data();
}

class CudaDevice final : public Device {
 public:
  CudaDevice(std::string name, std::vector<int> gpus)
      : name_(std::move(name)), gpus_(std::move(gpus)), input_path_(gpus_) {
    for (const int gpu : gpus_) spare_stacks(gpu);
  }

  DeviceProperties properties() const override {
    DeviceProperties p;
    p.name = name_;
    cudaDeviceProp gpu{};
    check(cudaGetDeviceProperties(&gpu, gpus_[0]), "the GPU's properties");
    p.cores = 0;
    for (const int id : distinct()) p.cores += attribute(cudaDevAttrMultiProcessorCount, id);
    p.description =
        fmt::format("{}{}, {} multiprocessors",
                    gpus_.size() > 1 ? fmt::format("{} x ", gpus_.size()) : "", gpu.name, p.cores);
    p.isa = fmt::format("sm_{}", lowest_capability());
    for (const int id : distinct()) {
      cudaDeviceProp each{};
      check(cudaGetDeviceProperties(&each, id), "the GPU's properties");
      p.memory_bytes += static_cast<std::int64_t>(each.totalGlobalMem);
    }
    p.clock_hz = 1e3 * attribute(cudaDevAttrClockRate, gpus_[0]);
    return p;
  }

  CompileResult compile(std::shared_ptr<const graph::Graph> graph,
                        const CompileOptions& options) override {
    graph::verify(*graph);
    if (Refusal refusal = refuse(*graph, options.precision); !refusal.ops.empty()) return refusal;
    int multiprocessors = attribute(cudaDevAttrMultiProcessorCount, gpus_[0]);
    for (const int gpu : gpus_) {
      multiprocessors = std::min(multiprocessors, attribute(cudaDevAttrMultiProcessorCount, gpu));
    }
    const int threads = options.threads > 0 ? options.threads : base::available_cores();
    return std::make_unique<CudaProgram>(
        make_plan(std::move(graph), lowest_capability(), multiprocessors, options.precision), gpus_,
        threads);
  }
  bool offers(Precision) const override { return true; }

  std::unique_ptr<Learner> learner(int threads) override {
    return make_learner(gpus_, threads > 0 ? threads : base::available_cores());
  }
  InputPath* input_path() override { return &input_path_; }

  std::optional<double> energy_joules() const override {
    double sum = 0;
    for (const int gpu : distinct()) {
      const std::optional<double> joules = cuda::energy_joules(bus_id(gpu));
      if (!joules) return std::nullopt;
      sum += *joules;
    }
    return sum;
  }

 private:
  std::set<int> distinct() const { return {gpus_.begin(), gpus_.end()}; }

  int lowest_capability() const {
    int lowest = capability(gpus_[0]);
    for (const int gpu : gpus_) lowest = std::min(lowest, capability(gpu));
    return lowest;
  }

  std::string name_;
  std::vector<int> gpus_;
  CudaInputPath input_path_;
};

}  // namespace

std::vector<std::string> device_names() {
  std::vector<std::string> names;
  for (const int gpu : usable_gpus()) names.push_back(fmt::format("cuda:{}", gpu));
  return names;
}

std::vector<int> numbers_of(const std::string& name) {
  constexpr std::string_view kPrefix = "cuda:";
  std::vector<int> numbers;
  if (name == "cuda") return numbers;
  bool good = name.starts_with(kPrefix);
  const char* at = good ? name.data() + kPrefix.size() : nullptr;
  const char* const end = name.data() + name.size();
  while (good) {
    int number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    good = error == std::errc() && *at != '-' && (next == end || *next == ',') &&
           numbers.size() < kMostGpus;
    numbers.push_back(number);
    if (next == end) break;
    at = next + 1;
  }
  if (!good) {
    base::fail(base::Status::kInvalidArgument,
               "device \"{}\": cuda is all GPUs, cuda:0 one, cuda:0,1 a list of at most {}", name,
               kMostGpus);
  }
  return numbers;
}

std::unique_ptr<Device> make_device(const std::string& name) {
  numbers_of(name);  // a wrong name is one with and without a GPU
  const auto [count, reason] = count_gpus();
  if (count == 0) {
    base::fail(base::Status::kUnavailable, "device \"{}\" cannot be used: {}", name, reason);
  }
  const std::vector<int> gpus = usable_gpus();
  const auto usable = [&](int gpu) {
    return std::find(gpus.begin(), gpus.end(), gpu) != gpus.end();
  };
  const std::vector<int> wanted = name == "cuda" ? gpus : numbers_of(name);
  if (!wanted.empty() && std::all_of(wanted.begin(), wanted.end(), usable)) {
    return std::make_unique<CudaDevice>(name, wanted);
  }
  std::string known;
  for (const int gpu : gpus) known += fmt::format("{}cuda:{}", known.empty() ? "" : ", ", gpu);
  base::fail(base::Status::kUnavailable,
             "there is no GPU \"{}\"; the driver shows {}, of which {} can be used (compute "
             "capability 7.5 or newer)",
             name, count, known.empty() ? "none" : known);
}

}  // namespace pronghorn::device::cuda
