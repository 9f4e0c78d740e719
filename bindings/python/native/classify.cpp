// SPDX-License-Identifier: Apache-2.0
// Encoded images in, labels out, as a Python iterator: the library's pipeline runs on threads of
// its own and hands results over through a short queue.
#include <nanobind/stl/string.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "session.h"

namespace pronghorn::python {
namespace {

using namespace nb::literals;

constexpr std::size_t kMostWaiting = 256;  // results made before anyone asked for them
constexpr auto kPoll = std::chrono::milliseconds(50);

class Classification {
 public:
  Classification(const PySession& session, nb::object source, const Resize& resize, int batch,
                 int threads, bool strict)
      : session_(session.open()), source_(std::move(source)) {
    const Source& images = nb::cast<const Source&>(source_);
    worker_ = std::thread([this, &images, resize, batch, threads, strict] {
      const ClassifyOptions options{batch, threads, strict};
      try {
        stats_ = session_->classify(images, resize, options,
                                    [this](const Result& result) { return put(result); });
      } catch (...) {
        error_ = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      finished_ = true;
      changed_.notify_all();
    });
  }
  ~Classification() { close(); }

  // Stops what runs and waits for it.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    const nb::gil_scoped_release release;
    if (worker_.joinable()) worker_.join();
  }

  nb::tuple next() {
    std::optional<Row> row;
    for (;;) {
      {
        const nb::gil_scoped_release release;
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, kPoll, [this] { return finished_ || stop_ || !rows_.empty(); });
        if (!rows_.empty() && !stop_) {
          row = std::move(rows_.front());
          rows_.pop_front();
        } else if (stop_ || finished_) {
          break;
        }
      }
      if (row) {
        changed_.notify_all();
        return to_tuple(std::move(*row));
      }
      check_signals();
    }
    if (error_ && !stop_) std::rethrow_exception(error_);
    throw nb::stop_iteration();
  }

  nb::dict stats() const {
    nb::dict d;
    d["wall_seconds"] = stats_.wall_seconds;
    d["read_seconds"] = stats_.read_seconds;
    d["decode_seconds"] = stats_.decode_seconds;
    d["infer_seconds"] = stats_.infer_seconds;
    d["images"] = stats_.images;
    d["broken"] = stats_.broken;
    d["encoded_bytes"] = stats_.encoded_bytes;
    return d;
  }

 private:
  struct Row {
    std::int64_t index;
    std::string name, label;
    std::optional<std::string> error;
    std::vector<float> scores;
  };

  bool put(const Result& result) {
    Row row{result.index, std::string(result.name), std::string(result.label), std::nullopt,
            std::vector<float>(result.outputs.begin(), result.outputs.end())};
    if (result.error != nullptr) row.error = result.error;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stop_ || rows_.size() < kMostWaiting; });
    if (stop_) return false;
    rows_.push_back(std::move(row));
    lock.unlock();
    changed_.notify_all();
    return true;
  }

  static nb::tuple to_tuple(Row row) {
    const nb::object error = row.error ? nb::cast(*row.error) : nb::none();
    const std::size_t classes = row.scores.size();
    const nb::object scores = row.error ? nb::none() : to_numpy(std::move(row.scores), {classes});
    return nb::make_tuple(row.index, row.name, row.label, error, scores);
  }

  std::shared_ptr<Session> session_;
  nb::object source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Row> rows_;
  bool stop_ = false, finished_ = false;
  std::exception_ptr error_;  // written before finished_
  ClassifyStats stats_{};
  std::thread worker_;
};

}  // namespace

void bind_classify(nb::module_& module) {
  nb::class_<Classification>(module, "Classification")
      .def(nb::init<const PySession&, nb::object, const Resize&, int, int, bool>(), "session"_a,
           "source"_a, "resize"_a, "batch"_a, "threads"_a, "strict"_a)
      .def("__iter__", [](nb::handle self) { return nb::borrow(self); })
      .def("__next__", &Classification::next)
      .def("close", &Classification::close)
      .def("stats", &Classification::stats);
}

}  // namespace pronghorn::python
