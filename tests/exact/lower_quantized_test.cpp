// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>

#include "device/reference/reference_device.h"
#include "graph/passes/passes.h"
#include "judge.h"
#include "network.h"
#include "problem.h"
#include "qdq_simulation.h"

namespace pronghorn::exact {
namespace {

// The lowered graph says what the QDQ graph says, up to the rounding of ties.
TEST(LowerQuantized, MeansWhatTheGraphSays) {
  const auto reference = device::reference::make_device();
  std::int64_t compared = 0;
  std::int64_t ties = 0;
  for (std::uint32_t seed = 1; seed <= 150; ++seed) {
    const graph::Graph qdq = random_network(seed, true);
    const auto lowered = std::make_shared<const graph::Graph>(graph::passes::lower_quantized(qdq));
    const auto program = device::compile_or_throw(*reference, lowered, {1});
    const Bytes inputs = make_inputs(qdq, 1, "random", seed);
    const Verdict verdict = judge_qdq(qdq, inputs, run(*program, inputs, 1, 1));
    for (const std::string& fault : verdict.faults) {
      ADD_FAILURE() << qdq.name << ": " << fault << "\n"
                    << graph::to_string(qdq) << graph::to_string(*lowered);
    }
    if (HasFailure()) return;
    compared += verdict.compared;
    ties += verdict.ties;
  }
  EXPECT_GT(compared, 100000);
  EXPECT_LT(ties, compared / 1000);
}

}  // namespace
}  // namespace pronghorn::exact
