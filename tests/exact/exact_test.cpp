// SPDX-License-Identifier: Apache-2.0
// Quick problems for every device; exact_slow_test.cpp has many more.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "base/error.h"
#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "judge.h"
#include "network.h"
#include "problem.h"

namespace pronghorn::exact {
namespace {

constexpr std::uint32_t kSeed = 20240229;

class Exact : public ::testing::Test {
 protected:
  void check(const graph::Graph& graph, int batch, const std::string& fill, std::uint32_t seed) {
    const Bytes inputs = make_inputs(graph, batch, fill, seed);
    for (const Candidate& candidate : candidates_) {
      const auto fault = disagreement(candidate, *reference_, graph, inputs, batch, {1, 2});
      ASSERT_FALSE(fault) << graph.name << "\nbatch " << batch << "\n" << *fault;
    }
  }
  void check(const Problem& problem) {
    check(build(problem), problem.batch, problem.fill, problem.seed);
  }

  std::unique_ptr<device::Device> reference_ = device::reference::make_device();
  std::vector<Candidate> candidates_ = candidates();
};

TEST_F(Exact, SomethingIsJudged) { EXPECT_FALSE(candidates_.empty()); }

// Shapes of real networks, and the corners where kernels go wrong.
TEST_F(Exact, KnownProblems) {
  for (const char* line : {
           "conv ic3 ih20 oc16 k7 s2 p3 zin=1 relu=1",
           "conv ic64 ih14 oc64 k3 p1 relu=1 batch=2",
           "conv ic64 ih7 oc256 k1 res=u8 relu=1",
           "conv ic64 ih14 oc128 k1 s2 src=s8 dst=s8",
           "conv ic512 ih1 oc200 dst=f32 batch=3",
           "conv ic16 ih9 oc16 k3 p1 g16 relu=1",
           "conv ic32 ih9 oc64 k3 p1 g32 s2 src=s8",
           "conv ic24 ih9 oc12 k3 p1 g4 res=s8 dst=s8",
           "conv ic1 ih1 oc1 k1",
           "conv ic5 ih3 oc7 k3 p3 s3",
           "conv ic33 ih5 iw17 oc19 kh1 kw3 pl2 pr1 sh2 sw1",
           "conv ic64 ih5 oc33 k3 p1 fill=high",
           "conv ic64 ih5 oc33 k3 p1 fill=low",
           "conv ic64 ih5 oc33 k3 p1 fill=low src=s8 res=s8",
           "conv ic67 ih5 oc33 k3 p1 fill=ties res=u8 zin=1",
           "add ic37 ih7 src=s8 dst=u8 fill=ties",
           "max_pool ic64 ih12 k3 s2 p1",
           "max_pool ic19 ih7 k2 s2 src=s8 pb1 pr1",
           "average_pool ic19 ih7 k7",
           "average_pool ic19 ih7 k3 p1 dst=f32",
           "average_pool ic19 ih7 k3 p1 incpad=1 src=s8 dst=s8",
           "requantize ic21 ih9 src=s8 dst=u8 relu=1",
           "concat ic3 ih5 parts=4",
           "pad ic3 ih5 pt1 pl0 pb2 pr3 src=s8",
           "quantize ic9 ih5 dst=s8",
           "quantize ic9 ih5 zin=1",
           "dequantize ic9 ih5 zin=1",
       }) {
    check(parse(line));
    if (HasFatalFailure()) return;
  }
}

TEST_F(Exact, RandomProblems) {
  std::mt19937 random(kSeed);
  for (int i = 0; i < 200; ++i) {
    check(random_problem(random));
    if (HasFatalFailure()) return;
  }
}

TEST_F(Exact, RandomNetworks) {
  for (std::uint32_t seed = 1000; seed < 1010; ++seed) {
    check(graph::passes::lower_quantized(random_network(seed)), seed % 2 == 0 ? 1 : 3, "random",
          seed);
    if (HasFatalFailure()) return;
  }
}

TEST(Problem, TextIsTheProblem) {
  std::mt19937 random(kSeed);
  for (int i = 0; i < 200; ++i) {
    const std::string line = to_string(random_problem(random));
    EXPECT_EQ(to_string(parse(line)), line);
  }
}

TEST(Problem, UnknownWordsAreRefused) {
  EXPECT_THROW(parse("convolution ic3"), base::Error);
  EXPECT_THROW(parse("conv ic3 oops4"), base::Error);
  EXPECT_THROW(parse("conv ic"), base::Error);
}

// The comparison itself must be able to fail.
TEST_F(Exact, ADifferenceIsSeen) {
  const graph::Graph right = build(parse("conv ic8 ih4 oc8 k3 p1"));
  graph::Graph wrong = right;
  auto q = wrong.nodes[0].as<graph::QConv>();
  q.m[3] *= 1.5f;
  wrong.nodes[0].attributes = q;
  struct Liar final : device::Device {
    std::unique_ptr<device::Device> inner = device::reference::make_device();
    std::shared_ptr<const graph::Graph> answer;
    device::DeviceProperties properties() const override { return inner->properties(); }
    device::CompileResult compile(std::shared_ptr<const graph::Graph>,
                                  const device::CompileOptions& options) override {
      return inner->compile(answer, options);
    }
  };
  auto liar = std::make_unique<Liar>();
  liar->answer = std::make_shared<const graph::Graph>(wrong);
  const Candidate candidate{"liar", std::move(liar)};
  const auto fault =
      disagreement(candidate, *reference_, right, make_inputs(right, 1, "random", 1), 1, {1});
  ASSERT_TRUE(fault);
  EXPECT_NE(fault->find("c 3"), std::string::npos) << *fault;
}

}  // namespace
}  // namespace pronghorn::exact
