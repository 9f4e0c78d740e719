// SPDX-License-Identifier: Apache-2.0
#include "bench/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "bench/system_under_test.h"

namespace pronghorn::bench {
namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void stop_if_cancelled(const Setting& setting) {
  if (setting.cancelled && setting.cancelled()) throw Error(PH_CANCELLED, "interrupted");
}

// Times `work` again and again for about `seconds`, at least `least` times.
template <typename Work>
std::vector<double> time_repeatedly(const Setting& setting, double seconds, std::size_t least,
                                    const Work& work) {
  std::vector<double> times;
  const Clock::time_point start = Clock::now();
  while (times.size() < least || seconds_since(start) < seconds) {
    stop_if_cancelled(setting);
    const Clock::time_point before = Clock::now();
    work();
    times.push_back(seconds_since(before));
  }
  return times;
}

// A first run pays for memory and caches. One that is long enough to hide that is counted.
constexpr double kLongRun = 1.5;

}  // namespace

Measurement measure_device(const Setting& setting, int batch,
                           const std::vector<std::uint8_t>& pixels) {
  const std::size_t one = setting.session.pixel_bytes();
  std::vector<std::uint8_t> inputs(one * static_cast<std::size_t>(batch));
  for (std::size_t at = 0; at < inputs.size(); at += one) {
    std::memcpy(inputs.data() + at, pixels.data() + at % pixels.size(), one);
  }
  std::vector<float> outputs(static_cast<std::size_t>(batch * setting.session.classes()));
  const auto run = [&] { setting.session.run(inputs, batch, outputs); };
  std::vector<double> times = time_repeatedly(setting, 0, 1, run);
  Measurement result;
  result.warmup_ms = {1e3 * times[0]};
  if (times[0] < kLongRun) {
    times = time_repeatedly(setting, setting.seconds, 3, run);
    for (std::size_t i = 0; i < std::min<std::size_t>(times.size(), 31); ++i) {
      result.warmup_ms.push_back(1e3 * times[i]);
    }
  }
  if (times.size() == 1) {
    const std::vector<double> more = time_repeatedly(setting, setting.seconds - times[0], 1, run);
    times.insert(times.end(), more.begin(), more.end());
  }
  result.device = setting.session.device().name;
  result.kind = "device";
  result.batch = batch;
  result.images_per_second = batch / quantile(times, 0.5);
  result.images_per_second_best = batch / quantile(times, 0);
  result.rounds = static_cast<int>(times.size());
  for (const double time : times) result.rates.push_back(batch / time);
  result.repeat_rates = {result.images_per_second};
  result.batch_seconds = times;
  result.latency = summarize(times);
  return result;
}

