// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/learn/transfer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "device/cuda/learn/kernels/learn_kernels.h"

namespace pronghorn::device::cuda {
namespace {

constexpr std::int64_t kPiece = 4 << 20;
constexpr int kWorkers = 12;
constexpr int kSlots = 2;  // of each worker: one is filled while the other is under way
constexpr std::int64_t kDirect = 256 << 10;  // up to here the driver copies

int attribute(cudaDeviceAttr which, int gpu) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, gpu), "a property of the GPU");
  return value;
}

std::byte* bytes_of(const void* data) { return static_cast<std::byte*>(const_cast<void*>(data)); }

// The pinned pieces of the process: pinning takes longer than copying, so they are kept. One
// transfer at a time has them.
struct Staging {
  std::mutex mutex;
  Memory memory{static_cast<std::size_t>(kWorkers * kSlots * kPiece), Where::kPinned};
  std::byte* slot(int worker, int number) {
    return memory.data() + (worker * kSlots + number) * kPiece;
  }
};
Staging& staging() {
  static Staging one;
  return one;
}

// Calls work for every piece, on the team's threads, with a pinned slot that is free again; work
// records the event that says when it is free next.
class Pieces {
 public:
  using Work = std::function<void(int slot, std::byte* pinned, std::int64_t piece, cudaEvent_t)>;

  explicit Pieces(GpuTeam& team) : team_(team), lock_(mutex()) {}

  // gpu_of(piece): whose piece it is.
  void run(std::int64_t count, const std::function<std::size_t(std::int64_t)>& gpu_of,
           const Work& work) {
    const int workers = static_cast<int>(
        std::min<std::int64_t>({kWorkers, team_.pool.size(), std::max<std::int64_t>(count, 1)}));
    std::atomic<std::int64_t> next{0};
    Staging& pinned = staging();
    team_.pool.parallel_for(workers, [&](std::int64_t worker, int) {
      std::vector<std::array<std::unique_ptr<EventHandle>, kSlots>> events(team_.gpus.size());
      std::array<cudaEvent_t, kSlots> pending{};
      for (int slot = 0;; slot = (slot + 1) % kSlots) {
        const std::int64_t piece = next++;
        if (piece >= count) break;
        if (pending[static_cast<std::size_t>(slot)] != nullptr) {
          check(cudaEventSynchronize(pending[static_cast<std::size_t>(slot)]), "a copy");
        }
        const std::size_t gpu = gpu_of(piece);
        const Current current(team_.gpus[gpu]->id);
        auto& event = events[gpu][static_cast<std::size_t>(slot)];
        if (!event) event = std::make_unique<EventHandle>();
        const int number = static_cast<int>(worker) * kSlots + slot;
        work(number, pinned.slot(static_cast<int>(worker), slot), piece, event->get());
        pending[static_cast<std::size_t>(slot)] = event->get();
      }
      for (const cudaEvent_t event : pending) {
        if (event != nullptr) check(cudaEventSynchronize(event), "a copy");
      }
    });
  }

 private:
  static std::unique_lock<std::mutex> mutex() { return std::unique_lock(staging().mutex); }
  GpuTeam& team_;
  std::unique_lock<std::mutex> lock_;
};

// A piece of a share: some of its rows.
struct RowPieces {
  RowPieces(const std::vector<Share>& shares, std::int64_t each) : shares(shares), each(each) {
    std::int64_t most = 0;
    for (const Share& share : shares) {
      most = std::max(most, (share.rows + each - 1) / each);
    }
    count = most * static_cast<std::int64_t>(shares.size());
  }
  // GPUs take turns, so that all are fed at once.
  std::size_t gpu(std::int64_t piece) const {
    return static_cast<std::size_t>(piece) % shares.size();
  }
  // First row within the share, and how many (0 or less: none).
  std::pair<std::int64_t, std::int64_t> rows(std::int64_t piece) const {
    const std::int64_t first = piece / static_cast<std::int64_t>(shares.size()) * each;
    return {first, std::min(each, shares[gpu(piece)].rows - first)};
  }
  const std::vector<Share>& shares;
  std::int64_t each, count;
};

