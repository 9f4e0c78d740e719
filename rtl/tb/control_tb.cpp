// SPDX-License-Identifier: Apache-2.0
// Registers and dispatcher with engines that take their time: every word of every command reaches
// its engine, once and in order, however the buses stall; END waits for all; errors end a run and
// say why; the registers keep, mask, count and interrupt as docs/fpga.md says.
#include <cinttypes>
#include <vector>

#include "Vcontrol.h"
#include "fpga_configurations.h"
#include "system.h"

namespace {

using u64 = std::uint64_t;

const pronghorn::device::fpga::Configuration& configuration() {
  for (const auto& c : pronghorn::device::fpga::kConfigurations)
    if (c.name == BENCH_CONFIG) return c;
  std::abort();
}

int engine_of(u64 opcode) { return opcode <= 4 ? 1 : opcode == 7 ? 2 : 0; }

// What the three engines see. Each holds one command at work and one pending, as the real ones do.
class Engines {
 public:
  Engines(bench::System<Vcontrol>& system, std::mt19937_64& random)
      : system_(system), random_(random) {
    system.on_cycle = [this] { cycle(); };
  }
  std::vector<u64> words;  // in the order of their arrival
  u64 steps = 0, commands = 0;
  bool empty() const { return !engines_[0].busy() && !engines_[1].busy() && !engines_[2].busy(); }

 private:
  struct Engine {
    bool arriving = false;
    int held = 0;  // commands
    std::int64_t left = 0;
    bool busy() const { return arriving || held > 0; }
  };

  void cycle() {
    auto& top = system_.top;
    unsigned ready = 0, idle = 0, done = 0;
    for (unsigned e = 0; e < 3; ++e) {
      Engine& engine = engines_[e];
      if (!engine.arriving && engine.held < 2) ready |= 1u << e;
      if (!engine.busy()) idle |= 1u << e;
      if (engine.held > 0 && --engine.left <= 0) {
        done |= 1u << e;
        --engine.held;
        engine.left = bench::between(random_, 1, 60);
      }
    }
    const bool counting = top.busy_o != 0;
    top.engine_ready_i = static_cast<unsigned char>(ready);
    top.engine_empty_i = static_cast<unsigned char>(idle);
    top.command_done_i = static_cast<unsigned char>(done);
    top.conv_step_i = (random_() & 1) != 0;
    if (counting) {
      steps += top.conv_step_i;
      for (unsigned e = 0; e < 3; ++e) commands += (done >> e) & 1;
    }
    for (unsigned e = 0; e < 3; ++e)
      if ((top.word_valid_o >> e & 1) != 0) take(e, ready);
  }

  void take(unsigned e, unsigned ready) {
    auto& top = system_.top;
    Engine& engine = engines_[e];
    bench::check((top.word_valid_o & (top.word_valid_o - 1)) == 0, "a word to two engines");
    if (!engine.arriving) {
      bench::check((ready >> e & 1) != 0, "a command for an engine that is not ready");
      bench::check(engine_of(top.word_o & 255) == static_cast<int>(e), "opcode %d to engine %u",
                   static_cast<int>(top.word_o & 255), e);
      index_ = 0;
      length_ = static_cast<int>(top.word_o >> 8 & 255);
      engine.arriving = true;
    }
    bench::check(top.word_index_o == index_, "word %d comes as %d", index_, top.word_index_o);
    bench::check((top.word_last_o != 0) == (index_ + 1 == length_), "word %d of %d: last %d",
                 index_, length_, top.word_last_o);
    words.push_back(top.word_o);
    ++index_;
    if (top.word_last_o != 0) {
      engine.arriving = false;
      if (engine.held++ == 0) engine.left = bench::between(random_, 1, 60);
    }
  }

