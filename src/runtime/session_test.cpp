// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>  // jpeglib.h needs FILE
#include <future>
#include <random>

#include "device/reference/reference_device.h"
#include "jpeglib.h"
#include "runtime/device_list.h"

namespace pronghorn::runtime {
namespace {

using base::Error;
using base::Status;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kWidth = 8;

// Mean of each colour over the picture: a float graph whose answer is easy to say.
graph::Graph mean_colour(bool with_preprocess) {
  graph::Graph g;
  g.name = "mean_colour";
  g.inputs = {g.add_value("pixels", graph::DType::kF32, {kWidth, kWidth, 3})};
  g.outputs = {g.add_node(graph::Op::kAveragePool, "mean", {g.inputs[0]},
                          graph::Window{.kh = kWidth, .kw = kWidth})};
  if (with_preprocess) g.preprocess = graph::Preprocess{};
  graph::verify(g);
  return g;
}

// The same in the integer law, from raw pixels.
graph::Graph integer_mean_colour() {
  graph::Graph g;
  g.name = "integer_mean_colour";
  g.inputs = {g.add_value("pixels", graph::DType::kU8, {kWidth, kWidth, 3})};
  const int taps = kWidth * kWidth;
  graph::QAveragePool pool{.window = {.kh = kWidth, .kw = kWidth},
                           .m = std::vector<float>(taps, 1.0f / static_cast<float>(taps))};
  g.outputs = {g.add_node(graph::Op::kQAveragePool, "mean", {g.inputs[0]}, pool)};
  graph::verify(g);
  return g;
}

std::unique_ptr<Session> session_of(graph::Graph g, int threads = 2) {
  return std::make_unique<Session>(std::make_shared<const graph::Graph>(std::move(g)),
                                   device::reference::make_device(), threads);
}

// A JPEG of one gray level, so that its decoded mean is known to within a level.
std::vector<std::byte> gray_jpeg(int level) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = info.image_height = 16;
  info.input_components = 1;
  info.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  jpeg_start_compress(&info, TRUE);
  std::vector<unsigned char> row(16, static_cast<unsigned char>(level));
  unsigned char* rows[] = {row.data()};
  while (info.next_scanline < 16) jpeg_write_scanlines(&info, rows, 1);
  jpeg_finish_compress(&info);
  const auto* first = reinterpret_cast<const std::byte*>(bytes);
  std::vector<std::byte> result(first, first + size);
  jpeg_destroy_compress(&info);
  free(bytes);
  return result;
}

std::unique_ptr<image::Source> gray_source(int count, const std::vector<int>& broken = {}) {
  std::vector<std::string> names;
  std::vector<image::Encoded> images;
  for (int i = 0; i < count; ++i) {
    auto bytes = std::make_shared<std::vector<std::byte>>(gray_jpeg(i));
    if (std::find(broken.begin(), broken.end(), i) != broken.end()) bytes->resize(20);
    images.push_back({base::Bytes(*bytes), bytes});
    names.push_back(fmt::format("gray {}", i));
  }
  return image::memory_source(std::move(names), std::move(images));
}

ClassifyOptions options_of(int batch, int threads) {
  return {.resize = {.width = kWidth}, .limits = {}, .batch = batch, .threads = threads};
}

TEST(Session, RunsPixelsThroughThePreprocess) {
  graph::Graph g = mean_colour(true);
  g.preprocess = graph::Preprocess{{10, 20, 30}, {2, 2, 2}, true};
  const auto session = session_of(std::move(g));
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < kWidth * kWidth; ++i) pixels.insert(pixels.end(), {100, 110, 120});
  std::vector<float> out(3);
  session->run(pixels.data(), 1, out.data());
  EXPECT_THAT(out, ElementsAre(55, 45, 35));  // BGR: (120 - 10) / 2, (110 - 20) / 2, ...
}

TEST(Session, RefusesPixelsWithoutAPreprocess) {
  const auto session = session_of(mean_colour(false));
  std::vector<std::uint8_t> pixels(kWidth * kWidth * 3);
  std::vector<float> out(3);
  try {
    session->run(pixels.data(), 1, out.data());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.status(), Status::kInvalidArgument);
    EXPECT_THAT(e.what(), HasSubstr("preprocess"));
  }
}

TEST(Session, TakesFloatsOnlyWhereTheModelDoes) {
  std::vector<float> in(kWidth * kWidth * 3, 7);
  std::vector<float> out(3);
  session_of(mean_colour(false))->run_f32(in.data(), 1, out.data());
  EXPECT_THAT(out, ElementsAre(7, 7, 7));
  EXPECT_THROW(session_of(integer_mean_colour())->run_f32(in.data(), 1, out.data()), Error);
}

TEST(Session, RefusesAnEmptyBatchAndNegativeThreads) {
  const auto session = session_of(integer_mean_colour());
  EXPECT_THROW(session->run(nullptr, 0, nullptr), Error);
  EXPECT_THROW(session_of(integer_mean_colour(), -1), Error);
}

