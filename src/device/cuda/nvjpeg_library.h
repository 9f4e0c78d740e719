// SPDX-License-Identifier: Apache-2.0
// What is used of libnvjpeg, as nvjpeg.h of CUDA 12 and 13 declares it, looked up at run time: it
// is a part of the CUDA toolkit, not of the driver. Functions return an nvjpegStatus_t, 0 for
// success.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

namespace pronghorn::device::cuda {

// nvjpegImage_t: where the planes of an image go.
struct JpegPlanes {
  std::uint8_t* channel[4];
  std::size_t pitch[4];
};

struct NvjpegLibrary {
  using Handle = void*;
  using State = void*;
  static constexpr int kHardware = 3;      // nvjpegBackend_t
  static constexpr int kUnchanged = 0;     // nvjpegOutputFormat_t: planes as stored
  static constexpr int k444 = 0;           // nvjpegChromaSubsampling_t
  static constexpr int kArchMismatch = 7;  // nvjpegStatus_t

  int (*create)(int backend, void* device_allocator, void* pinned_allocator, unsigned flags,
                Handle*) = nullptr;
  int (*destroy)(Handle) = nullptr;
  int (*property)(int which, int* value) = nullptr;
  int (*hardware_info)(Handle, unsigned* engines, unsigned* cores) = nullptr;
  int (*state_create)(Handle, State*) = nullptr;
  int (*state_destroy)(State) = nullptr;
  int (*initialize)(Handle, State, int batch, int threads, int format) = nullptr;
  int (*preallocate)(Handle, State, int batch, int width, int height, int sampling,
                     int format) = nullptr;
  int (*decode)(Handle, State, const std::uint8_t* const* data, const std::size_t* sizes,
                JpegPlanes*, cudaStream_t) = nullptr;
  std::string missing;  // why it cannot be used; empty: all functions are there
};

const NvjpegLibrary& nvjpeg_library();

}  // namespace pronghorn::device::cuda
