// SPDX-License-Identifier: Apache-2.0
// The only list of devices. A new device is one folder and one row here.
#include "runtime/device_list.h"

#include <cstdlib>
#include <utility>

#include "device/cpu/cpu_device.h"
#ifdef PRONGHORN_CUDA
#include "device/cuda/cuda_device.h"
#endif
#include "device/fpga/fpga_device.h"
#include "device/reference/reference_device.h"

namespace pronghorn::runtime {
namespace {

// A kind of device: "cuda" opens "cuda" and, of the names that it lists, "cuda:0", "cuda:1", ...
struct Row {
  const char* name;
  std::vector<std::string> (*names)();
  std::unique_ptr<device::Device> (*make)(const std::string& name);
  bool in_auto;  // cards and the processor; not models of a card, not the judge
};
constexpr Row kDevices[] = {
#ifdef PRONGHORN_CUDA
    {"cuda", device::cuda::device_names, device::cuda::make_device, true},
#endif
    {"cpu", [] { return std::vector<std::string>{"cpu"}; },
     [](const std::string&) { return device::cpu::make_device(); }, true},
    {"fpga", [] { return std::vector<std::string>{"fpga"}; }, device::fpga::make_device, false},
    {"reference", [] { return std::vector<std::string>{"reference"}; },
     [](const std::string&) { return device::reference::make_device(); }, false},
};

bool opens(const Row& row, const std::string& wanted) {
  return wanted.substr(0, wanted.find(':')) == row.name;
}

}  // namespace

std::vector<device::DeviceProperties> list_devices() {
  std::vector<device::DeviceProperties> all;
  for (const Row& row : kDevices) {
    for (const std::string& name : row.names()) all.push_back(row.make(name)->properties());
  }
  return all;
}

std::vector<std::string> devices_to_try(const std::string& name) {
  std::string wanted = name;
  if (wanted.empty() || wanted == "auto") {
    const char* forced = std::getenv("PRONGHORN_DEVICE");
    wanted = forced == nullptr ? "" : forced;
  }
  if (!wanted.empty() && wanted != "auto") return {wanted};
  std::vector<std::string> all;
  for (const Row& row : kDevices) {
    if (!row.in_auto) continue;
    for (const std::string& each : row.names()) all.push_back(each);
  }
  return all;
}

std::shared_ptr<device::Device> open_device(const std::string& name) {
  const std::string wanted = devices_to_try(name).front();
  for (const Row& row : kDevices) {
    if (opens(row, wanted)) return row.make(wanted);
  }
  std::string known;
  for (const Row& row : kDevices) {
    for (const std::string& each : row.names()) known += (known.empty() ? "" : ", ") + each;
  }
  base::fail(base::Status::kNotFound, "there is no device \"{}\"; this machine has: {}", wanted,
             known);
}

}  // namespace pronghorn::runtime
