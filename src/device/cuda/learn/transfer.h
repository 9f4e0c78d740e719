// SPDX-License-Identifier: Apache-2.0
// Data of machine learning on their way to the GPUs and back. Memory that a GPU reaches itself is
// copied from where it is. Other memory passes through pinned pieces, filled by several threads at
// once while earlier pieces are under way: one thread alone copies slower than the bus.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "device/cuda/driver.h"
#include "device/matrix.h"

namespace pronghorn::device::cuda {

// Device memory as it comes, that grows. Belongs to the GPU that was current.
class GpuArray {
 public:
  GpuArray() = default;
  explicit GpuArray(std::int64_t bytes)
      : memory_(static_cast<std::size_t>(bytes), Where::kUncleared) {}

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(memory_.data());
  }
  std::int64_t size() const { return static_cast<std::int64_t>(memory_.size()); }
  // Makes room for `bytes`; what was held is lost when it had to grow.
  void reserve(std::int64_t bytes);

 private:
  Memory memory_;
};

// One GPU of a learner, with the stream that all its work is in.
struct Gpu {
  explicit Gpu(int number);
  const int id;
  const int multiprocessors;
  const int capability;    // 90: compute capability 9.0
  const int shared_bytes;  // that a block may have
  StreamHandle stream;
};

// The GPUs of a learner and the threads that copy for them.
struct GpuTeam {
  GpuTeam(const std::vector<int>& ids, int threads);
  std::vector<std::unique_ptr<Gpu>> gpus;
  base::ThreadPool pool;
};

// The rows begin .. begin + rows - 1 of a caller's arrays are one GPU's.
struct Share {
  std::int64_t begin = 0, rows = 0;
};
// Equal shares of `rows`, one for each GPU; the last ones may be empty.
std::vector<Share> shares_of(std::int64_t rows, std::size_t gpus);

// A matrix on the GPUs, rows one after another. Columns are padded with zeros to 16 bytes.
struct Resident {
  struct Part {
    const void* data = nullptr;  // of the share's first row
    std::int64_t ld = 0;
    GpuArray own;
  };
  Matrix matrix;
  std::int32_t cols = 0;  // with padding
  std::vector<Share> shares;
  std::vector<Part> parts;
};
// Throws Error(kUnsupported) for CSR, (kOutOfMemory) where a share does not fit. Returns when x is
// no longer read.
std::shared_ptr<const Resident> make_resident(GpuTeam& team, const Matrix& x);

// The shares of an array of `size` bytes a row, to arrays that grow where they are too small.
void upload_rows(GpuTeam& team, const std::vector<Share>& shares, const void* from,
                 std::int64_t size, std::vector<GpuArray>& to);
// Bytes of one GPU's memory to the caller's.
void download(GpuTeam& team, std::size_t gpu, const void* from, std::int64_t bytes, void* to);

}  // namespace pronghorn::device::cuda
