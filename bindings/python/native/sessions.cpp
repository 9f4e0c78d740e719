// SPDX-License-Identifier: Apache-2.0
// Sessions: running arrays, queued or at once.
//
// The interpreter lock is released while the device works. Long runs of the main thread go through
// the session's queue in pieces, so that Ctrl-C is seen within a twentieth of a second: the call
// returns, the pieces under way end by themselves, and what they read and write lives until then.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "session.h"

namespace pronghorn::python {

// What pieces under way need: the caller's arrays, and a place to report to. The last of them may
// end when the caller is gone, on a thread of the session.
struct Work {
  std::unique_ptr<Input> input;
  nb::object output;
  std::mutex mutex;
  std::condition_variable changed;
  int under_way = 0;
  std::exception_ptr error;

  void piece_done(std::exception_ptr failed) {
    {
      const std::lock_guard lock(mutex);
      --under_way;
      if (failed && !error) error = failed;
    }
    changed.notify_all();
  }
};

namespace {

using namespace nb::literals;
using Clock = std::chrono::steady_clock;

constexpr double kUnhurried = 0.1;  // seconds that a call may be deaf to signals
constexpr double kPiece = 0.4;      // seconds of work in one piece of a long run
constexpr std::int64_t kLeastPiece = 16;
constexpr int kPiecesAhead = 2;
constexpr auto kPoll = std::chrono::milliseconds(50);

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Ends a Work with the interpreter lock, whatever thread holds the last reference.
void release_work(Work* work) {
  const nb::gil_scoped_acquire acquire;
  delete work;
}

std::vector<std::size_t> output_shape(const OutputInfo& output, std::int64_t batch, bool batched) {
  std::vector<std::size_t> shape;
  if (batched) shape.push_back(static_cast<std::size_t>(batch));
  if (output.height != 1 || output.width != 1) {
    shape.push_back(static_cast<std::size_t>(output.height));
    shape.push_back(static_cast<std::size_t>(output.width));
  }
  shape.push_back(static_cast<std::size_t>(output.channels));
  return shape;
}

}  // namespace

PySession::PySession(const Model& model, const std::string& device, int threads)
    : info_(model.info()), pid_(getpid()) {
  for (int i = 0; i < model.output_count(); ++i) outputs_.push_back(model.output(i));
  const nb::gil_scoped_release release;
  session_ = std::make_shared<Session>(model, device, threads);
  // A guess until something was measured: a slow core makes 5 GMAC/s.
  seconds_per_image_ = static_cast<double>(info_.macs) / 5e9;
}

PySession::~PySession() { close(); }

void PySession::close() {
  auto* last = new std::shared_ptr<Session>(std::move(session_));
  session_.reset();
  // In the child of a fork the session's threads do not exist: waiting for them would never end, so
  // the child leaves its copy of the session where it is.
  if (getpid() != pid_) return;
  const nb::gil_scoped_release release;
  delete last;
}

std::shared_ptr<Session> PySession::open() const {
  if (!session_) raise("InvalidArgument", "the session is closed");
  if (getpid() != pid_) {
    raise("Unavailable",
          "this session belongs to process " + std::to_string(pid_) +
              ", of which this process is a fork; threads do not survive a fork: make a new "
              "Session here, or start processes with multiprocessing's \"spawn\"");
  }
  return session_;
}

PySession::Batch PySession::batch_of(const Input& input) const {
  const auto& shape = input.shape();
  const std::vector<std::int64_t> image =
      info_.input_height == 1 && info_.input_width == 1
          ? std::vector<std::int64_t>{info_.input_channels}
          : std::vector<std::int64_t>{info_.input_height, info_.input_width, info_.input_channels};
  const auto wanted = [&] {
    std::string text;
    for (const std::int64_t n : image) text += ", " + std::to_string(n);
    return "(n" + text + ") or (" + text.substr(2) + (image.size() == 1 ? ",)" : ")");
  };
  const bool batched = shape.size() == image.size() + 1;
  if ((!batched && shape.size() != image.size()) ||
      !std::equal(image.rbegin(), image.rend(), shape.rbegin())) {
    raise("InvalidArgument", "x has shape " + input.shape_text() + "; model " + info_.name +
                                 " takes " + wanted() + ", height x width x channels");
  }
  const std::int64_t count = batched ? shape[0] : 1;
  if (count < 1) raise("InvalidArgument", "x holds no images: shape " + input.shape_text());
  if (input.is_float() && info_.input_is_u8) {
    raise("WrongType", "x has dtype float32; model " + info_.name +
                           " takes raw uint8 pixels, 0 to 255, RGB, without any preprocess");
  }
  return {count, batched};
}

void PySession::run_pieces(const std::shared_ptr<Session>& session,
                           const std::shared_ptr<Work>& work, std::int64_t batch,
                           std::int64_t piece, float* outputs) const {
  const std::int64_t in = info_.input_elements(), out = session->classes();
  std::int64_t next = 0;
  for (;;) {
    {
      const nb::gil_scoped_release release;
      std::unique_lock lock(work->mutex);
      while (next < batch && work->under_way < kPiecesAhead && !work->error) {
        const std::int64_t count = std::min(piece, batch - next);
        ++work->under_way;
        lock.unlock();
        // The callback owns a share of the work, and drops it before it reports: the main thread
        // is then the one that frees it, unless it is gone.
        const auto done = [work](std::exception_ptr error) { work->piece_done(error); };
        try {
          const auto to = std::span(outputs + next * out, static_cast<std::size_t>(count * out));
          const auto first = static_cast<std::size_t>(next * in);
          const auto size = static_cast<std::size_t>(count * in);
          if (work->input->is_float()) {
            session->submit(work->input->floats().subspan(first, size), count, to, done);
          } else {
            session->submit(work->input->bytes().subspan(first, size), count, to, done);
          }
        } catch (...) {
          work->piece_done(std::current_exception());
        }
        next += count;
        lock.lock();
      }
      if (work->under_way == 0) {
        if (work->error) std::rethrow_exception(work->error);
        if (next == batch) return;
      }
      work->changed.wait_for(lock, kPoll);
    }
    check_signals();
  }
}

nb::object PySession::run(nb::handle x, nb::object out) {
  const std::shared_ptr<Session> session = open();
  auto input = std::make_unique<Input>(x, "x");
  const auto [batch, batched] = batch_of(*input);
  const auto size = static_cast<std::size_t>(batch * session->classes());
  const auto shape = output_shape(outputs_[0], batch, batched);
  float* outputs = nullptr;
  if (out.is_none()) {
    auto values = std::make_unique<float[]>(size);
    outputs = values.get();
    const nb::capsule owner(values.release(),
                            [](void* p) noexcept { delete[] static_cast<float*>(p); });
    out = nb::cast(nb::ndarray<nb::numpy, float>(outputs, shape.size(), shape.data(), owner));
  } else {
    nb::ndarray<float, nb::c_contig, nb::device::cpu> array;
    if (!nb::try_cast(out, array, false) || array.size() != size) {
      raise("InvalidArgument", "out must be a writable float32 array in C order with " +
                                   std::to_string(size) + " elements");
    }
    outputs = array.data();
  }
  const auto start = Clock::now();
  const double expected = seconds_per_image_ * static_cast<double>(batch);
  if (expected < kUnhurried || batch == 1 || !on_main_thread()) {
    const nb::gil_scoped_release release;
    if (input->is_float()) {
      session->run(input->floats(), batch, std::span(outputs, size));
    } else {
      session->run(input->bytes(), batch, std::span(outputs, size));
    }
  } else {
    const std::shared_ptr<Work> work(new Work, release_work);
    work->input = std::move(input);
    work->output = out;
    // Whole sixteens: what the library converts at a time.
    const auto fits = static_cast<std::int64_t>(kPiece / std::max(seconds_per_image_.load(), 1e-9));
    const std::int64_t piece = std::max(kLeastPiece, fits / kLeastPiece * kLeastPiece);
    run_pieces(session, work, batch, piece, outputs);
  }
  seconds_per_image_ = seconds_since(start) / static_cast<double>(batch);
  return out;
}

nb::list PySession::run_all(nb::handle x) {
  const std::shared_ptr<Session> session = open();
  const Input input(x, "x");
  const auto [batch, batched] = batch_of(input);
  std::vector<std::vector<float>> values;
  std::vector<float*> pointers;
  for (const OutputInfo& output : outputs_) {
    values.emplace_back(static_cast<std::size_t>(batch * output.size()));
    pointers.push_back(values.back().data());
  }
  // Pieces again, so that signals are seen; each blocks.
  const auto fits =
      static_cast<std::int64_t>(kUnhurried / std::max(seconds_per_image_.load(), 1e-9));
  const std::int64_t piece = std::clamp<std::int64_t>(fits, 1, batch);
  const std::int64_t in = info_.input_elements();
  const auto start = Clock::now();
  for (std::int64_t next = 0; next < batch;) {
    const std::int64_t count = std::min(piece, batch - next);
    const auto first = static_cast<std::size_t>(next * in);
    const auto size = static_cast<std::size_t>(count * in);
    {
      const nb::gil_scoped_release release;
      if (input.is_float()) {
        session->run_all(input.floats().subspan(first, size), count, pointers);
      } else {
        session->run_all(input.bytes().subspan(first, size), count, pointers);
      }
    }
    check_signals();
    for (std::size_t i = 0; i < pointers.size(); ++i) pointers[i] += count * outputs_[i].size();
    next += count;
  }
  seconds_per_image_ = seconds_since(start) / static_cast<double>(batch);
  nb::list result;
  for (std::size_t i = 0; i < values.size(); ++i) {
    result.append(to_numpy(std::move(values[i]), output_shape(outputs_[i], batch, batched)));
  }
  return result;
}

void PySession::submit(nb::handle x, nb::object future) {
  const std::shared_ptr<Session> session = open();
  struct Request {
    std::unique_ptr<Input> input;
    std::vector<float> values;
    std::vector<std::size_t> shape;
    nb::object future;
  };
  auto request = std::make_unique<Request>();
  request->input = std::make_unique<Input>(x, "x");
  const auto [batch, batched] = batch_of(*request->input);
  request->values.resize(static_cast<std::size_t>(batch * session->classes()));
  request->shape = output_shape(outputs_[0], batch, batched);
  request->future = std::move(future);
  Request* given = request.get();
  const auto done = [given](std::exception_ptr error) {
    const nb::gil_scoped_acquire acquire;
    const std::unique_ptr<Request> owned(given);
    try {
      try {
        if (error) std::rethrow_exception(error);
        owned->future.attr("set_result")(to_numpy(std::move(owned->values), owned->shape));
      } catch (const Error& failed) {
        set_python_error(failed);
        throw nb::python_error();
      }
    } catch (nb::python_error& raised) {
      try {
        owned->future.attr("set_exception")(nb::borrow(raised.value()));
      } catch (nb::python_error& hopeless) {
        hopeless.discard_as_unraisable("pronghorn.Session.submit");
      }
    }
  };
  {
    const nb::gil_scoped_release release;
    if (given->input->is_float()) {
      session->submit(given->input->floats(), batch, given->values, done);
    } else {
      session->submit(given->input->bytes(), batch, given->values, done);
    }
  }
  static_cast<void>(request.release());
}

bool PySession::on_main_thread() const {
  static const unsigned long main_thread = [] {
    const nb::object thread = nb::module_::import_("threading").attr("main_thread")();
    return nb::cast<unsigned long>(thread.attr("ident"));
  }();
  return PyThread_get_thread_ident() == main_thread;
}

void bind_sessions(nb::module_& module) {
  nb::class_<PySession>(module, "Session")
      .def(nb::init<const Model&, const std::string&, int>(), "model"_a, "device"_a, "threads"_a)
      .def("run", &PySession::run, "x"_a.none(), "out"_a = nb::none())
      .def("run_all", &PySession::run_all, "x"_a.none())
      .def("submit", &PySession::submit, "x"_a.none(), "future"_a)
      .def("close", &PySession::close)
      .def_prop_ro("closed", &PySession::closed)
      .def_prop_ro("device", [](const PySession& s) { return s.open()->device(); })
      .def_prop_ro("memory_bytes", [](const PySession& s) { return s.open()->memory_bytes(); })
      .def(
          "profile", [](const PySession& s, bool enable) { return s.open()->profile(enable); },
          "enable"_a);
  module.def(
      "top_k",
      [](nb::handle scores, int k) {
        const Input input(scores, "scores");
        if (!input.is_float() || input.shape().size() != 1) {
          raise("WrongType", "scores must be one row of float32");
        }
        Top top = top_k(input.floats(), k);
        return nb::make_tuple(top.indices, top.probabilities);
      },
      "scores"_a, "k"_a);
}

}  // namespace pronghorn::python
