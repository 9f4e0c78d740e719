// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace pronghorn::cli {

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

Progress::Progress(std::string title, std::int64_t total, std::string unit)
    : title_(std::move(title)),
      total_(total),
      unit_(std::move(unit)),
      terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { wipe(); }

void Progress::set(std::int64_t done) {
  done_ = done;
  if (!terminal_ || Clock::now() - drawn_at_ < std::chrono::milliseconds(100)) return;
  draw();
}

void Progress::set_title(const std::string& title) {
  title_ = title;
  if (terminal_) draw();
}

void Progress::say(const std::string& line) {
  wipe();
  fmt::print(stderr, "{}\n", line);
  std::fflush(stderr);
  if (terminal_) draw();
}

void Progress::draw() {
  constexpr int kWidth = 24;
  drawn_at_ = Clock::now();
  const double seconds = std::chrono::duration<double>(drawn_at_ - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_ - first_) / seconds : 0;
  const bool bytes = unit_ == "bytes";
  const double scale = bytes ? 1e-6 : 1;
  std::string line = title_;
  if (total_ > 0) {
    const double share =
        std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
    const int full = static_cast<int>(share * kWidth);
    line += fmt::format(" [{}{}] {:3.0f} %", std::string(static_cast<std::size_t>(full), '#'),
                        std::string(static_cast<std::size_t>(kWidth - full), '.'), 100 * share);
  }
  const char* shown = bytes ? "MB" : unit_.c_str();
  line += bytes ? fmt::format(" {:.1f} {}", static_cast<double>(done_) * scale, shown)
                : fmt::format(" {}/{} {}", done_, total_, shown);
  if (rate > 0) {
    line += fmt::format(", {:.1f} {}/s", rate * scale, shown);
    if (total_ > done_) {
      line += fmt::format(", {} left", clock_text(static_cast<double>(total_ - done_) / rate));
    }
  }
  winsize window{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1) {
    line = line.substr(0, window.ws_col - 1);  // a wrapped line could not be wiped
  }
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  visible_ = true;
}

void Progress::wipe() {
  if (!visible_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  visible_ = false;
}

}  // namespace pronghorn::cli