TEST(Session, AnswersEverySubmissionOnce) {
  auto session = session_of(integer_mean_colour());
  constexpr int kRequests = 200;
  std::vector<std::vector<std::uint8_t>> pixels;
  std::vector<float> out(kRequests * 3);
  std::atomic<int> answered{0};
  for (int i = 0; i < kRequests; ++i) {
    pixels.emplace_back(kWidth * kWidth * 3, static_cast<std::uint8_t>(i));
  }
  for (int i = 0; i < kRequests; ++i) {
    session->submit(pixels[static_cast<std::size_t>(i)].data(), 1,
                    &out[static_cast<std::size_t>(i) * 3], [&](std::exception_ptr error) {
                      EXPECT_FALSE(error);
                      ++answered;
                    });
  }
  session.reset();  // waits
  EXPECT_EQ(answered, kRequests);
  for (int i = 0; i < kRequests; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i) * 3], i);
}

TEST(Session, HandsErrorsToTheSubmitter) {
  const auto session = session_of(mean_colour(false));
  std::vector<std::uint8_t> pixels(kWidth * kWidth * 3);
  std::vector<float> out(3);
  std::promise<std::exception_ptr> promise;
  session->submit(pixels.data(), 1, out.data(),
                  [&](std::exception_ptr e) { promise.set_value(e); });
  EXPECT_TRUE(promise.get_future().get());
}

class Classify : public testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(Classify, KeepsTheOrderAndNamesTheBroken) {
  const auto [batch, threads] = GetParam();
  const auto session = session_of(integer_mean_colour());
  const auto source = gray_source(100, {0, 17, 99});
  std::int64_t next = 0;
  std::vector<std::int64_t> broken;
  const auto stats =
      classify(*session, *source, options_of(batch, threads), [&](const Result& result) {
        EXPECT_EQ(result.index, next++);
        EXPECT_EQ(result.name, fmt::format("gray {}", result.index));
        if (result.outputs == nullptr) {
          broken.push_back(result.index);
          EXPECT_THAT(result.error, HasSubstr(result.name));
        } else {
          EXPECT_NEAR(result.outputs[0], static_cast<float>(result.index), 1.0f);
          EXPECT_TRUE(result.error.empty());
        }
        return true;
      });
  EXPECT_EQ(next, 100);
  EXPECT_THAT(broken, ElementsAre(0, 17, 99));
  EXPECT_EQ(stats.images, 100);
  EXPECT_EQ(stats.broken, 3);
}

INSTANTIATE_TEST_SUITE_P(BatchesAndThreads, Classify,
                         testing::Combine(testing::Values(1, 7, 128), testing::Values(1, 2, 5)));

TEST(ClassifyErrors, StrictStopsAtTheFirstBrokenImage) {
  const auto session = session_of(integer_mean_colour());
  const auto source = gray_source(100, {3});
  ClassifyOptions options = options_of(2, 4);
  options.strict = true;
  try {
    classify(*session, *source, options, [](const Result&) { return true; });
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("gray 3"));
  }
}

TEST(ClassifyErrors, AStoppedCallerIsNotCalledAgain) {
  const auto session = session_of(integer_mean_colour());
  const auto source = gray_source(100);
  int calls = 0;
  try {
    classify(*session, *source, options_of(3, 4), [&](const Result&) { return ++calls < 10; });
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.status(), Status::kCancelled);
  }
  EXPECT_EQ(calls, 10);
}

TEST(ClassifyErrors, RefusesAResizeThatDoesNotFitTheModel) {
  const auto session = session_of(integer_mean_colour());
  const auto source = gray_source(1);
  ClassifyOptions options = options_of(1, 1);
  options.resize.width = 9;
  EXPECT_THROW(classify(*session, *source, options, [](const Result&) { return true; }), Error);
}

TEST(TopK, BreaksTiesByLowerIndex) {
  const float scores[] = {1, 3, 2, 3, 0};
  EXPECT_THAT(top_k(scores, 5, 3), ElementsAre(1, 3, 2));
  EXPECT_THROW(top_k(scores, 5, 0), Error);
  EXPECT_THROW(top_k(scores, 5, 6), Error);
}

TEST(DeviceList, NamesWhatThereIs) {
  try {
    open_device("abacus");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.status(), Status::kNotFound);
    EXPECT_THAT(e.what(), ::testing::AllOf(HasSubstr("cpu, "), HasSubstr(", reference")));
  }
}

TEST(DeviceList, AutoNeverTakesTheJudge) {
  EXPECT_THAT(devices_to_try("auto"),
              ::testing::AllOf(::testing::Contains("cpu"),
                               ::testing::Not(::testing::Contains("reference"))));
  EXPECT_THAT(devices_to_try("reference"), ElementsAre("reference"));
}

}  // namespace
}  // namespace pronghorn::runtime
