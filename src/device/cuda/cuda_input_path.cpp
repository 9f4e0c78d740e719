// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/cuda_input_path.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <map>
#include <utility>

#include "base/error.h"
#include "device/cuda/driver.h"
#include "device/cuda/kernels/resize.h"

namespace pronghorn::device::cuda {
namespace {

constexpr std::size_t kBlockBytes = 4 << 20;  // of samples: about 8 photographs of the usual size
constexpr int kMostJobs = 128;                // of a block
constexpr std::size_t kAlign = 256;
constexpr std::size_t kMostPlanes = 256 << 20;  // bytes of planes that the engine is given at once
constexpr std::size_t kUsualPlanes = 32 << 20;
constexpr std::size_t kBlocks = 2;        // one is filled while the other crosses
constexpr std::size_t kEngineBlocks = 4;  // of jobs that wait for the engine
// Sets of places: one is filled, others are inferred or wait for the engine.
constexpr std::size_t kSets = 3;
constexpr int kEngineLanes = 2;  // one reads headers while the other hands images over

std::size_t aligned(std::size_t size) { return (size + kAlign - 1) / kAlign * kAlign; }

// Its short copies and kernels go before those of inference, which would keep the engine waiting.
class UrgentStream {
 public:
  UrgentStream() {
    int least = 0;
    int greatest = 0;
    check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "a property of the GPU");
    check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest), "a stream");
  }
  ~UrgentStream() { cudaStreamDestroy(stream_); }
  UrgentStream(const UrgentStream&) = delete;
  UrgentStream& operator=(const UrgentStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// Host memory and its copy on the GPU: jobs first, then taps and samples as they come.
struct Block {
  Memory host, device;
  SleepingEvent done;
  std::size_t used = 0;
  int jobs = 0;
  int bands = 0;
  int shared = 0;

  Block() { clear(); }
  void clear() {
    used = aligned(kMostJobs * sizeof(ResizeJob));
    jobs = bands = shared = 0;
  }
  void reserve(std::size_t size) {
    if (host.size() >= size) return;
    host = Memory(size, Where::kPinned);
    device = Memory(size, Where::kDevice);
  }
};

}  // namespace

class CudaInputPath::Lane final : public InputLane {
 public:
  Lane(int gpu, int side, int most, int most_shared, JpegEngine* engine)
      : gpu_(gpu), side_(side), most_(most), most_shared_(most_shared), engine_(engine) {
    const Current current(gpu_);
    stream_ = std::make_unique<UrgentStream>();
    all_ = std::make_unique<SleepingEvent>();
    decoded_ = std::make_unique<SleepingEvent>();
    for (std::size_t i = 0; i < (engine == nullptr ? kBlocks : kEngineBlocks); ++i) {
      blocks_.emplace_back(std::make_unique<Block>())->reserve(kBlockBytes);
    }
    for (std::size_t i = 0; i < kSets; ++i) {
      sets_.emplace_back(std::make_unique<Set>())->places =
          Memory(place_bytes() * static_cast<std::size_t>(most), Where::kDevice);
    }
    if (engine != nullptr) engine_stream_ = std::make_unique<UrgentStream>();
  }
  ~Lane() override {
    const Current current(gpu_);
    settle();
    blocks_.clear();
    sets_.clear();
    all_.reset();
    decoded_.reset();
    engine_stream_.reset();
    stream_.reset();
  }

  bool fits(int side, int most, const JpegEngine* engine) const {
    return side == side_ && most <= most_ && engine == engine_;
  }

  void begin() override {
    if (set_ != nullptr) return;
    std::unique_lock lock(sets_mutex_);
    const auto free = [&] {
      const auto found =
          std::find_if(sets_.begin(), sets_.end(), [](const auto& each) { return !each->taken; });
      if (found == sets_.end()) return false;
      set_ = found->get();
      return true;
    };
    set_freed_.wait(lock, free);
    set_->taken = true;
    set_->planes_used = 0;
  }

  std::byte* room(std::size_t bytes) override {
    const Current current(gpu_);
    const std::size_t needed = aligned(bytes) + taps_room_;
    if (block().jobs == kMostJobs || block().used + needed > block().host.size()) {
      if (block().jobs > 0) {
        flush();
      } else if (dropped_) {
        turn_block();
      }
      block().reserve(block().used + needed);  // an empty one: nothing is under way in it
    }
    return block().host.data() + block().used;
  }

