// SPDX-License-Identifier: Apache-2.0
// Many random problems and networks for every device. Each failure prints the line that repeats it.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "judge.h"
#include "network.h"
#include "problem.h"

namespace pronghorn::exact {
namespace {

class ExactSlow : public ::testing::Test {
 protected:
  void check(const graph::Graph& graph, int batch, const std::string& fill, std::uint32_t seed) {
    const Bytes inputs = make_inputs(graph, batch, fill, seed);
    for (const Candidate& candidate : candidates_) {
      const auto fault = disagreement(candidate, *reference_, graph, inputs, batch, {1, 2});
      ASSERT_FALSE(fault) << graph.name << "\nbatch " << batch << "\n" << *fault;
    }
  }

  std::unique_ptr<device::Device> reference_ = device::reference::make_device();
  std::vector<Candidate> candidates_ = candidates();
};

TEST_F(ExactSlow, RandomConvolutions) {
  ASSERT_FALSE(candidates_.empty());
  std::mt19937 random(7);
  for (int i = 0; i < 4000; ++i) {
    const Problem problem = random_conv(random);
    check(build(problem), problem.batch, problem.fill, problem.seed);
    if (HasFatalFailure()) return;
  }
}

TEST_F(ExactSlow, RandomOps) {
  std::mt19937 random(8);
  for (int i = 0; i < 2000; ++i) {
    const Problem problem = random_problem(random);
    check(build(problem), problem.batch, problem.fill, problem.seed);
    if (HasFatalFailure()) return;
  }
}

TEST_F(ExactSlow, RandomNetworks) {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    for (const int batch : {1, 3}) {
      check(graph::passes::lower_quantized(random_network(seed)), batch, "random", seed);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace pronghorn::exact
