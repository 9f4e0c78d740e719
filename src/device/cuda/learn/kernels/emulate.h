// SPDX-License-Identifier: Apache-2.0
// Runs the kernels of this folder on the host, for tests on machines without a GPU: the same
// source, compiled as C++. Each thread of a block is a fibre that gives way where it waits for
// others; blocks run one after another. Covers what these kernels use of CUDA and no more. One
// launch at a time.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace pronghorn::device::cuda::emulate {

struct Index {
  unsigned x = 0, y = 0;
};

class Launch {
 public:
  Launch(Index grid, Index block, std::size_t shared_bytes, std::function<void()> body)
      : grid(grid), block(block), shared(shared_bytes + 16), body_(std::move(body)) {
    threads_ = static_cast<int>(block.x * block.y);
    if (threads_ % 32 != 0) throw std::logic_error("blocks of whole warps only");
  }

  void run() {
    current() = this;
    for (block_index.y = 0; block_index.y < grid.y; ++block_index.y) {
      for (block_index.x = 0; block_index.x < grid.x; ++block_index.x) run_block();
    }
    current() = nullptr;
  }
  static Launch*& current() {
    static Launch* launch = nullptr;
    return launch;
  }

  unsigned char* shared_memory() {
    const auto at = reinterpret_cast<std::uintptr_t>(shared.data());
    return shared.data() + (16 - at % 16) % 16;
  }
  void sync_block() { meet(block_meeting_, threads_); }
  void sync_warp() { meet(warp_meetings_[static_cast<std::size_t>(thread_ / 32)], 32); }
  // Every lane gives a value and sees those of all.
  template <class T, class See>
  auto exchange(T value, See&& see) {
    static_assert(sizeof(T) <= 16);
    auto* slots = slots_.data() + thread_ / 32 * 32;
    std::memcpy(&slots[thread_ % 32], &value, sizeof value);
    sync_warp();
    const auto result = see([&](int lane) {
      T other;
      std::memcpy(&other, &slots[lane], sizeof other);
      return other;
    });
    sync_warp();
    return result;
  }
  int lane() const { return thread_ % 32; }
  Index thread_index() const {
    const auto t = static_cast<unsigned>(thread_);
    return {t % block.x, t / block.x};
  }

  const Index grid, block;
  Index block_index;
  std::vector<unsigned char> shared;
  int any = 0;  // of __syncthreads_or

 private:
  struct Meeting {
    int here = 0;
    std::int64_t held = 0;
  };
  struct Slot {
    alignas(16) unsigned char bytes[16];
  };
  struct Fibre {
    ucontext_t context{};
    std::unique_ptr<unsigned char[]> stack;
    bool done = false;
  };
  static constexpr std::size_t kStack = 128 << 10;

  void meet(Meeting& meeting, int expected) {
    const std::int64_t number = meeting.held;
    if (++meeting.here == expected) {
      meeting.here = 0;
      ++meeting.held;
    }
    while (meeting.held == number) give_way();
  }
  void give_way() {
    const int own = thread_;
    swapcontext(&fibres_[static_cast<std::size_t>(own)].context, &scheduler_);
    thread_ = own;
  }
  static void enter() {
    Launch& launch = *current();
    const int own = launch.thread_;
    launch.body_();
    launch.fibres_[static_cast<std::size_t>(own)].done = true;
    setcontext(&launch.scheduler_);
  }

  void run_block() {
    std::fill(shared.begin(), shared.end(), 0xA5);
    block_meeting_ = {};
    warp_meetings_.assign(static_cast<std::size_t>(threads_ / 32), {});
    slots_.resize(static_cast<std::size_t>(threads_));
    fibres_.resize(static_cast<std::size_t>(threads_));
    for (Fibre& fibre : fibres_) {
      if (!fibre.stack) fibre.stack = std::make_unique<unsigned char[]>(kStack);
      fibre.done = false;
      getcontext(&fibre.context);
      fibre.context.uc_stack.ss_sp = fibre.stack.get();
      fibre.context.uc_stack.ss_size = kStack;
      fibre.context.uc_link = nullptr;
      makecontext(&fibre.context, &Launch::enter, 0);
    }
    for (int open = threads_; open > 0;) {
      open = 0;
      for (int t = 0; t < threads_; ++t) {
        Fibre& fibre = fibres_[static_cast<std::size_t>(t)];
        if (fibre.done) continue;
        thread_ = t;
        swapcontext(&scheduler_, &fibre.context);
        open += fibre.done ? 0 : 1;
      }
    }
  }

