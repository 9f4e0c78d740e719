// SPDX-License-Identifier: Apache-2.0
// The FPGA device's model port against the reference: what it takes comes out byte for byte, on
// every configuration; what it does not take is refused by name.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <variant>

#include "base/error.h"
#include "device/fpga/fpga_device.h"
#include "device/reference/reference_device.h"
#include "judge.h"
#include "problem.h"
#include "residual_network.h"

namespace pronghorn::exact {
namespace {

constexpr std::uint32_t kSeed = 20261124;

class FpgaExact : public ::testing::TestWithParam<const char*> {
 protected:
  FpgaExact()
      : candidate_{GetParam(), device::fpga::make_device("fpga:model:" + std::string(GetParam()))} {
  }

  // False when the device refuses the graph.
  bool check(const graph::Graph& graph, int batch, const std::string& fill, std::uint32_t seed) {
    const auto compiled =
        candidate_.device->compile(std::make_shared<const graph::Graph>(graph), {});
    if (const auto* refusal = std::get_if<device::Refusal>(&compiled)) {
      EXPECT_FALSE(refusal->ops.empty());
      for (const auto& op : refusal->ops) {
        EXPECT_FALSE(op.node.empty());
        EXPECT_FALSE(op.reason.empty());
      }
      refused_ += refusal->message() + "\n";
      return false;
    }
    const Bytes inputs = make_inputs(graph, batch, fill, seed);
    const auto fault = disagreement(candidate_, *reference_, graph, inputs, batch, {1, 2});
    EXPECT_FALSE(fault) << graph.name << ", batch " << batch << ", seed " << seed << "\n" << *fault;
    return true;
  }

  std::unique_ptr<device::Device> reference_ = device::reference::make_device();
  Candidate candidate_;
  std::string refused_;
};
INSTANTIATE_TEST_SUITE_P(Configurations, FpgaExact,
                         ::testing::Values("tiny", "small", "u50", "u280", "u250"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(FpgaExact, KnownProblems) {
  for (const char* line : {
           "conv ic3 ih32 oc16 k7 s2 p3 zin=1 relu=1 batch=3",
           "conv ic3 ih24 oc20 k3 p1 zin=1",
           "conv ic1 ih1 oc1 k1",
           "conv ic64 ih14 oc64 k3 p1 relu=1 batch=9",
           "conv ic64 ih7 oc256 k1 res=u8 relu=1",
           "conv ic64 ih14 oc128 k1 s2 src=s8 dst=s8",
           "conv ic64 ih14 oc40 k3 s2 p1 batch=2",
           "conv ic512 ih1 oc200 dst=f32 batch=3",
           "conv ic16 ih9 oc16 k3 p1 g16 relu=1",
           "conv ic67 ih5 oc33 k3 p1 fill=ties res=u8",
           "conv ic64 ih5 oc33 k3 p1 fill=low src=s8 res=s8",
           "conv ic48 ih6 oc33 k3 src=s8",
           "max_pool ic64 ih12 k3 s2 p1",
           "max_pool ic19 ih7 k2 src=s8",
           "average_pool ic19 ih7 k7",
           "add ic37 ih7 src=s8 dst=u8",
           "requantize ic21 ih9 src=s8 dst=u8 relu=1",
       }) {
    const Problem problem = parse(line);
    EXPECT_TRUE(check(build(problem), problem.batch, problem.fill, problem.seed)) << line << "\n"
                                                                                  << refused_;
    if (HasFailure()) return;
  }
}

TEST_P(FpgaExact, RandomProblems) {
  std::mt19937 random(kSeed);
  int taken = 0;
  for (int i = 0; i < 150; ++i) {
    const Problem problem = random_problem(random);
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ": " + to_string(problem));
    taken += check(build(problem), problem.batch, problem.fill, problem.seed) ? 1 : 0;
    if (HasFailure()) return;
  }
  EXPECT_GE(taken, 30) << refused_;
}

// Residual networks in small, with every kind of step and more images than fit one batch.
TEST_P(FpgaExact, ResidualNetworks) {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    const graph::Graph graph = residual_network(seed);
    EXPECT_TRUE(check(graph, 1 + static_cast<int>(seed * 7 % 11), "random", seed)) << refused_;
    if (HasFailure()) return;
  }
}

TEST_P(FpgaExact, WhatItDoesNotTakeIsNamed) {
  const graph::Graph graph = build(parse("conv ic64 ih9 oc64 k3 p1 s2"));
  EXPECT_FALSE(check(graph, 1, "random", 1));
  EXPECT_NE(refused_.find("stride 2 over 9 columns"), std::string::npos) << refused_;
  refused_.clear();
  EXPECT_FALSE(check(build(parse("concat ic3 ih5 parts=4")), 1, "random", 1));
  EXPECT_NE(refused_.find("no such op"), std::string::npos) << refused_;
}

TEST(FpgaDevice, NamesAreChecked) {
  const auto fault = [](const char* name) -> std::string {
    try {
      device::fpga::make_device(name);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(fault("fpga:model:u9").find("u250"), std::string::npos);
  EXPECT_NE(fault("fpga:usb").find("xrt"), std::string::npos);
  EXPECT_EQ(fault("fpga:model:u280"), "");
  // No build simulates u280; the refusal says how to make one that does.
  EXPECT_NE(fault("fpga:verilator:u280").find("-DPRONGHORN_RTL_SIMULATOR=u280"), std::string::npos);
}

// Without XRT in the build, or with it and no bitstream, or with another configuration's.
TEST(FpgaDevice, ACardThatIsNotThereIsRefused) {
  const auto status = [](std::string* message) {
    try {
      device::fpga::make_device("fpga:xrt:u250");
      return base::Status{};
    } catch (const base::Error& error) {
      *message = error.what();
      return error.status();
    }
  };
  std::string message;
  ::unsetenv("PRONGHORN_XCLBIN");
  EXPECT_EQ(status(&message), base::Status::kUnavailable);
  EXPECT_NE(message.find("u250"), std::string::npos);
  if (message.find("has no XRT") != std::string::npos) return;
  const std::string bitstream = ::testing::TempDir() + "pronghorn_other.xclbin";
  std::ofstream(bitstream + ".json") << R"({"configuration": "u280", "id": "00000000"})";
  ::setenv("PRONGHORN_XCLBIN", bitstream.c_str(), 1);
  EXPECT_EQ(status(&message), base::Status::kInvalidArgument);
  EXPECT_NE(message.find("u280"), std::string::npos);
  EXPECT_NE(message.find("u250"), std::string::npos);
  std::ofstream(bitstream + ".json")
      << R"({"configuration": "u250", "id": 7})";  // of text, not numbers
  EXPECT_EQ(status(&message), base::Status::kInvalidArgument);
  EXPECT_NE(message.find("id none"), std::string::npos);
  std::remove((bitstream + ".json").c_str());
  EXPECT_EQ(status(&message), base::Status::kNotFound);
  ::unsetenv("PRONGHORN_XCLBIN");
}

}  // namespace
}  // namespace pronghorn::exact
