// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "base/thread_pool.h"
#include "capi/guard.h"
#include "capi/objects.h"
#include "runtime/device_list.h"

namespace pronghorn::capi {
namespace {

template <std::size_t N>
void copy_text(const std::string& text, char (&dst)[N]) {
  const std::size_t length = text.size() < N - 1 ? text.size() : N - 1;
  std::memcpy(dst, text.data(), length);
  dst[length] = '\0';
}

}  // namespace

void fill_device_info(const device::DeviceProperties& properties, ph_device_info* info) {
  ph_device_info filled{};
  copy_text(properties.name, filled.name);
  copy_text(properties.description, filled.description);
  copy_text(properties.isa, filled.isa);
  filled.cores = properties.cores;
  filled.memory_bytes = properties.memory_bytes;
  filled.clock_hz = properties.clock_hz;
  write_struct(filled, info, "info");
}

}  // namespace pronghorn::capi

using namespace pronghorn;

ph_status ph_device_count(int32_t* count) {
  return capi::guard([&] {
    capi::require(count, "count");
    *count = static_cast<int32_t>(runtime::list_devices().size());
  });
}

ph_status ph_device_get(int32_t index, ph_device_info* info) {
  return capi::guard([&] {
    const auto devices = runtime::list_devices();
    if (index < 0 || index >= static_cast<int32_t>(devices.size())) {
      base::fail(base::Status::kInvalidArgument, "device {}; 0 to {}", index, devices.size() - 1);
    }
    capi::fill_device_info(devices[static_cast<std::size_t>(index)], info);
  });
}

ph_status ph_device_ceiling(const char* device, int32_t threads, double* macs_per_second) {
  return capi::guard([&] {
    capi::require(macs_per_second, "macs_per_second");
    if (threads < 0) {
      base::fail(base::Status::kInvalidArgument, "threads is {}; 0 (every core) or more", threads);
    }
    const auto opened = runtime::open_device(device == nullptr ? "" : device);
    *macs_per_second =
        opened->measure_ceiling(threads == 0 ? base::available_cores() : static_cast<int>(threads));
  });
}

int32_t ph_available_cores(void) { return base::available_cores(); }
