// SPDX-License-Identifier: Apache-2.0
// The two throughputs, never mixed up:
//   device  tensors in memory in, scores out: what the device alone can do.
//   real    JPEG bytes in, labels out: read, decode, resize, infer, top-5. What users get.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <pronghorn/pronghorn.hpp>
#include <string>
#include <vector>

#include "bench/statistics.h"

namespace pronghorn::bench {

struct Stages {  // of one throughput measurement; seconds summed over threads, except wall
  double wall_seconds = 0, read_seconds = 0, decode_seconds = 0, infer_seconds = 0;
  std::int64_t images = 0;
};

struct Measurement {
  std::string device;
  std::string kind;  // "real" or "device"
  int batch = 1;
  double images_per_second = 0;       // median over rounds
  double images_per_second_best = 0;  // of the fastest round
  int rounds = 0;
  std::vector<double> rates;          // images a second of each round
  std::vector<double> repeat_rates;   // median of each repeat of the whole measurement
  std::vector<double> warmup_ms;      // the first batches of the first repeat, cold ones included
  std::vector<double> batch_seconds;  // what `latency` summarizes
  Latency latency;                    // of one batch, from its bytes or tensors to all its results
  std::optional<Stages> stages;       // real only
  // real only: images_per_second divided by what the stages would give with nothing lost between
  // them, threads / (seconds of all stages of one image).
  double of_ideal = 0;
};

// Repeats of one measurement as one. `all` is not empty.
Measurement merge(const std::vector<Measurement>& all);
// Largest difference between repeats, as a fraction of the smallest; 0 for a single one.
double repeat_difference(const Measurement& measurement);

struct Setting {
  const Session& session;
  const Source& images;
  Resize resize;
  int threads = 1;
  double seconds = 3;               // for each measurement
  std::int64_t dataset = 0;         // real throughput over exactly so many images; 0: by time
  std::function<bool()> cancelled;  // polled between runs; then Error(PH_CANCELLED)
};

// `pixels` holds one image or more, repeated to fill the batch.
Measurement measure_device(const Setting& setting, int batch,
                           const std::vector<std::uint8_t>& pixels);

// `images_per_second` is a guess at the rate, used to choose how many images make a round.
// `on_result` sees every good image; the index is that of the source, before repetition.
Measurement measure_real(const Setting& setting, int batch, double images_per_second,
                         const std::function<void(const Result&)>& on_result);

// Pixels of the first `count` images of the source that can be decoded, again from the start when
// there are fewer. Throws Error(PH_CORRUPT) when not one can be.
std::vector<std::uint8_t> decode_some(const Source& source, const Resize& resize,
                                      std::size_t pixel_bytes, std::int64_t count);

struct Verified {
  std::string device = "reference";  // the judge
  int images = 0;
  bool exact = false;    // byte for byte; else (float models) within `tolerance`
  double tolerance = 0;  // of the range of the scores
  double max_error = 0;  // largest difference divided by that range
};
// Runs one or two of the images on the reference device and compares. Throws Error(PH_INTERNAL)
// naming the first difference.
Verified verify(const Model& model, const Session& session,
                const std::vector<std::uint8_t>& pixels);

}  // namespace pronghorn::bench
