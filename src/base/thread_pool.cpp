// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace pronghorn::base {
namespace {

// About 50 us on current machines: longer than the gap between two layers, shorter than a time
// slice worth giving away.
constexpr int kSpins = 2000;
constexpr int kBarrierSpins = 200;       // about 5 us
constexpr std::size_t kTurnsApart = 32;  // counters on lines of their own

void pause() { __builtin_ia32_pause(); }

// CPU quota of the control group in cores, or 0 when there is none.
double cgroup_quota() {
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2) {
    std::string quota;
    double period = 0;
    if (v2 >> quota >> period && quota != "max" && period > 0) return std::stod(quota) / period;
    return 0;
  }
  std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) {
    return quota / period;
  }
  return 0;
}

}  // namespace

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = ::sched_getaffinity(0, sizeof set, &set) == 0
                  ? CPU_COUNT(&set)
                  : static_cast<int>(std::thread::hardware_concurrency());
  const double quota = cgroup_quota();
  if (quota > 0) cores = std::min(cores, static_cast<int>(std::ceil(quota)));
  return std::max(cores, 1);
}

ThreadPool::ThreadPool(int threads, bool pinned) {
  std::vector<int> processors;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (pinned && ::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) processors.push_back(i);
    }
  }
  for (int i = 1; i < threads; ++i) {
    // More threads than processors: the system shares them out better than we would.
    const int processor = static_cast<std::size_t>(threads) <= processors.size()
                              ? processors[static_cast<std::size_t>(i)]
                              : -1;
    workers_.emplace_back([this, i, processor] {
      if (processor >= 0) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        ::sched_setaffinity(0, sizeof one, &one);  // refused: runs unbound
      }
      work(i);
    });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    ++epoch_;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

struct BorrowedPool::Team {
  explicit Team(int threads) : process(::getpid()), processors(allowed()), pool(threads) {}

  static cpu_set_t allowed() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) CPU_ZERO(&set);
    return set;
  }
  bool suits(int threads) const {
    const cpu_set_t now = allowed();
    return process == ::getpid() && pool.size() == threads && CPU_EQUAL(&now, &processors);
  }
  // A fork does not copy threads: in the child there is nobody to join.
  static void discard(std::unique_ptr<Team> team) {
    if (team && team->process != ::getpid()) static_cast<void>(team.release());
  }

  pid_t process;
  cpu_set_t processors;
  ThreadPool pool;
};

// No lock, which a fork could leave locked for ever.
struct BorrowedPool::Shelf {
  std::atomic<Team*> idle{nullptr};
  std::unique_ptr<Team> exchange(Team* team) { return std::unique_ptr<Team>(idle.exchange(team)); }
  ~Shelf() { Team::discard(exchange(nullptr)); }
};

BorrowedPool::Shelf BorrowedPool::shelf_;

BorrowedPool::BorrowedPool(int threads) : team_(shelf_.exchange(nullptr)) {
  if (team_ && team_->suits(threads)) return;
  Team::discard(std::move(team_));
  team_ = std::make_unique<Team>(threads);
}

BorrowedPool::~BorrowedPool() { Team::discard(shelf_.exchange(team_.release())); }

ThreadPool& BorrowedPool::pool() const { return team_->pool; }

// By dissemination: in round r each thread tells the one 2^r behind it and waits for the one 2^r
// before it (Hensgen, Finkel, Manber 1988). No line has more than one writer and one reader.
Barrier::Barrier(int threads) : threads_(threads) {
  while ((1 << rounds_) < threads) ++rounds_;
  flags_ = std::vector<Flag>(static_cast<std::size_t>(threads * rounds_));
  turn_.resize(static_cast<std::size_t>(threads) * kTurnsApart);
}

void Barrier::wait(int thread) {
  const std::uint32_t turn = ++turn_[static_cast<std::size_t>(thread) * kTurnsApart];
  for (int round = 0; round < rounds_; ++round) {
    const int to = (thread + (1 << round)) % threads_;
    flags_[static_cast<std::size_t>(to * rounds_ + round)].turn.store(turn,
                                                                      std::memory_order_release);
    const auto& mine = flags_[static_cast<std::size_t>(thread * rounds_ + round)].turn;
    // The other one may be a call ahead already.
    for (int spin = 0; static_cast<std::int32_t>(mine.load(std::memory_order_acquire) - turn) < 0;
         ++spin) {
      if (spin < kBarrierSpins) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }
}

void ThreadPool::parallel_for(std::int64_t count,
                              const std::function<void(std::int64_t, int)>& body) {
  if (count <= 0) return;
  if (workers_.empty() || count == 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  const std::lock_guard caller(caller_mutex_);
  body_ = &body;
  count_ = count;
  next_ = 0;
  error_ = nullptr;
  running_ = static_cast<int>(workers_.size());
  {
    const std::lock_guard lock(mutex_);
    ++epoch_;
  }
  wake_.notify_all();
  drain(0);
  for (int spin = 0; running_.load(std::memory_order_acquire) != 0; ++spin) {
    if (spin < kSpins) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
  if (error_) std::rethrow_exception(error_);
}

void ThreadPool::drain(int thread) {
  try {
    if (count_ <= size()) {
      if (thread < count_) (*body_)(thread, thread);
      return;
    }
    for (;;) {
      const std::int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= count_) return;
      (*body_)(index, thread);
    }
  } catch (...) {
    next_ = count_;
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void ThreadPool::work(int thread) {
  std::uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && epoch_.load(std::memory_order_acquire) == seen; ++spin) {
      pause();
    }
    if (epoch_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return epoch_.load(std::memory_order_acquire) != seen; });
    }
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_) return;
    drain(thread);
    running_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

}  // namespace pronghorn::base
