// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/nvml.h"

#include <dlfcn.h>

namespace pronghorn::device::cuda {
namespace {

// The four functions used, as nvml.h declares them.
struct Library {
  using Device = void*;
  int (*init)() = nullptr;
  int (*by_bus)(const char*, Device*) = nullptr;
  int (*energy)(Device, unsigned long long*) = nullptr;  // millijoules
  bool ready = false;

  Library() {
    // Stays loaded: other libraries of the process may use it too.
    void* handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return;
    init = reinterpret_cast<int (*)()>(dlsym(handle, "nvmlInit_v2"));
    by_bus = reinterpret_cast<int (*)(const char*, Device*)>(
        dlsym(handle, "nvmlDeviceGetHandleByPciBusId_v2"));
    energy = reinterpret_cast<int (*)(Device, unsigned long long*)>(
        dlsym(handle, "nvmlDeviceGetTotalEnergyConsumption"));
    ready = init != nullptr && by_bus != nullptr && energy != nullptr && init() == 0;
  }
};

const Library& library() {
  static const Library one;
  return one;
}

}  // namespace

std::optional<double> energy_joules(const std::string& bus_id) {
  const Library& nvml = library();
  Library::Device device = nullptr;
  unsigned long long millijoules = 0;
  if (!nvml.ready || nvml.by_bus(bus_id.c_str(), &device) != 0 ||
      nvml.energy(device, &millijoules) != 0) {
    return std::nullopt;
  }
  return 1e-3 * static_cast<double>(millijoules);
}

}  // namespace pronghorn::device::cuda
