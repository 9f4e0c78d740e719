// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/nvjpeg_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <type_traits>

namespace pronghorn::device::cuda {
namespace {

NvjpegLibrary load() {
  NvjpegLibrary found;
  void* library = nullptr;
  for (const char* name : {"libnvjpeg.so.13", "libnvjpeg.so.12"}) {
    if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    found.missing = "libnvjpeg.so.13 (or .12), a part of the CUDA toolkit, was not found";
    return found;
  }
  const auto find = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) found.missing = fmt::format("libnvjpeg has no function {}", name);
  };
  find("nvjpegCreateEx", found.create);
  find("nvjpegDestroy", found.destroy);
  find("nvjpegGetProperty", found.property);
  find("nvjpegGetHardwareDecoderInfo", found.hardware_info);
  find("nvjpegJpegStateCreate", found.state_create);
  find("nvjpegJpegStateDestroy", found.state_destroy);
  find("nvjpegDecodeBatchedInitialize", found.initialize);
  find("nvjpegDecodeBatchedPreAllocate", found.preallocate);
  find("nvjpegDecodeBatched", found.decode);
  return found;
}

}  // namespace

const NvjpegLibrary& nvjpeg_library() {
  static const NvjpegLibrary one = load();  // stays loaded
  return one;
}

}  // namespace pronghorn::device::cuda
