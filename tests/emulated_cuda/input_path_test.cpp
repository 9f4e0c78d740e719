// SPDX-License-Identifier: Apache-2.0
// src/device/cuda's input path as it is, over an emulated GPU with JPEG engines: queues, events,
// memory that is used again, and what the engine hands back.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <chrono>
#include <random>
#include <thread>

#include "device/cuda/cuda_input_path.h"
#include "device/cuda/nvjpeg.h"
#include "device/reference/reference_device.h"
#include "graph/graph.h"
#include "runtime/photos_for_test.h"
#include "runtime/session.h"
#include "tests/emulated_cuda/emulated_cuda.h"

namespace pronghorn {
namespace {

using image::testing::jpeg;
using image::testing::picture;
using runtime::testing::all_kinds;
using runtime::testing::ByteVector;
using runtime::testing::judge;
using runtime::testing::mean_colour;
using runtime::testing::source_of;

class EmulatedCuda : public ::testing::Test {
 protected:
  void SetUp() override {
    emulated::recover();
    emulated::settings().engine = true;
    emulated::settings().refuse_every = 0;
    emulated::settings().no_memory = false;
    misused_ = emulated::counts().misused;
    allocated_ = emulated::counts().allocated;
  }
  void TearDown() override {
    emulated::recover();
    EXPECT_EQ(emulated::counts().misused, misused_);
    EXPECT_EQ(emulated::counts().allocated, allocated_) << "memory that was not given back";
  }
  std::int64_t misused_ = 0, allocated_ = 0;
};

runtime::PhotoLoaderOptions options_of(const char* resize, int threads, int batch) {
  return {.resize = image::parse_resize(resize), .threads = threads, .batch = batch};
}

TEST_F(EmulatedCuda, PixelsAndErrorsOfEveryKind) {
  const std::shared_ptr<const image::Source> once = source_of(all_kinds());
  const auto source = image::repeated_source(once, 2 * once->size());
  for (const int gpus : {1, 2}) {
    device::cuda::CudaInputPath path(gpus == 1 ? std::vector<int>{0} : std::vector<int>{0, 1});
    for (const int batch : {1, 9, 128}) {
      const auto judged = judge(*source, path, options_of("direct:32", 4, batch));
      EXPECT_THAT(judged.other_pixels, ::testing::IsEmpty()) << gpus << " " << batch;
      EXPECT_GT(judged.stats.engine_images, 0);
    }
    auto options = options_of("short:40,crop:32", 3, 16);
    EXPECT_THAT(judge(*source, path, options).other_pixels, ::testing::IsEmpty());
    options.engine = false;
    const auto judged = judge(*source, path, options);
    EXPECT_THAT(judged.other_pixels, ::testing::IsEmpty());
    EXPECT_EQ(judged.stats.engine_images, 0);
  }
}

TEST_F(EmulatedCuda, TheEngineAloneAndWhatItRefuses) {
  const std::shared_ptr<const image::Source> once = source_of(all_kinds());
  const runtime::testing::FleetingSource source(image::repeated_source(once, 3 * once->size()));
  device::cuda::CudaInputPath path({0});
  const auto all = judge(source, path, options_of("direct:24", 0, 128));
  EXPECT_THAT(all.other_pixels, ::testing::IsEmpty());
  EXPECT_EQ(all.stats.engine_images + all.stats.returned + 3, all.stats.images);  // 3: no images
  emulated::settings().refuse_every = 5;
  const auto some = judge(source, path, options_of("direct:24", 0, 128));
  EXPECT_THAT(some.other_pixels, ::testing::IsEmpty());
  EXPECT_GT(some.stats.engine_images, all.stats.engine_images / 2);  // not whole batches come back
  EXPECT_LT(some.stats.engine_images, all.stats.engine_images);
}

TEST_F(EmulatedCuda, WithoutMemoryForTheEngineTheProcessorDecodes) {
  const auto source = source_of(all_kinds());
  emulated::settings().no_memory = true;
  device::cuda::CudaInputPath path({0});
  const auto judged = judge(*source, path, options_of("direct:24", 1, 16));
  EXPECT_THAT(judged.other_pixels, ::testing::IsEmpty());
  EXPECT_EQ(judged.stats.engine_images, 0);
  EXPECT_GT(judged.stats.returned, 0);
}

TEST_F(EmulatedCuda, WithoutAnEngineTheProcessorDecodes) {
  emulated::settings().engine = false;
  device::cuda::CudaInputPath path({0});
  EXPECT_EQ(path.engine(), "");
  EXPECT_THAT(path.missing(), ::testing::HasSubstr("no JPEG engine"));
  EXPECT_EQ(path.engine_lanes(), 0);
  const auto judged = judge(*source_of(all_kinds()), path, options_of("direct:24", 2, 16));
  EXPECT_THAT(judged.other_pixels, ::testing::IsEmpty());
  EXPECT_EQ(judged.stats.engine_images, 0);
}

// Images of every class of sizes, more than a lane's memory holds at once.
TEST_F(EmulatedCuda, LargeAndSmallOnes) {
  std::vector<ByteVector> all;
  for (const auto& [width, height] : {std::pair{1000, 40},
                                      {1024, 64},
                                      {1025, 32},
                                      {40, 2048},
                                      {2048, 48},
                                      {16, 2048},
                                      {32, 2049},
                                      {48, 48}}) {
    for (unsigned seed = 0; seed < 5; ++seed) {
      const int samples = 1 + static_cast<int>(seed % 2);
      all.push_back(
          jpeg(picture(width, height, seed), {.h_samples = samples, .v_samples = samples}));
    }
  }
  const std::shared_ptr<const image::Source> once = source_of(all);
  const auto source = image::repeated_source(once, 3 * once->size());
  device::cuda::CudaInputPath path({0});
  const auto judged = judge(*source, path, options_of("direct:32", 0, 128));
  EXPECT_THAT(judged.other_pixels, ::testing::IsEmpty());
  EXPECT_EQ(judged.stats.engine_images, 3 * 35);  // not those of 2049 rows
}

// A chunk of a processor's thread takes many blocks of pinned memory.
TEST_F(EmulatedCuda, BlocksTakeTurns) {
  std::vector<ByteVector> all;
  for (unsigned seed = 0; seed < 40; ++seed) {
    all.push_back(jpeg(picture(720, 540, seed), {.h_samples = 1, .v_samples = 1}));
  }
  device::cuda::CudaInputPath path({0});
  auto options = options_of("direct:48", 1, 32);
  options.engine = false;
  EXPECT_THAT(judge(*source_of(all), path, options).other_pixels, ::testing::IsEmpty());
}

// The reference device's programs, on another thread and late: a GPU reads its input when it comes
// to it.
class LateDevice final : public device::Device {
 public:
  device::DeviceProperties properties() const override { return inner_->properties(); }
  device::CompileResult compile(std::shared_ptr<const graph::Graph> graph,
                                const device::CompileOptions& options) override {
    auto compiled = inner_->compile(std::move(graph), options);
    if (auto* program = std::get_if<std::unique_ptr<device::Program>>(&compiled)) {
      return std::unique_ptr<device::Program>(std::make_unique<Late>(std::move(*program)));
    }
    return compiled;
  }
  device::InputPath* input_path() override { return &path; }

