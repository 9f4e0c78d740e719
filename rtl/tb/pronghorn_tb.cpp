// SPDX-License-Identifier: Apache-2.0
// The whole overlay: random command streams with every AXI channel stalling at random, compared
// byte by byte with tb/interpreter.h; registers, errors and the interrupt.
#include "Vpronghorn.h"
#include "interpreter.h"
#include "random_program.h"
#include "system.h"

namespace {

const pronghorn::device::fpga::Configuration& configuration() {
  for (const auto& c : pronghorn::device::fpga::kConfigurations)
    if (c.name == BENCH_CONFIG) return c;
  std::abort();
}

void random_streams(std::mt19937_64& random, int programs, int commands) {
  const auto& c = configuration();
  for (int p = 0; p < programs; ++p) {
    const double stall = p % 3 == 0 ? 0.0 : p % 3 == 1 ? 0.3 : 0.8;
    const std::uint64_t seed = random();
    std::mt19937_64 own(seed);
    bench::RandomProgram program(c, own);
    const std::size_t program_at = (program.data_bytes() + 4095) / 4096 * 4096 + 64;
    const std::size_t output = program_at + 65536;
    std::vector<std::uint8_t> memory(output + program.stored_bytes() + 4096);
    program.build(memory, program_at, commands);
    bench::System<Vpronghorn> system(c, memory.size(), stall, own());
    system.axi.memory = memory;
    const std::uint64_t base[3] = {0, 64, output};
    bench::check(
        system.run(program_at, static_cast<std::uint32_t>(program.words.size()), base, 3'000'000),
        "program %d (seed %llu) did not end", p, static_cast<unsigned long long>(seed));
    bench::check(system.read(0x4c) == 0, "program %d: error %u", p, system.read(0x4c));
    bench::Interpreter interpreter(c);
    interpreter.run(memory, program_at, base);
    std::size_t wrong = 0, first = 0;
    for (std::size_t i = 0; i < program.stored_bytes(); ++i)
      if (system.axi.memory[output + i] != memory[output + i] && wrong++ == 0) first = i;
    const std::size_t row = first / static_cast<std::size_t>(c.px * c.ic);
    bench::check(wrong == 0,
                 "program %d (seed %llu): %zu bytes differ, first in memory %zu row %zu byte %zu: "
                 "%02x, expected %02x",
                 p, static_cast<unsigned long long>(seed), wrong, row / 512, row % 512,
                 first % static_cast<std::size_t>(c.px * c.ic), system.axi.memory[output + first],
                 memory[output + first]);
    if (wrong != 0) program.print();
    bench::checks += program.stored_bytes();
  }
}

void registers_and_errors() {
  const auto& c = configuration();
  bench::System<Vpronghorn> system(c, 1 << 16, 0.5, 1);
  bench::check(system.read(0x48) == c.id, "id %08x", system.read(0x48));
  bench::check((system.read(0x00) & 15) == 12, "not idle after reset");
  for (unsigned r = 0x10; r <= 0x30; r += 4) system.write(r, r * 0x01010101u);
  for (unsigned r = 0x10; r <= 0x30; r += 4)
    bench::check(system.read(r) == r * 0x01010101u, "register %02x", r);
  const std::uint64_t base[3] = {0, 0, 0};
  const auto program = [&](std::initializer_list<std::uint64_t> words) {
    std::vector<std::uint64_t> list(words);
    std::memcpy(system.axi.memory.data(), list.data(), list.size() * 8);
    return static_cast<std::uint32_t>(list.size());
  };
  // An unknown opcode; END alone; the kept program; a program that is too long; bus errors.
  bench::check(system.run(0, program({9 | 2 << 8, 0}), base, 10000) && system.read(0x4c) == 1,
               "unknown opcode: %u", system.read(0x4c));
  bench::check(system.run(0, program({8 | 2 << 8, 0}), base, 10000) && system.read(0x4c) == 0,
               "END: %u", system.read(0x4c));
  bench::check((system.read(0x00) & 2) != 0, "done is not set");
  bench::check((system.read(0x00) & 2) == 0, "done is not cleared by reading");
  bench::check(system.run(0, 0, base, 10000) && system.read(0x4c) == 0, "kept program: %u",
               system.read(0x4c));
  bench::check(system.cycles() < 50, "END takes %llu cycles",
               static_cast<unsigned long long>(system.cycles()));
  bench::check(system.run(0, static_cast<std::uint32_t>(c.command_words + 1), base, 10000) &&
                   system.read(0x4c) == 4,
               "too long: %u", system.read(0x4c));
  const auto words = program({5 | 4 << 8, 0, 0, std::uint64_t{4} << 32, 7 | 4 << 8, 1, 4096,
                              std::uint64_t{4} << 32, 8 | 2 << 8, 0});
  bench::check(
      system.run(0, words, base, 10000) && system.read(0x4c) == 0 && system.read(0x54) == 2,
      "load and store: %u", system.read(0x4c));
  system.axi.write_error = true;
  bench::check(system.run(0, words, base, 10000) && system.read(0x4c) == 3, "write error: %u",
               system.read(0x4c));
  system.axi.write_error = false;
  system.axi.read_error = true;
  bench::check(system.run(0, words, base, 10000) && system.read(0x4c) == 2, "read error: %u",
               system.read(0x4c));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: pronghorn_tb PROGRAMS COMMANDS\n");
    return 2;
  }
  std::mt19937_64 random = bench::random_engine("pronghorn");
  registers_and_errors();
  random_streams(random, std::atoi(argv[1]), std::atoi(argv[2]));
  return bench::finish("pronghorn");
}
