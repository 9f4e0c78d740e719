// SPDX-License-Identifier: Apache-2.0
// The way of photographs over a device, with a device that is host memory and the functions that
// real ones run in their kernels: every pixel must be image::load's.
#include "runtime/photo_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>

#include "base/error.h"
#include "device/reference/reference_device.h"
#include "image/encode_for_test.h"
#include "runtime/photos_for_test.h"
#include "runtime/session.h"

namespace pronghorn::runtime {
namespace {

using image::testing::jpeg;
using image::testing::picture;
using testing::all_kinds;
using testing::cut;
using testing::mean_colour;
using testing::source_of;

device::PhotoSamples samples_of(const device::PhotoShape& shape, const std::byte* at) {
  device::PhotoSamples s{shape.kind, shape.width,           shape.height,           shape.h,
                         shape.v,    shape.planes[1].width, shape.planes[1].height, {},
                         {}};
  for (int i = 0; i < 3; ++i) {
    s.pitch[i] = static_cast<std::int32_t>(shape.planes[i].pitch);
    s.plane[i] = reinterpret_cast<const std::uint8_t*>(at) + shape.planes[i].offset;
  }
  return s;
}

class HostPath final : public device::InputPath {
 public:
  explicit HostPath(bool with_engine) : with_engine_(with_engine) {}

  std::shared_ptr<device::InputLane> lane(int side, int most, bool engine) override {
    EXPECT_TRUE(!engine || with_engine_);
    return std::make_shared<Lane>(*this, side, most);
  }
  bool engine_takes(const device::PhotoShape& shape) const override { return shape.h == shape.v; }
  std::string engine() const override { return with_engine_ ? "host" : ""; }
  std::string missing() const override { return with_engine_ ? "" : "left out"; }
  bool engine_started() const override { return true; }
  int engine_lanes() const override { return with_engine_ ? 1 : 0; }
  int engine_units() const override { return 7; }

  std::atomic<int> refuse_every{0};       // of the streams that the engine is given, every so many
  std::atomic<int> put_at_most{1 << 30};  // rows of a photograph that put() takes

 private:
  class Lane final : public device::InputLane {
   public:
    Lane(HostPath& path, int side, int most) : path_(path), side_(side) {
      for (Set& set : sets_) set.places.resize(static_cast<std::size_t>(most) * side * side * 3);
    }
    void begin() override {
      if (set_ != nullptr) return;
      for (;;) {
        for (Set& set : sets_) {
          if (set.taken.exchange(true)) continue;
          set_ = &set;
          return;
        }
        std::this_thread::yield();
      }
    }
    std::byte* room(std::size_t bytes) override {
      room_.assign(bytes, std::byte{0xa5});
      return room_.data();
    }
    bool put(const device::PhotoShape& shape, int place) override {
      EXPECT_EQ(room_.size(), shape.bytes);
      if (shape.height > path_.put_at_most) return false;
      resize(shape, room_.data(), place);
      return true;
    }
    void drop(std::size_t bytes) override { EXPECT_EQ(room_.size(), bytes); }
    void decode(std::span<device::JpegStream> streams, bool resize_too) override {
      for (device::JpegStream& stream : streams) {
        if (path_.refuse_every > 0 && ++path_.given_ % path_.refuse_every == 0) continue;
        image::Photo photo(stream.bytes, "engine");
        std::vector<std::byte> planes(stream.shape.bytes);
        photo.decode(reinterpret_cast<std::uint8_t*>(planes.data()));
        if (resize_too) resize(stream.shape, planes.data(), stream.place);
        stream.decoded = true;
      }
    }
    std::unique_ptr<device::Places> finish() override {
      return std::make_unique<Filled>(*std::exchange(set_, nullptr));
    }

