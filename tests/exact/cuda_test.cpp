// SPDX-License-Identifier: Apache-2.0
// The CUDA device against the reference: whole programs, with each row of its kernel table forced.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "device/cpu/cpu_device.h"
#include "device/cuda/cuda_device.h"
#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "image/image.h"
#include "image/source.h"
#include "import/import.h"
#include "judge.h"
#include "network.h"
#include "problem.h"

namespace pronghorn::exact {
namespace {

constexpr std::uint32_t kSeed = 20261124;

class CudaExact : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (device::cuda::device_names().empty()) {
      try {
        device::cuda::make_device("cuda");
      } catch (const base::Error& error) {
        GTEST_SKIP() << error.what();
      }
    }
    ::setenv("PRONGHORN_CUDA_KERNEL", GetParam(), 1);
    candidate_ = {std::string("cuda ") + GetParam(), device::cuda::make_device("cuda:0")};
  }
  void TearDown() override { ::unsetenv("PRONGHORN_CUDA_KERNEL"); }

  void check(const graph::Graph& graph, int batch, const std::string& fill, std::uint32_t seed) {
    const Bytes inputs = make_inputs(graph, batch, fill, seed);
    const auto fault = disagreement(candidate_, *reference_, graph, inputs, batch, {0});
    ASSERT_FALSE(fault) << graph.name << "\nbatch " << batch << "\n" << *fault;
  }

  std::unique_ptr<device::Device> reference_ = device::reference::make_device();
  Candidate candidate_;
};

// Every convolution of ResNet-18, 50 and 101 (v1.5), whose blocks repeat these shapes.
TEST_P(CudaExact, ResNetLayers) {
  std::vector<std::string> lines = {"conv ic3 ih224 oc64 k7 s2 p3 zin=1 relu=1",
                                    "max_pool ic64 ih112 k3 s2 p1",
                                    "average_pool ic2048 ih7 k7",
                                    "average_pool ic512 ih7 k7",
                                    "conv ic2048 ih1 oc1000 dst=f32",
                                    "conv ic512 ih1 oc1000 dst=f32"};
  int wide = 64;
  for (int size = 56; size >= 7; size /= 2, wide *= 2) {
    const int before = size == 56 ? 64 : wide * 2;
    const int twice = size == 56 ? 1 : 2;
    const auto add = [&](const std::string& text) { lines.push_back("conv " + text + " relu=1"); };
    const auto conv = [&](int ic, int ih, int oc, const std::string& rest) {
      add("ic" + std::to_string(ic) + " ih" + std::to_string(ih) + " oc" + std::to_string(oc) +
          " " + rest);
    };
    conv(before, size * twice, wide, "k1");
    conv(wide, size * twice, wide, "k3 p1 s" + std::to_string(twice));
    conv(wide, size, wide * 4, "k1 res=u8");
    conv(wide * 4, size, wide, "k1");
    conv(wide, size, wide, "k3 p1 res=u8");
    lines.push_back("conv ic" + std::to_string(before) + " ih" + std::to_string(size * twice) +
                    " oc" + std::to_string(wide * 4) + " k1 s" + std::to_string(twice));
    if (twice == 2) {
      conv(wide / 2, size * 2, wide, "k3 p1 s2");
      lines.push_back("conv ic" + std::to_string(wide / 2) + " ih" + std::to_string(size * 2) +
                      " oc" + std::to_string(wide) + " k1 s2");
    }
  }
  for (const std::string& line : lines) {
    const Problem problem = parse(line);
    check(build(problem), problem.batch, problem.fill, problem.seed);
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaExact, RandomProblems) {
  std::mt19937 random(kSeed);
  for (int i = 0; i < 300; ++i) {
    const Problem problem = random_problem(random);
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ": " + to_string(problem));
    check(build(problem), problem.batch, problem.fill, problem.seed);
    if (HasFatalFailure()) return;
  }
}

