// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace pronghorn::cli {

// One line on standard error: bar, count, rate, time left. Draws nothing unless standard error is a
// terminal. The line is wiped at the end.
class Progress {
 public:
  // `unit` is counted ("images") or "bytes"; total 0 is unknown.
  Progress(std::string title, std::int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void set(std::int64_t done);
  void set_title(const std::string& title);
  void set_total(std::int64_t total) { total_ = total; }
  // `done` units came from an earlier run: they do not count for the rate.
  void start_at(std::int64_t done) { first_ = done; }
  void pause() { wipe(); }  // before text on standard output; the next call draws it again
  void say(const std::string& line);  // a line of its own on standard error, above the bar

 private:
  using Clock = std::chrono::steady_clock;
  void draw();
  void wipe();
  std::string title_;
  std::int64_t total_;
  std::string unit_;
  std::int64_t done_ = 0, first_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_at_{};
  bool terminal_;
  bool visible_ = false;
};

// "1:23" or "1:02:03".
std::string clock_text(double seconds);

}  // namespace pronghorn::cli
