// SPDX-License-Identifier: Apache-2.0
// Quantizes the shared trained networks and compares INT8 with float on labelled images. A subset:
// `pronghorn eval` measures all 5,000.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "device/cpu/cpu_device.h"
#include "graph/passes/passes.h"
#include "image/image.h"
#include "image/source.h"
#include "import/import.h"
#include "quantize/quantize.h"

namespace pronghorn {
namespace {

constexpr std::int64_t kCalibration = 150;
constexpr std::int64_t kImages = 250;
constexpr std::size_t kPixels = 224 * 224 * 3;

std::filesystem::path shared() {
  if (const char* folder = std::getenv("PRONGHORN_SHARED")) return folder;
  return "../shared";  // tests run in the root of the repository
}

// `count` images spread evenly over the archive, so that every class has its share.
std::vector<std::uint8_t> load(const std::filesystem::path& archive, std::int64_t count) {
  const auto source = image::open_source(archive);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count) * kPixels);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = i * source->size() / count;
    image::load(source->read(index).bytes, source->name(index), image::parse_resize("direct:224"),
                pixels.data() + static_cast<std::size_t>(i) * kPixels);
  }
  return pixels;
}

std::vector<float> run(device::Device& device, const graph::Graph& graph,
                       const std::vector<std::uint8_t>& pixels) {
  const auto program = device::compile_or_throw(device, std::make_shared<graph::Graph>(graph));
  const auto classes = static_cast<std::size_t>(graph.value(graph.outputs[0]).shape.size());
  std::vector<float> logits(static_cast<std::size_t>(kImages) * classes);
  base::ThreadPool pool(base::available_cores());
  pool.parallel_for(kImages, [&](std::int64_t n, int) {
    const std::uint8_t* image = pixels.data() + static_cast<std::size_t>(n) * kPixels;
    const void* input = image;
    std::vector<float> values;
    if (graph.preprocess) {
      const graph::Preprocess& pre = *graph.preprocess;
      for (std::size_t i = 0; i < kPixels; ++i) {
        const std::size_t c = i % 3;
        const std::uint8_t pixel = image[i - c + (pre.bgr ? 2 - c : c)];
        values.push_back((static_cast<float>(pixel) - pre.mean[c]) / pre.std[c]);
      }
      input = values.data();
    }
    void* output = logits.data() + static_cast<std::size_t>(n) * classes;
    const auto completion = program->submit({{&input, 1}, {&output, 1}, 1, 1});
    if (completion) completion->wait();
  });
  return logits;
}

void expect_close(const char* file, const graph::Preprocess& preprocess) {
  const auto model = shared() / "models" / file;
  const auto calibration_set = shared() / "data" / "tin200-calib.tar";
  const auto validation_set = shared() / "data" / "tin200-val-a.tar";
  for (const auto& path : {model, calibration_set, validation_set}) {
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  }
  graph::Graph graph = import::import_model(model);
  graph::passes::fold(graph);
  if (!graph.preprocess) graph.preprocess = preprocess;
  const auto calibration = load(calibration_set, kCalibration);
  const auto images = load(validation_set, kImages);
  const auto device = device::cpu::make_device();
  const graph::Graph quantized =
      quantize::quantize(graph, {calibration.data(), kCalibration}, {}, *device);
  const auto want = run(*device, graph, images);
  const auto have = run(*device, graph::passes::lower_quantized(quantized), images);

  const std::size_t classes = want.size() / static_cast<std::size_t>(kImages);
  int agreed = 0;
  double signal = 0, noise = 0;
  for (std::size_t n = 0; n < static_cast<std::size_t>(kImages); ++n) {
    const auto best = [&](const std::vector<float>& logits) {
      const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(n * classes);
      return std::max_element(begin, begin + static_cast<std::ptrdiff_t>(classes)) - begin;
    };
    agreed += best(want) == best(have);
    for (std::size_t i = n * classes; i < (n + 1) * classes; ++i) {
      signal += static_cast<double>(want[i]) * want[i];
      noise += std::pow(static_cast<double>(want[i]) - have[i], 2);
    }
  }
  const double sqnr = 10 * std::log10(signal / noise);
  ::testing::Test::RecordProperty("agreement_percent", std::to_string(100.0 * agreed / kImages));
  ::testing::Test::RecordProperty("logits_sqnr_db", std::to_string(sqnr));
  EXPECT_GE(agreed, static_cast<int>(0.96 * kImages));
  EXPECT_GT(sqnr, 24);
}

TEST(Accuracy, Resnet50V15FromOnnx) {
  expect_close("resnet50v15-tin200.onnx",
               {{123.675f, 116.28f, 103.53f}, {58.395f, 57.12f, 57.375f}});
}

TEST(Accuracy, Resnet50V1FromKeras) {
  expect_close("resnet50v1-tin200.h5", {{103.939f, 116.779f, 123.68f}, {1, 1, 1}, true});
}

}  // namespace
}  // namespace pronghorn
