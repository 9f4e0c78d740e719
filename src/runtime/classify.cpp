// SPDX-License-Identifier: Apache-2.0
// From a source of photographs to ordered results. Every worker of the image pipeline infers what
// it decoded, on its own core, so decode and inference never wait for each other; a small reorder
// window puts the results back into source order. Where a device takes part in decoding, the
// calling thread starts the inference of every chunk as soon as its pixels are there.
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "runtime/photo_loader.h"
#include "runtime/session.h"

namespace pronghorn::runtime {
namespace {

// Images that processors decode while an engine starts.
constexpr std::int64_t kWorthStarting = 2000;
constexpr auto kPoll = std::chrono::milliseconds(50);

// A device prepares itself for each size of batch: near the end of a source there are many. What
// lies in the places that were not asked for is inferred and dropped.
int rounded_up(int images) {
  return static_cast<int>(std::bit_ceil(static_cast<unsigned>(images)));
}

struct Finished {
  std::vector<int> slot;
  std::vector<std::string> error;
  std::vector<float> outputs;
};

class InOrder {
 public:
  InOrder(const Session& session, const image::Source& source, std::int64_t window,
          const std::function<bool(const Result&)>& on_result)
      : session_(session), source_(source), window_(window), on_result_(on_result) {}

  // Blocks while the chunk at `first` is too far ahead of what has been delivered, unless
  // `stopped`, which is polled, says that nothing more will be.
  void admit(std::int64_t first, const std::function<bool()>& stopped) {
    std::unique_lock lock(mutex_);
    const auto near = [&] { return stopped_ || first < next_ + window_; };
    while (!moved_.wait_for(lock, kPoll, near) && !stopped()) {
    }
  }

  // After admit(). Hands over what is next, unless another thread is at it, which then takes this
  // chunk along.
  void deliver(std::int64_t first, Finished finished) {
    std::unique_lock lock(mutex_);
    if (stopped_) return;
    waiting_.emplace(first, std::move(finished));
    if (emitting_) return;
    emitting_ = true;
    const auto begin = std::chrono::steady_clock::now();
    while (!waiting_.empty() && waiting_.begin()->first == next_ && !stopped_) {
      const auto node = waiting_.extract(waiting_.begin());
      lock.unlock();
      const bool wanted = emit(node.key(), node.mapped());  // what it throws ends everything
      lock.lock();
      if (!wanted) refused_ = stopped_ = true;
      next_ = node.key() + static_cast<std::int64_t>(node.mapped().slot.size());
      moved_.notify_all();
    }
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    emitting_ = false;
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    moved_.notify_all();
  }

  bool refused() const { return refused_; }  // polled between images

  // Spent in on_result so far.
  double seconds() {
    const std::lock_guard lock(mutex_);
    return seconds_;
  }

 private:
  // False: the caller wants no more.
  bool emit(std::int64_t first, const Finished& finished) {
    for (std::size_t i = 0; i < finished.slot.size(); ++i) {
      Result result;
      result.index = first + static_cast<std::int64_t>(i);
      result.name = source_.name(result.index);
      result.label = source_.label(result.index);
      result.error = finished.error[i];
      if (finished.slot[i] >= 0) {
        result.outputs = finished.outputs.data() + finished.slot[i] * session_.classes();
      }
      if (!on_result_(result)) return false;
    }
    return true;
  }

  const Session& session_;
  const image::Source& source_;
  const std::int64_t window_;
  const std::function<bool(const Result&)>& on_result_;
  std::mutex mutex_;
  std::condition_variable moved_;
  std::map<std::int64_t, Finished> waiting_;
  std::int64_t next_ = 0;
  bool emitting_ = false;  // a thread is in on_result
  bool stopped_ = false;
  std::atomic<bool> refused_{false};
  double seconds_ = 0;
};

// Loads what is not too far ahead. A loader that fails ends the wait of the others.
class Watched final : public image::Loader {
 public:
  Watched(image::Loader& inner, InOrder& order) : inner_(inner), order_(order) {}
  int most() const override { return inner_.most(); }
  double likely_rate() const override { return inner_.likely_rate(); }
  void load(const image::Source& source, const image::PipelineOptions& options, std::int64_t first,
            int count, const std::function<bool()>& stopped, image::Chunk& chunk,
            image::PipelineStats& stats) override {
    order_.admit(first, stopped);
    try {
      inner_.load(source, options, first, count, stopped, chunk, stats);
    } catch (...) {
      order_.stop();
      throw;
    }
  }

