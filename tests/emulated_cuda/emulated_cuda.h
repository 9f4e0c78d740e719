// SPDX-License-Identifier: Apache-2.0
// A GPU with JPEG engines that is threads of the processor: enough of the CUDA runtime, of nvJPEG
// and of the resize kernel for src/device/cuda's input path to run as it is. A stream is a thread,
// so work is done later than it was enqueued, and what was changed or freed too early is seen: in
// the pixels, and by sanitizers.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdint>
#include <functional>

namespace pronghorn::emulated {

struct Settings {
  std::atomic<bool> engine{true};
  std::atomic<int> refuse_every{0};    // of the images given to the engine, by their size; 0: none
  std::atomic<bool> no_memory{false};  // for the engine
  std::atomic<int> fails_after{-1};    // so many more launches, copies and decodings; -1: never
};
Settings& settings();
void recover();  // from what `fails_after` brought about

// Work for the stream's thread.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

// Since the program's start.
struct Counts {
  std::atomic<std::int64_t> decoded{0};    // by the engine
  std::atomic<std::int64_t> batches{0};    // that the engine took
  std::atomic<std::int64_t> misused{0};    // calls that nvJPEG does not allow
  std::atomic<std::int64_t> allocated{0};  // pieces of memory that were not given back
};
Counts& counts();

}  // namespace pronghorn::emulated