   private:
    struct Set {
      std::vector<std::uint8_t> places;
      std::atomic<bool> taken{false};
    };
    struct Filled final : device::Places {
      explicit Filled(Set& of) : set(of) {}
      ~Filled() override {
        std::fill(set.places.begin(), set.places.end(), std::uint8_t{0x5a});  // not used any more
        set.taken = false;
      }
      void wait() override {}
      const std::uint8_t* pixels() const override { return set.places.data(); }
      Set& set;
    };

    void resize(const device::PhotoShape& shape, const std::byte* at, int place) {
      const device::PhotoSamples samples = samples_of(shape, at);
      const std::ptrdiff_t pitch = std::ptrdiff_t{side_} * 3;
      std::vector<std::uint8_t> rows(static_cast<std::size_t>(pitch * shape.height));
      for (int y = 0; y < shape.height; ++y) {
        for (int x = 0; x < side_; ++x) {
          const device::Rgb pixel = device::resized_column(samples, shape.x, x, y);
          std::uint8_t* to = rows.data() + pitch * y + 3 * x;
          to[0] = static_cast<std::uint8_t>(pixel.r);
          to[1] = static_cast<std::uint8_t>(pixel.g);
          to[2] = static_cast<std::uint8_t>(pixel.b);
        }
      }
      std::uint8_t* dst = set_->places.data() + std::ptrdiff_t{place} * pitch * side_;
      for (int y = 0; y < side_; ++y) {
        for (std::ptrdiff_t b = 0; b < pitch; ++b) {
          dst[y * pitch + b] = device::resized_row(rows.data() + b, pitch, 0, shape.y, y);
        }
      }
    }

    HostPath& path_;
    int side_;
    std::vector<std::byte> room_;
    Set sets_[2];
    Set* set_ = nullptr;
  };

  const bool with_engine_;
  std::atomic<int> given_{0};
};

image::PipelineStats expect_equal(const image::Source& source, HostPath& path,
                                  const PhotoLoaderOptions& options) {
  const testing::Judged judged = testing::judge(source, path, options);
  EXPECT_THAT(judged.other_pixels, ::testing::IsEmpty());
  return judged.stats;
}

TEST(PhotoLoader, PixelsAndErrorsOfEveryKind) {
  const auto source = source_of(all_kinds());
  for (const bool engine : {false, true}) {
    for (const char* mode : {"direct:32", "direct:200", "short:40,crop:32"}) {
      HostPath path(engine);
      const auto stats = expect_equal(
          *source, path, {.resize = image::parse_resize(mode), .threads = 2, .batch = 9});
      EXPECT_GE(stats.broken, 6);  // a crop may do without what is missing
      EXPECT_LE(stats.broken, 9);
      if (!engine) {
        EXPECT_EQ(stats.engine_images, 0);
        EXPECT_EQ(stats.returned, 0);
      }
    }
  }
}

TEST(PhotoLoader, TheEngineAloneAndWhatItReturns) {
  const auto source = source_of(all_kinds());
  HostPath path(true);
  const PhotoLoaderOptions options{
      .resize = image::parse_resize("direct:32"), .threads = 0, .batch = 128};
  auto stats = expect_equal(*source, path, options);
  EXPECT_GT(stats.engine_images, 20);
  EXPECT_EQ(stats.engine_images + stats.returned + 1, stats.images);  // one is no image at all
  const std::int64_t before = stats.returned;
  path.refuse_every = 3;
  stats = expect_equal(*source, path, options);
  EXPECT_GT(stats.returned, before + 5);
}

TEST(PhotoLoader, ModesAndSizesThatTheDeviceLeaves) {
  const auto source = source_of(all_kinds());
  HostPath path(true);
  PhotoLoaderOptions options{.resize = image::parse_resize("direct:32"), .threads = 1, .batch = 8};
  path.put_at_most = 100;
  expect_equal(*source, path, options);
  options.resize.scaled_decode = true;
  expect_equal(*source, path, options);
  options.resize.scaled_decode = false;
  options.resize.interpolation = image::Interpolation::kNearest;
  expect_equal(*source, path, options);
}

TEST(PhotoLoader, DecodeOnlyHasNoPixels) {
  const auto source = source_of({jpeg(picture(64, 48)), cut(jpeg(picture(64, 48)), 0.5)});
  for (const bool with_path : {false, true}) {
    HostPath path(false);
    const PhotoLoaders loaders =
        make_photo_loaders(with_path ? &path : nullptr, {.resize = image::parse_resize("direct:32"),
                                                         .threads = 1,
                                                         .batch = 4,
                                                         .decode_only = true});
    int broken = 0;
    const auto stats = image::run(
        *source, {.resize = image::parse_resize("direct:32"), .loaders = loaders.pointers()},
        [&](const image::Chunk& chunk) {
          EXPECT_EQ(chunk.good, 0);
          for (const std::string& error : chunk.error) broken += error.empty() ? 0 : 1;
        });
    EXPECT_EQ(stats.images, 2);
    EXPECT_EQ(stats.broken, 1);
    EXPECT_EQ(broken, 1);
  }
}

// The reference device with the path of above.
class DeviceWithPath final : public device::Device {
 public:
  explicit DeviceWithPath(bool engine) : path(engine) {}
  device::DeviceProperties properties() const override { return inner_->properties(); }
  device::CompileResult compile(std::shared_ptr<const graph::Graph> graph,
                                const device::CompileOptions& options) override {
    return inner_->compile(std::move(graph), options);
  }
  device::InputPath* input_path() override { return &path; }

