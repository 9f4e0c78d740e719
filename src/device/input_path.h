// SPDX-License-Identifier: Apache-2.0
// What a device does of a photograph's way to its input: upsampling, colour conversion and resize,
// and decoding where it has an engine for JPEG. Photographs end as pixels in the device's own
// memory, from where Program::submit takes them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device/photo_samples.h"

namespace pronghorn::device {

// How the samples of a photograph lie behind each other, and what is made of them.
struct PhotoShape {
  SampleKind kind = SampleKind::kRgb;
  int width = 0, height = 0;  // of the picture
  int h = 1, v = 1;           // as in PhotoSamples
  struct Plane {
    int width = 0, height = 0;
    std::size_t offset = 0, pitch = 0;  // bytes
  };
  Plane planes[3];
  std::size_t bytes = 0;  // of all planes
  TapAxis x{}, y{};       // `side` outputs each; host memory
};

struct JpegStream {
  std::span<const std::byte> bytes;
  PhotoShape shape;  // of its planes, kYcc or kGray
  int place = 0;
  bool decoded = false;  // set by InputLane::decode
};

// A set of places that the device fills. Must go before its lane is given back.
class Places {
 public:
  virtual ~Places() = default;  // waits without an error; the set is then free again
  virtual void wait() = 0;      // until all of it is filled. Throws Error when the device fails
  virtual const std::uint8_t* pixels() const = 0;  // of all places, where the device reaches them
};

// One thread's way to the device. Some sets of `most` places, each of side * side * 3 bytes, take
// turns. Throws Error when the device fails.
class InputLane {
 public:
  virtual ~InputLane() = default;
  // Takes a free set of places; waits while there is none. Nothing, where one was begun and not
  // finished.
  virtual void begin() = 0;
  // Host memory for samples of `bytes` bytes. Valid until the next put(), drop() or room().
  virtual std::byte* room(std::size_t bytes) = 0;
  // What was written to room() goes, resized, to `place`; false, and nothing is done, when the
  // shrinkage is more than the device's kernel can do. The memory of `shape` is free on return, the
  // work may still be under way.
  virtual bool put(const PhotoShape& shape, int place) = 0;
  // What was written to room(), `bytes` bytes, is not wanted: decoders are timed alone. The next
  // room() is another, as after put().
  virtual void drop(std::size_t bytes) = 0;
  // Begins to decode whole baseline JPEGs on the device's engine, and to resize each to its place
  // unless `resize` is off; waits while the engine has enough to do. Sets `decoded` of those that
  // the engine took. Their `bytes` must stay until the set is filled.
  virtual void decode(std::span<JpegStream> streams, bool resize) = 0;
  // The set that was begun; the device is still at work on it.
  virtual std::unique_ptr<Places> finish() = 0;
};

class InputPath {
 public:
  virtual ~InputPath() = default;
  // For images of side x side pixels. Lanes of one shape are kept and given again. `engine`: with
  // what decode() needs. The path must outlive its lanes.
  virtual std::shared_ptr<InputLane> lane(int side, int most, bool engine) = 0;
  // Whether the engine gives the samples that the processor's decoder gives.
  virtual bool engine_takes(const PhotoShape& shape) const = 0;
  // The engine's name, empty where there is none, and then the reason.
  virtual std::string engine() const = 0;
  virtual std::string missing() const = 0;
  // Whether the engine has been used or asked for: the first time takes some tenths of a second.
  virtual bool engine_started() const = 0;
  virtual int engine_lanes() const = 0;  // threads that keep it busy
  virtual int engine_units() const = 0;  // images that it decodes at once
};

}  // namespace pronghorn::device
