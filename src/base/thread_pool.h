// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace pronghorn::base {

// The number of processors this process may use: affinity mask and cgroup quota respected; >= 1.
int available_cores();

// A team of threads for short, frequent parallel loops: workers spin for a moment before they
// sleep, so that the layers of one network follow each other without a system call.
// The calling thread works too; a team of one runs everything inline.
class ThreadPool {
 public:
  // `threads` >= 1 includes the caller. With `pinned`, the others each keep to one processor of
  // those that this process may use; the caller's thread is not ours to bind.
  explicit ThreadPool(int threads, bool pinned = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(index, thread) once for each index in [0, count), 0 <= thread < size(). Up to size()
  // indices each have the thread of the same number, so that what one loop left in its cache serves
  // the next; more are handed out one at a time in increasing order. Returns when all are done. The
  // first exception is rethrown here after the others finished; indices not yet started are then
  // dropped. Calls from different threads take turns. Not to be called from inside a body.
  void parallel_for(std::int64_t count, const std::function<void(std::int64_t, int)>& body);

 private:
  void work(int thread);
  void drain(int thread);

  std::vector<std::thread> workers_;
  std::mutex caller_mutex_;

  const std::function<void(std::int64_t, int)>* body_ = nullptr;
  std::int64_t count_ = 0;
  std::atomic<std::int64_t> next_{0};
  std::atomic<std::uint64_t> epoch_{0};
  std::atomic<int> running_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

// A team for the time of one call of a library that is called again and again: takes the idle team
// that the last one left, where it is one of this process, of as many threads on the same
// processors, else starts one; and leaves it idle. One idle team is kept, until the process or the
// library ends. Any number may be borrowed at once, from any threads; a fork costs the child
// nothing but the team.
class BorrowedPool {
 public:
  explicit BorrowedPool(int threads);  // >= 1, the caller included
  ~BorrowedPool();
  BorrowedPool(const BorrowedPool&) = delete;
  BorrowedPool& operator=(const BorrowedPool&) = delete;

  ThreadPool& pool() const;

 private:
  struct Team;
  struct Shelf;
  static Shelf shelf_;
  std::unique_ptr<Team> team_;
};

// Where the threads of one loop wait for each other between its parts: for parts of microseconds,
// so it spins, and gives the processor away only after a while.
class Barrier {
 public:
  explicit Barrier(int threads);

  // 0 <= thread < threads. Returns when all threads have called it as often as this one; what they
  // wrote before is then visible.
  void wait(int thread);

 private:
  // Each has a line, and the one its processor fetches along, to itself.
  struct alignas(128) Flag {
    std::atomic<std::uint32_t> turn{0};
  };

  int threads_;
  int rounds_ = 0;
  std::vector<Flag> flags_;          // [thread][round]
  std::vector<std::uint32_t> turn_;  // of each thread, 32 entries apart
};

}  // namespace pronghorn::base
