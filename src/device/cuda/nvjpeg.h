// SPDX-License-Identifier: Apache-2.0
// The JPEG engines of a GPU through nvJPEG, looked up at run time. Only the hardware back end is
// used: its sample planes are libjpeg-turbo's, bit for bit (docs/cuda.md), which those of the back
// ends in software are not.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

namespace pronghorn::device::cuda {

// What nvJPEG calls nvjpegImage_t: where the planes of an image go.
struct JpegPlanes {
  std::uint8_t* channel[4];
  std::size_t pitch[4];
};

// The engines of the GPU that was current when it was made.
class JpegEngine {
 public:
  JpegEngine();  // never throws: name() or missing() tells
  ~JpegEngine();
  JpegEngine(const JpegEngine&) = delete;
  JpegEngine& operator=(const JpegEngine&) = delete;

  const std::string& name() const { return name_; }        // "nvJPEG 13.0, 7 engines"; empty: none
  const std::string& missing() const { return missing_; }  // why there is none
  int units() const { return units_; }
  void* handle() const { return handle_; }

 private:
  void* handle_ = nullptr;
  std::string name_;
  std::string missing_;
  int units_ = 0;
};

// One thread's work on an engine. nvJPEG prepares a state for one batch size, which takes
// milliseconds, and again memory for each image when its sampling changes: so there are a few
// sizes, each with a state for each kind of sampling, and an incomplete batch repeats its last
// image.
class JpegBatch {
 public:
  explicit JpegBatch(const JpegEngine& engine) : engine_(engine) {}
  ~JpegBatch();
  JpegBatch(const JpegBatch&) = delete;
  JpegBatch& operator=(const JpegBatch&) = delete;

  struct Image {
    const std::uint8_t* data;
    std::size_t size;
    JpegPlanes planes;
  };
  // Enqueues the decoding of the first of `images`, all of one `kind` of sampling, and returns how
  // many that is; their host memory must stay until the stream is done with it. `*taken` false:
  // nvJPEG refused one of these, and none of them is decoded. Throws Error(kInternal).
  std::size_t decode(std::span<const Image> images, int kind, cudaStream_t stream, bool* taken);

 private:
  struct State {
    void* state = nullptr;
    bool prepared = false;
  };
  const JpegEngine& engine_;
  std::map<std::pair<int, std::size_t>, State> states_;  // by kind and batch size
};

}  // namespace pronghorn::device::cuda