TEST_P(CudaExact, RandomNetworks) {
  for (std::uint32_t seed = 3000; seed < 3040; ++seed) {
    check(graph::passes::lower_quantized(random_network(seed, seed % 4 == 0)),
          1 + static_cast<int>(seed % 5), "random", seed);
    if (HasFatalFailure()) return;
  }
}

// A batch that is cut into chunks, small ones in between, and several submissions under way.
TEST_P(CudaExact, BatchesInterleave) {
  const auto graph =
      std::make_shared<const graph::Graph>(graph::passes::lower_quantized(random_network(77)));
  const auto judge = device::compile_or_throw(*reference_, graph);
  const auto program = device::compile_or_throw(*candidate_.device, graph);
  struct Work {
    Bytes inputs, want, have;
    std::vector<const void*> sources;
    std::vector<void*> results;
    int batch;
  };
  std::vector<Work> all;
  for (const int batch : {300, 1, 7, 300, 1, 64, 2, 1}) {
    Work work;
    work.batch = batch;
    work.inputs = make_inputs(*graph, batch, "random", kSeed + static_cast<std::uint32_t>(batch));
    work.want = run(*judge, work.inputs, batch, 0);
    work.have = work.want;
    for (auto& bytes : work.have) bytes.assign(bytes.size(), std::byte{0xA5});
    all.push_back(std::move(work));
  }
  for (Work& work : all) {
    for (const auto& bytes : work.inputs) work.sources.push_back(bytes.data());
    for (auto& bytes : work.have) work.results.push_back(bytes.data());
  }
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<std::unique_ptr<device::Completion>> under_way;
    for (Work& work : all) {
      under_way.push_back(program->submit({work.sources, work.results, work.batch, 0}));
    }
    for (const auto& completion : under_way) completion->wait();
    for (const Work& work : all) ASSERT_EQ(work.have, work.want) << "batch " << work.batch;
  }
}

// Photographs where they are at hand (PRONGHORN_SHARED, a folder with data/tin200-val-a.tar), else
// noise with the correlations of photographs.
std::vector<std::uint8_t> photographs(std::int64_t count) {
  constexpr std::size_t kPixels = 224 * 224 * 3;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count) * kPixels);
  const char* shared = std::getenv("PRONGHORN_SHARED");
  const auto archive =
      std::filesystem::path(shared == nullptr ? "../shared" : shared) / "data" / "tin200-val-a.tar";
  if (std::filesystem::exists(archive)) {
    const auto source = image::open_source(archive);
    base::ThreadPool pool(base::available_cores());
    pool.parallel_for(count, [&](std::int64_t i, int) {
      const auto encoded = source->read(i * source->size() / count);
      image::load(encoded.bytes, "", {}, pixels.data() + static_cast<std::size_t>(i) * kPixels);
    });
    return pixels;
  }
  std::mt19937 random(kSeed);
  int value = 128;
  for (auto& pixel : pixels) {
    value = std::clamp(value + static_cast<int>(random() % 31) - 15, 0, 255);
    pixel = static_cast<std::uint8_t>(value);
  }
  return pixels;
}

// The embedded model: the CPU's scores, to the last bit and so to the last label.
TEST_P(CudaExact, EmbeddedModelEqualsTheCpu) {
  constexpr int kImages = 256;
  const auto graph = std::make_shared<const graph::Graph>(
      graph::passes::lower_quantized(import::import_model("models/resnet50-tin200-int8.onnx")));
  const std::vector<std::uint8_t> pixels = photographs(kImages);
  const auto* bytes = reinterpret_cast<const std::byte*>(pixels.data());
  const Bytes inputs{{bytes, bytes + pixels.size()}};
  const auto cpu = device::cpu::make_device();
  const auto want = run(*device::compile_or_throw(*cpu, graph), inputs, kImages, 0);
  const auto program = device::compile_or_throw(*candidate_.device, graph);
  EXPECT_TRUE(run(*program, inputs, kImages, 0) == want);
  EXPECT_TRUE(run(*program, inputs, kImages, 0) == want) << "second run";
}

