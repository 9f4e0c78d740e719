// SPDX-License-Identifier: Apache-2.0
// Real throughput: encoded images in, labels out.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "bench/measure.h"
#include "bench/system_under_test.h"

namespace pronghorn::bench {
namespace {

// A first pass pays for memory and caches. One that is long enough to hide that is counted.
constexpr double kLongPass = 1.5;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class RealFigure : public Figure {
 public:
  RealFigure(const Setting& setting, int batch, std::function<double()> guess,
             std::function<void(const Result&)> on_result)
      : Figure(setting, "real", batch),
        guess_(std::move(guess)),
        on_result_(std::move(on_result)),
        top_(static_cast<int>(std::min<std::int64_t>(5, setting.session.classes()))),
        options_{batch, setting.threads, false, setting.processor_decodes} {
    measured_.stages = Stages{};
    if (setting.decode_limit) measured_.decode_limit = DecodeLimit{};
  }

  void round() override {
    const double step_seconds = warm_up();
    const std::int64_t steps =
        std::max<std::int64_t>(1, std::llround(round_seconds() / step_seconds));
    Round round;
    const Counters before = read_counters();
    classify(setting_.images.repeat(steps * step()));
    round.disturbance = between(before, read_counters());
    round.seconds = stats_.wall_seconds;
    round.rate = static_cast<double>(good_) / stats_.wall_seconds;
    add_stages();
    add(std::move(round));
    if (measured_.decode_limit) decode(setting_.images.repeat(steps * step()));
    time_batches(rate());
  }

 protected:
  // Every thread gets whole batches, and as many as the others.
  std::int64_t step() const { return static_cast<std::int64_t>(batch()) * setting_.threads; }

  // Seconds that one step takes, about; before the first round one is made, unless it is long.
  double warm_up() {
    const double rate = has_rounds() ? this->rate() : guess_();
    const double step_seconds = static_cast<double>(step()) / std::max(1e-3, rate);
    if (!has_rounds() && step_seconds < kLongPass) {
      classify(setting_.images.repeat(step()));
      if (measured_.decode_limit) classify(setting_.images.repeat(step()), true);
    }
    return step_seconds;
  }

  void classify(const Source& source, bool decode_only = false) {
    good_ = 0;
    ClassifyOptions options = options_;
    options.decode_only = decode_only;
    stats_ = setting_.session.classify(source, setting_.resize, options, [&](const Result& result) {
      if (setting_.cancelled && setting_.cancelled()) return false;
      if (result.error != nullptr) return true;
      if (decode_only) {
        ++good_;
      } else {
        take(result);
      }
      return true;
    });
    if (good_ == 0) throw Error(PH_CORRUPT, "not one image could be decoded");
  }

  // The decoders alone, beside the last round.
  void decode(const Source& source) {
    classify(source, true);
    DecodeLimit& limit = *measured_.decode_limit;
    limit.rates.push_back(static_cast<double>(good_) / stats_.wall_seconds);
    limit.shares.push_back(rate() / limit.rates.back());
    limit.stages.add(stats_, good_);
  }

  virtual void take(const Result& result) {
    ++good_;
    top_k(result.outputs, top_);  // labels are part of the work
    Result original = result;
    original.index %= setting_.images.size();
    on_result_(original);
  }

  void add_stages() { measured_.stages->add(stats_, good_); }

  // Latency: bytes to labels of one batch with nothing else going on. One image is decoded here and
  // inferred by all threads; a batch goes through the pipeline as it would in use. One that is
  // longer than a round is timed once.
  void time_batches(double rate) {
    const double budget = round_seconds() / 2;
    if (batch() / rate > budget && !measured_.batch_seconds.empty()) return;
    const Source one_batch = setting_.images.repeat(batch());
    const Clock::time_point start = Clock::now();
    do {
      stop_if_cancelled();
      const Clock::time_point before = Clock::now();
      if (batch() > 1) {
        classify(one_batch);
      } else if (!classify_one()) {
        continue;
      }
      measured_.batch_seconds.push_back(seconds_since(before));
    } while (seconds_since(start) < budget);
  }

  std::int64_t good_ = 0;
  ClassifyStats stats_{};

 private:
  // False for a broken image, which the throughput rounds leave out.
  bool classify_one() {
    pixels_.resize(setting_.session.pixel_bytes());
    outputs_.resize(static_cast<std::size_t>(setting_.session.classes()));
    try {
      setting_.images.pixels(next_++ % setting_.images.size(), setting_.resize, pixels_);
    } catch (const Error& error) {
      if (error.status() != PH_CORRUPT && error.status() != PH_UNSUPPORTED) throw;
      return false;
    }
    setting_.session.run(pixels_, 1, outputs_);
    top_k(outputs_, top_);
    return true;
  }

  const std::function<double()> guess_;
  const std::function<void(const Result&)> on_result_;
  const int top_;
  const ClassifyOptions options_;
  std::int64_t next_ = 0;
  std::vector<std::uint8_t> pixels_;
  std::vector<float> outputs_;
};

// Exactly so many images in one pass. Slots of a second or more stand for rounds, so that its
// course and its spread are seen; the rate is that of the whole.
class DatasetFigure final : public RealFigure {
 public:
  using RealFigure::RealFigure;

  void round() override {
    slot_least_ = std::max(1.0, 4 * warm_up());
    started_ = counting_ = true;
    slot_good_ = 0;
    slot_counters_ = read_counters();
    const Clock::time_point start = slot_start_ = Clock::now();
    const auto keep = [&] {
      counting_ = false;
      measured_.dataset = Dataset{good_, setting_.dataset, seconds_since(start)};
      if (!has_rounds() && good_ > 0) end_slot();
    };
    try {
      classify(setting_.images.repeat(setting_.dataset));
    } catch (...) {
      keep();  // what was classified until then is a measurement of so many images
      throw;
    }
    keep();
    add_stages();
    measured_.decode_limit.reset();  // would take as long again
    time_batches(result().images_per_second);
  }

  bool wants_more() const override { return !started_; }
  bool wants_again() const override { return false; }

 private:
  void take(const Result& result) override {
    RealFigure::take(result);
    if (counting_ && seconds_since(slot_start_) >= slot_least_) end_slot();
  }

  void end_slot() {
    Round slot;
    slot.seconds = seconds_since(slot_start_);
    slot.rate = static_cast<double>(good_ - slot_good_) / slot.seconds;
    const Counters now = read_counters();
    slot.disturbance = between(slot_counters_, now);
    measured_.rounds.push_back(std::move(slot));
    slot_counters_ = now;
    slot_good_ = good_;
    slot_start_ = Clock::now();
  }

  bool started_ = false, counting_ = false;
  double slot_least_ = 1;
  Counters slot_counters_;
  Clock::time_point slot_start_;
  std::int64_t slot_good_ = 0;
};

}  // namespace

std::unique_ptr<Figure> real_figure(const Setting& setting, int batch,
                                    std::function<double()> guess,
                                    std::function<void(const Result&)> on_result) {
  if (setting.dataset > 0) {
    return std::make_unique<DatasetFigure>(setting, batch, std::move(guess), std::move(on_result));
  }
  return std::make_unique<RealFigure>(setting, batch, std::move(guess), std::move(on_result));
}

}  // namespace pronghorn::bench
