// SPDX-License-Identifier: Apache-2.0
// What the load generator drives. It knows queries and samples; it knows no model and no device.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>

namespace pronghorn::bench {

using Clock = std::chrono::steady_clock;

// The end of one query. finish() or fail() is called exactly once, from any thread; the time is
// taken there, so what the waiting thread does later does not count.
class QueryEnd {
 public:
  void finish() {
    at_ = Clock::now();
    state_.store(kFinished, std::memory_order_release);
    state_.notify_one();
  }
  void fail(const std::string& message) {
    message_ = message.empty() ? "failed without a message" : message;
    finish();
  }
  void wait() const { state_.wait(kPending, std::memory_order_acquire); }
  bool finished() const { return state_.load(std::memory_order_acquire) == kFinished; }
  // After finish() only.
  Clock::time_point at() const { return at_; }
  const std::string& message() const { return message_; }  // "" when it went well
  void reset() {
    message_.clear();
    state_.store(kPending, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t kPending = 0, kFinished = 1;
  std::atomic<std::uint32_t> state_{kPending};
  Clock::time_point at_{};
  std::string message_;
};

class SystemUnderTest {
 public:
  virtual ~SystemUnderTest() = default;
  virtual std::string name() const = 0;
  // Samples are numbered 0 .. sample_count() - 1.
  virtual std::uint32_t sample_count() const = 0;
  // Begins one query. It may return before the query ends; `samples` and `end` live until then.
  // Called from several threads at once in a run with concurrency.
  virtual void issue(std::span<const std::uint32_t> samples, QueryEnd& end) = 0;
};

}  // namespace pronghorn::bench
