// SPDX-License-Identifier: Apache-2.0
#include "device/fpga/command.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "device/fpga/port.h"

namespace pronghorn::device::fpga {
namespace {

constexpr std::uint32_t kSeed = 7;

std::vector<Command> random_commands(std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto pick = [&](std::int64_t lo, std::int64_t hi) {
    return lo + static_cast<std::int64_t>(random()) % (hi - lo + 1);
  };
  std::vector<Command> commands;
  for (int i = 0; i < 200; ++i) {
    Command c;
    c.opcode = static_cast<Opcode>(pick(1, 7));
    c.tag = pick(0, 0xffffffff);
    c.wait = {pick(0, 0xffff), pick(0, 0xffff), pick(0, 0xffff)};
    if (engine_of(c.opcode) == Engine::kCompute) {
      Compute k;
      k.src_row = pick(0, 0xffff);
      k.dst_gs = pick(0, 0xffff);
      k.src_groups = pick(0, 1023);
      k.pad = pick(-128, 127);
      k.hi = pick(-128, 127);
      k.m_res = pick(0, 0xffffffff);
      k.height = pick(0, 4095);
      k.step_bank = pick(0, 31);
      k.taps = pick(0, 63);
      if (c.opcode != Opcode::kAverage) {
        for (int t = 0; t < k.taps; ++t) {
          k.tap.push_back({pick(-0x8000, 0x7fff), pick(0, 31), pick(-16, 15), pick(-16, 15)});
        }
      }
      c.body = k;
    } else if (c.opcode == Opcode::kImage) {
      ImageLoad l;
      l.offset = pick(0, 0xffffffff) << 16;
      l.planes = pick(1, 2);
      l.plane_bank = pick(0, 255);
      c.body = l;
    } else {
      c.body = Transfer{pick(0, 0xffffffff) << 16, pick(0, 2), pick(0, 3), pick(0, 0xffff),
                        pick(0, 0xffffffff)};
    }
    commands.push_back(std::move(c));
  }
  commands.push_back({});
  return commands;
}

std::string fault(std::vector<std::uint64_t> words) {
  try {
    decode(words);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.status(), base::Status::kCorrupt);
    return error.what();
  }
  return "";
}

TEST(Command, WordsAndBack) {
  const std::vector<Command> commands = random_commands(kSeed);
  const auto words = encode(commands);
  EXPECT_EQ(decode(words), commands) << "seed " << kSeed;
  const std::string text = listing(commands, {});
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'),
            static_cast<std::ptrdiff_t>(commands.size()));
}

// The places that docs/fpga.md gives, not what encode() says of itself.
TEST(Command, FieldsLieWhereTheFormatSays) {
  Command c;
  c.opcode = Opcode::kConv;
  c.tag = 0x12345678;
  c.wait = {1, 2, 3};
  Compute k;
  k.lookahead = 0xabcd;
  k.pad = -1;
  k.taps = 1;
  k.tap = {{-2, 5, -1, 3}};
  c.body = k;
  const auto words = encode(std::vector<Command>{c, {}});
  EXPECT_EQ(words[0], 0x12345678'0000'0b01u);
  EXPECT_EQ(words[1], 0x0003'0002'0001u);
  EXPECT_EQ(words[5] >> 48, 0xabcdu);
  EXPECT_EQ(words[5] >> 8 & 0xff, 0xffu);
  EXPECT_EQ(words[10], 0xfffeu | 5u << 16 | 31u << 21 | 3u << 26);
  EXPECT_EQ(words[11], 0x0208u);
}

TEST(Command, AFieldThatDoesNotFitIsNamed) {
  Command c;
  c.opcode = Opcode::kLoad;
  c.body = Transfer{0, 0, 0, 0x10000, 0};
  try {
    encode(std::vector<Command>{c});
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find("first is 65536"), std::string::npos);
  }
}

TEST(Command, BrokenStreamsAreRefusedByWord) {
  const auto words = encode(std::vector<Command>{{Opcode::kLoad, 0, {}, Transfer{}}, {}});
  auto changed = words;
  changed[0] = 0x0409;
  EXPECT_NE(fault(changed).find("word 0: opcode 9"), std::string::npos);
  changed = words;
  changed[0] = 0x0305;
  EXPECT_NE(fault(changed).find("word 0"), std::string::npos);
  changed = words;
  changed[3] |= 1u << 5;  // between target and first
  EXPECT_NE(fault(changed).find("word 3: bits 0x20"), std::string::npos);
  changed = words;
  changed.resize(4);
  EXPECT_NE(fault(changed).find("no END"), std::string::npos);
}

TEST(Cycles, OfAConvolutionByHand) {
  const Configuration& c = kConfigurations[0];
  Command load;
  load.opcode = Opcode::kLoad;
  load.body = Transfer{0, 1, 0, 0, 10};
  Command conv;
  conv.opcode = Opcode::kConv;
  conv.wait.load = 1;
  Compute k;
  k.tiles = 5;
  k.last_px = c.px;
  k.src_groups = 4;
  k.dst_groups = c.oc / c.ic;
  k.taps = 9;
  k.no_wait = 1;
  k.tap.resize(9);
  conv.body = k;
  const RunReport report = count_cycles(c, std::vector<Command>{load, conv, {}});
  const std::int64_t loaded = 10 * c.px * c.ic / c.axi_bytes + kLatency.load;
  EXPECT_EQ(report.completed[0], loaded);
  EXPECT_EQ(report.steps, 5 * 9 * 4);
  EXPECT_EQ(report.completed[1], loaded + 5 * 9 * 4 - 1 + kLatency.conv + c.oc / c.ic - 1);
  EXPECT_EQ(report.cycles, report.completed[1]);
}

TEST(Cycles, AWaitForWhatNeverComesIsAnError) {
  Command store;
  store.opcode = Opcode::kStore;
  store.wait.compute = 1;
  store.body = Transfer{};
  EXPECT_THROW(count_cycles(kConfigurations[0], std::vector<Command>{store, {}}), base::Error);
}

TEST(ModelPort, ReachingBeyondAMemoryIsAnError) {
  const Configuration& c = kConfigurations[0];
  const auto port = make_model_port(c, 1);
  std::vector<std::byte> bytes(1 << 16);
  const auto refused = [&](const Transfer& t, Opcode opcode) {
    const auto words = encode(std::vector<Command>{{opcode, 0, {}, t}, {}});
    EXPECT_THROW(port->run(words, {bytes, bytes, bytes}), base::Error);
  };
  refused({0, 1, 0, c.m0_rows, 1}, Opcode::kLoad);
  refused({1 << 16, 1, 0, 0, 1}, Opcode::kLoad);
  refused({0, 0, 2, c.w_uram_words + c.w_bram_words, 1}, Opcode::kLoad);
  refused({0, 2, 1, c.m1_rows, 1}, Opcode::kStore);
  refused({1 << 16, 2, 1, 0, 1}, Opcode::kStore);
}

}  // namespace
}  // namespace pronghorn::device::fpga
