// SPDX-License-Identifier: Apache-2.0
#include "image/pipeline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include "base/buffer.h"
#include "base/error.h"

namespace pronghorn::image {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kIdle = std::chrono::milliseconds(2);

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

void check(const PipelineOptions& options) {
  if (options.workers < 1 || options.chunk < 1 || options.resize.width < 1) {
    base::fail(base::Status::kInvalidArgument,
               "pipeline: {} workers, chunks of {}, images of {} pixels; each is at least 1",
               options.workers, options.chunk, options.resize.width);
  }
}

// Reads, decodes and resizes on the worker's own core.
class ProcessorLoader final : public Loader {
 public:
  ProcessorLoader(std::size_t image_bytes, int most)
      : image_bytes_(image_bytes),
        most_(most),
        pixels_(image_bytes * static_cast<std::size_t>(most)) {}

  int most() const override { return most_; }
  double likely_rate() const override { return 1; }

  void load(const Source& source, const PipelineOptions& options, std::int64_t first, int count,
            const std::function<bool()>& stopped, Chunk& chunk, PipelineStats& stats) override {
    chunk.first = first;
    chunk.good = 0;
    chunk.slot.clear();
    chunk.error.clear();
    for (int i = 0; i < count && !(i > 0 && stopped()); ++i) {
      std::uint8_t* dst = pixels_.as<std::uint8_t>() + image_bytes_ * chunk.good;
      std::string broken = load_one(source, options, first + i, dst, stats);
      stats.broken += broken.empty() ? 0 : 1;
      ++stats.images;
      chunk.slot.push_back(broken.empty() ? chunk.good++ : -1);
      chunk.error.push_back(std::move(broken));
    }
    chunk.pixels = {pixels_.as<std::uint8_t>(), image_bytes_ * chunk.good};
  }

 private:
  // Reads and decodes image `index` to `dst`. A broken image gives a message instead.
  static std::string load_one(const Source& source, const PipelineOptions& options,
                              std::int64_t index, std::uint8_t* dst, PipelineStats& stats) {
    auto begin = Clock::now();
    double* spent = &stats.read_seconds;
    std::string broken;
    try {
      const Encoded encoded = source.read(index);
      const auto middle = Clock::now();
      *spent += seconds(middle - begin);
      begin = middle;
      spent = &stats.decode_seconds;
      stats.encoded_bytes += static_cast<std::int64_t>(encoded.bytes.size());
      image::load(encoded.bytes, source.name(index), options.resize, dst, options.limits,
                  &stats.resize_seconds);
    } catch (const base::Error& error) {
      if (options.strict) throw;
      broken = error.what();
    }
    *spent += seconds(Clock::now() - begin);
    return broken;
  }

  std::size_t image_bytes_;
  int most_;
  base::Buffer pixels_;
};

struct Run {
  const Source& source;
  const PipelineOptions& options;
  const std::function<void(Chunk&)>& sink;
  const std::function<bool()>& cancelled;
  const std::function<void()>& idle;

  std::mutex mutex;  // guards what follows
  std::int64_t next = 0;
  std::exception_ptr error;
  PipelineStats total;
  std::vector<double> rates;  // of the loaders, images a second; or as guessed
  bool measured = false;      // not guesses
  std::atomic<bool> stop{false};

  std::mutex loaded_mutex;  // guards what follows
  std::condition_variable loaded_changed;
  std::deque<Chunk> loaded;
  int loading = 0;  // workers

  // Claims the next images: a full chunk, or towards the end a share of what is left. Among
  // unequal loaders it is half of the share by rate: the rest evens out what rates do not foresee.
  bool claim(int worker, int most, std::int64_t& first, int& count) {
    const std::lock_guard lock(mutex);
    const std::int64_t left = source.size() - next;
    if (stop || left <= 0) return false;
    std::int64_t share = (left + options.workers - 1) / options.workers;
    if (!rates.empty()) {
      const double all = std::accumulate(rates.begin(), rates.end(), 0.0);
      const double part = rates[static_cast<std::size_t>(worker)] / all;
      share = std::max<std::int64_t>(1, std::llround(0.5 * part * static_cast<double>(left)));
    }
    first = next;
    count = static_cast<int>(std::min<std::int64_t>({most, share, left}));
    next += count;
    return true;
  }

  void see_rate(int worker, int images, double taken) {
    if (rates.empty() || taken <= 0) return;
    const std::lock_guard lock(mutex);
    double& rate = rates[static_cast<std::size_t>(worker)];
    const double seen = images / taken;
    if (!measured) {  // the guesses of the others, in the measure of this one
      const double scale = seen / rate;
      for (double& each : rates) each *= scale;
      measured = true;
    }
    rate = 0.7 * rate + 0.3 * seen;
  }

  void fail(std::exception_ptr what) {
    const std::lock_guard lock(mutex);
    if (error == nullptr) error = std::move(what);
    stop = true;
  }