  device::cuda::CudaInputPath path{{0}};

 private:
  class Late final : public device::Program {
   public:
    explicit Late(std::unique_ptr<device::Program> inner) : inner_(std::move(inner)) {}
    const graph::Graph& graph() const override { return inner_->graph(); }
    std::int64_t memory_bytes() const override { return inner_->memory_bytes(); }
    std::unique_ptr<device::Completion> submit(const device::Submission& given) override {
      struct Running final : device::Completion {
        std::vector<const void*> inputs;
        std::vector<void*> outputs;
        std::thread thread;
        ~Running() override { wait(); }
        void wait() override {
          if (thread.joinable()) thread.join();
        }
      };
      auto running = std::make_unique<Running>();
      running->inputs.assign(given.inputs.begin(), given.inputs.end());
      running->outputs.assign(given.outputs.begin(), given.outputs.end());
      device::Submission later = given;
      later.inputs = running->inputs;
      later.outputs = running->outputs;
      running->thread = std::thread([this, later] {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        inner_->submit(later);
      });
      return running;
    }

   private:
    std::unique_ptr<device::Program> inner_;
  };
  std::unique_ptr<device::Device> inner_ = device::reference::make_device();
};

using Answers = std::vector<std::pair<std::string, std::vector<float>>>;

Answers answers(runtime::Session& session, const image::Source& source, int batch) {
  Answers all;
  runtime::classify(session, source, {.resize = image::parse_resize("direct:24"), .batch = batch},
                    [&](const runtime::Result& result) {
                      EXPECT_EQ(result.index, static_cast<std::int64_t>(all.size()));
                      all.emplace_back(result.error, result.outputs == nullptr
                                                         ? std::vector<float>()
                                                         : std::vector<float>(result.outputs,
                                                                              result.outputs + 3));
                      return true;
                    });
  return all;
}

TEST_F(EmulatedCuda, ClassifyGivesTheProcessorsAnswersInOrder) {
  const auto model = std::make_shared<const graph::Graph>(mean_colour(24));
  const std::shared_ptr<const image::Source> once = source_of(all_kinds());
  const auto source = image::repeated_source(once, 4 * once->size());
  runtime::Session plain(model, device::reference::make_device(), 2);
  const Answers expected = answers(plain, *source, 16);
  runtime::Session session(model, std::make_shared<LateDevice>(), 4);
  ASSERT_NE(session.input_path(), nullptr);
  EXPECT_NE(session.input_path()->engine(), "");  // starts it, for few images too
  for (const int batch : {1, 16, 128}) {
    EXPECT_EQ(answers(session, *source, batch), expected) << batch;
  }
}

// Wherever the GPU fails, the caller hears of it, and nothing waits for ever.
TEST_F(EmulatedCuda, AFailureEndsTheClassification) {
  const auto model = std::make_shared<const graph::Graph>(mean_colour(24));
  const std::shared_ptr<const image::Source> once = source_of(all_kinds());
  const auto source = image::repeated_source(once, 4 * once->size());
  const unsigned seed = std::random_device{}();
  fmt::print("seed {}\n", seed);
  std::mt19937 random(seed);
  int failed = 0;
  for (int round = 0; round < 10; ++round) {
    runtime::Session session(model, std::make_shared<LateDevice>(), 4);
    EXPECT_NE(session.input_path()->engine(), "");
    emulated::settings().fails_after = static_cast<int>(random() % (1u << (round + 1)));
    try {
      answers(session, *source, 32);
    } catch (const base::Error& error) {
      ++failed;
      EXPECT_EQ(error.status(), base::Status::kInternal) << error.what();
    }
    emulated::recover();
  }
  EXPECT_GE(failed, 5);
  misused_ = emulated::counts().misused;  // what failed half-way is no misuse
}

}  // namespace
}  // namespace pronghorn