  bench::System<Vcontrol>& system_;
  std::mt19937_64& random_;
  Engine engines_[3];
  int index_ = 0, length_ = 0;
};

// A program's commands; `good` are those that reach an engine.
std::vector<u64> random_program(std::mt19937_64& random, int count, u64 last) {
  std::vector<u64> words;
  for (int i = 0; i < count; ++i) {
    const auto length = static_cast<u64>(bench::between(random, 2, 20));
    words.push_back(static_cast<u64>(bench::between(random, 1, 7)) | length << 8 |
                    (random() & 0xffffffff) << 32);
    for (u64 w = 1; w < length; ++w) words.push_back(random());
  }
  words.push_back(last);
  words.push_back(0);
  return words;
}

void runs(std::mt19937_64& random, int count) {
  const auto& c = configuration();
  for (int n = 0; n < count; ++n) {
    const double stall = n % 3 == 0 ? 0.0 : n % 3 == 1 ? 0.3 : 0.8;
    bench::System<Vcontrol> system(c, 1 << 18, stall, random());
    Engines engines(system, random);
    for (int again = 0; again < 3; ++again) {
      // END; an unknown opcode; a command of one word, which none is.
      const u64 kinds[] = {8 | 2 << 8, 9 | 2 << 8, 0 | 2 << 8, 1 | 1 << 8};
      const u64 last = kinds[(random() & 1) != 0 ? 0 : random() & 3];
      const auto words =
          random_program(random, static_cast<int>(bench::between(random, 0, 12)), last);
      const u64 at =
          static_cast<u64>(bench::between(random, 0, 500)) * static_cast<u64>(c.axi_bytes);
      std::memcpy(&system.axi.memory[at], words.data(), words.size() * 8);
      engines.words.clear();
      engines.steps = engines.commands = 0;
      const u64 base[3] = {random(), random(), random()};
      bench::check(system.run(at, static_cast<std::uint32_t>(words.size()), base, 100000),
                   "run %d does not end", n);
      bench::check(engines.empty(), "run %d ended before its engines", n);
      const std::uint32_t error = last == kinds[0] ? 0 : 1;
      bench::check(system.read(0x4c) == error, "run %d: error %u", n, system.read(0x4c));
      const std::vector<u64> expected(words.begin(), words.end() - 2);
      bench::check(engines.words == expected, "run %d: %zu words reach an engine, of %zu", n,
                   engines.words.size(), expected.size());
      bench::check(system.read(0x50) == static_cast<std::uint32_t>(engines.steps),
                   "run %d: %u steps", n, system.read(0x50));
      bench::check(system.read(0x54) == static_cast<std::uint32_t>(engines.commands),
                   "run %d: %u commands", n, system.read(0x54));
      for (unsigned b = 0; b < 3; ++b)
        bench::check(system.top.base_o[2 * b] == static_cast<std::uint32_t>(base[b]) &&
                         system.top.base_o[2 * b + 1] == static_cast<std::uint32_t>(base[b] >> 32),
                     "base %u", b);
    }
  }
}

// A program that fills the command memory and has no END; one whose memory answers with errors.
void bad_runs(std::mt19937_64& random) {
  const auto& c = configuration();
  bench::System<Vcontrol> system(c, static_cast<std::size_t>(c.command_words) * 8 + 4096, 0.0, 1);
  Engines engines(system, random);
  const u64 base[3] = {};
  std::vector<u64> words;
  while (words.size() < static_cast<std::size_t>(c.command_words)) {
    words.push_back(5 | 4 << 8);
    for (int i = 0; i < 3; ++i) words.push_back(random());
  }
  std::memcpy(system.axi.memory.data(), words.data(), words.size() * 8);
  bench::check(system.run(0, static_cast<std::uint32_t>(words.size()), base, 1000000) &&
                   system.read(0x4c) == 4,
               "past the command memory: %u", system.read(0x4c));
  bench::check(engines.words == words, "%zu words of a program without END", engines.words.size());
  engines.words.clear();
  system.axi.read_error = true;
  bench::check(system.run(0, 64, base, 100000) && system.read(0x4c) == 2, "read error: %u",
               system.read(0x4c));
  bench::check(engines.words.empty(), "a program that was not read is executed");
  system.axi.read_error = false;
  // Fetches nothing and runs what is there.
  const u64 end[2] = {8 | 2 << 8, 0};
  std::memcpy(system.axi.memory.data(), end, sizeof end);
  bench::check(system.run(0, 2, base, 100000) && system.read(0x4c) == 0, "END");
  std::memset(system.axi.memory.data(), 0, 64);
  bench::check(system.run(0, 0, base, 100000) && system.read(0x4c) == 0, "kept program: %u",
               system.read(0x4c));
}

void registers(std::mt19937_64& random) {
  const auto& c = configuration();
  bench::System<Vcontrol> system(c, 1 << 16, 0.5, random());
  Engines engines(system, random);
  auto& top = system.top;
  bench::check(system.read(0x48) == c.id, "id %08x", system.read(0x48));
  std::uint32_t kept[9] = {};
  for (int i = 0; i < 500; ++i) {
    // A write with any strobes, its address a few cycles before or after its data.
    const auto r = static_cast<unsigned>(bench::between(random, 0, 8));
    const auto value = static_cast<std::uint32_t>(random());
    const auto strobes = static_cast<unsigned>(random() & 15);
    for (unsigned b = 0; b < 4; ++b) {
      const std::uint32_t byte = 0xffu << (8 * b);
      if ((strobes >> b & 1) != 0) kept[r] = (kept[r] & ~byte) | (value & byte);
    }
    top.s_axi_control_awaddr = static_cast<unsigned char>(0x10 + 4 * r);
    top.s_axi_control_wdata = value;
    top.s_axi_control_wstrb = static_cast<unsigned char>(strobes);
    const bool address_first = (random() & 1) != 0;
    top.s_axi_control_awvalid = address_first;
    top.s_axi_control_wvalid = !address_first;
    for (auto k = random() & 3; k > 0; --k) {
      system.cycle();
      bench::check(top.s_axi_control_bvalid == 0, "half a write is answered");
    }
    top.s_axi_control_awvalid = top.s_axi_control_wvalid = 1;
    system.cycle();
    top.s_axi_control_awvalid = top.s_axi_control_wvalid = 0;
    for (auto k = random() & 3; k > 0; --k) system.cycle();
    bench::check(top.s_axi_control_bvalid != 0, "a write is not answered");
    top.s_axi_control_bready = 1;
    system.cycle();
    top.s_axi_control_bready = 0;
    const auto other = static_cast<unsigned>(bench::between(random, 0, 8));
    bench::check(system.read(0x10 + 4 * other) == kept[other], "register %02x", 0x10 + 4 * other);
  }
  // Interrupts: only with both enables; cleared by writing 1. A start while busy is ignored.
  const u64 end[2] = {8 | 2 << 8, 0};
  std::memcpy(system.axi.memory.data(), end, sizeof end);
  for (unsigned enable = 0; enable < 4; ++enable) {
    for (unsigned r = 0x10; r <= 0x2c; r += 4) system.write(r, 0);
    system.write(0x30, 2);
    system.write(0x04, enable & 1);
    system.write(0x08, enable >> 1);
    // Without its strobe a write changes nothing.
    for (unsigned r = 0x00; r <= 0x0c; r += 4) system.write(r, ~0u, 14);
    bench::check(system.read(0x04) == (enable & 1) && system.read(0x08) == enable >> 1,
                 "enables %u read as %u, %u", enable, system.read(0x04), system.read(0x08));
    bench::check(top.busy_o == 0, "a start without its strobe");
    system.write(0x00, 1);
    system.write(0x00, 1);
    bool interrupt = false;
    for (int i = 0; i < 2000; ++i) {
      system.cycle();
      interrupt = interrupt || top.__SYM__interrupt != 0;
    }
    bench::check(interrupt == (enable == 3), "interrupt %d with enables %u", interrupt, enable);
    bench::check(system.read(0x0c) == 1, "interrupt status");
    bench::check((system.read(0x00) & 15) == 14, "control after a run");
    bench::check((system.read(0x00) & 15) == 12, "control after it was read");
    system.write(0x0c, 0);
    bench::check(system.read(0x0c) == 1, "interrupt status after writing 0");
    system.write(0x0c, 1);
    bench::check(system.read(0x0c) == 0, "interrupt status after clearing");
  }
  // A start in the middle of a run changes nothing: its counts go on.
  const auto words = random_program(random, 12, end[0]);
  std::memcpy(system.axi.memory.data(), words.data(), words.size() * 8);
  system.write(0x30, static_cast<std::uint32_t>(words.size()));
  engines.commands = 0;
  system.write(0x00, 1);
  const u64 begin = system.time;
  while (top.busy_o != 0 && engines.commands < 3) system.cycle();
  system.write(0x00, 1);
  for (int i = 0; i < 100000 && top.busy_o != 0; ++i) system.cycle();
  const u64 took = system.time - begin;
  bench::check(top.busy_o == 0, "a run that is started twice does not end");
  bench::check(system.read(0x54) == engines.commands, "started twice: %u commands, not %llu",
               system.read(0x54), static_cast<unsigned long long>(engines.commands));
  bench::check(system.cycles() + 8 >= took && system.cycles() <= took + 8,
               "started twice: %llu cycles, not %llu",
               static_cast<unsigned long long>(system.cycles()),
               static_cast<unsigned long long>(took));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: control_tb RUNS\n");
    return 2;
  }
  std::mt19937_64 random = bench::random_engine("control");
  registers(random);
  bad_runs(random);
  runs(random, std::atoi(argv[1]));
  return bench::finish("control");
}