  std::function<void()> body_;
  int threads_ = 0, thread_ = 0;
  ucontext_t scheduler_{};
  std::vector<Fibre> fibres_;
  std::vector<Slot> slots_;
  Meeting block_meeting_;
  std::vector<Meeting> warp_meetings_;
};

inline Launch& launch() { return *Launch::current(); }

template <class Body>
void run(Index grid, Index block, std::size_t shared_bytes, Body body) {
  Launch(grid, block, shared_bytes, body).run();
}

}  // namespace pronghorn::device::cuda::emulate

#define threadIdx (::pronghorn::device::cuda::emulate::launch().thread_index())
#define blockIdx (::pronghorn::device::cuda::emulate::launch().block_index)
#define blockDim (::pronghorn::device::cuda::emulate::launch().block)
#define gridDim (::pronghorn::device::cuda::emulate::launch().grid)

namespace pronghorn::device::cuda {

inline void __syncthreads() { emulate::launch().sync_block(); }
inline int __syncthreads_or(int value) {
  auto& launch = emulate::launch();
  __syncthreads();
  launch.any = 0;
  __syncthreads();
  launch.any |= value;
  __syncthreads();
  return launch.any;
}
inline void __syncwarp() { emulate::launch().sync_warp(); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulate::launch().exchange(value,
                                    [&](auto&& of) { return of(emulate::launch().lane() ^ mask); });
}
template <class T>
T __shfl_sync(unsigned, T value, int from) {
  return emulate::launch().exchange(value, [&](auto&& of) { return of(from); });
}
template <class T>
T __shfl_up_sync(unsigned, T value, int by) {
  const int lane = emulate::launch().lane();
  return emulate::launch().exchange(value,
                                    [&](auto&& of) { return of(lane < by ? lane : lane - by); });
}
inline unsigned __match_any_sync(unsigned, int value) {
  return emulate::launch().exchange(value, [&](auto&& of) {
    unsigned mask = 0;
    for (int lane = 0; lane < 32; ++lane) mask |= of(lane) == value ? 1u << lane : 0;
    return mask;
  });
}
inline unsigned __ballot_sync(unsigned, bool value) {
  return emulate::launch().exchange(value, [&](auto&& of) {
    unsigned mask = 0;
    for (int lane = 0; lane < 32; ++lane) mask |= of(lane) ? 1u << lane : 0;
    return mask;
  });
}
inline int __any_sync(unsigned, bool value) { return __ballot_sync(~0u, value) != 0 ? 1 : 0; }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
// The matrix unit's product of a 16 x 8 by an 8 x 8 fragment, whose operands lose their last 13
// bits.
inline void multiply_add_tf32(float (&sum)[4], const float (&a)[4], const float (&b)[2]) {
  struct A {
    float at[4];
  };
  struct B {
    float at[2];
  };
  const auto cut = [](float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, 4);
    bits &= 0xFFFFE000u;
    std::memcpy(&value, &bits, 4);
    return value;
  };
  std::vector<A> all_a;
  std::vector<B> all_b;
  auto& launch = emulate::launch();
  launch.exchange(A{{a[0], a[1], a[2], a[3]}}, [&](auto&& of) {
    for (int lane = 0; lane < 32; ++lane) all_a.push_back(of(lane));
    return 0;
  });
  launch.exchange(B{{b[0], b[1]}}, [&](auto&& of) {
    for (int lane = 0; lane < 32; ++lane) all_b.push_back(of(lane));
    return 0;
  });
  for (int i = 0; i < 4; ++i) {
    const int row = launch.lane() / 4 + i / 2 * 8;
    const int col = launch.lane() % 4 * 2 + i % 2;
    for (int k = 0; k < 8; ++k) {
      const float left =
          all_a[static_cast<std::size_t>(row % 8 * 4 + k % 4)].at[row / 8 + k / 4 * 2];
      const float right = all_b[static_cast<std::size_t>(col * 4 + k % 4)].at[k / 4];
      sum[i] += cut(left) * cut(right);
    }
  }
}
// Copies are done when they are asked for.
template <int kBytes>
void copy_async(void* to, const void* from, bool there) {
  if (there) {
    std::memcpy(to, from, kBytes);
  } else {
    std::memset(to, 0, kBytes);
  }
}
inline void commit_copies() {}
template <int kPending>
void wait_for_copies() {}

// Fibres are one thread of the host's.
template <class T, class V>
T atomicAdd(T* at, V value) {
  const T was = *at;
  *at = static_cast<T>(was + static_cast<T>(value));
  return was;
}
template <class T, class V>
T atomicMin(T* at, V value) {
  const T was = *at;
  *at = std::min(was, static_cast<T>(value));
  return was;
}

}  // namespace pronghorn::device::cuda
