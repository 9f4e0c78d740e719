// SPDX-License-Identifier: Apache-2.0
#include "bench/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "bench/handover.h"
#include "bench/system_under_test.h"

namespace pronghorn::bench {
namespace {

// A first run pays for memory and caches. One that is long enough to hide that is counted.
constexpr double kLongRun = 1.5;
// Rounds in the time asked for a figure.
constexpr double kRounds = 6;

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class DeviceFigure final : public Figure {
 public:
  DeviceFigure(const Setting& setting, int batch, const std::vector<std::uint8_t>& pixels)
      : Figure(setting, "device", batch) {
    const std::size_t one = setting.session.pixel_bytes();
    inputs_.resize(one * static_cast<std::size_t>(batch));
    for (std::size_t at = 0; at < inputs_.size(); at += one) {
      std::memcpy(inputs_.data() + at, pixels.data() + at % pixels.size(), one);
    }
    outputs_.resize(static_cast<std::size_t>(batch * setting.session.classes()));
  }

  void round() override {
    Round round;
    Counters before = read_counters();
    std::vector<double> times;
    if (!has_rounds()) {
      const double first = run();
      measured_.warmup_ms = {1e3 * first};
      if (first >= kLongRun) {
        times = {first};
      } else {
        before = read_counters();
      }
    }
    const Clock::time_point start = Clock::now();
    while (times.empty() || seconds_since(start) < round_seconds()) times.push_back(run());
    round.disturbance = between(before, read_counters());
    for (const double time : times) {
      round.seconds += time;
      if (measured_.warmup_ms.size() < 32) measured_.warmup_ms.push_back(1e3 * time);
    }
    round.rate = batch() * static_cast<double>(times.size()) / round.seconds;
    measured_.batch_seconds.insert(measured_.batch_seconds.end(), times.begin(), times.end());
    add(std::move(round));
  }

 private:
  double run() {
    stop_if_cancelled();
    const Clock::time_point before = Clock::now();
    setting_.session.run(inputs_, batch(), outputs_);
    return seconds_since(before);
  }

  std::vector<std::uint8_t> inputs_;
  std::vector<float> outputs_;
};

}  // namespace

Figure::Figure(Setting setting, const char* kind, int batch) : setting_(std::move(setting)) {
  measured_.device = setting_.session.device().name;
  measured_.kind = kind;
  measured_.batch = batch;
  measured_.plan = setting_.plan;
}

double Figure::round_seconds() const { return setting_.plan.seconds / kRounds; }

bool Figure::wants_more() const { return bench::wants_more(measured_.rounds, measured_.plan); }

bool Figure::wants_again() const { return bench::wants_again(measured_.rounds, measured_.plan); }

void Figure::round_again() {
  again_ = true;
  round();
}

void Figure::add(Round round) {
  round.speed = processor_speed(setting_.threads);
  // A card's throughput does not hang on how near the processors are to each other.
  if (measured_.device == "cpu") round.handover_ns = bench::handover_ns(setting_.threads);
  round.again = again_;
  measured_.rounds.push_back(std::move(round));
}

void Figure::stop_if_cancelled() const {
  if (setting_.cancelled && setting_.cancelled()) throw Error(PH_CANCELLED, "interrupted");
}

void Stages::add(const ClassifyStats& stats, std::int64_t good) {
  wall_seconds += stats.wall_seconds;
  read_seconds += stats.read_seconds;
  decode_seconds += stats.decode_seconds - stats.resize_seconds;
  resize_seconds += stats.resize_seconds;
  copy_seconds += stats.copy_seconds;
  infer_seconds += stats.infer_seconds - stats.copy_seconds - stats.result_seconds;
  top5_seconds += stats.result_seconds;
  engine_seconds += stats.engine_seconds;
  lane_seconds += stats.lane_seconds;
  images += good;
  engine_images += stats.engine_images;
  engine_returned += stats.engine_returned;
}

Measurement Figure::result() const {
  Measurement result = measured_;
  result.judged = judge_rounds(result.rounds, result.plan);
  result.images_per_second = result.judged.rate;
  for (const Round& round : result.rounds) {
    result.images_per_second_best = std::max(result.images_per_second_best, round.rate);
  }
  if (result.dataset && result.dataset->seconds > 0) {
    result.images_per_second =
        static_cast<double>(result.dataset->images) / result.dataset->seconds;
  }
  result.latency = summarize(result.batch_seconds);
  if (result.stages && result.stages->wall_seconds > 0 && result.stages->lane_seconds == 0) {
    result.of_ideal =
        result.stages->busy_seconds() / (result.stages->wall_seconds * setting_.threads);
  }
  return result;
}

std::unique_ptr<Figure> device_figure(const Setting& setting, int batch,
                                      const std::vector<std::uint8_t>& pixels) {
  return std::make_unique<DeviceFigure>(setting, batch, pixels);
}

Measurement measure_whole(Figure& figure) {
  while (figure.wants_more()) figure.round();
  return figure.result();
}

std::vector<std::uint8_t> decode_some(const Source& source, const Resize& resize,
                                      std::size_t pixel_bytes, std::int64_t count) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> one(pixel_bytes);
  std::string broken;
  for (std::int64_t i = 0; i < std::min(count, source.size()); ++i) {
    try {
      source.pixels(i, resize, one);
      pixels.insert(pixels.end(), one.begin(), one.end());
    } catch (const Error& error) {
      if (error.status() == PH_INVALID_ARGUMENT) throw;
      broken = error.what();
    }
  }
  if (pixels.empty()) throw Error(PH_CORRUPT, "not one image could be decoded: " + broken);
  return pixels;
}

Verified verify(const Model& model, const Session& session, const std::vector<std::uint8_t>& pixels,
                const std::string& precision) {
  Verified verified;
  const bool half = precision == "fp16";
  verified.exact = model.info().quantized && !half;
  // Half precision of a quantized model is held to the quantized one, whose activations are
  // coarser.
  verified.tolerance = verified.exact ? 0 : !half ? 1e-4 : model.info().quantized ? 0.15 : 1e-2;
  const Session reference(model, verified.device, 0);
  const std::size_t one = session.pixel_bytes();
  const std::size_t count = std::min<std::size_t>(2, pixels.size() / one);
  const Clock::time_point start = Clock::now();
  for (std::size_t i = 0; i < count; ++i) {
    const std::span image(pixels.data() + i * one, one);
    const std::vector<float> expected = reference.run(image);
    const std::vector<float> got = session.run(image);
    const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
    const double range = std::max(1e-30, static_cast<double>(*high) - static_cast<double>(*low));
    for (std::size_t c = 0; c < expected.size(); ++c) {
      const double error =
          std::fabs(static_cast<double>(expected[c]) - static_cast<double>(got[c])) / range;
      const bool same =
          verified.exact ? bits(expected[c]) == bits(got[c]) : error <= verified.tolerance;
      if (!same) {
        throw Error(PH_INTERNAL,
                    fmt::format("device {} differs from {}: image {}, class {}: {} instead of {}; "
                                "nothing was timed",
                                session.device().name, verified.device, i, c, got[c], expected[c]));
      }
      verified.max_error = std::max(verified.max_error, error);
    }
    ++verified.images;
    if (seconds_since(start) > 5) break;  // the reference is slow by design; one image judges too
  }
  return verified;
}

}  // namespace pronghorn::bench
