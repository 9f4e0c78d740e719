// SPDX-License-Identifier: Apache-2.0
// The input path of NVIDIA GPUs: pixels and answers must be the processor's, whoever decodes.
// PRONGHORN_TEST_IMAGES names a folder or archive of photographs to be judged as well.
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <set>

#include "base/error.h"
#include "device/cuda/cuda_device.h"
#include "image/encode_for_test.h"
#include "image/jpeg_structure.h"
#include "import/import.h"
#include "runtime/device_list.h"
#include "runtime/photos_for_test.h"
#include "runtime/session.h"

namespace pronghorn {
namespace {

namespace testing = runtime::testing;
using image::testing::ByteVector;
using image::testing::jpeg;
using image::testing::noise;
using image::testing::picture;
using runtime::testing::source_of;

constexpr const char* kModel = "models/resnet50-tin200-int8.onnx";

class CudaInput : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device::cuda::device_names().empty()) GTEST_SKIP() << "no GPU that can be used";
    device_ = runtime::open_device("cuda:0");
    path_ = device_->input_path();
    ASSERT_NE(path_, nullptr);
    fmt::print("engine: {}{}\n", path_->engine(), path_->missing());
  }
  std::shared_ptr<device::Device> device_;
  device::InputPath* path_ = nullptr;
};

std::vector<ByteVector> all_kinds() {
  std::vector<ByteVector> all;
  for (const int quality : {50, 75, 90, 96, 100}) {
    for (const auto& [h, v] : {std::pair{1, 1}, {2, 1}, {2, 2}, {1, 2}}) {
      for (const auto& [width, height] :
           {std::pair{16, 16}, {33, 65}, {64, 48}, {75, 50}, {500, 375}, {375, 500}, {1030, 777}}) {
        const auto seed = static_cast<unsigned>(width + quality);
        all.push_back(jpeg(picture(width, height, seed),
                           {.quality = quality, .h_samples = h, .v_samples = v}));
        all.push_back(
            jpeg(noise(width, height, seed), {.quality = quality, .h_samples = h, .v_samples = v}));
      }
    }
  }
  for (const int width : {40, 300, 517}) {
    all.push_back(jpeg(picture(width, 333), {.gray = true}));
    all.push_back(jpeg(picture(width, 333), {.progressive = true}));
    all.push_back(jpeg(picture(width, 333), {.orientation = 6}));
    all.push_back(image::testing::png(picture(width, 222)));
  }
  all.push_back(jpeg(picture(5000, 3000)));
  all.push_back(jpeg(picture(60, 9000)));
  for (const double share : {0.02, 0.4, 0.99}) {
    ByteVector cut = jpeg(picture(400, 300));
    cut.resize(static_cast<std::size_t>(share * static_cast<double>(cut.size())));
    all.push_back(cut);
  }
  all.push_back({});
  if (const char* given = std::getenv("PRONGHORN_TEST_IMAGES")) {
    const auto photographs = image::open_source(given);
    for (std::int64_t i = 0; i < photographs->size(); ++i) {
      const image::Encoded encoded = photographs->read(i);
      all.emplace_back(encoded.bytes.begin(), encoded.bytes.end());
    }
    fmt::print("and {} photographs of {}\n", photographs->size(), given);
  }
  return all;
}

testing::Judged judge(const image::Source& source, device::InputPath& path,
                      const runtime::PhotoLoaderOptions& options) {
  const testing::Judged judged =
      testing::judge(source, path, options, [](std::span<const std::uint8_t> pixels) {
        std::vector<std::uint8_t> got(pixels.size());
        EXPECT_EQ(cudaMemcpy(got.data(), pixels.data(), got.size(), cudaMemcpyDefault), 0);
        return got;
      });
  fmt::print("{}: {} images, {} by the engine, {} returned, {} broken, {} with other pixels\n",
             image::to_string(options.resize), judged.stats.images, judged.stats.engine_images,
             judged.stats.returned, judged.stats.broken, judged.other_pixels.size());
  return judged;
}

