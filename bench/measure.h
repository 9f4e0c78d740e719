// SPDX-License-Identifier: Apache-2.0
// The two throughputs, never mixed up:
//   device  tensors in memory in, scores out: what the device alone can do.
//   real    JPEG bytes in, labels out: read, decode, resize, infer, top-5. What users get.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <pronghorn/pronghorn.hpp>
#include <string>
#include <vector>

#include "bench/rounds.h"
#include "bench/statistics.h"

namespace pronghorn::bench {

// Of one throughput measurement; seconds summed over threads, except wall. Each part is apart from
// the others.
struct Stages {
  double wall_seconds = 0, read_seconds = 0, decode_seconds = 0, resize_seconds = 0;
  double copy_seconds = 0;  // to and from the device's own memory
  double infer_seconds = 0, top5_seconds = 0;
  // Of devices that take part in the input path: waited for their JPEG engine, and for their copies
  // and resize.
  double engine_seconds = 0, lane_seconds = 0;
  std::int64_t images = 0;
  std::int64_t engine_images = 0;    // decoded by the engine
  std::int64_t engine_returned = 0;  // taken up by its threads, decoded by the processor
  double busy_seconds() const {
    return read_seconds + decode_seconds + resize_seconds + copy_seconds + infer_seconds +
           top5_seconds;
  }
  void add(const ClassifyStats& stats, std::int64_t good);
};

// What the decoders of a real measurement do with nothing behind them: the same images over the
// same threads and the same engine, decoded and dropped, each round beside one of the measurement.
struct DecodeLimit {
  std::vector<double> rates;   // images a second of each round
  std::vector<double> shares;  // of the measured round beside each, rate over rate
  Stages stages;
};

struct Dataset {
  std::int64_t images = 0, asked = 0;  // classified well, and asked for
  double seconds = 0;
};

struct Measurement {
  std::string device;
  std::string kind;  // "real" or "device"
  int batch = 1;
  double images_per_second = 0;       // median over the rounds that count; of a dataset, all of it
  double images_per_second_best = 0;  // of the fastest round
  std::vector<Round> rounds;
  RoundPlan plan;
  Judged judged;                      // which rounds count, and what they say
  std::vector<double> warmup_ms;      // the first batches, cold ones included
  std::vector<double> batch_seconds;  // what `latency` summarizes
  Latency latency;                    // of one batch, from its bytes or tensors to all its results
  std::optional<Stages> stages;       // real only
  std::optional<Dataset> dataset;     // instead of rounds by time
  std::optional<DecodeLimit> decode_limit;  // real only, where the device takes part in the input
  // real only: images_per_second divided by what the stages would give with nothing lost between
  // them, threads / (seconds of all stages of one image); 0 where a device takes part in the input.
  double of_ideal = 0;
};

struct Setting {
  const Session& session;
  const Source& images;
  Resize resize;
  int threads = 1;
  RoundPlan plan;
  std::int64_t dataset = 0;         // real throughput over exactly so many images; 0: by time
  std::function<bool()> cancelled;  // polled between runs; then Error(PH_CANCELLED)
  bool processor_decodes = false;   // a device's JPEG engine is left out
  bool decode_limit = false;        // is measured beside real throughput
};

// One figure that is measured round by round, so that several can take turns.
class Figure {
 public:
  virtual ~Figure() = default;
  const std::string& kind() const { return measured_.kind; }
  int batch() const { return measured_.batch; }
  // The first call warms up. Throws Error(PH_CANCELLED); what was measured until then is kept.
  virtual void round() = 0;
  virtual bool wants_more() const;
  // At the end of the run: whether a round more is due that shows whether the figure still holds.
  virtual bool wants_again() const;
  void round_again();
  // Only rounds in this placement of the processors count from here on (RoundPlan::handover_ns).
  void keep_to(double handover_ns) { measured_.plan.handover_ns = handover_ns; }
  const std::vector<Round>& rounds() const { return measured_.rounds; }
  bool has_rounds() const { return !measured_.rounds.empty(); }
  double rate() const { return has_rounds() ? measured_.rounds.back().rate : 0; }  // the last one
  Measurement result() const;  // of one round or more

 protected:
  Figure(Setting setting, const char* kind, int batch);
  double round_seconds() const;
  void add(Round round);  // with the speed and the placement of the processors after it
  void stop_if_cancelled() const;

  const Setting setting_;
  Measurement measured_;
  bool again_ = false;  // rounds are those at the end of the run
};

// `pixels` holds one image or more, repeated to fill the batch.
std::unique_ptr<Figure> device_figure(const Setting& setting, int batch,
                                      const std::vector<std::uint8_t>& pixels);
// `guess` is asked before the first round for a rate, which sizes it. `on_result` sees every good
// image; the index is that of the source, before repetition. With setting.dataset there is one
// round over exactly so many images, shown as slots of a second or more.
std::unique_ptr<Figure> real_figure(const Setting& setting, int batch,
                                    std::function<double()> guess,
                                    std::function<void(const Result&)> on_result);
// All the rounds of one figure, one after the other.
Measurement measure_whole(Figure& figure);

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
// naming the first difference. `precision` is that of the session.
Verified verify(const Model& model, const Session& session, const std::vector<std::uint8_t>& pixels,
                const std::string& precision = "");

}  // namespace pronghorn::bench
