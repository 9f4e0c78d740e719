// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/nvjpeg.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "device/cuda/driver.h"

namespace pronghorn::device::cuda {
namespace {

// Some 100 MB a state.
struct SizeClass {
  int side;
  int most;  // several rounds of the engine's decoders, where that is not too much memory
};
constexpr SizeClass kSizeClasses[] = {{1024, 56}, {JpegEngine::kMostSide, 14}};

}  // namespace

JpegEngine::JpegEngine() {
  const NvjpegLibrary& nvjpeg = nvjpeg_library();
  missing_ = nvjpeg.missing;
  if (!missing_.empty()) return;
  const int status = nvjpeg.create(NvjpegLibrary::kHardware, nullptr, nullptr, 0, &handle_);
  if (status != 0) {
    handle_ = nullptr;
    missing_ = status == NvjpegLibrary::kArchMismatch
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

class JpegEngine::State {
 public:
  State(NvjpegLibrary::Handle handle, const SizeClass& size) : handle_(handle), size_(size) {
    if (const int status = nvjpeg_library().state_create(handle_, &state_); status != 0) {
      base::fail(base::Status::kInternal, "nvJPEG: a decoder's state cannot be made (status {})",
                 status);
    }
  }
  ~State() { nvjpeg_library().state_destroy(state_); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  bool decode(std::span<const Image> images, cudaStream_t stream) {
    done_.wait("the JPEG engine");  // the state holds what the last batch still reads
    const int count = static_cast<int>(images.size());
    if (prepared_ != count && !prepare(count)) return false;
    std::vector<const std::uint8_t*> data;
    std::vector<std::size_t> sizes;
    std::vector<JpegPlanes> planes;
    for (const Image& image : images) {
      data.push_back(image.data);
      sizes.push_back(image.size);
      planes.push_back(image.planes);
    }
    const int status =
        nvjpeg_library().decode(handle_, state_, data.data(), sizes.data(), planes.data(), stream);
    done_.record(stream);            // of a refused batch a part may be under way
    if (status != 0) prepared_ = 0;  // and the state has to be prepared anew
    return status == 0;
  }

 private:
  bool prepare(int count) {
    const NvjpegLibrary& nvjpeg = nvjpeg_library();
    const auto initialize = [&](int batch) {
      return nvjpeg.initialize(handle_, state_, batch, 1, NvjpegLibrary::kUnchanged) == 0;
    };
    prepared_ = 0;
    if (!has_memory_) {
      if (!initialize(size_.most) ||
          nvjpeg.preallocate(handle_, state_, size_.most, size_.side, size_.side,
                             NvjpegLibrary::k444, NvjpegLibrary::kUnchanged) != 0) {
        return false;
      }
      has_memory_ = true;
    }
    if (!initialize(count)) return false;
    prepared_ = count;
    return true;
  }

  const NvjpegLibrary::Handle handle_;
  const SizeClass size_;
  NvjpegLibrary::State state_ = nullptr;
  SleepingEvent done_;
  bool has_memory_ = false;
  int prepared_ = 0;  // for batches of so many
};

JpegEngine::~JpegEngine() {
  for (Turns& turns : classes_) turns.states = {};
  if (handle_ != nullptr) nvjpeg_library().destroy(handle_);
}

void JpegEngine::StateDeleter::operator()(State* state) const { delete state; }

std::size_t JpegEngine::class_of(int side) {
  std::size_t found = 0;
  while (found + 1 < kClasses && kSizeClasses[found].side < side) ++found;
  return found;
}

std::size_t JpegEngine::most(std::size_t size_class) {
  return static_cast<std::size_t>(kSizeClasses[size_class].most);
}

bool JpegEngine::decode(std::span<const Image> images, std::size_t size_class,
                        cudaStream_t stream) {
  static_assert(kClasses == std::size(kSizeClasses));
  const std::lock_guard lock(mutex_);
  Turns& turns = classes_[size_class];
  auto& state = turns.states[turns.next];
  turns.next = (turns.next + 1) % kStates;
  if (state == nullptr) state.reset(new State(handle_, kSizeClasses[size_class]));
  return state->decode(images, stream);
}

}  // namespace pronghorn::device::cuda
