// SPDX-License-Identifier: Apache-2.0
// nvJPEG and the resize kernel of the emulated GPU.
#include <cstring>
#include <string>
#include <vector>

#include "device/cuda/kernels/resize.h"
#include "device/cuda/nvjpeg_library.h"
#include "image/photo.h"
#include "tests/emulated_cuda/emulated_cuda.h"

namespace pronghorn::emulated {
namespace {

constexpr int kRefused = 8;  // any status but 0
int handles = 0;             // its address is a handle

struct EngineState {
  int batch = 0;
  int side = 0, most = 0;  // memory for so many images of side x side pixels
  std::atomic<int> busy{0};
};

int refused(const std::uint8_t* const* data, const std::size_t* sizes, const EngineState& state) {
  for (int i = 0; i < state.batch; ++i) {
    const int every = settings().refuse_every;
    if (every > 0 && sizes[i] % static_cast<std::size_t>(every) == 0) return kRefused;
    const image::Photo photo({reinterpret_cast<const std::byte*>(data[i]), sizes[i]}, "engine");
    const image::PhotoLayout& layout = photo.layout();
    if (!photo.plain() || std::max(layout.width, layout.height) > state.side) {
      ++counts().misused;
      return kRefused;
    }
  }
  return 0;
}

// The picture's own samples: what else is in a row stays as it was.
void decode_one(const std::uint8_t* data, std::size_t size, const device::cuda::JpegPlanes& to) {
  image::Photo photo({reinterpret_cast<const std::byte*>(data), size}, "engine");
  const image::PhotoLayout& layout = photo.layout();
  std::vector<std::uint8_t> planes(layout.bytes);
  photo.decode(planes.data());
  const int count = layout.kind == image::PhotoLayout::Kind::kGray ? 1 : 3;
  for (int i = 0; i < count; ++i) {
    const image::PhotoLayout::Plane& plane = layout.planes[static_cast<std::size_t>(i)];
    for (int row = 0; row < plane.height; ++row) {
      const auto at = static_cast<std::size_t>(row);
      std::memcpy(to.channel[i] + to.pitch[i] * at, planes.data() + plane.offset + plane.pitch * at,
                  static_cast<std::size_t>(plane.width));
    }
  }
  ++counts().decoded;
}

int decode(void*, void* handle, const std::uint8_t* const* data, const std::size_t* sizes,
           device::cuda::JpegPlanes* planes, cudaStream_t stream) {
  auto& state = *static_cast<EngineState*>(handle);
  // The state holds what its last batch is decoded from.
  if (state.batch < 1 || state.batch > state.most || state.busy != 0) {
    ++counts().misused;
    return kRefused;
  }
  if (refused(data, sizes, state) != 0) {
    state.batch = 0;
    return kRefused;
  }
  ++state.busy;
  for (int i = 0; i < state.batch; ++i) {
    const cudaError_t status = enqueue(
        stream, [from = data[i], size = sizes[i], to = planes[i]] { decode_one(from, size, to); });
    if (status != cudaSuccess) return kRefused;
  }
  ++counts().batches;
  return enqueue(stream, [&state] { --state.busy; }) == cudaSuccess ? 0 : kRefused;
}

device::cuda::NvjpegLibrary make_library() {
  using Library = device::cuda::NvjpegLibrary;
  Library library;
  library.create = [](int backend, void*, void*, unsigned, Library::Handle* handle) {
    *handle = &handles;
    if (backend != Library::kHardware) ++counts().misused;
    return settings().engine ? 0 : Library::kArchMismatch;
  };
  library.destroy = [](Library::Handle) { return 0; };
  library.property = [](int, int* value) {
    *value = 1;
    return 0;
  };
  library.hardware_info = [](Library::Handle, unsigned* engines, unsigned* cores) {
    *engines = 1;
    *cores = 7;
    return 0;
  };
  library.state_create = [](Library::Handle, Library::State* state) {
    *state = new EngineState;
    return 0;
  };
  library.state_destroy = [](Library::State state) {
    auto* const each = static_cast<EngineState*>(state);
    if (each->busy != 0) ++counts().misused;
    delete each;
    return 0;
  };
  library.initialize = [](Library::Handle, Library::State state, int batch, int, int) {
    auto& each = *static_cast<EngineState*>(state);
    if (each.busy != 0) ++counts().misused;
    each.batch = batch;
    return 0;
  };
  library.preallocate = [](Library::Handle, Library::State state, int batch, int width, int height,
                           int, int) {
    auto& each = *static_cast<EngineState*>(state);
    if (settings().no_memory) return kRefused;
    each.most = batch;
    each.side = std::min(width, height);
    return 0;
  };
  library.decode = decode;
  return library;
}

// As src/device/cuda/kernels/resize.cu, a block after the other.
void resize(const device::cuda::ResizeJob& job, int side, int shared) {
  const std::ptrdiff_t pitch = std::ptrdiff_t{side} * 3;
  for (int begin = 0; begin < side; begin += job.band) {
    const int count = std::min(job.band, side - begin);
    const int from = job.y.first[begin];
    const int to = std::min(job.y.first[begin + count - 1] + job.y.taps, job.samples.height);
    std::vector<std::uint8_t> rows(static_cast<std::size_t>(shared));
    for (int row = 0; row < to - from; ++row) {
      for (int column = 0; column < side; ++column) {
        const device::Rgb pixel = device::resized_column(job.samples, job.x, column, from + row);
        const auto at = static_cast<std::size_t>(row * pitch + 3 * column);
        rows.at(at) = static_cast<std::uint8_t>(pixel.r);
        rows.at(at + 1) = static_cast<std::uint8_t>(pixel.g);
        rows.at(at + 2) = static_cast<std::uint8_t>(pixel.b);
      }
    }
    for (int row = begin; row < begin + count; ++row) {
      for (std::ptrdiff_t byte = 0; byte < pitch; ++byte) {
        job.dst[row * pitch + byte] =
            device::resized_row(rows.data() + byte, pitch, from, job.y, row);
      }
    }
  }
}

}  // namespace
}  // namespace pronghorn::emulated

namespace pronghorn::device::cuda {

const NvjpegLibrary& nvjpeg_library() {
  static const NvjpegLibrary one = emulated::make_library();
  return one;
}

int prepare_resize(int) { return cudaSuccess; }

int launch_resize(const ResizeJob* jobs, int count, int side, int, int shared, Stream stream) {
  return emulated::enqueue(static_cast<cudaStream_t>(stream), [=] {
    for (int i = 0; i < count; ++i) emulated::resize(jobs[i], side, shared);
  });
}

}  // namespace pronghorn::device::cuda