TEST_F(CudaInput, PixelsOfTheProcessorsDecoder) {
  const auto source = source_of(all_kinds());
  for (const char* mode : {"direct:224", "short:256,crop:224", "direct:64"}) {
    const testing::Judged judged = judge(
        *source, *path_, {.resize = image::parse_resize(mode), .threads = 2, .engine = false});
    EXPECT_TRUE(judged.other_pixels.empty());
  }
}

TEST_F(CudaInput, PixelsOfTheEngine) {
  if (path_->engine().empty()) GTEST_SKIP() << path_->missing();
  const auto source = source_of(all_kinds());
  for (const int batch : {1, 8, 128}) {
    const testing::Judged judged =
        judge(*source, *path_,
              {.resize = image::parse_resize("direct:224"), .threads = 0, .batch = batch});
    EXPECT_TRUE(judged.other_pixels.empty());
    EXPECT_GT(judged.stats.engine_images, source->size() / 4);
  }
}

// What the markers do not show: the engine and the processor may make different pixels of it. They
// must both live through it, and their neighbours must not change.
TEST_F(CudaInput, DamagedData) {
  if (path_->engine().empty()) GTEST_SKIP() << path_->missing();
  const unsigned seed = std::random_device{}();
  fmt::print("seed {}\n", seed);
  std::mt19937 random(seed);
  std::vector<ByteVector> all;
  std::set<std::int64_t> damaged;
  for (int i = 0; i < 96; ++i) {
    const int samples = 1 + i / 2 % 2;
    ByteVector bytes = jpeg(picture(500, 375, static_cast<unsigned>(i)),
                            {.h_samples = samples, .v_samples = samples});
    if (i % 3 == 0) {
      const ByteVector whole = bytes;
      do {  // three bits that leave the markers as they are
        bytes = whole;
        for (int k = 0; k < 3; ++k) {
          bytes[bytes.size() / 2 + random() % (bytes.size() / 2 - 4)] ^=
              static_cast<std::byte>(1u << random() % 8);
        }
      } while (!image::is_plain_baseline(base::Bytes(bytes)));
      damaged.insert(i);
    }
    all.push_back(std::move(bytes));
  }
  const auto source = source_of(all);
  const testing::Judged judged = judge(
      *source, *path_, {.resize = image::parse_resize("direct:224"), .threads = 0, .batch = 48});
  for (const std::int64_t index : judged.other_pixels)
    EXPECT_TRUE(damaged.contains(index)) << index;
  fmt::print("{} of {} damaged images have other pixels\n", judged.other_pixels.size(),
             damaged.size());
}

TEST_F(CudaInput, AnswersOfTheProcessor) {
  std::vector<ByteVector> some = all_kinds();
  if (some.size() > 400) some.resize(400);
  std::shuffle(some.begin(), some.end(), std::mt19937(1));
  const std::shared_ptr<const image::Source> source = source_of(some);
  const auto model = std::make_shared<const graph::Graph>(import::import_model(kModel));
  const auto answers = [&](runtime::Session& session, const runtime::ClassifyOptions& options) {
    std::vector<std::pair<std::string, std::vector<float>>> all;
    runtime::classify(session, *source, options, [&](const runtime::Result& result) {
      all.emplace_back(result.error, result.outputs == nullptr
                                         ? std::vector<float>()
                                         : std::vector<float>(result.outputs,
                                                              result.outputs + session.classes()));
      return true;
    });
    return all;
  };
  runtime::ClassifyOptions options{.resize = image::parse_resize("direct:224"), .batch = 16};
  runtime::Session processor(model, runtime::open_device("cpu"), 0);
  const auto expected = answers(processor, options);
  runtime::Session gpu(model, device_, 0);
  for (const int batch : {1, 32, 128}) {
    options.batch = batch;
    EXPECT_TRUE(answers(gpu, options) == expected) << "batch " << batch;
  }
  options.engine = false;
  EXPECT_TRUE(answers(gpu, options) == expected) << "without the engine";
}

}  // namespace
}  // namespace pronghorn
