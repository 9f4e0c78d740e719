// SPDX-License-Identifier: Apache-2.0
// The JPEG engines of a GPU through nvJPEG. Only the hardware back end is used: its sample planes
// are libjpeg-turbo's, bit for bit (docs/cuda_input.md), which those of the back ends in software
// are not.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "device/cuda/nvjpeg_library.h"

namespace pronghorn::device::cuda {

// The engines of the GPU that was current when it was made. A few states of nvJPEG take turns, so
// that the engine has the next batch when it is done with one. nvJPEG is asked to set memory aside
// for the largest image that a state may meet; without that it makes room for each image anew, and
// is four times slower. So there are states for a few sizes of images. Threads give it batches in
// turn: two at once would only keep two processors waiting for it.
class JpegEngine {
 public:
  static constexpr int kMostSide = 2048;  // pixels

  JpegEngine();  // never throws: name() or missing() tells
  ~JpegEngine();
  JpegEngine(const JpegEngine&) = delete;
  JpegEngine& operator=(const JpegEngine&) = delete;

  const std::string& name() const { return name_; }  // "nvJPEG 13.0, 7 hardware decoders"; or empty
  const std::string& missing() const { return missing_; }  // why there is none
  int units() const { return units_; }                     // images that are decoded at once

  // Images whose longer side is `side` pixels go to the engine with others of the same class.
  static std::size_t class_of(int side);
  // Images of a class that are decoded together.
  static std::size_t most(std::size_t size_class);

  struct Image {
    const std::uint8_t* data;
    std::size_t size;
    JpegPlanes planes;
  };
  // Enqueues the decoding of all images, 1 to most() of one class; waits while all states are
  // busy. Their host memory must stay until the stream is done with it. False: nvJPEG refuses one
  // of them, and none is decoded. Throws Error when the GPU fails. May be called from many threads.
  bool decode(std::span<const Image> images, std::size_t size_class, cudaStream_t stream);

 private:
  static constexpr std::size_t kClasses = 2;
  static constexpr std::size_t kStates = 3;
  class State;
  struct StateDeleter {
    void operator()(State* state) const;
  };
  struct Turns {
    std::array<std::unique_ptr<State, StateDeleter>, kStates> states;
    std::size_t next = 0;
  };

  NvjpegLibrary::Handle handle_ = nullptr;
  std::string name_;
  std::string missing_;
  int units_ = 0;
  std::mutex mutex_;  // guards what follows
  std::array<Turns, kClasses> classes_;
};

}  // namespace pronghorn::device::cuda
