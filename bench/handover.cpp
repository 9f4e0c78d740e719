// SPDX-License-Identifier: Apache-2.0
#include "bench/handover.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

namespace pronghorn::bench {
namespace {

// A series is over before the scheduler's next tick, so that most of them run undisturbed even on
// a busy machine; the fastest tells the distance.
constexpr std::uint64_t kHandovers = 400;
constexpr int kSeries = 20;
// Long enough that only a thread that does not run spins so often.
constexpr int kSpins = 20000;

std::vector<int> own_processors() {
  std::vector<int> processors;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return processors;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) processors.push_back(i);
  }
  return processors;
}

void bind_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  // Where that is forbidden the kernel spreads spinning threads by itself.
  (void)sched_setaffinity(0, sizeof set, &set);
}

// A line, and the one its processor fetches along, to itself.
struct alignas(128) Token {
  std::atomic<std::uint64_t> turn{0};
};

void wait_for(const Token& token, std::uint64_t turn) {
  for (int spins = 0; token.turn.load(std::memory_order_acquire) < turn; ++spins) {
    if (spins == kSpins) {
      std::this_thread::yield();
      spins = 0;
    }
  }
}

}  // namespace

double handover_ns(int threads) {
  using Clock = std::chrono::steady_clock;
  const std::vector<int> processors = own_processors();
  const std::size_t members =
      std::min(processors.size(), static_cast<std::size_t>(std::max(0, threads)));
  if (members < 2) return 0;
  const std::uint64_t laps = std::max<std::uint64_t>(4, kHandovers / members);
  // tokens[i] is written by member i and read by the next one alone.
  std::vector<Token> tokens(members);
  double best = 0;
  const auto go_round = [&](std::size_t member) {
    bind_to(processors[member]);
    const Token& before = tokens[(member + members - 1) % members];
    Token& own = tokens[member];
    std::uint64_t turn = 0;
    for (int series = 0; series < kSeries; ++series) {
      const Clock::time_point start = Clock::now();
      for (std::uint64_t lap = 0; lap < laps; ++lap) {
        ++turn;
        if (member == 0) {
          own.turn.store(turn, std::memory_order_release);
          wait_for(before, turn);
        } else {
          wait_for(before, turn);
          own.turn.store(turn, std::memory_order_release);
        }
      }
      if (member != 0) continue;
      const double ns = std::chrono::duration<double, std::nano>(Clock::now() - start).count() /
                        static_cast<double>(laps * members);
      best = best == 0 ? ns : std::min(best, ns);
    }
  };
  {
    std::vector<std::jthread> ring;
    for (std::size_t member = 0; member < members; ++member) ring.emplace_back(go_round, member);
  }
  return best;
}

bool same_placement(double a_ns, double b_ns) {
  if (a_ns <= 0 || b_ns <= 0) return true;
  return std::max(a_ns, b_ns) < 1.4 * std::min(a_ns, b_ns);
}

std::string placement_problem(double ns, const std::string& root) {
  if (ns < kFarNs) return "";
  std::set<std::string> caches;
  for (const int processor : own_processors()) {
    std::string shared;
    std::ifstream file(fmt::format("{}/sys/devices/system/cpu/cpu{}/cache/index3/shared_cpu_list",
                                   root, processor));
    if (!std::getline(file, shared)) return "";  // the kernel says nothing of it
    caches.insert(shared);
  }
  if (caches.size() != 1) return "";
  return fmt::format(
      "a cache line takes {:.0f} ns from thread to thread, as between two sockets, though the "
      "kernel says that the processors share a cache: the host runs them far apart for now",
      ns);
}

}  // namespace pronghorn::bench