// Where memory lies: 0 the host, 1 pinned, 2 a GPU's (which, in gpu).
int place_of(const void* data, int* gpu) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, data) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  *gpu = attributes.device;
  return attributes.type == cudaMemoryTypeDevice ? 2
         : attributes.type == cudaMemoryTypeHost ? 1
                                                 : 0;
}

void wait_for_all(GpuTeam& team) {
  for (const auto& gpu : team.gpus) {
    const Current current(gpu->id);
    check(cudaStreamSynchronize(gpu->stream.get()), "copying of the data");
  }
}

// Rows of a matrix in pageable memory.
void send_rows(GpuTeam& team, Resident& resident) {
  const Matrix& x = resident.matrix;
  const std::int64_t size = x.element_size();
  const std::int64_t width = resident.cols * size;
  const RowPieces pieces(resident.shares, std::max<std::int64_t>(kPiece / width, 1));
  Pieces(team).run(
      pieces.count, [&](std::int64_t piece) { return pieces.gpu(piece); },
      [&](int, std::byte* pinned, std::int64_t piece, cudaEvent_t event) {
        const auto [first, rows] = pieces.rows(piece);
        if (rows <= 0) return;
        const std::size_t gpu = pieces.gpu(piece);
        const std::byte* from =
            bytes_of(x.data) + (resident.shares[gpu].begin + first) * x.row_stride * size;
        if (x.row_stride == resident.cols) {
          std::memcpy(pinned, from, static_cast<std::size_t>(rows * width));
        } else {
          for (std::int64_t r = 0; r < rows; ++r) {
            std::memcpy(pinned + r * width, from + r * x.row_stride * size,
                        static_cast<std::size_t>(x.cols * size));
            std::memset(pinned + r * width + x.cols * size, 0,
                        static_cast<std::size_t>(width - x.cols * size));
          }
        }
        const cudaStream_t stream = team.gpus[gpu]->stream.get();
        check(
            cudaMemcpyAsync(resident.parts[gpu].own.as<std::byte>() + first * width, pinned,
                            static_cast<std::size_t>(rows * width), cudaMemcpyHostToDevice, stream),
            "copying to the GPU");
        check(cudaEventRecord(event, stream), "an event");
      });
}

// Columns of a matrix in host memory; the GPU turns them into rows.
void send_columns(GpuTeam& team, Resident& resident) {
  const Matrix& x = resident.matrix;
  const std::int64_t size = x.element_size();
  const std::int64_t fit = kPiece / (x.cols * size);
  const std::int64_t each = fit >= 32 ? fit / 32 * 32 : fit;
  const RowPieces pieces(resident.shares, each);
  std::vector<GpuArray> raw;
  for (const auto& gpu : team.gpus) {
    const Current current(gpu->id);
    raw.emplace_back(kWorkers * kSlots * kPiece);
  }
  Pieces(team).run(
      pieces.count, [&](std::int64_t piece) { return pieces.gpu(piece); },
      [&](int slot, std::byte* pinned, std::int64_t piece, cudaEvent_t event) {
        const auto [first, rows] = pieces.rows(piece);
        if (rows <= 0) return;
        const std::size_t gpu = pieces.gpu(piece);
        for (std::int64_t c = 0; c < x.cols; ++c) {
          const std::int64_t at = c * x.col_stride + resident.shares[gpu].begin + first;
          std::memcpy(pinned + c * rows * size, bytes_of(x.data) + at * size,
                      static_cast<std::size_t>(rows * size));
        }
        const cudaStream_t stream = team.gpus[gpu]->stream.get();
        std::byte* to = raw[gpu].as<std::byte>() + slot * kPiece;
        check(cudaMemcpyAsync(to, pinned, static_cast<std::size_t>(rows * x.cols * size),
                              cudaMemcpyHostToDevice, stream),
              "copying to the GPU");
        check(launch_turn(x.dtype, to, rows, rows, static_cast<int>(x.cols),
                          resident.parts[gpu].own.as<std::byte>() + first * resident.cols * size,
                          resident.cols, stream),
              "turning of columns into rows");
        check(cudaEventRecord(event, stream), "an event");
      });
}

