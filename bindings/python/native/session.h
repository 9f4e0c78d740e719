// SPDX-License-Identifier: Apache-2.0
// A session as Python holds it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "native.h"

namespace pronghorn::python {

struct Work;

// Methods are called with the interpreter lock held, from any thread.
class PySession {
 public:
  PySession(const Model& model, const std::string& device, int threads);
  ~PySession();
  PySession(const PySession&) = delete;
  PySession& operator=(const PySession&) = delete;

  // The session; raises when it is closed or belongs to the process this one was forked from.
  std::shared_ptr<Session> open() const;
  bool closed() const { return !session_; }
  void close();  // waits for what was submitted
  const ModelInfo& info() const { return info_; }

  nb::object run(nb::handle x, nb::object out);
  nb::list run_all(nb::handle x);
  // Queues x; the concurrent.futures.Future gets the outputs or the exception.
  void submit(nb::handle x, nb::object future);

 private:
  struct Batch {
    std::int64_t count;
    bool batched;  // false: one image without the first dimension
  };
  Batch batch_of(const Input& input) const;
  void run_pieces(const std::shared_ptr<Session>& session, const std::shared_ptr<Work>& work,
                  std::int64_t batch, std::int64_t piece, float* outputs) const;
  bool on_main_thread() const;

  std::shared_ptr<Session> session_;
  ModelInfo info_;
  std::vector<OutputInfo> outputs_;
  int pid_;
  std::atomic<double> seconds_per_image_;  // of the last run
};

}  // namespace pronghorn::python
