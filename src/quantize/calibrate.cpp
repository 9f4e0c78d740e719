// SPDX-License-Identifier: Apache-2.0
#include "quantize/calibrate.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/buffer.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "graph/passes/passes.h"

namespace pronghorn::quantize {
namespace {

// Lets threads through in the order of their tickets. Tickets are handed out in order, so the
// holder of the next one is always at work and nobody waits for a thread that waits.
class Turnstile {
 public:
  // False when another thread failed: nobody comes through any more.
  bool wait_for(std::int64_t ticket) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || next_ == ticket; });
    return !failed_;
  }
  void leave() {
    {
      const std::lock_guard lock(mutex_);
      ++next_;
    }
    changed_.notify_all();
  }
  void fail() {
    {
      const std::lock_guard lock(mutex_);
      failed_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t next_ = 0;
  bool failed_ = false;
};

std::size_t bytes_of(const graph::Value& value) {
  return static_cast<std::size_t>(value.shape.size()) * graph::size_of(value.dtype);
}

// Sums of one image, ready to be added to the totals in order.
struct ImageSums {
  std::vector<double> sum, square;
};

void sum_channels(std::span<const float> values, std::size_t channels, ImageSums& sums,
                  std::vector<float>& largest) {
  sums.sum.assign(channels, 0.0);
  sums.square.assign(channels, 0.0);
  largest.resize(channels, 0.0f);
  // Short binary32 sums over a stretch of pixels keep the loop vectorised, binary64 keeps the rest.
  constexpr std::size_t kStretch = 32;
  std::vector<float> sum(channels), square(channels);
  const std::size_t pixels = values.size() / channels;
  for (std::size_t begin = 0; begin < pixels; begin += kStretch) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    std::fill(square.begin(), square.end(), 0.0f);
    for (std::size_t p = begin; p < std::min(begin + kStretch, pixels); ++p) {
      const float* x = values.data() + p * channels;
      for (std::size_t c = 0; c < channels; ++c) {
        sum[c] += x[c];
        square[c] += x[c] * x[c];
        largest[c] = std::max(largest[c], std::fabs(x[c]));
      }
    }
    for (std::size_t c = 0; c < channels; ++c) {
      sums.sum[c] += sum[c];
      sums.square[c] += square[c];
    }
  }
}

}  // namespace

std::shared_ptr<const graph::Graph> with_outputs(const graph::Graph& original,
                                                 const std::vector<graph::ValueId>& values) {
  auto copy = std::make_shared<graph::Graph>(original);
  copy->outputs = values;
  return copy;
}

void run_images(const std::vector<device::Program*>& programs, const Prepared& prepared,
                const Calibration& calibration, std::int64_t images, int threads,
                const std::function<void(const Outputs&)>& work,
                const std::function<void(const Outputs&)>& merge) {
  const auto size =
      static_cast<std::size_t>(prepared.graph.value(prepared.graph.inputs[0]).shape.size());
  base::ThreadPool pool(threads);
  struct Worker {
    std::vector<float> pixels;
    std::vector<std::vector<base::Buffer>> buffers;
  };
  std::vector<Worker> workers(static_cast<std::size_t>(threads));
  for (Worker& worker : workers) {
    worker.pixels.resize(size);
    for (const device::Program* program : programs) {
      auto& buffers = worker.buffers.emplace_back();
      for (const graph::ValueId id : program->graph().outputs) {
        buffers.emplace_back(bytes_of(program->graph().value(id)));
      }
    }
  }
  Turnstile turnstile;
  pool.parallel_for(images, [&](std::int64_t image, int thread) {
    try {
      Worker& worker = workers[static_cast<std::size_t>(thread)];
      const std::size_t at = static_cast<std::size_t>(image) * size;
      const std::uint8_t* pixels = nullptr;
      const float* floats = worker.pixels.data();
      if (prepared.takes_pixels) {
        pixels = calibration.images + at;
        for (std::size_t i = 0; i < size; ++i) {
          worker.pixels[i] = static_cast<float>(pixels[i] - prepared.zero_point[i % 3]);
        }
      } else {
        floats = calibration.tensors + at;
      }
      for (std::size_t p = 0; p < programs.size(); ++p) {
        const graph::Graph& g = programs[p]->graph();
        const bool takes_pixels = g.value(g.inputs[0]).dtype == graph::DType::kU8;
        const void* input = takes_pixels ? static_cast<const void*>(pixels) : floats;
        std::vector<void*> outputs;
        for (base::Buffer& buffer : worker.buffers[p]) outputs.push_back(buffer.data());
        const auto completion = programs[p]->submit({{&input, 1}, outputs, 1, 1});
        if (completion) completion->wait();
      }
      const Outputs outputs{image, thread, worker.buffers};
      work(outputs);
      if (!turnstile.wait_for(image)) return;
      merge(outputs);
      turnstile.leave();
    } catch (...) {
      turnstile.fail();
      throw;
    }
  });
}

