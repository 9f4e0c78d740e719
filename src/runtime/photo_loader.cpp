// SPDX-License-Identifier: Apache-2.0
#include "runtime/photo_loader.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>

#include "base/error.h"

namespace pronghorn::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// A processor thread is done with so many in some 100 ms: what a chunk costs beside its images then
// does not count. Towards the end of a source chunks shrink.
constexpr int kProcessorChunk = 64;
constexpr int kEngineChunk = 112;         // at a lane of the engine's, at a time
constexpr std::size_t kEngineRounds = 8;  // are given to the engine at once
constexpr int kEngineCores = 2;
constexpr double kEngineLikelyRate = 20;  // processor threads that a lane of an engine is worth
constexpr std::size_t kMostTaps = 256;    // sizes of photographs whose taps are kept

// Adds the time until it goes away.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  Clock::time_point start_ = Clock::now();
};

device::TapAxis view(const image::Taps& taps) {
  return {taps.taps, taps.first.data(), taps.weights.data()};
}

device::SampleKind kind_of(image::PhotoLayout::Kind kind) {
  switch (kind) {
    case image::PhotoLayout::Kind::kGray:
      return device::SampleKind::kGray;
    case image::PhotoLayout::Kind::kYcc:
      return device::SampleKind::kYcc;
    default:
      return device::SampleKind::kRgb;
  }
}

// A chunk's pixels on their way; what they are made of stays until then.
class ChunkFilling final : public image::Filling {
 public:
  ChunkFilling(std::unique_ptr<device::Places> places, std::vector<image::Encoded> encoded)
      : encoded_(std::move(encoded)), places_(std::move(places)) {}
  void wait() override {
    places_->wait();
    encoded_.clear();
  }

 private:
  std::vector<image::Encoded> encoded_;
  std::unique_ptr<device::Places> places_;  // goes first
};

class PhotoLoader : public image::Loader {
 public:
  PhotoLoader(std::shared_ptr<device::InputLane> lane, const PhotoLoaderOptions& options, int most)
      : lane_(std::move(lane)), options_(options), most_(most) {}
  ~PhotoLoader() override {
    if (!begun_) return;
    try {  // after an error: the lane will be used again
      lane_->finish();
    } catch (const base::Error&) {
      under_way_.clear();  // the first error is on its way to the caller
    }
  }

  int most() const override { return most_; }
  double likely_rate() const override { return 1; }

  void load(const image::Source& source, const image::PipelineOptions& pipeline, std::int64_t first,
            int count, const std::function<bool()>& stopped, image::Chunk& chunk,
            image::PipelineStats& stats) override {
    chunk.first = first;
    chunk.good = 0;
    chunk.slot.clear();
    chunk.error.clear();
    if (lane_ != nullptr) {
      const Stopwatch watch(stats.lane_seconds);
      lane_->begin();
      begun_ = true;
    }
    for (int i = 0; i < count && !(i > 0 && stopped()); ++i) {
      ++stats.images;
      chunk.slot.push_back(chunk.good++);
      chunk.error.emplace_back();
      guarded(source, first + i, pipeline, chunk, i, stats, [&] {
        image::Encoded encoded;
        {
          const Stopwatch watch(stats.read_seconds);
          encoded = source.read(first + i);
        }
        stats.encoded_bytes += static_cast<std::int64_t>(encoded.bytes.size());
        take(encoded, source.name(first + i), pipeline, i, chunk.slot.back(), stats);
      });
    }
    finish_engine(source, pipeline, chunk, stats);
    forget_taps();
    if (options_.decode_only) {
      chunk.good = 0;
      std::fill(chunk.slot.begin(), chunk.slot.end(), -1);
    }
    if (lane_ == nullptr) return;
    begun_ = false;
    std::unique_ptr<device::Places> places = lane_->finish();
    if (!options_.decode_only) {
      const auto side = static_cast<std::size_t>(options_.resize.width);
      chunk.pixels = {places->pixels(), side * side * 3 * static_cast<std::size_t>(most_)};
    }
    chunk.filling =
        std::make_unique<ChunkFilling>(std::move(places), std::exchange(under_way_, {}));
  }

 protected:
  // What the worker does with an image of the chunk that has been read.
  virtual void take(const image::Encoded& encoded, const std::string& name,
                    const image::PipelineOptions& pipeline, int, int place,
                    image::PipelineStats& stats) {
    const Stopwatch watch(stats.decode_seconds);
    const auto photo = open(encoded, name, pipeline);
    by_processor(photo.get(), encoded, name, pipeline, place);
  }
  virtual void finish_engine(const image::Source&, const image::PipelineOptions&, image::Chunk&,
                             image::PipelineStats&) {}

