// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace pronghorn::base {
namespace {

TEST(ThreadPool, EachIndexOnceOnAKnownThread) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const std::int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
      std::atomic<bool> bad_thread{false};
      pool.parallel_for(count, [&](std::int64_t i, int thread) {
        ++seen[static_cast<std::size_t>(i)];
        if (thread < 0 || thread >= threads) bad_thread = true;
      });
      for (const auto& s : seen) EXPECT_EQ(s, 1);
      EXPECT_FALSE(bad_thread);
    }
  }
}

std::thread::id id_of_worker(const BorrowedPool& borrowed) {
  std::thread::id id;
  borrowed.pool().parallel_for(2, [&](std::int64_t, int thread) {
    if (thread == 1) id = std::this_thread::get_id();
  });
  return id;
}

TEST(BorrowedPool, IsTheLastOneOfThatSize) {
  std::thread::id first;
  {
    const BorrowedPool one(2);
    first = id_of_worker(one);
    EXPECT_NE(first, std::this_thread::get_id());
    const BorrowedPool other(2);  // the first one is not idle
    EXPECT_NE(id_of_worker(other), first);
  }
  // `one` was left last.
  EXPECT_EQ(id_of_worker(BorrowedPool(2)), first);
  EXPECT_EQ(BorrowedPool(3).pool().size(), 3);
}

TEST(BorrowedPool, AForkedProcessStartsItsOwn) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer does not follow threads of forked processes";
#endif
  {
    const BorrowedPool left(2);
  }
  EXPECT_EXIT(
      {
        std::atomic<int> sum{0};
        BorrowedPool(2).pool().parallel_for(3, [&](std::int64_t i, int) { sum += 1 + int(i); });
        std::exit(sum == 6 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(ThreadPool, LoopsFollowEachOther) {
  ThreadPool pool(3);
  std::int64_t total = 0;
  for (int loop = 0; loop < 3000; ++loop) {
    std::atomic<std::int64_t> sum{0};
    pool.parallel_for(4, [&](std::int64_t i, int) { sum += i; });
    total += sum;
  }
  EXPECT_EQ(total, 3000 * 6);
}

TEST(ThreadPool, ThreadsWorkAtTheSameTime) {
  ThreadPool pool(2);
  std::atomic<int> inside{0};
  std::atomic<bool> together{false};
  pool.parallel_for(2, [&](std::int64_t, int) {
    ++inside;
    for (int spin = 0; spin < 100000 && inside < 2; ++spin) std::this_thread::yield();
    if (inside == 2) together = true;
  });
  EXPECT_TRUE(together);
}

TEST(ThreadPool, TheFirstExceptionComesBackAndThePoolGoesOn) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::atomic<int> started{0};
    const auto body = [&](std::int64_t i, int) {
      ++started;
      if (i == 5) throw std::runtime_error("five");
    };
    try {
      pool.parallel_for(1000000, body);
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string(error.what()), "five");
    }
    EXPECT_LT(started, 1000000);
    std::atomic<int> done{0};
    pool.parallel_for(10, [&](std::int64_t, int) { ++done; });
    EXPECT_EQ(done, 10);
  }
}

TEST(ThreadPool, CallersTakeTurns) {
  ThreadPool pool(2);
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int loop = 0; loop < 200; ++loop) {
        pool.parallel_for(10, [&](std::int64_t i, int) { sum += i; });
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 200 * 45);
}

TEST(AvailableCores, IsPositive) { EXPECT_GE(available_cores(), 1); }

TEST(ThreadPool, FewIndicesKeepTheirThread) {
  for (const bool pinned : {false, true}) {
    ThreadPool pool(3, pinned);
    for (const std::int64_t count : {2, 3}) {
      std::vector<std::int64_t> thread_of(3, -1);
      pool.parallel_for(count, [&](std::int64_t index, int thread) {
        thread_of[static_cast<std::size_t>(index)] = thread;
      });
      for (std::int64_t i = 0; i < count; ++i) EXPECT_EQ(thread_of[static_cast<std::size_t>(i)], i);
    }
  }
}

TEST(Barrier, EveryThreadSeesWhatTheOthersWroteBefore) {
  constexpr int kRounds = 200;
  for (const int threads : {1, 2, 3, 5, 8}) {
    ThreadPool pool(threads);
    Barrier barrier(threads);
    std::vector<int> written(static_cast<std::size_t>(threads), 0);
    std::atomic<int> behind{0};
    for (int loop = 0; loop < 2; ++loop) {
      pool.parallel_for(threads, [&](std::int64_t, int thread) {
        for (int round = 0; round < kRounds; ++round) {
          const int value = loop * kRounds + round + 1;
          written[static_cast<std::size_t>(thread)] = value;
          barrier.wait(thread);
          for (const int other : written) behind += other == value ? 0 : 1;
          barrier.wait(thread);
        }
      });
    }
    EXPECT_EQ(behind, 0) << threads << " threads";
  }
}

}  // namespace
}  // namespace pronghorn::base