// What the GPUs can read themselves.
void copy_reachable(GpuTeam& team, Resident& resident) {
  const Matrix& x = resident.matrix;
  const auto size = static_cast<std::size_t>(x.element_size());
  for (std::size_t g = 0; g < team.gpus.size(); ++g) {
    const Share& share = resident.shares[g];
    if (share.rows == 0) continue;
    const Current current(team.gpus[g]->id);
    const cudaStream_t stream = team.gpus[g]->stream.get();
    auto* to = resident.parts[g].own.as<std::byte>();
    const auto width = static_cast<std::size_t>(resident.cols) * size;
    if (x.col_stride != 1) {
      check(launch_turn(x.dtype, bytes_of(x.data) + share.begin * static_cast<std::int64_t>(size),
                        x.col_stride, share.rows, static_cast<int>(x.cols), to, resident.cols,
                        stream),
            "turning of columns into rows");
      continue;
    }
    const std::byte* from =
        bytes_of(x.data) + share.begin * x.row_stride * static_cast<std::int64_t>(size);
    const auto rows = static_cast<std::size_t>(share.rows);
    if (x.row_stride == resident.cols) {
      check(cudaMemcpyAsync(to, from, rows * width, cudaMemcpyDefault, stream),
            "copying to the GPU");
      continue;
    }
    if (resident.cols != x.cols) check(cudaMemsetAsync(to, 0, rows * width, stream), "clearing");
    check(
        cudaMemcpy2DAsync(to, width, from, static_cast<std::size_t>(x.row_stride) * size,
                          static_cast<std::size_t>(x.cols) * size, rows, cudaMemcpyDefault, stream),
        "copying to the GPU");
  }
}

}  // namespace

void GpuArray::reserve(std::int64_t bytes) {
  if (size() >= bytes) return;
  memory_ = Memory();
  memory_ = Memory(static_cast<std::size_t>(bytes), Where::kUncleared);
}

Gpu::Gpu(int number)
    : id(number),
      multiprocessors(attribute(cudaDevAttrMultiProcessorCount, number)),
      capability(10 * attribute(cudaDevAttrComputeCapabilityMajor, number) +
                 attribute(cudaDevAttrComputeCapabilityMinor, number)),
      shared_bytes(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, number)) {}

GpuTeam::GpuTeam(const std::vector<int>& ids, int threads) : pool(threads) {
  for (const int id : ids) {
    const Current current(id);
    gpus.push_back(std::make_unique<Gpu>(id));
  }
}

std::vector<Share> shares_of(std::int64_t rows, std::size_t gpus) {
  const auto count = static_cast<std::int64_t>(gpus);
  const std::int64_t each = (rows + count - 1) / count;
  std::vector<Share> shares;
  for (std::int64_t g = 0; g < count; ++g) {
    const std::int64_t begin = std::min(g * each, rows);
    shares.push_back({begin, std::min(each, rows - begin)});
  }
  return shares;
}

std::shared_ptr<const Resident> make_resident(GpuTeam& team, const Matrix& x) {
  if (x.sparse()) {
    base::fail(base::Status::kUnsupported,
               "device \"cuda\" takes dense matrices, and x is sparse (CSR); device \"cpu\" takes "
               "both");
  }
  const std::int64_t per = 16 / x.element_size();
  auto resident = std::make_shared<Resident>();
  resident->matrix = x;
  resident->cols = static_cast<std::int32_t>((x.cols + per - 1) / per * per);
  resident->shares = shares_of(x.rows, team.gpus.size());
  resident->parts.resize(team.gpus.size());
  if (resident->cols * x.element_size() > kPiece) {
    base::fail(base::Status::kUnsupported, "device \"cuda\" takes up to {} columns; x has {}",
               kPiece / x.element_size(), x.cols);
  }
  int owner = -1;
  const int place = place_of(x.data, &owner);
  const bool aligned = x.col_stride == 1 && x.cols == resident->cols && x.row_stride % per == 0 &&
                       reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0;
  bool copied = false;
  for (std::size_t g = 0; g < team.gpus.size(); ++g) {
    Resident::Part& part = resident->parts[g];
    const Share& share = resident->shares[g];
    if (place == 2 && aligned && owner == team.gpus[g]->id) {
      part.data = bytes_of(x.data) + share.begin * x.row_stride * x.element_size();
      part.ld = x.row_stride;
      continue;
    }
    if (place == 2 && x.col_stride != 1 && owner != team.gpus[g]->id) {
      base::fail(base::Status::kUnsupported,
                 "x lies by columns in the memory of GPU {}; rows there, or host memory, are taken",
                 owner);
    }
    const Current current(team.gpus[g]->id);
    part.own = GpuArray(share.rows * resident->cols * x.element_size());
    part.data = part.own.as<void>();
    part.ld = resident->cols;
    copied = true;
  }
  if (!copied) return resident;
  if (place == 2 || (place == 1 && x.col_stride == 1)) {
    copy_reachable(team, *resident);
  } else if (x.col_stride == 1) {
    send_rows(team, *resident);
  } else {
    send_columns(team, *resident);
  }
  wait_for_all(team);
  return resident;
}