  // Runs `work` for image `i` of the chunk; an error makes it a broken one. Its place stays: what
  // is there is inferred and dropped.
  template <typename Work>
  void guarded(const image::Source& source, std::int64_t index,
               const image::PipelineOptions& pipeline, image::Chunk& chunk, int i,
               image::PipelineStats& stats, const Work& work) {
    try {
      try {
        work();
      } catch (const std::bad_alloc&) {
        base::fail(base::Status::kOutOfMemory, "{}: not enough memory for its pixels",
                   source.name(index));
      }
    } catch (const base::Error& error) {
      if (pipeline.strict || error.status() == base::Status::kInternal) throw;
      ++stats.broken;
      chunk.slot[static_cast<std::size_t>(i)] = -1;
      chunk.error[static_cast<std::size_t>(i)] = error.what();
    }
  }

  // Its taps live until forget_taps().
  device::PhotoShape shape_of(const image::PhotoLayout& layout) {
    device::PhotoShape shape{.kind = kind_of(layout.kind),
                             .width = layout.width,
                             .height = layout.height,
                             .h = layout.h,
                             .v = layout.v,
                             .planes = {},
                             .bytes = layout.bytes};
    for (std::size_t i = 0; i < layout.planes.size(); ++i) {
      const image::PhotoLayout::Plane& plane = layout.planes[i];
      shape.planes[i] = {plane.width, plane.height, plane.offset, plane.pitch};
    }
    const auto key = std::make_pair(layout.width, layout.height);
    auto found = taps_.find(key);
    if (found == taps_.end()) {
      const image::ResizePlan plan =
          image::plan_resize(options_.resize, layout.width, layout.height);
      found = taps_.emplace(key, Axes{image::triangle_taps(plan.x), image::triangle_taps(plan.y)})
                  .first;
    }
    shape.x = view(found->second.x);
    shape.y = view(found->second.y);
    return shape;
  }

  // Between chunks: shapes that were handed out are not used any more.
  void forget_taps() {
    if (taps_.size() > kMostTaps) taps_.clear();
  }

  // nullptr for a damaged image: what is missing may lie outside of what a crop needs, which
  // image::load tells.
  std::unique_ptr<image::Photo> open(const image::Encoded& encoded, const std::string& name,
                                     const image::PipelineOptions& pipeline) {
    try {
      return std::make_unique<image::Photo>(encoded.bytes, name, pipeline.limits);
    } catch (const base::Error& error) {
      if (options_.decode_only || error.status() != base::Status::kCorrupt) throw;
      return nullptr;
    }
  }

  void by_processor(image::Photo* photo, const image::Encoded& encoded, const std::string& name,
                    const image::PipelineOptions& pipeline, int place) {
    if (options_.decode_only) {
      const image::PhotoLayout& layout = photo->layout();
      if (lane_ == nullptr && own_.size() < layout.bytes) own_.resize(layout.bytes);
      photo->decode(lane_ == nullptr ? own_.data() : room(layout.bytes));
      if (lane_ != nullptr) lane_->drop(layout.bytes);
      return;
    }
    if (photo != nullptr && device_resizes() && decode_whole(*photo) &&
        lane_->put(shape_of(photo->layout()), place)) {
      return;
    }
    // The processor does the whole of it; the device copies.
    const int side = options_.resize.width;
    const auto bytes = static_cast<std::size_t>(side) * static_cast<std::size_t>(side) * 3;
    image::load(encoded.bytes, name, options_.resize, room(bytes), pipeline.limits);
    if (!identity_) {
      const image::Stretch same = image::whole(side, side);
      identity_ = Axes{image::triangle_taps(same), image::triangle_taps(same)};
    }
    device::PhotoShape shape{.width = side, .height = side, .planes = {}, .bytes = bytes};
    shape.planes[0] = {side, side, 0, static_cast<std::size_t>(side) * 3};
    shape.x = view(identity_->x);
    shape.y = view(identity_->y);
    if (!lane_->put(shape, place)) {
      base::fail(base::Status::kInternal, "a device cannot copy {} x {} pixels", side, side);
    }
  }

  // Of the resize modes, the plain one.
  bool device_resizes() const {
    return options_.resize.interpolation == image::Interpolation::kBilinear &&
           !options_.resize.scaled_decode;
  }

  // False for a damaged image, as in open().
  bool decode_whole(image::Photo& photo) {
    try {
      photo.decode(room(photo.layout().bytes));
      return true;
    } catch (const base::Error& error) {
      if (error.status() != base::Status::kCorrupt) throw;
      return false;
    }
  }

  std::uint8_t* room(std::size_t bytes) {
    return reinterpret_cast<std::uint8_t*>(lane_->room(bytes));
  }

