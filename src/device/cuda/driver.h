// SPDX-License-Identifier: Apache-2.0
// Owned things of the CUDA runtime. Everything belongs to the GPU that was current when it was made
// (Current makes one current for a scope) and may be freed on any thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

namespace pronghorn::device::cuda {

// Throws Error (kOutOfMemory or kInternal) naming `what` when `status`, a cudaError_t, is not 0.
void check(int status, const char* what);

class Current {
 public:
  explicit Current(int gpu);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int before_ = 0;
};

// Where this process has not used the GPU yet: keeps the driver from setting memory aside for deep
// call stacks of every thread that could be resident (198 of 526 MiB on an H200). Kernels whose
// frames the compiler knows get what they need in any case.
void spare_stacks(int gpu);

// Device memory that is zero when it is made, for every stream, or as it comes; host memory that
// GPUs reach.
enum class Where { kDevice, kUncleared, kPinned };

class Memory {
 public:
  Memory() = default;
  Memory(std::size_t size, Where where);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  Where where_ = Where::kDevice;
};

class StreamHandle {
 public:
  StreamHandle();
  ~StreamHandle();
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class EventHandle {
 public:
  EventHandle();
  ~EventHandle();
  EventHandle(const EventHandle&) = delete;
  EventHandle& operator=(const EventHandle&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// An event whose waiting thread sleeps: the processor has other work.
class SleepingEvent {
 public:
  SleepingEvent();
  ~SleepingEvent();
  SleepingEvent(const SleepingEvent&) = delete;
  SleepingEvent& operator=(const SleepingEvent&) = delete;
  void record(cudaStream_t stream);
  void wait(const char* what) const;  // for what stood before the last record(); not at all before
  void finish() const noexcept;       // wait() for who cannot do anything about an error
  void hold(cudaStream_t stream) const;  // what comes on the stream waits, not the caller

 private:
  cudaEvent_t event_ = nullptr;
};

// Copies to memory of the GPU; what is there when this returns is there for every stream.
void upload(const Memory& memory, const void* from, std::size_t size);

// What was captured, ready to be launched again and again.
class GraphHandle {
 public:
  GraphHandle() = default;
  explicit GraphHandle(cudaGraph_t captured);  // takes `captured`
  ~GraphHandle();
  GraphHandle(GraphHandle&& other) noexcept;
  GraphHandle& operator=(GraphHandle&& other) noexcept;
  cudaGraphExec_t get() const { return graph_; }

 private:
  cudaGraphExec_t graph_ = nullptr;
};

// True when the GPUs can read `pointer` themselves: their own memory, or pinned host memory.
bool reachable(const void* pointer);

}  // namespace pronghorn::device::cuda