// Lists of GPUs with a copy of the model and memory for each: one GPU named twice and thrice, and
// where there are more, the first two, in both orders, and all.
std::vector<std::string> shared_devices() {
  std::vector<std::string> names = {"cuda:0,0", "cuda:0,0,0"};
  if (device::cuda::device_names().size() > 1) {
    names.insert(names.end(), {"cuda:0,1", "cuda:1,0", "cuda:1", "cuda"});
  }
  return names;
}

TEST(CudaDevice, BatchesAreSharedAmongGpus) {
  if (device::cuda::device_names().empty()) GTEST_SKIP() << "no GPU";
  const auto judge_device = device::reference::make_device();
  const auto one = device::cuda::make_device("cuda:0");
  for (const std::string& name : shared_devices()) {
    SCOPED_TRACE(name);
    const Candidate candidate{name, device::cuda::make_device(name)};
    if (name.starts_with("cuda:0,0")) {
      EXPECT_EQ(candidate.device->properties().memory_bytes, one->properties().memory_bytes);
    }
    for (std::uint32_t seed = 5000; seed < 5006; ++seed) {
      const auto graph = graph::passes::lower_quantized(random_network(seed, seed % 2 == 0));
      for (const int batch : {1, 2, 3, 7, 64}) {
        const Bytes inputs = make_inputs(graph, batch, "random", seed);
        const auto fault = disagreement(candidate, *judge_device, graph, inputs, batch, {0});
        ASSERT_FALSE(fault) << "seed " << seed << ", batch " << batch << "\n" << *fault;
      }
    }
  }
}

// The embedded model on lists of GPUs, at the sizes of real batches: the CPU's scores, the same
// from several threads at once.
TEST(CudaDevice, EmbeddedModelOnSeveralGpus) {
  if (device::cuda::device_names().empty()) GTEST_SKIP() << "no GPU";
  constexpr int kImages = 96;
  const auto graph = std::make_shared<const graph::Graph>(
      graph::passes::lower_quantized(import::import_model("models/resnet50-tin200-int8.onnx")));
  const std::vector<std::uint8_t> pixels = photographs(kImages);
  const auto* bytes = reinterpret_cast<const std::byte*>(pixels.data());
  const Bytes inputs{{bytes, bytes + pixels.size()}};
  const auto cpu = device::cpu::make_device();
  const auto want = run(*device::compile_or_throw(*cpu, graph), inputs, kImages, 0);
  for (const std::string& name : shared_devices()) {
    SCOPED_TRACE(name);
    const auto device = device::cuda::make_device(name);
    const auto program = device::compile_or_throw(*device, graph);
    std::vector<std::thread> threads;
    std::vector<int> wrong(3);
    for (std::size_t t = 0; t < wrong.size(); ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 3; ++i) wrong[t] += run(*program, inputs, kImages, 0) == want ? 0 : 1;
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, std::vector<int>(wrong.size(), 0));
  }
}

// The best scores alone, ranked on the GPU: those of a sort of all scores, of which many are equal.
TEST(CudaDevice, RanksAsASortDoes) {
  if (device::cuda::device_names().empty()) GTEST_SKIP() << "no GPU";
  const auto graph = std::make_shared<const graph::Graph>(
      build(parse("average_pool ic1000 ih2 k2 dst=f32 seed=9")));
  const auto device = device::cuda::make_device(shared_devices().back());
  const auto program = device::compile_or_throw(*device, graph);
  ASSERT_TRUE(program->ranks());
  for (const int batch : {1, 3, 600}) {
    const Bytes inputs = make_inputs(*graph, batch, "random", kSeed);
    const Bytes all = run(*program, inputs, batch, 0);
    const auto classes = all[0].size() / sizeof(float) / static_cast<std::size_t>(batch);
    for (const int k : {1, 5, 40}) {
      std::vector<device::Scored> have(static_cast<std::size_t>(batch * k));
      const void* src[] = {inputs[0].data()};
      void* dst[] = {have.data()};
      program->submit({.inputs = src, .outputs = dst, .batch = batch, .best = k})->wait();
      for (std::size_t image = 0; image < static_cast<std::size_t>(batch); ++image) {
        std::vector<device::Scored> want(classes);
        for (std::size_t c = 0; c < classes; ++c) {
          want[c].index = static_cast<std::int32_t>(c);
          std::memcpy(&want[c].score, all[0].data() + (image * classes + c) * sizeof(float),
                      sizeof(float));
        }
        std::sort(want.begin(), want.end(), device::before);
        ASSERT_EQ(std::memcmp(want.data(), have.data() + image * static_cast<std::size_t>(k),
                              static_cast<std::size_t>(k) * sizeof(device::Scored)),
                  0)
            << "batch " << batch << ", best " << k << ", image " << image;
      }
    }
  }
  const Bytes inputs = make_inputs(*graph, 1, "random", kSeed);
  const void* src[] = {inputs[0].data()};
  void* dst[] = {nullptr};
  EXPECT_THROW(program->submit({.inputs = src, .outputs = dst, .batch = 1, .best = 1001}),
               base::Error);
}