 private:
  image::Loader& inner_;
  InOrder& order_;
};

}  // namespace

image::PipelineStats classify(Session& session, const image::Source& source,
                              const ClassifyOptions& options,
                              const std::function<bool(const Result&)>& on_result) {
  const graph::Shape input = session.model().value(session.model().inputs[0]).shape;
  if (options.batch < 1 || options.threads < 0) {
    base::fail(base::Status::kInvalidArgument,
               "batch is {}, threads {}; batch 1 or more, threads "
               "0 (as the session) or more",
               options.batch, options.threads);
  }
  if (options.resize.width != input.w || options.resize.width != input.h || input.c != 3) {
    base::fail(base::Status::kInvalidArgument,
               "resize {} gives {}x{}x3 pixels, model {} takes {}x{}x{}",
               image::to_string(options.resize), options.resize.width, options.resize.width,
               session.model().name, input.h, input.w, input.c);
  }
  const int threads = options.threads == 0 ? session.threads() : options.threads;
  image::PipelineOptions pipeline{
      .resize = options.resize,
      .limits = options.limits,
      .workers = static_cast<int>(std::clamp<std::int64_t>(source.size(), 1, threads)),
      .chunk = options.batch,
      .strict = false,
      .loaders = {}};
  // One image alone is inferred by all threads; otherwise each worker infers on its own core.
  const int threads_each = pipeline.workers == 1 ? (threads == session.threads() ? 0 : 1) : 1;
  const auto image_bytes = static_cast<std::size_t>(input.size());
  device::InputPath* const path = session.input_path();
  PhotoLoaders loaders;
  if (path != nullptr || options.decode_only) {
    // A few images are decoded before an engine has begun.
    const std::int64_t few =
        path != nullptr && !path->engine_started() ? kWorthStarting : std::int64_t{threads};
    loaders = make_photo_loaders(path, {.resize = options.resize,
                                        .threads = pipeline.workers,
                                        .batch = options.batch,
                                        .engine = options.engine && source.size() > few,
                                        .decode_only = options.decode_only});
    pipeline.loaders = loaders.pointers();
    pipeline.workers = static_cast<int>(pipeline.loaders.size());
  }
  // Loaders of unequal speed run further ahead of each other.
  const std::int64_t window = (loaders.all.empty() ? 4LL : 8LL) * pipeline.workers * pipeline.chunk;
  InOrder order(session, source, window, on_result);
  std::vector<Watched> watched;
  watched.reserve(loaders.all.size());
  for (image::Loader*& loader : pipeline.loaders) loader = &watched.emplace_back(*loader, order);
  // What the device is inferring while the next chunk is on its way.
  struct UnderWay {
    std::int64_t first = 0;
    Finished finished;
    std::unique_ptr<image::Filling> filling;
    std::unique_ptr<device::Completion> completion;  // goes first
  };
  std::optional<UnderWay> under_way;

  // Whatever ends one worker must also wake those that wait for its results.
  const auto or_stop = [&](const auto& work) {
    try {
      work();
    } catch (...) {
      order.stop();
      throw;
    }
  };
  const auto settle = [&](std::optional<UnderWay> work) {
    if (!work) return;
    if (work->completion) work->completion->wait();
    work->completion.reset();
    work->filling.reset();
    order.deliver(work->first, std::move(work->finished));
  };
  const auto classes = static_cast<std::size_t>(session.classes());
  const auto never = [] { return false; };
  const auto sink = [&](image::Chunk& chunk) {
    or_stop([&] {
      Finished finished{std::move(chunk.slot), std::move(chunk.error), {}};
      for (const std::string& error : finished.error) {
        if (options.strict && !error.empty()) base::fail(base::Status::kCorrupt, "{}", error);
      }
      if (chunk.good == 0) {
        if (loaders.all.empty()) order.admit(chunk.first, never);
        order.deliver(chunk.first, std::move(finished));
      } else if (loaders.all.empty()) {
        finished.outputs.resize(static_cast<std::size_t>(chunk.good) * classes);
        session.run(chunk.pixels.data(), chunk.good, finished.outputs.data(), threads_each);
        order.admit(chunk.first, never);
        order.deliver(chunk.first, std::move(finished));
      } else {
        const auto places = static_cast<int>(chunk.pixels.size() / image_bytes);
        const int batch = std::min(places, rounded_up(chunk.good));
        finished.outputs.resize(static_cast<std::size_t>(batch) * classes);
        UnderWay work{chunk.first, std::move(finished), std::move(chunk.filling), nullptr};
        work.completion =
            session.start(chunk.pixels.data(), batch, work.finished.outputs.data(), threads_each);
        settle(std::exchange(under_way, std::move(work)));
      }
    });
  };
  const auto idle = [&] { or_stop([&] { settle(std::exchange(under_way, std::nullopt)); }); };
  image::PipelineStats stats =
      image::run(source, pipeline, sink, [&] { return order.refused(); }, idle);
  if (order.refused()) {
    base::fail(base::Status::kCancelled, "classification was stopped by its caller");
  }
  stats.result_seconds = order.seconds();
  return stats;
}

}  // namespace pronghorn::runtime
