// SPDX-License-Identifier: Apache-2.0
// For tests of ways of photographs to a device: images of every kind, and a judge of the pixels.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/graph.h"
#include "image/encode_for_test.h"
#include "runtime/photo_loader.h"

namespace pronghorn::runtime::testing {

using image::testing::ByteVector;

inline ByteVector cut(ByteVector bytes, double share) {
  bytes.resize(static_cast<std::size_t>(share * static_cast<double>(bytes.size())));
  return bytes;
}

// Every kind of image that image::load takes or refuses.
inline std::vector<ByteVector> all_kinds() {
  std::vector<ByteVector> all;
  for (const auto& [h, v] : {std::pair{1, 1}, {2, 1}, {2, 2}, {1, 2}}) {
    for (const auto& [width, height] :
         {std::pair{16, 16}, {17, 33}, {64, 48}, {75, 50}, {121, 201}, {15, 40}, {500, 375}}) {
      all.push_back(image::testing::jpeg(
          image::testing::picture(width, height, static_cast<unsigned>(width + h)),
          {.quality = 95, .h_samples = h, .v_samples = v}));
      all.push_back(image::testing::jpeg(image::testing::noise(width, height, 7),
                                         {.h_samples = h, .v_samples = v}));
    }
  }
  all.push_back(image::testing::jpeg(image::testing::picture(90, 60), {.gray = true}));
  all.push_back(image::testing::jpeg(image::testing::picture(90, 60), {.progressive = true}));
  for (int orientation = 1; orientation <= 8; ++orientation) {
    all.push_back(
        image::testing::jpeg(image::testing::picture(70, 44), {.orientation = orientation}));
  }
  all.push_back(image::testing::png(image::testing::picture(40, 30)));
  all.push_back(image::testing::png(image::testing::picture(300, 20)));
  all.push_back(cut(image::testing::jpeg(image::testing::picture(80, 80)), 0.5));
  all.push_back(
      cut(image::testing::jpeg(image::testing::picture(80, 80), {.progressive = true}), 0.6));
  all.push_back(cut(image::testing::jpeg(image::testing::picture(80, 80)), 0.02));
  for (const double share : {0.5, 0.9, 0.97, 0.995})
    all.push_back(cut(image::testing::jpeg(image::testing::picture(90, 300)), share));
  all.push_back({});
  all.push_back(ByteVector(100, std::byte{1}));
  return all;
}

inline std::unique_ptr<image::Source> source_of(const std::vector<ByteVector>& all) {
  std::vector<std::string> names;
  std::vector<image::Encoded> images;
  for (const ByteVector& bytes : all) {
    auto owner = std::make_shared<ByteVector>(bytes);
    names.push_back("image" + std::to_string(names.size()));
    images.push_back({base::Bytes(*owner), owner});
  }
  return image::memory_source(std::move(names), std::move(images));
}

// Its images are overwritten as soon as nobody holds them.
class FleetingSource final : public image::Source {
 public:
  explicit FleetingSource(std::shared_ptr<const image::Source> inner) : inner_(std::move(inner)) {}
  std::int64_t size() const override { return inner_->size(); }
  std::string name(std::int64_t index) const override { return inner_->name(index); }
  std::string label(std::int64_t index) const override { return inner_->label(index); }
  image::Encoded read(std::int64_t index) const override {
    const image::Encoded stays = inner_->read(index);
    const std::shared_ptr<ByteVector> copy(new ByteVector(stays.bytes.begin(), stays.bytes.end()),
                                           [](ByteVector* gone) {
                                             std::fill(gone->begin(), gone->end(), std::byte{0xff});
                                             delete gone;
                                           });
    return {base::Bytes(*copy), copy};
  }

 private:
  std::shared_ptr<const image::Source> inner_;
};

// A network whose three results are the mean of each channel.
inline graph::Graph mean_colour(int side) {
  graph::Graph g;
  g.name = "mean_colour";
  g.inputs = {g.add_value("pixels", graph::DType::kU8, {side, side, 3})};
  graph::QAveragePool pool{.window = {.kh = side, .kw = side},
                           .m = std::vector<float>(static_cast<std::size_t>(side * side),
                                                   1.0f / static_cast<float>(side * side))};
  g.outputs = {g.add_node(graph::Op::kQAveragePool, "mean", {g.inputs[0]}, pool)};
  graph::verify(g);
  return g;
}

struct Judged {
  image::PipelineStats stats;
  std::set<std::int64_t> other_pixels;  // than image::load's
};

// Loads the source over `path` and compares with image::load: errors must be the same. `fetch`
// gives a device's pixels as host memory.
inline Judged judge(
    const image::Source& source, device::InputPath& path, const PhotoLoaderOptions& options,
    const std::function<std::vector<std::uint8_t>(std::span<const std::uint8_t>)>& fetch =
        [](std::span<const std::uint8_t> pixels) {
          return std::vector<std::uint8_t>(pixels.begin(), pixels.end());
        }) {
  Judged judged;
  const auto side = static_cast<std::size_t>(options.resize.width);
  const std::size_t bytes = side * side * 3;
  const PhotoLoaders loaders = make_photo_loaders(&path, options);
  std::mutex mutex;
  std::set<std::int64_t> seen;
  judged.stats =
      image::run(source, {.resize = options.resize, .limits = {}, .loaders = loaders.pointers()},
                 [&](const image::Chunk& chunk) {
                   const std::vector<std::uint8_t> got = fetch(chunk.pixels);
                   for (std::size_t i = 0; i < chunk.slot.size(); ++i) {
                     const std::int64_t index = chunk.first + static_cast<std::int64_t>(i);
                     std::vector<std::uint8_t> expected(bytes);
                     std::string error;
                     try {
                       image::load(source.read(index).bytes, source.name(index), options.resize,
                                   expected.data());
                     } catch (const base::Error& e) {
                       error = e.what();
                     }
                     const std::lock_guard lock(mutex);
                     EXPECT_TRUE(seen.insert(index).second) << index;
                     EXPECT_EQ(chunk.error[i], error) << index;
                     EXPECT_EQ(chunk.slot[i] < 0, !error.empty()) << index;
                     if (chunk.slot[i] < 0) continue;
                     if (std::memcmp(got.data() + bytes * static_cast<std::size_t>(chunk.slot[i]),
                                     expected.data(), bytes) != 0) {
                       judged.other_pixels.insert(index);
                     }
                   }
                 });
  EXPECT_EQ(static_cast<std::int64_t>(seen.size()), source.size());
  EXPECT_EQ(judged.stats.images, source.size());
  return judged;
}

}  // namespace pronghorn::runtime::testing
