// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/driver.h"

#include <cuda.h>

#include <utility>

#include "base/error.h"

namespace pronghorn::device::cuda {

void check(int status, const char* what) {
  if (status == cudaSuccess) return;
  const auto error = static_cast<cudaError_t>(status);
  cudaGetLastError();  // so that the next call does not report it again
  if (error == cudaErrorMemoryAllocation) {
    base::fail(base::Status::kOutOfMemory, "GPU: not enough memory for {}", what);
  }
  base::fail(base::Status::kInternal, "GPU: {}: {}", what, cudaGetErrorString(error));
}

Current::Current(int gpu) {
  check(cudaGetDevice(&before_), "current GPU");
  check(cudaSetDevice(gpu), "use of the GPU");
}
Current::~Current() { cudaSetDevice(before_); }

void spare_stacks(int gpu) {
  constexpr std::size_t kStack = 256;  // bytes a thread; 1024 unless told otherwise
  using State = CUresult (*)(CUdevice, unsigned*, int*);
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  if (cudaGetDriverEntryPointByVersion("cuDevicePrimaryCtxGetState", &found, 12000,
                                       cudaEnableDefault, &result) != cudaSuccess ||
      result != cudaDriverEntryPointSuccess) {
    cudaGetLastError();
    return;
  }
  unsigned flags = 0;
  int active = 1;
  const auto state = reinterpret_cast<State>(found);
  if (state(gpu, &flags, &active) != CUDA_SUCCESS || active != 0) return;
  const Current current(gpu);
  check(cudaDeviceSetLimit(cudaLimitStackSize, kStack), "a limit of the GPU");
}

Memory::Memory(std::size_t size, Where where) : size_(size), where_(where) {
  if (size == 0) return;
  void* memory = nullptr;
  if (where == Where::kPinned) {
    check(cudaHostAlloc(&memory, size, cudaHostAllocPortable), "pinned host memory");
  } else {
    const int status = cudaMalloc(&memory, size);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      std::size_t free = 0;
      std::size_t total = 0;
      cudaMemGetInfo(&free, &total);
      base::fail(base::Status::kOutOfMemory,
                 "GPU: {} MiB of memory are needed at once and {} MiB of {} MiB are free; a "
                 "smaller batch needs less, more GPUs or the device \"cpu\" take more",
                 (size >> 20) + 1, free >> 20, total >> 20);
    }
    check(status, "device memory");
  }
  data_ = static_cast<std::byte*>(memory);
  if (where != Where::kDevice) return;
  // Streams that do not wait for the default one would run ahead of what was enqueued there.
  const StreamHandle stream;
  int status = cudaMemsetAsync(memory, 0, size, stream.get());
  if (status == cudaSuccess) status = cudaStreamSynchronize(stream.get());
  if (status != cudaSuccess) *this = Memory();
  check(status, "clearing of memory");
}

Memory::~Memory() {
  if (data_ == nullptr) return;
  if (where_ == Where::kPinned) {
    cudaFreeHost(data_);
  } else {
    cudaFree(data_);
  }
}

Memory::Memory(Memory&& other) noexcept { *this = std::move(other); }
Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(where_, other.where_);
  return *this;
}

StreamHandle::StreamHandle() {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
}
StreamHandle::~StreamHandle() { cudaStreamDestroy(stream_); }

EventHandle::EventHandle() {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "an event");
}
EventHandle::~EventHandle() { cudaEventDestroy(event_); }

SleepingEvent::SleepingEvent() {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming | cudaEventBlockingSync),
        "an event");
}
SleepingEvent::~SleepingEvent() { cudaEventDestroy(event_); }
void SleepingEvent::record(cudaStream_t stream) {
  check(cudaEventRecord(event_, stream), "an event");
}
void SleepingEvent::wait(const char* what) const { check(cudaEventSynchronize(event_), what); }

void SleepingEvent::finish() const noexcept {
  if (cudaEventSynchronize(event_) != cudaSuccess) cudaGetLastError();
}

void SleepingEvent::hold(cudaStream_t stream) const {
  check(cudaStreamWaitEvent(stream, event_, 0), "an event");
}

void upload(const Memory& memory, const void* from, std::size_t size) {
  const StreamHandle stream;
  check(cudaMemcpyAsync(memory.data(), from, size, cudaMemcpyDefault, stream.get()), "an upload");
  check(cudaStreamSynchronize(stream.get()), "an upload");
}

GraphHandle::GraphHandle(cudaGraph_t captured) {
  const int status = cudaGraphInstantiate(&graph_, captured, 0);
  cudaGraphDestroy(captured);
  check(status, "a graph of launches");
}
GraphHandle::~GraphHandle() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
}
GraphHandle::GraphHandle(GraphHandle&& other) noexcept { *this = std::move(other); }
GraphHandle& GraphHandle::operator=(GraphHandle&& other) noexcept {
  std::swap(graph_, other.graph_);
  return *this;
}

bool reachable(const void* pointer) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, pointer) != cudaSuccess) {
    cudaGetLastError();
    return false;
  }
  return attributes.type != cudaMemoryTypeUnregistered;
}

}  // namespace pronghorn::device::cuda
