// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/driver.h"

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
                 "smaller batch needs less",
                 (size >> 20) + 1, free >> 20, total >> 20);
    }
    check(status, "device memory");
  }
  data_ = static_cast<std::byte*>(memory);
  if (where == Where::kDevice) {
    const int status = cudaMemset(memory, 0, size);
    if (status != cudaSuccess) cudaFree(memory);
    check(status, "clearing of memory");
  }
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
