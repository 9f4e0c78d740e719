// SPDX-License-Identifier: Apache-2.0
// One whole benchmark: first result, verification, every batch, device and real, in rounds that
// take turns until each figure has settled (rounds.h), then the sections that were asked for
// (section.h). What was measured before an interruption is kept.
#pragma once

#include <functional>
#include <optional>
#include <pronghorn/pronghorn.hpp>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/section.h"
#include "bench/stability.h"

namespace pronghorn::bench {

struct ImagesUsed {
  bool generated = false;
  std::uint64_t seed = 0;  // when generated
  std::string path;        // when not
  std::int64_t count = 0;
  double mean_bytes = 0;  // of an encoded image; 0 when not measured
  std::string note;       // "", or why there are too few of them
};

struct Accuracy {  // over the distinct labelled images that the real measurements classified
  std::int64_t images = 0;
  double top1 = 0, top5 = 0;
};

struct Report {
  Machine machine;
  DeviceInfo device;
  ModelInfo model;
  int threads = 0;
  std::string precision;  // "int8", "float32", "fp16"
  Resize resize;
  ImagesUsed images;
  Verified verified;
  nlohmann::ordered_json decoders;  // ph_session_decoders; of the device in use
  double first_result_seconds = 0;  // from process start to the first image's labels
  std::int64_t peak_rss_bytes = 0;
  std::int64_t session_memory_bytes = 0;
  double seconds = 0;  // the whole run
  std::vector<Measurement> results;
  std::optional<Accuracy> accuracy;
  Disturbance disturbance;  // over all of `results`
  Stability stability;
  bool partial = false;  // interrupted: what is there was measured whole, the rest is missing
  nlohmann::ordered_json sections = nlohmann::ordered_json::object();  // by key of the JSON
};

struct Options {
  std::vector<int> batches = {1, 8, 32, 128};
  std::string device;       // "" is auto
  int threads = 0;          // 0: every core
  std::string hint;         // "" is auto
  std::string precision;    // "" is the model's own
  double seconds = 3;       // for each measurement, at least
  double most_seconds = 0;  // for each that does not settle; 0: four times `seconds`
  int repeats = 2;          // parts of the run whose medians must agree
  std::vector<std::string> kinds = {"device", "real"};
  bool processor_decodes = false;  // a device's JPEG engine is left out
  std::int64_t dataset = 0;        // real throughput over exactly so many images; 0: by time
  ScenarioOptions scenarios;
  std::vector<int> concurrency;  // empty: not measured; so with the following
  std::vector<double> rates;
  bool rate_sweep = false;  // with `rates` empty: at fractions of the real throughput
  std::vector<int> thread_counts;
  bool device_scaling = false;
  std::string trace;
  double sustained = 0;
  int cold_starts = 0;
  std::vector<std::string> cold_start_command;
  bool layers = true;
  Resize resize;
  std::string images;  // folder, tar, file or "-"; "" generates photographs
  std::function<bool()> cancelled;
  // `what` is measured next; `done` of `total` measurements are made.
  std::function<void(const std::string& what, int done, int total)> progress;
  // The first result is there, machine, device, model and images are known.
  std::function<void(const Report&)> on_ready;
  std::function<void(const Verified&)> on_verified;
  std::function<void(const Measurement&)> on_measurement;
  std::function<void(const std::string& line)> say;              // of the sections
  std::function<void(double seconds, double images)> on_second;  // of a sustained run
  // The class of a label as the source names it, -1 when unknown.
  std::function<std::int64_t(const std::string& label)> class_of;
};

Report run(const Model& model, const Options& options);

}  // namespace pronghorn::bench