  bool failed() {
    const std::lock_guard lock(mutex);
    return error != nullptr;
  }

  bool stopped() {
    if (stop) return true;
    if (!cancelled || !cancelled()) return false;
    stop = true;
    return true;
  }

  void work(int worker) {
    std::unique_ptr<Loader> own;
    Loader* loader = nullptr;
    if (options.loaders.empty()) {
      own = std::make_unique<ProcessorLoader>(
          static_cast<std::size_t>(options.resize.width) * options.resize.width * 3,
          static_cast<int>(std::min<std::int64_t>(options.chunk, source.size())));
      loader = own.get();
    } else {
      loader = options.loaders[static_cast<std::size_t>(worker)];
    }
    PipelineStats stats;
    std::int64_t first = 0;
    int count = 0;
    while (!stopped() && claim(worker, loader->most(), first, count)) {
      Chunk chunk;
      const auto start = Clock::now();
      loader->load(source, options, first, count, [this] { return stopped(); }, chunk, stats);
      if (failed()) break;
      if (own == nullptr) {
        see_rate(worker, count, seconds(Clock::now() - start));
        const std::lock_guard lock(loaded_mutex);
        loaded.push_back(std::move(chunk));
        loaded_changed.notify_one();
      } else {
        hand_over(chunk, stats);
      }
    }
    const std::lock_guard lock(mutex);
    total += stats;
  }

  void hand_over(Chunk& chunk, PipelineStats& stats) {
    const auto begin = Clock::now();
    sink(chunk);
    stats.sink_seconds += seconds(Clock::now() - begin);
  }

  void work_safely(int worker) {
    try {
      work(worker);
    } catch (...) {
      fail(std::current_exception());
    }
    if (options.loaders.empty()) return;
    const std::lock_guard lock(loaded_mutex);
    --loading;
    loaded_changed.notify_one();
  }

  // Until the last worker has ended. After a failure chunks are dropped: workers may wait for their
  // memory.
  void collect() {
    PipelineStats stats;
    for (bool more = true; more;) {
      std::optional<Chunk> chunk;
      {
        std::unique_lock lock(loaded_mutex);
        loaded_changed.wait_for(lock, kIdle, [&] { return !loaded.empty() || loading == 0; });
        if (!loaded.empty()) {
          chunk = std::move(loaded.front());
          loaded.pop_front();
        } else {
          more = loading > 0;
        }
      }
      if (failed()) continue;
      try {
        if (!chunk) {
          const auto begin = Clock::now();
          if (idle) idle();
          stats.sink_seconds += seconds(Clock::now() - begin);
        } else {
          if (chunk->filling != nullptr) chunk->filling->wait();
          hand_over(*chunk, stats);
        }
      } catch (...) {
        fail(std::current_exception());
      }
    }
    const std::lock_guard lock(mutex);
    total += stats;
  }
};

}  // namespace

PipelineStats& PipelineStats::operator+=(const PipelineStats& other) {
  read_seconds += other.read_seconds;
  decode_seconds += other.decode_seconds;
  engine_seconds += other.engine_seconds;
  resize_seconds += other.resize_seconds;
  lane_seconds += other.lane_seconds;
  copy_seconds += other.copy_seconds;
  result_seconds += other.result_seconds;
  sink_seconds += other.sink_seconds;
  images += other.images;
  broken += other.broken;
  encoded_bytes += other.encoded_bytes;
  engine_images += other.engine_images;
  returned += other.returned;
  return *this;
}

PipelineStats run(const Source& source, const PipelineOptions& options,
                  const std::function<void(Chunk&)>& sink, const std::function<bool()>& cancelled,
                  const std::function<void()>& idle) {
  check(options);
  const auto begin = Clock::now();
  const bool collects = !options.loaders.empty();
  const int count = collects ? static_cast<int>(options.loaders.size()) : options.workers;
  Run state{source, options, sink, cancelled, idle};
  for (const Loader* loader : options.loaders) state.rates.push_back(loader->likely_rate());
  {
    std::vector<std::jthread> workers;
    workers.reserve(static_cast<std::size_t>(count));
    try {
      for (int worker = collects ? 0 : 1; worker < count; ++worker) {
        {
          const std::lock_guard lock(state.loaded_mutex);
          ++state.loading;
        }
        workers.emplace_back([&state, worker] { state.work_safely(worker); });
      }
    } catch (const std::system_error& error) {
      const std::lock_guard lock(state.loaded_mutex);
      --state.loading;  // the one that was not started
      state.fail(std::make_exception_ptr(
          base::Error(base::Status::kOutOfMemory,
                      fmt::format("pipeline: cannot start {} threads: {}", count, error.what()))));
    }
    if (collects) {
      state.collect();
    } else {
      state.work_safely(0);
    }
  }
  if (state.error != nullptr) std::rethrow_exception(state.error);
  state.total.wall_seconds = seconds(Clock::now() - begin);
  return state.total;
}

}  // namespace pronghorn::image
