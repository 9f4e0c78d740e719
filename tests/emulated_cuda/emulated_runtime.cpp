// SPDX-License-Identifier: Apache-2.0
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "tests/emulated_cuda/emulated_cuda.h"

namespace pronghorn::emulated {
namespace {

constexpr int kGpus = 2;
thread_local int current_gpu = 0;
std::atomic<int> failure{cudaSuccess};  // as a GPU's: it stays

// In order, one thread; tickets count what was enqueued.
class Queue {
 public:
  Queue() : thread_([this] { serve(); }) {}
  ~Queue() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void push(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    ++pushed_;
    changed_.notify_all();
  }
  std::int64_t ticket() {
    const std::lock_guard lock(mutex_);
    return pushed_;
  }
  void wait(std::int64_t ticket) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_ >= ticket; });
  }

 private:
  void serve() {
    for (;;) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop_ || !work_.empty(); });
        if (work_.empty()) return;
        work = std::move(work_.front());
        work_.pop_front();
      }
      if (failure == cudaSuccess) work();
      const std::lock_guard lock(mutex_);
      ++done_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  std::int64_t pushed_ = 0, done_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

struct Streams {
  std::mutex mutex;
  std::set<std::shared_ptr<Queue>> all;
};
Streams& streams() {
  static Streams one;
  return one;
}

void wait_for_device() {
  std::set<std::shared_ptr<Queue>> all;
  {
    const std::lock_guard lock(streams().mutex);
    all = streams().all;
  }
  for (const auto& queue : all) queue->wait(queue->ticket());
}

cudaError_t allocate(void** memory, std::size_t size) {
  *memory = std::malloc(size);
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*memory, 0xcd, size);
  ++counts().allocated;
  return cudaSuccess;
}

}  // namespace
}  // namespace pronghorn::emulated

// The runtime's own opaque types.
struct CUstream_st {
  std::shared_ptr<pronghorn::emulated::Queue> queue;
};
struct CUevent_st {
  std::shared_ptr<pronghorn::emulated::Queue> queue;
  std::int64_t ticket = 0;
};

namespace pronghorn::emulated {

Settings& settings() {
  static Settings one;
  return one;
}
Counts& counts() {
  static Counts one;
  return one;
}

void recover() {
  settings().fails_after = -1;
  failure = cudaSuccess;
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;  // nobody waits for this one
  int left = settings().fails_after;
  while (left >= 0) {
    if (left == 0) {
      failure = cudaErrorLaunchFailure;
      break;
    }
    if (settings().fails_after.compare_exchange_weak(left, left - 1)) break;
  }
  if (failure != cudaSuccess) return static_cast<cudaError_t>(failure.load());
  stream->queue->push(std::move(work));
  return cudaSuccess;
}

}  // namespace pronghorn::emulated

using pronghorn::emulated::Queue;

extern "C" {

cudaError_t cudaGetDevice(int* gpu) {
  *gpu = pronghorn::emulated::current_gpu;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int gpu) {
  if (gpu < 0 || gpu >= pronghorn::emulated::kGpus) return cudaErrorInvalidDevice;
  pronghorn::emulated::current_gpu = gpu;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (attribute != cudaDevAttrMaxSharedMemoryPerBlockOptin) return cudaErrorInvalidValue;
  *value = 227 << 10;
  return cudaSuccess;
}
cudaError_t cudaDeviceSetLimit(cudaLimit, std::size_t) { return cudaSuccess; }
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "an emulated error"; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  auto queue = std::make_shared<Queue>();
  const std::lock_guard lock(pronghorn::emulated::streams().mutex);
  pronghorn::emulated::streams().all.insert(queue);
  *stream = new CUstream_st{std::move(queue)};
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  {
    const std::lock_guard lock(pronghorn::emulated::streams().mutex);
    pronghorn::emulated::streams().all.erase(stream->queue);
  }
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  stream->queue->wait(stream->queue->ticket());
  return static_cast<cudaError_t>(pronghorn::emulated::failure.load());
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->queue = stream->queue;
  event->ticket = stream->queue->ticket();
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (event->queue == nullptr) return cudaSuccess;
  return pronghorn::emulated::enqueue(
      stream, [queue = event->queue, ticket = event->ticket] { queue->wait(ticket); });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->queue != nullptr) event->queue->wait(event->ticket);
  return static_cast<cudaError_t>(pronghorn::emulated::failure.load());
}

cudaError_t cudaMalloc(void** memory, std::size_t size) {
  return pronghorn::emulated::allocate(memory, size);
}
cudaError_t cudaHostAlloc(void** memory, std::size_t size, unsigned) {
  return pronghorn::emulated::allocate(memory, size);
}
cudaError_t cudaFree(void* memory) {
  pronghorn::emulated::wait_for_device();
  return cudaFreeHost(memory);
}
cudaError_t cudaFreeHost(void* memory) {  // stricter than a GPU's: waits for nothing
  if (memory != nullptr) --pronghorn::emulated::counts().allocated;
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = *total = std::size_t{1} << 30;
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t size, cudaStream_t stream) {
  return pronghorn::emulated::enqueue(stream, [=] { std::memset(memory, value, size); });
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind,
                            cudaStream_t stream) {
  return pronghorn::emulated::enqueue(stream, [=] { std::memcpy(to, from, size); });
}

// Of what else lies in the same files as the input path's, nothing is called.
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes*, const void*) {
  return cudaErrorNotSupported;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void**, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult*) {
  return cudaErrorNotSupported;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long) {
  return cudaErrorNotSupported;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaErrorNotSupported; }
cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaErrorNotSupported; }

}  // extern "C"