std::vector<TensorStatistics> observe(const Prepared& prepared,
                                      const std::vector<graph::ValueId>& values,
                                      const Calibration& calibration, std::int64_t images,
                                      int threads, device::Device& device,
                                      std::vector<std::vector<float>>* logits,
                                      const std::function<void()>& one_done) {
  const graph::Graph& g = prepared.graph;
  std::vector<graph::ValueId> outputs = values;
  const auto found = std::find(values.begin(), values.end(), g.outputs[0]);
  const auto logits_at = static_cast<std::size_t>(found - values.begin());
  if (found == values.end()) outputs.push_back(g.outputs[0]);
  const auto program = device::compile_or_throw(device, with_outputs(g, outputs), {threads});
  const std::size_t count = values.size();
  struct Worker {
    std::vector<Histogram> histograms;
    std::vector<ImageSums> sums;
    std::vector<std::vector<float>> largest;
  };
  std::vector<Worker> workers(static_cast<std::size_t>(threads));
  for (Worker& w : workers) {
    w.histograms.resize(count);
    w.sums.resize(count);
    w.largest.resize(count);
  }
  std::vector<TensorStatistics> result(count);
  for (std::size_t v = 0; v < count; ++v) {
    const auto channels = static_cast<std::size_t>(g.value(values[v]).shape.c);
    result[v].mean.resize(channels);
    result[v].square.resize(channels);
    result[v].largest.resize(channels);
  }
  const auto work = [&](const Outputs& out) {
    Worker& worker = workers[static_cast<std::size_t>(out.thread)];
    for (std::size_t v = 0; v < count; ++v) {
      const graph::Value& value = g.value(values[v]);
      const std::span<const float> x{out.buffers[0][v].as<float>(),
                                     static_cast<std::size_t>(value.shape.size())};
      if (!worker.histograms[v].add(x)) {
        base::fail(base::Status::kInvalidArgument,
                   "calibration image {} makes a value of {} that is not finite; the model's "
                   "weights or its preprocess do not fit",
                   out.image, value.name);
      }
      sum_channels(x, static_cast<std::size_t>(value.shape.c), worker.sums[v], worker.largest[v]);
    }
  };
  const auto merge = [&](const Outputs& out) {
    const Worker& worker = workers[static_cast<std::size_t>(out.thread)];
    for (std::size_t v = 0; v < count; ++v) {
      for (std::size_t c = 0; c < result[v].mean.size(); ++c) {
        result[v].mean[c] += worker.sums[v].sum[c];
        result[v].square[c] += worker.sums[v].square[c];
      }
    }
    if (logits) {
      const float* x = out.buffers[0][logits_at].as<float>();
      logits->emplace_back(x, x + g.value(g.outputs[0]).shape.size());
    }
    one_done();
  };
  run_images({program.get()}, prepared, calibration, images, threads, work, merge);
  for (std::size_t v = 0; v < count; ++v) {
    const graph::Shape& shape = g.value(values[v]).shape;
    const double pixels = static_cast<double>(shape.h * shape.w) * static_cast<double>(images);
    for (double& mean : result[v].mean) mean /= pixels;
    for (double& square : result[v].square) square /= pixels;
    for (const Worker& worker : workers) {
      result[v].histogram.merge(worker.histograms[v]);
      for (std::size_t c = 0; c < worker.largest[v].size(); ++c) {
        result[v].largest[c] = std::max(result[v].largest[c], worker.largest[v][c]);
      }
    }
  }
  return result;
}

}  // namespace pronghorn::quantize