void upload_rows(GpuTeam& team, const std::vector<Share>& shares, const void* from,
                 std::int64_t size, std::vector<GpuArray>& to) {
  to.resize(team.gpus.size());
  std::int64_t total = 0;
  for (std::size_t g = 0; g < shares.size(); ++g) {
    const Current current(team.gpus[g]->id);
    to[g].reserve(shares[g].rows * size);
    total += shares[g].rows * size;
  }
  int owner = -1;
  if (total <= kDirect || place_of(from, &owner) != 0) {
    for (std::size_t g = 0; g < shares.size(); ++g) {
      if (shares[g].rows == 0) continue;
      const Current current(team.gpus[g]->id);
      check(cudaMemcpyAsync(to[g].as<void>(), bytes_of(from) + shares[g].begin * size,
                            static_cast<std::size_t>(shares[g].rows * size), cudaMemcpyDefault,
                            team.gpus[g]->stream.get()),
            "copying to the GPU");
    }
    wait_for_all(team);
    return;
  }
  const RowPieces pieces(shares, kPiece / size);
  Pieces(team).run(
      pieces.count, [&](std::int64_t piece) { return pieces.gpu(piece); },
      [&](int, std::byte* pinned, std::int64_t piece, cudaEvent_t event) {
        const auto [first, rows] = pieces.rows(piece);
        if (rows <= 0) return;
        const std::size_t gpu = pieces.gpu(piece);
        const auto bytes = static_cast<std::size_t>(rows * size);
        std::memcpy(pinned, bytes_of(from) + (shares[gpu].begin + first) * size, bytes);
        const cudaStream_t stream = team.gpus[gpu]->stream.get();
        check(cudaMemcpyAsync(to[gpu].as<std::byte>() + first * size, pinned, bytes,
                              cudaMemcpyHostToDevice, stream),
              "copying to the GPU");
        check(cudaEventRecord(event, stream), "an event");
      });
}

void download(GpuTeam& team, std::size_t gpu, const void* from, std::int64_t bytes, void* to) {
  if (bytes == 0) return;
  int owner = -1;
  const cudaStream_t stream = team.gpus[gpu]->stream.get();
  if (bytes <= kDirect || place_of(to, &owner) != 0) {
    const Current current(team.gpus[gpu]->id);
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault, stream),
          "copying from the GPU");
    check(cudaStreamSynchronize(stream), "copying from the GPU");
    return;
  }
  Pieces(team).run(
      (bytes + kPiece - 1) / kPiece, [&](std::int64_t) { return gpu; },
      [&](int, std::byte* pinned, std::int64_t piece, cudaEvent_t event) {
        const std::int64_t at = piece * kPiece;
        const auto size = static_cast<std::size_t>(std::min(kPiece, bytes - at));
        check(cudaMemcpyAsync(pinned, bytes_of(from) + at, size, cudaMemcpyDeviceToHost, stream),
              "copying from the GPU");
        check(cudaEventRecord(event, stream), "an event");
        check(cudaEventSynchronize(event), "copying from the GPU");
        std::memcpy(bytes_of(to) + at, pinned, size);
      });
}

}  // namespace pronghorn::device::cuda
