// SPDX-License-Identifier: Apache-2.0
// Pronghorn's sessions as a system under test, from pixels (`device`) or from encoded images
// (`real`: read, decode, resize, infer, top-5).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <pronghorn/pronghorn.hpp>
#include <thread>
#include <vector>

#include "bench/system_under_test.h"

namespace pronghorn::bench {

// Threads that run tasks in order of arrival. Tasks must not throw.
class Workers {
 public:
  explicit Workers(int threads);
  ~Workers();  // runs what is queued
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  void add(std::function<void()> task);

 private:
  void serve();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

class SessionSystem final : public SystemUnderTest {
 public:
  enum class Kind { kDevice, kReal };
  struct Options {
    Kind kind = Kind::kDevice;
    int batch = 32;       // of an Offline query
    int threads = 1;      // that decode
    bool queued = false;  // Server: hand queries to the session's queue instead of waiting for each
  };

  // `images` and `session` outlive this. `pixels` holds one or more decoded images (kDevice).
  SessionSystem(const Session& session, const Source& images, Resize resize,
                std::vector<std::uint8_t> pixels, Options options);

  std::string name() const override;
  std::uint32_t sample_count() const override;
  void issue(std::span<const std::uint32_t> samples, QueryEnd& end) override;

 private:
  struct Query;
  void run_now(std::span<const std::uint32_t> samples);
  void run_batches(std::span<const std::uint32_t> samples);
  void queue(std::uint32_t sample, QueryEnd& end);
  void decode(std::uint32_t sample, std::span<std::uint8_t> pixels) const;
  void decode_all(std::span<const std::uint32_t> samples, std::vector<std::uint8_t>& pixels);
  void label(std::span<const float> outputs) const;

  const Session& session_;
  const Source& images_;
  Resize resize_;
  std::vector<std::uint8_t> pixels_;
  Options options_;
  std::size_t one_;
  int top_;
  std::unique_ptr<Workers> workers_;
};

}  // namespace pronghorn::bench