  HostPath path;

 private:
  std::unique_ptr<device::Device> inner_ = device::reference::make_device();
};

TEST(PhotoLoader, ClassifyOverTheDeviceGivesTheSameResultsInOrder) {
  constexpr int kSide = 24;
  const auto model = std::make_shared<const graph::Graph>(mean_colour(kSide));
  Session plain(model, device::reference::make_device(), 3);
  const std::shared_ptr<const image::Source> once = source_of(all_kinds());
  const auto source = image::repeated_source(once, 3 * once->size());
  const auto classify_with = [&](Session& session, ClassifyOptions options) {
    std::vector<std::pair<std::string, std::vector<float>>> results;
    options.resize = image::parse_resize("direct:24");
    const auto stats = classify(session, *source, options, [&](const Result& result) {
      EXPECT_EQ(result.index, static_cast<std::int64_t>(results.size()));
      results.emplace_back(result.error,
                           result.outputs == nullptr
                               ? std::vector<float>()
                               : std::vector<float>(result.outputs, result.outputs + 3));
      return true;
    });
    EXPECT_EQ(stats.images, source->size());
    return results;
  };
  const auto expected = classify_with(plain, {.batch = 4});
  for (const bool engine : {false, true}) {
    const auto device = std::make_shared<DeviceWithPath>(engine);
    Session session(model, device, 3);
    for (const int batch : {1, 4, 64}) {
      EXPECT_EQ(classify_with(session, {.batch = batch}), expected) << engine << " " << batch;
    }
    EXPECT_EQ(classify_with(session, {.batch = 8, .engine = false}), expected);
    const auto decoded = classify_with(session, {.batch = 8, .decode_only = true});
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(decoded[i].first, expected[i].first);
      EXPECT_TRUE(decoded[i].second.empty());
    }
    EXPECT_THROW(classify_with(session, {.batch = 4, .strict = true}), base::Error);
    int calls = 0;
    EXPECT_THROW(
        classify(session, *source, {.resize = image::parse_resize("direct:24"), .batch = 4},
                 [&](const Result&) { return ++calls < 10; }),
        base::Error);
    EXPECT_EQ(calls, 10);
  }
  setenv("PRONGHORN_DEVICE_INPUT", "0", 1);
  Session without(model, std::make_shared<DeviceWithPath>(true), 3);
  EXPECT_EQ(without.input_path(), nullptr);
  EXPECT_EQ(classify_with(without, {.batch = 4}), expected);
  unsetenv("PRONGHORN_DEVICE_INPUT");
}

}  // namespace
}  // namespace pronghorn::runtime
