// SPDX-License-Identifier: Apache-2.0
// The array of DSPs against a sum in C++ and, in every cycle, against its twin: tiles of random
// length with random and extreme operands (all -128 drives the packed fields to their ends), gaps
// between steps.
#include <vector>

#include "Vmac_array_pair.h"
#include "bench.h"

namespace {
constexpr int kOc = BENCH_OC, kIc = BENCH_IC, kPx = BENCH_PX, kGroups = kOc / kIc;
constexpr int kToHold = 10;
}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: mac_array_tb TILES\n");
    return 2;
  }
  std::mt19937_64 random = bench::random_engine("mac_array");
  bench::Model<Vmac_array_pair> top;
  std::vector<std::int8_t> x(kPx * kIc), w(kOc * kIc);
  std::vector<std::int32_t> acc(kOc * kPx);
  bool hold_pipe[kToHold + 1] = {};
  const auto cycle = [&](bool step, bool first, bool last) {
    for (int i = kToHold; i > 0; --i) hold_pipe[i] = hold_pipe[i - 1];
    hold_pipe[0] = last;
    // Operands come out of registers: they change after the edge and are taken at the next one.
    top.clk_i = 1;
    top.clk2x_i = 1;
    top.eval();
    top.step_i = step;
    top.first_i = first;
    top.hold_i = hold_pipe[kToHold];
    bench::put_bytes(top.x_i, 0, x.data(), x.size());
    bench::put_bytes(top.w_i, 0, w.data(), w.size());
    top.clk2x_i = 0;
    top.eval();
    top.clk_i = 0;
    top.clk2x_i = 1;
    top.eval();
    top.clk2x_i = 0;
    top.eval();
  };
  for (int i = 0; i < 20; ++i) cycle(false, false, false);
  for (int tile = 0; tile < std::atoi(argv[1]); ++tile) {
    const int steps = static_cast<int>(bench::between(random, 1, 12));
    const int kind = static_cast<int>(bench::between(random, 0, 3));
    std::fill(acc.begin(), acc.end(), 0);
    for (int s = 0; s < steps; ++s) {
      const auto value = [&] {
        if (kind == 0) return static_cast<std::int8_t>(-128);
        if (kind == 1) return static_cast<std::int8_t>((random() & 1) != 0 ? -128 : 127);
        return static_cast<std::int8_t>(random());
      };
      for (auto& v : x) v = value();
      for (auto& v : w) v = value();
      for (int o = 0; o < kOc; ++o)
        for (int p = 0; p < kPx; ++p)
          for (int i = 0; i < kIc; ++i) acc[o * kPx + p] += w[o * kIc + i] * x[p * kIc + i];
      cycle(true, s == 0, s == steps - 1);
      if ((random() & 7) == 0 && s != steps - 1) {
        for (auto& v : x) v = value();
        cycle(false, false, false);
      }
    }
    for (int i = 0; i < kToHold + 1; ++i) cycle(false, false, false);
    for (int g = 0; g < kGroups; ++g) {
      top.group_i = static_cast<unsigned char>(g);
      top.eval();
      bench::check(top.differ_o == 0, "tile %d group %d: the twin differs", tile, g);
      for (int i = 0; i < kIc; ++i)
        for (int p = 0; p < kPx; ++p) {
          std::int32_t got = 0;
          bench::get_bytes(top.acc_o, static_cast<std::size_t>(i * kPx + p) * 4, &got, 4);
          const std::int32_t expected = acc[(g * kIc + i) * kPx + p];
          bench::check(got == expected, "tile %d kind %d channel %d pixel %d: got %d, expected %d",
                       tile, kind, g * kIc + i, p, got, expected);
        }
    }
  }
  return bench::finish("mac_array");
}
