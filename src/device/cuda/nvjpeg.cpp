// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/nvjpeg.h"

#include <dlfcn.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace pronghorn::device::cuda {
namespace {

// The functions and constants used, as nvjpeg.h of CUDA 12 and 13 declares them.
using Handle = void*;
using State = void*;
constexpr int kHardware = 3;      // nvjpegBackend_t
constexpr int kUnchanged = 0;     // nvjpegOutputFormat_t: planes as stored
constexpr int kArchMismatch = 7;  // nvjpegStatus_t

constexpr std::size_t kRounds[] = {8, 4, 2, 1};  // batch sizes, in images for each of the units

struct Library {
  int (*create)(int, void*, void*, unsigned, Handle*) = nullptr;
  int (*destroy)(Handle) = nullptr;
  int (*property)(int, int*) = nullptr;
  int (*hardware_info)(Handle, unsigned*, unsigned*) = nullptr;
  int (*state_create)(Handle, State*) = nullptr;
  int (*state_destroy)(State) = nullptr;
  int (*initialize)(Handle, State, int, int, int) = nullptr;
  int (*decode)(Handle, State, const std::uint8_t* const*, const std::size_t*, JpegPlanes*,
                cudaStream_t) = nullptr;
  std::string missing;

  Library() {
    void* library = nullptr;
    for (const char* name : {"libnvjpeg.so.13", "libnvjpeg.so.12"}) {
      if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (library == nullptr) {
      missing = "libnvjpeg.so.13 (or .12), a part of the CUDA toolkit, was not found";
      return;
    }
    const auto find = [&](const char* name, auto& function) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      if (function == nullptr) missing = fmt::format("libnvjpeg has no function {}", name);
    };
    find("nvjpegCreateEx", create);
    find("nvjpegDestroy", destroy);
    find("nvjpegGetProperty", property);
    find("nvjpegGetHardwareDecoderInfo", hardware_info);
    find("nvjpegJpegStateCreate", state_create);
    find("nvjpegJpegStateDestroy", state_destroy);
    find("nvjpegDecodeBatchedInitialize", initialize);
    find("nvjpegDecodeBatched", decode);
  }
};

const Library& library() {
  static const Library one;  // stays loaded
  return one;
}

}  // namespace

JpegEngine::JpegEngine() {
  const Library& nvjpeg = library();
  missing_ = nvjpeg.missing;
  if (!missing_.empty()) return;
  const int status = nvjpeg.create(kHardware, nullptr, nullptr, 0, &handle_);
  if (status != 0) {
    handle_ = nullptr;
    missing_ = status == kArchMismatch
                   ? "this GPU has no JPEG engine"
                   : fmt::format("nvJPEG's hardware decoder cannot be used (status {})", status);
    return;
  }
  unsigned engines = 0;
  unsigned cores = 0;
  if (nvjpeg.hardware_info(handle_, &engines, &cores) != 0 || engines * cores == 0) {
    missing_ = "this GPU has no JPEG engine";
    return;
  }
  units_ = static_cast<int>(engines * cores);
  int major = 0;
  int minor = 0;
  nvjpeg.property(0, &major);
  nvjpeg.property(1, &minor);
  name_ = fmt::format("nvJPEG {}.{}, {} hardware decoders", major, minor, units_);
}

JpegEngine::~JpegEngine() {
  if (handle_ != nullptr) library().destroy(handle_);
}

JpegBatch::~JpegBatch() {
  for (const auto& [key, state] : states_) {
    if (state.state != nullptr) library().state_destroy(state.state);
  }
}

std::size_t JpegBatch::decode(std::span<const Image> images, int kind, cudaStream_t stream,
                              bool* taken) {
  const Library& nvjpeg = library();
  const auto units = static_cast<std::size_t>(engine_.units());
  std::size_t batch = units;
  for (const std::size_t rounds : kRounds) {
    if (images.size() >= rounds * units) {
      batch = rounds * units;
      break;
    }
  }
  const std::size_t count = std::min(batch, images.size());
  State& state = states_[{kind, batch}];
  if (state.state == nullptr) {
    if (const int status = nvjpeg.state_create(engine_.handle(), &state.state); status != 0) {
      base::fail(base::Status::kInternal, "nvJPEG: a decoder's state cannot be made (status {})",
                 status);
    }
  }
  *taken = false;
  if (!state.prepared) {
    if (nvjpeg.initialize(engine_.handle(), state.state, static_cast<int>(batch), 1, kUnchanged) !=
        0) {
      return count;
    }
    state.prepared = true;
  }
  std::vector<const std::uint8_t*> data;
  std::vector<std::size_t> sizes;
  std::vector<JpegPlanes> planes;
  for (std::size_t i = 0; i < batch; ++i) {
    const Image& image = images[std::min(i, count - 1)];
    data.push_back(image.data);
    sizes.push_back(image.size);
    planes.push_back(image.planes);
  }
  *taken = nvjpeg.decode(engine_.handle(), state.state, data.data(), sizes.data(), planes.data(),
                         stream) == 0;
  state.prepared = *taken;  // a failed batch leaves the state to be prepared anew
  return count;
}

}  // namespace pronghorn::device::cuda
