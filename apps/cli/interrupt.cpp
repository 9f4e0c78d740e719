// SPDX-License-Identifier: Apache-2.0
#include "apps/cli/interrupt.h"

#include <csignal>
#include <ctime>

namespace pronghorn::cli {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;
timespec g_first{};

// One request can arrive as two signals: timeout(1) sends it to the program and to its group.
bool soon_after_first() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec - g_first.tv_sec) +
             static_cast<double>(now.tv_nsec - g_first.tv_nsec) * 1e-9 <
         0.2;
}

void on_signal(int signal) {
  if (g_interrupted == 0) {
    clock_gettime(CLOCK_MONOTONIC, &g_first);
    g_interrupted = 1;
  } else if (!soon_after_first()) {
    std::signal(signal, SIG_DFL);
    raise(signal);
  }
}

}  // namespace

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_interrupted != 0; }

}  // namespace pronghorn::cli