  struct Axes {
    image::Taps x, y;
  };
  std::shared_ptr<device::InputLane> lane_;
  const PhotoLoaderOptions options_;
  std::vector<image::Encoded> under_way_;  // the device reads it until the chunk is filled

 private:
  int most_;
  bool begun_ = false;  // of the lane
  std::map<std::pair<int, int>, Axes> taps_;
  std::optional<Axes> identity_;
  std::vector<std::uint8_t> own_;  // decode_only without a lane
};

// Hands the JPEGs that the engine takes to it, so many at once, while it goes through the chunk;
// then it decodes the others itself, and the engine goes on beside.
class EngineLoader final : public PhotoLoader {
 public:
  EngineLoader(device::InputPath& path, std::shared_ptr<device::InputLane> lane,
               const PhotoLoaderOptions& options, int most)
      : PhotoLoader(std::move(lane), options, most),
        path_(path),
        together_(kEngineRounds * static_cast<std::size_t>(path.engine_units())) {}

  double likely_rate() const override { return kEngineLikelyRate; }

 private:
  struct Waiting {
    image::Encoded encoded;
    std::unique_ptr<image::Photo> photo;
    int index;  // in the chunk
    int place;
  };

  void take(const image::Encoded& encoded, const std::string& name,
            const image::PipelineOptions& pipeline, int index, int place,
            image::PipelineStats& stats) override {
    {
      const Stopwatch watch(stats.decode_seconds);
      auto photo = open(encoded, name, pipeline);
      std::optional<device::PhotoShape> shape;
      if (photo != nullptr && photo->plain() && device_resizes()) {
        shape = shape_of(photo->layout());
      }
      if (!shape || !path_.engine_takes(*shape)) {
        others_.push_back({encoded, std::move(photo), index, place});
        return;
      }
      streams_.push_back({encoded.bytes, *shape, place, false});
      waiting_.push_back({encoded, std::move(photo), index, place});
    }
    if (streams_.size() == together_) begin_engine(stats);
  }

  void begin_engine(image::PipelineStats& stats) {
    if (streams_.empty()) return;
    const Stopwatch watch(stats.engine_seconds);
    lane_->decode(streams_, !options_.decode_only);
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      if (streams_[i].decoded) {
        ++stats.engine_images;
        waiting_[i].photo.reset();
        under_way_.push_back(std::move(waiting_[i].encoded));
      } else {
        others_.push_back(std::move(waiting_[i]));
      }
    }
    streams_.clear();
    waiting_.clear();
  }

  void finish_engine(const image::Source& source, const image::PipelineOptions& pipeline,
                     image::Chunk& chunk, image::PipelineStats& stats) override {
    begin_engine(stats);
    for (const Waiting& other : others_) {
      ++stats.returned;
      const std::int64_t in_source = chunk.first + other.index;
      guarded(source, in_source, pipeline, chunk, other.index, stats, [&] {
        const Stopwatch watch(stats.decode_seconds);
        by_processor(other.photo.get(), other.encoded, source.name(in_source), pipeline,
                     other.place);
      });
    }
    others_.clear();
  }

  device::InputPath& path_;
  const std::size_t together_;
  std::vector<device::JpegStream> streams_;  // to be begun
  std::vector<Waiting> waiting_;             // beside streams_
  std::vector<Waiting> others_;              // for the processor
};

}  // namespace

std::vector<image::Loader*> PhotoLoaders::pointers() const {
  std::vector<image::Loader*> result;
  for (const auto& loader : all) result.push_back(loader.get());
  return result;
}

PhotoLoaders make_photo_loaders(device::InputPath* path, const PhotoLoaderOptions& options) {
  PhotoLoaders loaders;
  const int side = options.resize.width;
  const int lanes = path != nullptr && options.engine ? path->engine_lanes() : 0;
  for (int i = 0; i < lanes; ++i) {
    int most = std::min(options.batch, kEngineChunk);
    // Whole rounds of the engine's units.
    if (most > path->engine_units()) most -= most % path->engine_units();
    loaders.all.push_back(
        std::make_unique<EngineLoader>(*path, path->lane(side, kEngineChunk, true), options, most));
  }
  // The threads of the engine's lanes need processors, too.
  const int decoding = lanes > 0
                           ? std::max(std::min(1, options.threads), options.threads - kEngineCores)
                           : options.threads;
  for (int i = 0; i < decoding; ++i) {
    loaders.all.push_back(std::make_unique<PhotoLoader>(
        path != nullptr ? path->lane(side, kProcessorChunk, false) : nullptr, options,
        std::min(options.batch, kProcessorChunk)));
  }
  return loaders;
}

}  // namespace pronghorn::runtime
