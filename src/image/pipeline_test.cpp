// SPDX-License-Identifier: Apache-2.0
#include "image/pipeline.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/error.h"
#include "image/encode_for_test.h"

namespace pronghorn::image {
namespace {

using base::Status;

// `count` small JPEGs, each of another brightness; every image whose index is in `broken` is cut.
std::unique_ptr<Source> make_source(int count, const std::set<int>& broken = {}) {
  std::vector<std::string> names;
  std::vector<Encoded> images;
  for (int i = 0; i < count; ++i) {
    Image even{8, 8, std::vector<std::uint8_t>(8 * 8 * 3, static_cast<std::uint8_t>(i))};
    auto owner = std::make_shared<testing::ByteVector>(testing::jpeg(even, {.quality = 100}));
    if (broken.contains(i)) owner->resize(owner->size() / 2);
    names.push_back("image" + std::to_string(i));
    images.push_back({base::Bytes(*owner), owner});
  }
  return memory_source(std::move(names), std::move(images));
}

PipelineOptions options(int workers, int chunk) {
  PipelineOptions result;
  result.resize = parse_resize("direct:4");
  result.workers = workers;
  result.chunk = chunk;
  return result;
}

TEST(Pipeline, EveryImageOnceForAnyWorkersAndChunks) {
  constexpr int kImages = 57;
  const auto source = make_source(kImages, {0, 13, 14, 56});
  for (const int workers : {1, 2, 5}) {
    for (const int chunk : {1, 4, 100}) {
      std::mutex mutex;
      std::vector<int> seen(kImages);
      const PipelineStats stats = run(*source, options(workers, chunk), [&](const Chunk& c) {
        const std::lock_guard lock(mutex);
        ASSERT_LE(static_cast<int>(c.slot.size()), chunk);
        ASSERT_EQ(c.slot.size(), c.error.size());
        ASSERT_EQ(c.pixels.size(), static_cast<std::size_t>(c.good) * 4 * 4 * 3);
        for (std::size_t i = 0; i < c.slot.size(); ++i) {
          const int index = static_cast<int>(c.first) + static_cast<int>(i);
          ++seen[index];
          const bool broken = index == 0 || index == 13 || index == 14 || index == 56;
          ASSERT_EQ(c.slot[i] < 0, broken) << index;
          ASSERT_EQ(c.error[i].empty(), !broken);
          if (broken) {
            EXPECT_NE(c.error[i].find("image" + std::to_string(index)), std::string::npos);
          } else {
            EXPECT_NEAR(c.pixels[static_cast<std::size_t>(c.slot[i]) * 48], index, 1);
          }
        }
      });
      EXPECT_EQ(seen, std::vector<int>(kImages, 1)) << workers << " workers, chunks of " << chunk;
      EXPECT_EQ(stats.images, kImages);
      EXPECT_EQ(stats.broken, 4);
      EXPECT_GT(stats.encoded_bytes, 0);
      EXPECT_GT(stats.wall_seconds, 0);
      EXPECT_GT(stats.decode_seconds, 0);
      EXPECT_GT(stats.resize_seconds, 0);
      EXPECT_LT(stats.resize_seconds, stats.decode_seconds);
      EXPECT_LE(stats.read_seconds + stats.decode_seconds + stats.sink_seconds,
                stats.wall_seconds * workers);
    }
  }
}

TEST(Pipeline, OneWorkerIsTheCallersThreadAndKeepsOrder) {
  const auto source = make_source(10);
  std::vector<std::int64_t> firsts;
  const std::thread::id caller = std::this_thread::get_id();
  run(*source, options(1, 3), [&](const Chunk& c) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    firsts.push_back(c.first);
  });
  EXPECT_EQ(firsts, (std::vector<std::int64_t>{0, 3, 6, 9}));
}

TEST(Pipeline, ChunksShrinkTowardsTheEnd) {
  const auto source = make_source(64);
  std::mutex mutex;
  std::map<std::int64_t, std::size_t> sizes;
  run(*source, options(2, 16), [&](const Chunk& c) {
    const std::lock_guard lock(mutex);
    sizes[c.first] = c.slot.size();
  });
  EXPECT_EQ(sizes.begin()->second, 16u);
  EXPECT_EQ(sizes.rbegin()->second, 1u);
}

TEST(Pipeline, StrictRethrowsTheFirstError) {
  const auto source = make_source(20, {5});
  for (const int workers : {1, 3}) {
    PipelineOptions strict = options(workers, 4);
    strict.strict = true;
    try {
      run(*source, strict, [](const Chunk&) {});
      FAIL();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.status(), Status::kCorrupt);
      EXPECT_NE(std::string(error.what()).find("image5"), std::string::npos);
    }
  }
}