  bool put(const PhotoShape& shape, int place) override {
    const Current current(gpu_);
    check_place(place);
    int shared = 0;
    const int band = resize_band(shape.y, shape.height, side_, most_shared_, &shared);
    if (band == 0) return false;
    const std::size_t taps = aligned(taps_bytes(shape.x)) + aligned(taps_bytes(shape.y));
    if (taps > taps_room_) {  // what room() leaves behind the samples
      taps_room_ = taps;
      if (block().used + aligned(shape.bytes) + taps > block().host.size()) {
        const std::vector<std::byte> samples(block().host.data() + block().used,
                                             block().host.data() + block().used + shape.bytes);
        std::memcpy(room(shape.bytes), samples.data(), samples.size());
      }
    }
    const std::byte* samples = block().device.data() + block().used;
    block().used += aligned(shape.bytes);
    add_job(shape, samples, copy_taps(shape.x), copy_taps(shape.y), place, band, shared);
    return true;
  }

  void drop(std::size_t bytes) override {
    block().used += aligned(bytes) + taps_room_;
    dropped_ = true;
  }

  void decode(std::span<JpegStream> streams, bool resize) override {
    if (engine_ == nullptr) {
      base::fail(base::Status::kInternal, "GPU: a lane without an engine was asked to decode");
    }
    const Current current(gpu_);
    std::vector<JpegStream*> order;
    for (JpegStream& stream : streams) {
      stream.decoded = false;
      check_place(stream.place);
      order.push_back(&stream);
    }
    std::stable_sort(order.begin(), order.end(), [](const JpegStream* a, const JpegStream* b) {
      return class_of(a->shape) < class_of(b->shape);
    });
    for (std::size_t begin = 0; begin < order.size();) {
      const std::size_t size_class = class_of(order[begin]->shape);
      const std::size_t most = std::min(JpegEngine::most(size_class), std::size_t{kMostJobs});
      std::size_t end = begin;
      std::size_t bytes = 0;
      while (end < order.size() && end - begin < most &&
             class_of(order[end]->shape) == size_class &&
             (end == begin || bytes + aligned(order[end]->shape.bytes) <= kMostPlanes)) {
        bytes += aligned(order[end++]->shape.bytes);
      }
      decode_group({order.data() + begin, end - begin}, size_class, bytes, resize);
      begin = end;
    }
  }

  std::unique_ptr<Places> finish() override {
    const Current current(gpu_);
    auto filled = std::make_unique<Filled>(*this, *std::exchange(set_, nullptr));
    try {
      if (block().jobs > 0) flush();
      decoded_->hold(stream_->get());
      filled->record();
    } catch (...) {
      settle();
      throw;
    }
    return filled;
  }

 private:
  struct Set {
    Memory places;
    Memory planes;  // that the engine writes
    std::size_t planes_used = 0;
    SleepingEvent filled;
    bool taken = false;  // guarded by sets_mutex_
  };

  class Filled final : public Places {
   public:
    Filled(Lane& lane, Set& set) : lane_(lane), set_(set) {}
    ~Filled() override {
      set_.filled.finish();
      const std::lock_guard lock(lane_.sets_mutex_);
      set_.taken = false;
      lane_.set_freed_.notify_one();
    }
    void record() { set_.filled.record(lane_.stream_->get()); }
    void wait() override { set_.filled.wait("photographs"); }
    const std::uint8_t* pixels() const override {
      return reinterpret_cast<const std::uint8_t*>(set_.places.data());
    }

   private:
    Lane& lane_;
    Set& set_;
  };

  Block& block() { return *blocks_[filling_]; }
  std::size_t place_bytes() const { return static_cast<std::size_t>(side_) * side_ * 3; }

  void check_place(int place) const {
    if (place < 0 || place >= most_) {
      base::fail(base::Status::kInternal, "GPU: place {} of {} photographs", place, most_);
    }
  }

  static std::size_t class_of(const PhotoShape& shape) {
    return JpegEngine::class_of(std::max(shape.width, shape.height));
  }

  // Whatever became of it: nothing is under way any more.
  void settle() {
    if (engine_stream_ != nullptr) cudaStreamSynchronize(engine_stream_->get());
    cudaStreamSynchronize(stream_->get());
  }

  // For everything that was enqueued.
  void wait_for_all() {
    all_->record(stream_->get());
    all_->wait("photographs");
    decoded_->wait("the JPEG engine");
  }

  std::size_t taps_bytes(const TapAxis& axis) const {
    return static_cast<std::size_t>(side_) * static_cast<std::size_t>(axis.taps + 1) *
           sizeof(std::int32_t);
  }