// Many submissions from several threads at once, on a shared device.
TEST(CudaDevice, ThreadsShareGpus) {
  if (device::cuda::device_names().empty()) GTEST_SKIP() << "no GPU";
  const auto graph =
      std::make_shared<const graph::Graph>(graph::passes::lower_quantized(random_network(78)));
  const auto reference = device::reference::make_device();
  const auto judge = device::compile_or_throw(*reference, graph);
  const auto device = device::cuda::make_device(shared_devices().back());
  const auto program = device::compile_or_throw(*device, graph);
  constexpr int kThreads = 6;
  std::vector<std::string> faults(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const int batch = 1 + 5 * t;
      const Bytes inputs = make_inputs(*graph, batch, "random", kSeed + static_cast<unsigned>(t));
      const Bytes want = run(*judge, inputs, batch, 1);
      for (int i = 0; i < 20; ++i) {
        if (run(*program, inputs, batch, 0) != want)
          faults[static_cast<std::size_t>(t)] = "differs";
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const std::string& fault : faults) EXPECT_EQ(fault, "");
}

TEST(CudaDevice, NamesAreLists) {
  using device::cuda::numbers_of;
  EXPECT_EQ(numbers_of("cuda"), std::vector<int>{});
  EXPECT_EQ(numbers_of("cuda:3"), std::vector<int>{3});
  EXPECT_EQ(numbers_of("cuda:0,0,12"), (std::vector<int>{0, 0, 12}));
  for (const char* wrong : {"", "cud", "cuda:", "cuda:0,", "cuda:,0", "cuda:x", "cuda:0x",
                            "cuda:-1", "cuda:0,-0", "cuda:0 1", "cuda:99999999999", "cuda0"}) {
    try {
      numbers_of(wrong);
      ADD_FAILURE() << wrong;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.status(), base::Status::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find(wrong), std::string::npos);
    }
  }
}

TEST(CudaDevice, FloatGraphsAreRefusedByName) {
  if (device::cuda::device_names().empty()) GTEST_SKIP() << "no GPU";
  graph::Graph g;
  const auto x = g.add_value("x", graph::DType::kF32, {4, 4, 16});
  g.inputs = {x};
  g.outputs = {g.add_node(graph::Op::kRelu, "rectify", {x})};
  const auto result = device::cuda::make_device("cuda")->compile(
      std::make_shared<const graph::Graph>(std::move(g)), {});
  const auto* refusal = std::get_if<device::Refusal>(&result);
  ASSERT_NE(refusal, nullptr);
  EXPECT_NE(refusal->message().find("rectify"), std::string::npos);
}

TEST(CudaDevice, WithoutAGpuItSaysSo) {
  if (!device::cuda::device_names().empty()) GTEST_SKIP() << "there is a GPU";
  try {
    device::cuda::make_device("cuda:0");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.status(), base::Status::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("cuda:0"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, CudaExact, ::testing::Values("wgmma_sm90a", "mma_sm80", "direct"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace pronghorn::exact
