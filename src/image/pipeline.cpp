// SPDX-License-Identifier: Apache-2.0
#include "image/pipeline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

#include "base/buffer.h"
#include "base/error.h"

namespace pronghorn::image {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

void check(const PipelineOptions& options) {
  if (options.workers < 1 || options.chunk < 1 || options.resize.width < 1) {
    base::fail(base::Status::kInvalidArgument,
               "pipeline: {} workers, chunks of {}, images of {} pixels; each is at least 1",
               options.workers, options.chunk, options.resize.width);
  }
}

struct Run {
  const Source& source;
  const PipelineOptions& options;
  const std::function<void(const Chunk&)>& sink;
  const std::function<bool()>& cancelled;

  std::mutex mutex;  // guards what follows
  std::int64_t next = 0;
  std::exception_ptr error;
  PipelineStats total;
  std::atomic<bool> stop{false};

  // Claims the next images: a full chunk, or towards the end an equal share of what is left.
  bool claim(std::int64_t& first, int& count) {
    const std::lock_guard lock(mutex);
    const std::int64_t left = source.size() - next;
    if (stop || left <= 0) return false;
    const std::int64_t share = (left + options.workers - 1) / options.workers;
    first = next;
    count = static_cast<int>(std::min<std::int64_t>(options.chunk, share));
    next += count;
    return true;
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

  // Reads and decodes image `index` to `dst`. A broken image gives a message instead.
  std::string load_one(std::int64_t index, std::uint8_t* dst, PipelineStats& stats) {
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
      load(encoded.bytes, source.name(index), options.resize, dst, options.limits,
           &stats.resize_seconds);
    } catch (const base::Error& error) {
      if (options.strict) throw;
      broken = error.what();
    }
    *spent += seconds(Clock::now() - begin);
    return broken;
  }

  void work(int worker) {
    const std::size_t image_bytes =
        static_cast<std::size_t>(options.resize.width) * options.resize.width * 3;
    const auto most =
        static_cast<std::size_t>(std::min<std::int64_t>(options.chunk, source.size()));
    base::Buffer pixels(image_bytes * most);
    PipelineStats stats;
    Chunk chunk;
    chunk.worker = worker;
    int count = 0;
    while (!stopped() && claim(chunk.first, count)) {
      chunk.good = 0;
      chunk.slot.clear();
      chunk.error.clear();
      for (int i = 0; i < count && !(i > 0 && stopped()); ++i) {
        std::uint8_t* dst = pixels.as<std::uint8_t>() + image_bytes * chunk.good;
        std::string broken = load_one(chunk.first + i, dst, stats);
        stats.broken += broken.empty() ? 0 : 1;
        ++stats.images;
        chunk.slot.push_back(broken.empty() ? chunk.good++ : -1);
        chunk.error.push_back(std::move(broken));
      }
      if (failed()) break;
      chunk.pixels = {pixels.as<std::uint8_t>(), image_bytes * chunk.good};
      const auto begin = Clock::now();
      sink(chunk);
      stats.sink_seconds += seconds(Clock::now() - begin);
    }
    const std::lock_guard lock(mutex);
    total.read_seconds += stats.read_seconds;
    total.decode_seconds += stats.decode_seconds;
    total.resize_seconds += stats.resize_seconds;
    total.sink_seconds += stats.sink_seconds;
    total.images += stats.images;
    total.broken += stats.broken;
    total.encoded_bytes += stats.encoded_bytes;
  }

  void work_safely(int worker) {
    try {
      work(worker);
    } catch (...) {
      fail(std::current_exception());
    }
  }
};

}  // namespace

PipelineStats run(const Source& source, const PipelineOptions& options,
                  const std::function<void(const Chunk&)>& sink,
                  const std::function<bool()>& cancelled) {
  check(options);
  const auto begin = Clock::now();
  Run state{source, options, sink, cancelled};
  {
    std::vector<std::jthread> workers;
    workers.reserve(static_cast<std::size_t>(options.workers) - 1);
    try {
      for (int worker = 1; worker < options.workers; ++worker) {
        workers.emplace_back([&state, worker] { state.work_safely(worker); });
      }
    } catch (const std::system_error& error) {
      state.fail(std::make_exception_ptr(base::Error(
          base::Status::kOutOfMemory,
          fmt::format("pipeline: cannot start {} threads: {}", options.workers, error.what()))));
    }
    state.work_safely(0);
  }
  if (state.error != nullptr) std::rethrow_exception(state.error);
  state.total.wall_seconds = seconds(Clock::now() - begin);
  return state.total;
}

}  // namespace pronghorn::image
