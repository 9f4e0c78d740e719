// SPDX-License-Identifier: Apache-2.0
// The overlapped pipeline: encoded images in, input tensors out.
//
// Every worker thread takes the next chunk of consecutive images, reads and decodes them into its
// own tensor and hands the chunk to `sink` on the same thread. Reading, decoding and whatever the
// sink does (inference, or queueing for a device) thus overlap without a stage ever waiting for
// another, and memory is bounded by workers * chunk images.
//
// Loaders in place of the processor's decoders only begin what a device does for a chunk, and go on
// to the next one. The calling thread waits for the device and hands the chunks to `sink`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "image/image.h"
#include "image/source.h"

namespace pronghorn::image {

class Loader;

struct PipelineOptions {
  ResizeMode resize;
  DecodeLimits limits;
  int workers = 1;
  int chunk = 1;        // most images handed to the sink at a time; chunks shrink towards the end
                        // of the source, so that the workers finish together
  bool strict = false;  // the first broken image stops everything: run() rethrows its error
  // One a worker, in place of `workers` and `chunk`: each may be fast or slow, so that chunks are
  // shares of what is left by the rates measured so far. Empty: the processor decodes.
  std::vector<Loader*> loaders;
};

// Memory that a device fills.
class Filling {
 public:
  virtual ~Filling() = default;  // waits without an error; the memory is then used again
  virtual void wait() = 0;       // until it is filled; throws Error
};

// Images [first, first + slot.size()) of the source. `pixels` has room for `good` images or more,
// width * width * 3 bytes each, in memory that the sink understands; `slot[i]` is the place of
// image i there, or -1 when it is broken and `error[i]` says why.
struct Chunk {
  std::int64_t first = 0;
  std::span<const std::uint8_t> pixels;
  std::unique_ptr<Filling> filling;  // of `pixels`, has been waited for; keep it as long as them
  int good = 0;
  std::vector<int> slot;
  std::vector<std::string> error;
};

struct PipelineStats {  // seconds summed over workers
  double read_seconds = 0;
  double decode_seconds = 0;  // decode, resize, crop on the processor
  double resize_seconds = 0;  // of decode_seconds: resize and crop
  double engine_seconds = 0;  // handing images to a device's decoder, which includes its waiting
  double lane_seconds = 0;    // waited for memory that a device has not done with
  double sink_seconds = 0;
  double copy_seconds = 0;    // of sink_seconds: to and from a device; the sink's owner fills it in
  double result_seconds = 0;  // of sink_seconds: handing results over; likewise
  double wall_seconds = 0;
  std::int64_t images = 0;  // broken ones too
  std::int64_t broken = 0;
  std::int64_t encoded_bytes = 0;
  std::int64_t engine_images = 0;  // decoded by a device's decoder
  std::int64_t returned = 0;       // brought to that decoder and decoded by the processor after all
  PipelineStats& operator+=(const PipelineStats& other);  // all but wall_seconds
};

// How one worker turns encoded images into a chunk's pixels. Used by one thread at a time.
class Loader {
 public:
  virtual ~Loader() = default;
  virtual int most() const = 0;            // images at a time
  virtual double likely_rate() const = 0;  // against other loaders', until it has been measured
  // Images [first, first + count) of the source: fills all of `chunk` and adds to `stats`. With
  // `strict` a broken image's Error is thrown. `stopped` is polled between images; once it returns
  // true the chunk ends with the images that it has.
  virtual void load(const Source& source, const PipelineOptions& options, std::int64_t first,
                    int count, const std::function<bool()>& stopped, Chunk& chunk,
                    PipelineStats& stats) = 0;
};

// Calls `sink` for every chunk; it may move from it. Without loaders the workers call it, at once,
// and worker 0 is the calling thread; with loaders the calling thread does, a chunk after the
// other, and calls `idle` when none has come for two milliseconds and at the end: what the sink has
// begun is then to be finished. Chunks start in order. An exception from a sink stops the pipeline
// and is rethrown; with `strict` so does the first broken image. `cancelled` is polled between
// images, by every worker; once it returns true the chunks under way are handed over with the
// images they have and run() returns. Throws Error(kInvalidArgument) when workers, chunk or the
// width is below 1.
PipelineStats run(const Source& source, const PipelineOptions& options,
                  const std::function<void(Chunk&)>& sink,
                  const std::function<bool()>& cancelled = {},
                  const std::function<void()>& idle = {});

}  // namespace pronghorn::image