  // The axis in the block's copy on the GPU. The block has room for it.
  TapAxis copy_taps(const TapAxis& axis) {
    Block& to = block();
    const auto side = static_cast<std::size_t>(side_);
    const std::size_t firsts = side * sizeof(std::int32_t);
    std::memcpy(to.host.data() + to.used, axis.first, firsts);
    std::memcpy(to.host.data() + to.used + firsts, axis.weights,
                firsts * static_cast<std::size_t>(axis.taps));
    const std::byte* at = to.device.data() + to.used;
    to.used += aligned(taps_bytes(axis));
    return {axis.taps, reinterpret_cast<const std::int32_t*>(at),
            reinterpret_cast<const std::int32_t*>(at + firsts)};
  }

  void add_job(const PhotoShape& shape, const std::byte* samples, const TapAxis& x,
               const TapAxis& y, int place, int band, int shared) {
    Block& to = block();
    ResizeJob job{};
    job.samples = {shape.kind, shape.width,           shape.height,           shape.h,
                   shape.v,    shape.planes[1].width, shape.planes[1].height, {},
                   {}};
    for (int i = 0; i < 3; ++i) {
      job.samples.pitch[i] = static_cast<std::int32_t>(shape.planes[i].pitch);
      job.samples.plane[i] =
          reinterpret_cast<const std::uint8_t*>(samples + shape.planes[i].offset);
    }
    job.x = x;
    job.y = y;
    job.band = band;
    job.dst = reinterpret_cast<std::uint8_t*>(set_->places.data()) +
              place_bytes() * static_cast<std::size_t>(place);
    std::memcpy(to.host.data() + sizeof job * static_cast<std::size_t>(to.jobs), &job, sizeof job);
    ++to.jobs;
    to.bands = std::max(to.bands, (side_ + band - 1) / band);
    to.shared = std::max(to.shared, shared);
  }

  // Sends the block on its way and turns to the next, once that is free.
  void flush() {
    Block& from = block();
    check(cudaMemcpyAsync(from.device.data(), from.host.data(), from.used, cudaMemcpyHostToDevice,
                          stream_->get()),
          "copy of photographs");
    check(launch_resize(reinterpret_cast<const ResizeJob*>(from.device.data()), from.jobs, side_,
                        from.bands, from.shared, stream_->get()),
          "the resize of photographs");
    from.done.record(stream_->get());
    turn_block();
  }

  void turn_block() {
    filling_ = (filling_ + 1) % blocks_.size();
    block().done.wait("the resize of photographs");
    block().clear();
    dropped_ = false;
  }

  // Memory for `bytes` of planes, kept until the set is filled unless there is too much of it.
  std::byte* planes(std::size_t bytes) {
    Memory& memory = set_->planes;
    if (set_->planes_used + bytes > memory.size()) {
      if (set_->planes_used > 0) wait_for_all();
      if (memory.size() < std::max(bytes, kMostPlanes)) {
        const std::size_t size =
            std::max(bytes, std::min(kMostPlanes, std::max(2 * memory.size(), kUsualPlanes)));
        memory = Memory();
        memory = Memory(size, Where::kDevice);
      }
      set_->planes_used = 0;
    }
    std::byte* at = memory.data() + set_->planes_used;
    set_->planes_used += bytes;
    return at;
  }

  void decode_group(std::span<JpegStream* const> group, std::size_t size_class, std::size_t bytes,
                    bool resize) {
    std::byte* samples = planes(bytes);
    std::vector<JpegEngine::Image> images;
    std::vector<const std::byte*> places;
    for (const JpegStream* stream : group) {
      JpegEngine::Image image{
          reinterpret_cast<const std::uint8_t*>(stream->bytes.data()), stream->bytes.size(), {}};
      for (int i = 0; i < (stream->shape.kind == SampleKind::kGray ? 1 : 3); ++i) {
        image.planes.channel[i] =
            reinterpret_cast<std::uint8_t*>(samples + stream->shape.planes[i].offset);
        image.planes.pitch[i] = stream->shape.planes[i].pitch;
      }
      images.push_back(image);
      places.push_back(samples);
      samples += aligned(stream->shape.bytes);
    }
    decode_images(group, images, size_class);
    decoded_->record(engine_stream_->get());
    if (!resize) return;
    decoded_->hold(stream_->get());
    resize_group(group, places);
  }

  // Finds out which image of a refused batch it is, so that the others need not be returned.
  void decode_images(std::span<JpegStream* const> group, std::span<const JpegEngine::Image> images,
                     std::size_t size_class) {
    if (engine_->decode(images, size_class, engine_stream_->get())) {
      for (JpegStream* stream : group) stream->decoded = true;
    } else if (images.size() > 1) {
      const std::size_t half = images.size() / 2;
      decode_images(group.first(half), images.first(half), size_class);
      decode_images(group.subspan(half), images.subspan(half), size_class);
    }
  }