TEST(Pipeline, AnExceptionOfTheSinkStopsEverything) {
  const auto source = repeated_source(make_source(4), 100000);
  for (const int workers : {1, 3}) {
    std::atomic<int> calls{0};
    EXPECT_THROW(run(*source, options(workers, 1),
                     [&calls](const Chunk&) {
                       if (++calls == 5) throw std::logic_error("full");
                     }),
                 std::logic_error);
    EXPECT_LT(calls, 1000);
  }
}

TEST(Pipeline, CancelReturnsWhatWasDone) {
  const auto source = repeated_source(make_source(4), 100000);
  for (const int workers : {1, 3}) {
    std::atomic<int> polls{0};
    std::atomic<std::int64_t> seen{0};
    const PipelineStats stats = run(
        *source, options(workers, 8),
        [&seen](const Chunk& c) { seen += static_cast<std::int64_t>(c.slot.size()); },
        [&polls] { return ++polls > 100; });
    EXPECT_EQ(stats.images, seen);
    EXPECT_GT(stats.images, 50);
    EXPECT_LT(stats.images, 200);
  }
}

TEST(Pipeline, SinksOfDifferentWorkersOverlap) {
  const auto source = make_source(8);
  std::atomic<int> inside{0};
  std::atomic<bool> together{false};
  run(*source, options(2, 1), [&](const Chunk&) {
    ++inside;
    for (int i = 0; i < 200 && !together; ++i) {
      if (inside == 2) together = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    --inside;
  });
  EXPECT_TRUE(together);
}

// A device that fills chunks on its own: `most` at a time, a worker waits for more.
class Device {
 public:
  explicit Device(int most) : free_(most) {}
  std::atomic<int> fails_at{-1};  // this chunk is not filled
  std::atomic<int> waited{0};

  std::unique_ptr<Loader> loader() { return std::make_unique<Begins>(*this); }

 private:
  struct Fills final : Filling {
    Fills(Device& of, std::int64_t its_first) : device(of), first(its_first) {}
    ~Fills() override {
      const std::lock_guard lock(device.mutex_);
      ++device.free_;
      device.changed_.notify_one();
    }
    void wait() override {
      ++device.waited;
      if (first == device.fails_at) base::fail(Status::kInternal, "the device is lost");
    }
    Device& device;
    const std::int64_t first;
  };
  struct Begins final : Loader {
    explicit Begins(Device& of) : device(of) {}
    int most() const override { return 1; }
    double likely_rate() const override { return 1; }
    void load(const Source&, const PipelineOptions&, std::int64_t first, int,
              const std::function<bool()>&, Chunk& chunk, PipelineStats& stats) override {
      std::unique_lock lock(device.mutex_);
      device.changed_.wait(lock, [&] { return device.free_ > 0; });
      --device.free_;
      chunk.first = first;
      chunk.good = 1;
      chunk.slot = {0};
      chunk.error = {""};
      chunk.filling = std::make_unique<Fills>(device, first);
      ++stats.images;
    }
    Device& device;
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  int free_;
};

TEST(Pipeline, LoadersHandOverToTheCaller) {
  const auto source = make_source(60);
  Device device(2);
  const auto one = device.loader();
  const auto two = device.loader();
  PipelineOptions with = options(1, 1);
  with.loaders = {one.get(), two.get()};
  const auto caller = std::this_thread::get_id();
  std::set<std::int64_t> seen;
  std::unique_ptr<Filling> kept;  // as long as what was made of it
  bool idle = false;
  const PipelineStats stats = run(
      *source, with,
      [&](Chunk& chunk) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        seen.insert(chunk.first);
        EXPECT_EQ(device.waited, static_cast<int>(seen.size()));
        kept = std::move(chunk.filling);
        idle = false;
      },
      {},
      [&] {
        kept.reset();
        idle = true;
      });
  EXPECT_EQ(stats.images, 60);
  EXPECT_EQ(seen.size(), 60u);
  EXPECT_TRUE(idle);
}

TEST(Pipeline, ADeviceThatFailsStopsEverything) {
  const auto source = repeated_source(make_source(4), 100000);
  for (const bool in_sink : {false, true}) {
    Device device(3);
    const auto one = device.loader();
    const auto two = device.loader();
    PipelineOptions with = options(1, 1);
    with.loaders = {one.get(), two.get()};
    if (!in_sink) device.fails_at = 20;
    int calls = 0;
    EXPECT_THROW(run(*source, with,
                     [&](Chunk&) {
                       if (++calls == 30) base::fail(Status::kInternal, "the sink is full");
                     }),
                 base::Error);
    EXPECT_LE(calls, 30);
  }
}

TEST(Pipeline, RefusesNonsense) {
  const auto source = make_source(1);
  for (const auto& [workers, chunk] : {std::pair{0, 1}, std::pair{1, 0}}) {
    EXPECT_THROW(run(*source, options(workers, chunk), [](const Chunk&) {}), base::Error);
  }
}

}  // namespace
}  // namespace pronghorn::image