Measurement merge(const std::vector<Measurement>& all) {
  Measurement sum = all.front();
  for (std::size_t i = 1; i < all.size(); ++i) {
    const Measurement& next = all[i];
    const auto append = [](std::vector<double>& to, const std::vector<double>& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(sum.rates, next.rates);
    append(sum.repeat_rates, next.repeat_rates);
    append(sum.batch_seconds, next.batch_seconds);
    sum.rounds += next.rounds;
    sum.images_per_second_best = std::max(sum.images_per_second_best, next.images_per_second_best);
    if (sum.stages && next.stages) {
      sum.stages->wall_seconds += next.stages->wall_seconds;
      sum.stages->read_seconds += next.stages->read_seconds;
      sum.stages->decode_seconds += next.stages->decode_seconds;
      sum.stages->infer_seconds += next.stages->infer_seconds;
      sum.stages->images += next.stages->images;
    }
    sum.of_ideal += next.of_ideal;
  }
  sum.of_ideal /= static_cast<double>(all.size());
  sum.images_per_second = quantile(sum.rates, 0.5);
  sum.latency = summarize(sum.batch_seconds);
  return sum;
}

double repeat_difference(const Measurement& measurement) {
  const std::vector<double>& rates = measurement.repeat_rates;
  if (rates.size() < 2) return 0;
  const double least = quantile(rates, 0);
  return least > 0 ? quantile(rates, 1) / least - 1 : 0;
}

Measurement measure_real(const Setting& setting, int batch, double images_per_second,
                         const std::function<void(const Result&)>& on_result) {
  const Session& session = setting.session;
  const std::int64_t size = setting.images.size();
  const int top = static_cast<int>(std::min<std::int64_t>(5, session.classes()));
  const ClassifyOptions options{batch, setting.threads, false};

  // Every thread gets whole batches, and as many as the others.
  const std::int64_t step = static_cast<std::int64_t>(batch) * setting.threads;
  const double step_seconds = static_cast<double>(step) / std::max(images_per_second, 1e-3);
  const int planned = setting.dataset == 0 && step_seconds * 3 <= setting.seconds ? 3 : 1;
  const std::int64_t steps =
      std::max<std::int64_t>(1, std::llround(setting.seconds / planned / step_seconds));
  const Source round = setting.images.repeat(setting.dataset > 0 ? setting.dataset : steps * step);

  Stages stages;
  std::vector<double> rates;
  std::int64_t good = 0;
  const auto on_image = [&](const Result& result) {
    if (setting.cancelled && setting.cancelled()) return false;
    if (result.error != nullptr) return true;
    ++good;
    top_k(result.outputs, top);  // labels are part of the work
    Result original = result;
    original.index %= size;
    on_result(original);
    return true;
  };
  if (step_seconds < kLongRun) {
    session.classify(setting.images.repeat(step), setting.resize, options, on_image);
  }
  for (int i = 0; i < planned; ++i) {
    good = 0;
    const ClassifyStats stats = session.classify(round, setting.resize, options, on_image);
    if (good == 0) throw Error(PH_CORRUPT, "not one image could be decoded");
    rates.push_back(static_cast<double>(good) / stats.wall_seconds);
    stages.wall_seconds += stats.wall_seconds;
    stages.read_seconds += stats.read_seconds;
    stages.decode_seconds += stats.decode_seconds;
    stages.infer_seconds += stats.infer_seconds;
    stages.images += good;
  }

  // Latency: bytes to labels of one batch with nothing else going on. One image is decoded here and
  // inferred by all threads; a batch goes through the pipeline as it would in use.
  std::vector<double> times;
  if (batch == 1) {
    std::vector<std::uint8_t> pixels(session.pixel_bytes());
    std::vector<float> outputs(static_cast<std::size_t>(session.classes()));
    std::int64_t index = 0;
    times = time_repeatedly(setting, setting.seconds, 3, [&] {
      try {
        setting.images.pixels(index++ % size, setting.resize, pixels);
      } catch (const Error& error) {
        if (error.status() != PH_CORRUPT && error.status() != PH_UNSUPPORTED) throw;
        return;  // a broken image, reported by the throughput run
      }
      session.run(pixels, 1, outputs);
      top_k(outputs, top);
    });
  } else {
    const Source one_batch = setting.images.repeat(batch);
    const double rate = quantile(rates, 0.5);
    const double budget = batch / rate > kLongRun ? 0 : setting.seconds / 3;
    times = time_repeatedly(setting, budget, 1, [&] {
      session.classify(one_batch, setting.resize, options, on_image);
    });
  }

  Measurement result;
  result.device = session.device().name;
  result.kind = "real";
  result.batch = batch;
  result.images_per_second = quantile(rates, 0.5);
  result.images_per_second_best = quantile(rates, 1);
  result.rounds = static_cast<int>(rates.size());
  result.rates = rates;
  result.repeat_rates = {result.images_per_second};
  result.batch_seconds = times;
  result.latency = summarize(times);
  result.stages = stages;
  const double busy = stages.read_seconds + stages.decode_seconds + stages.infer_seconds;
  result.of_ideal = busy / (stages.wall_seconds * setting.threads);
  return result;
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

Verified verify(const Model& model, const Session& session,
                const std::vector<std::uint8_t>& pixels) {
  Verified verified;
  verified.exact = model.info().quantized;
  verified.tolerance = verified.exact ? 0 : 1e-4;
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
      const bool same = verified.exact ? std::memcmp(&expected[c], &got[c], sizeof(float)) == 0
                                       : error <= verified.tolerance;
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