  // Those of the group that the engine took.
  void resize_group(std::span<JpegStream* const> group,
                    const std::vector<const std::byte*>& places) {
    if (block().jobs > 0) flush();
    std::size_t taps = 0;
    for (const JpegStream* stream : group) {
      taps += aligned(taps_bytes(stream->shape.x)) + aligned(taps_bytes(stream->shape.y));
    }
    block().reserve(block().used + taps);
    // Photographs of one size share their taps.
    std::map<const std::int32_t*, TapAxis> copied;
    const auto copy = [&](const TapAxis& axis) {
      const auto [found, added] = copied.try_emplace(axis.weights);
      if (added) found->second = copy_taps(axis);
      return found->second;
    };
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (!group[i]->decoded) continue;
      const PhotoShape& shape = group[i]->shape;
      int shared = 0;
      const int band = resize_band(shape.y, shape.height, side_, most_shared_, &shared);
      group[i]->decoded = band > 0;  // else the processor resizes it, and decodes
      if (band == 0) continue;
      add_job(shape, places[i], copy(shape.x), copy(shape.y), group[i]->place, band, shared);
    }
    if (block().jobs > 0) flush();
  }

  int gpu_;
  int side_;
  int most_;
  int most_shared_;
  JpegEngine* engine_;
  std::unique_ptr<UrgentStream> stream_;         // of copies and resizes
  std::unique_ptr<UrgentStream> engine_stream_;  // whose decodings wait for no resize
  std::vector<std::unique_ptr<Block>> blocks_;
  std::size_t filling_ = 0;
  bool dropped_ = false;              // the block holds samples without a job
  std::size_t taps_room_ = 32 << 10;  // kept free behind the samples of each photograph
  std::unique_ptr<SleepingEvent> all_, decoded_;
  Set* set_ = nullptr;  // that is filled now
  std::mutex sets_mutex_;
  std::condition_variable set_freed_;
  std::vector<std::unique_ptr<Set>> sets_;
};

CudaInputPath::CudaInputPath(std::vector<int> gpus)
    : gpus_(std::move(gpus)), engines_(gpus_.size()) {}

CudaInputPath::~CudaInputPath() = default;

JpegEngine& CudaInputPath::engine_of(std::size_t gpu) const {
  const std::lock_guard lock(mutex_);
  if (engines_[gpu] == nullptr) {
    const Current current(gpus_[gpu]);
    engines_[gpu] = std::make_unique<JpegEngine>();
  }
  return *engines_[gpu];
}

std::shared_ptr<InputLane> CudaInputPath::lane(int side, int most, bool engine) {
  std::size_t gpu = 0;
  std::unique_ptr<Lane> lane;
  JpegEngine* jpeg = nullptr;
  {
    const std::lock_guard lock(mutex_);
    gpu = next_gpu_++ % gpus_.size();
  }
  if (engine) {
    jpeg = &engine_of(gpu);
    if (jpeg->name().empty()) {
      base::fail(base::Status::kUnavailable, "GPU: JPEG engine: {}", jpeg->missing());
    }
  }
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(idle_.begin(), idle_.end(),
                                    [&](const auto& each) { return each->fits(side, most, jpeg); });
    if (found != idle_.end()) {
      lane = std::move(*found);
      idle_.erase(found);
    }
  }
  if (lane == nullptr) {
    const Current current(gpus_[gpu]);
    int most_shared = 0;
    check(cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, gpus_[gpu]),
          "a property of the GPU");
    check(prepare_resize(most_shared), "the resize kernel");
    lane = std::make_unique<Lane>(gpus_[gpu], side, most, most_shared, jpeg);
  }
  Lane* given = lane.release();
  return std::shared_ptr<InputLane>(given, [this](InputLane* back) {
    const std::lock_guard lock(mutex_);
    idle_.emplace_back(static_cast<Lane*>(back));
  });
}

bool CudaInputPath::engine_takes(const PhotoShape& shape) const {
  return std::max(shape.width, shape.height) <= JpegEngine::kMostSide &&
         (shape.kind == SampleKind::kGray || shape.kind == SampleKind::kYcc);
}

std::string CudaInputPath::engine() const { return engine_of(0).name(); }
std::string CudaInputPath::missing() const { return engine_of(0).missing(); }

bool CudaInputPath::engine_started() const {
  const std::lock_guard lock(mutex_);
  return engines_[0] != nullptr;
}

int CudaInputPath::engine_lanes() const {
  return engine().empty() ? 0 : kEngineLanes * static_cast<int>(gpus_.size());
}

int CudaInputPath::engine_units() const { return std::max(1, engine_of(0).units()); }

}  // namespace pronghorn::device::cuda
