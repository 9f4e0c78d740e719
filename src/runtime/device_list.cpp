// SPDX-License-Identifier: Apache-2.0
// The only list of devices. A new device is one folder and one row here.
#include "runtime/device_list.h"

#include <cstdlib>
#include <utility>

#include "device/cpu/cpu_device.h"
#include "device/reference/reference_device.h"

namespace pronghorn::runtime {
namespace {

using Make = std::unique_ptr<device::Device> (*)();
struct Row {
  const char* name;
  Make make;
};
constexpr Row kDevices[] = {
    {"cpu", device::cpu::make_device},
    {"reference", device::reference::make_device},
};

}  // namespace

std::vector<device::DeviceProperties> list_devices() {
  std::vector<device::DeviceProperties> all;
  for (const Row& row : kDevices) all.push_back(row.make()->properties());
  return all;
}

std::shared_ptr<device::Device> open_device(const std::string& name) {
  std::string wanted = name;
  if (wanted.empty() || wanted == "auto") {
    const char* forced = std::getenv("PRONGHORN_DEVICE");
    wanted = forced != nullptr && *forced != '\0' ? forced : kDevices[0].name;
  }
  std::string known;
  for (const Row& row : kDevices) {
    if (wanted == row.name) return row.make();
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  base::fail(base::Status::kNotFound, "there is no device \"{}\"; this machine has: {}", wanted,
             known);
}

}  // namespace pronghorn::runtime
