// SPDX-License-Identifier: Apache-2.0
// Quantization. Called from the main thread it runs on a thread of its own, so that Ctrl-C is seen
// within a twentieth of a second: the call returns, and the work ends at its next image.
#include <nanobind/stl/string.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "native.h"

namespace pronghorn::python {
namespace {

using namespace nb::literals;

constexpr auto kPoll = std::chrono::milliseconds(50);

// Quantizations that go on although their callers are gone; `wait_for_abandoned` waits for them.
std::mutex under_way_mutex;
std::condition_variable under_way_changed;
int under_way = 0;

// One quantization: what it needs, and what its thread and its caller tell each other. The last
// owner frees it, on whatever thread, with the interpreter lock.
struct Work {
  nb::object model, source;  // they keep what `run` refers to
  std::unique_ptr<Input> tensors;
  QuantizeOptions options;
  std::function<Quantized(const QuantizeOptions&)> run;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::pair<std::int64_t, std::int64_t>> told;  // progress that was not passed on yet
  bool done = false, cancelled = false;
  std::optional<Quantized> result;
  std::exception_ptr error;
};

void release_work(Work* work) {
  const nb::gil_scoped_acquire acquire;
  delete work;
}

void work_on(std::shared_ptr<Work> work) {
  work->options.progress = [it = work.get()](std::int64_t done, std::int64_t total) {
    const std::lock_guard lock(it->mutex);
    it->told.emplace_back(done, total);
    it->changed.notify_all();
    return !it->cancelled;
  };
  std::optional<Quantized> result;
  std::exception_ptr error;
  try {
    result.emplace(work->run(work->options));
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::lock_guard lock(work->mutex);
    work->result = std::move(result);
    work->error = error;
    work->done = true;
    work->changed.notify_all();
  }
  work.reset();
  const std::lock_guard lock(under_way_mutex);
  --under_way;
  under_way_changed.notify_all();
}

// Passes progress on and looks for signals until the work is done. Interpreter lock held. Throws
// what the work, the progress function or a signal handler raised.
void follow(Work& work, const nb::object& progress) {
  for (;;) {
    std::deque<std::pair<std::int64_t, std::int64_t>> told;
    bool done;
    {
      const nb::gil_scoped_release release;
      std::unique_lock lock(work.mutex);
      work.changed.wait_for(lock, kPoll, [&] { return work.done || !work.told.empty(); });
      told.swap(work.told);
      done = work.done;
    }
    try {
      check_signals();
      if (!progress.is_none()) {
        for (const auto& [count, total] : told) progress(count, total);
      }
    } catch (...) {
      const std::lock_guard lock(work.mutex);
      work.cancelled = true;
      throw;
    }
    if (!done) continue;
    if (work.error) std::rethrow_exception(work.error);
    return;
  }
}

nb::tuple quantized(std::unique_ptr<Work> given, const nb::object& progress) {
  const std::shared_ptr<Work> work(given.release(), release_work);
  {
    const std::lock_guard lock(under_way_mutex);
    ++under_way;
  }
  try {
    std::thread(work_on, work).detach();
  } catch (...) {
    const std::lock_guard lock(under_way_mutex);
    --under_way;
    throw;
  }
  follow(*work, progress);
  Quantized& result = *work->result;
  return nb::make_tuple(std::move(result.model), result.report_json, result.report_table);
}

nb::tuple quantize_source(nb::object model, nb::object source, const Resize& resize,
                          const QuantizeOptions& options, nb::object progress) {
  auto work = std::make_unique<Work>();
  const auto& the_model = nb::cast<const Model&>(model);
  const auto& the_source = nb::cast<const Source&>(source);
  work->model = std::move(model);
  work->source = std::move(source);
  work->options = options;
  work->run = [&the_model, &the_source, resize](const QuantizeOptions& chosen) {
    return quantize(the_model, the_source, resize, chosen);
  };
  return quantized(std::move(work), progress);
}

nb::tuple quantize_tensors(nb::object model, nb::handle x, const QuantizeOptions& options,
                           nb::object progress) {
  auto work = std::make_unique<Work>();
  const auto& the_model = nb::cast<const Model&>(model);
  work->model = std::move(model);
  work->tensors = std::make_unique<Input>(x, "calibration");
  work->options = options;
  const Input& input = *work->tensors;
  const ModelInfo info = the_model.info();
  const auto& shape = input.shape();
  const std::vector<std::int64_t> image =
      info.input_height == 1 && info.input_width == 1
          ? std::vector<std::int64_t>{info.input_channels}
          : std::vector<std::int64_t>{info.input_height, info.input_width, info.input_channels};
  if (!input.is_float()) raise("WrongType", "calibration tensors must be float32");
  if (shape.size() != image.size() + 1 || !std::equal(image.begin(), image.end(), &shape[1])) {
    std::string wanted;
    for (const std::int64_t n : image) wanted += ", " + std::to_string(n);
    raise("InvalidArgument", "calibration has shape " + input.shape_text() + "; model " +
                                 info.name + " takes (n" + wanted + ")");
  }
  if (shape[0] < 1) raise("InvalidArgument", "calibration holds no images");
  work->run = [&the_model, &input](const QuantizeOptions& chosen) {
    return quantize(the_model, input.floats(), chosen);
  };
  return quantized(std::move(work), progress);
}

void wait_for_abandoned() {
  const nb::gil_scoped_release release;
  std::unique_lock lock(under_way_mutex);
  under_way_changed.wait(lock, [] { return under_way == 0; });
}

}  // namespace

void bind_quantize(nb::module_& module) {
  nb::class_<QuantizeOptions>(module, "QuantizeOptions")
      .def(nb::init<>())
      .def_rw("method", &QuantizeOptions::method)
      .def_rw("percentile", &QuantizeOptions::percentile)
      .def_rw("equalize", &QuantizeOptions::equalize)
      .def_rw("report", &QuantizeOptions::report)
      .def_rw("threads", &QuantizeOptions::threads)
      .def_rw("max_images", &QuantizeOptions::max_images);
  module.def("quantize_source", &quantize_source, "model"_a, "calibration"_a, "resize"_a,
             "options"_a, "progress"_a = nb::none(),
             nb::sig("def quantize_source(model: Model, calibration: Source, resize: Resize, "
                     "options: QuantizeOptions, progress: object | None = None) -> tuple"));
  module.def("quantize_tensors", &quantize_tensors, "model"_a, "x"_a.none(), "options"_a,
             "progress"_a = nb::none(),
             nb::sig("def quantize_tensors(model: Model, x: object, options: QuantizeOptions, "
                     "progress: object | None = None) -> tuple"));
  module.def("wait_for_abandoned", &wait_for_abandoned,
             "Waits until every quantization has ended whose call was interrupted.");
}

}  // namespace pronghorn::python
