// SPDX-License-Identifier: Apache-2.0
// Sums, pools and averages through vector unit and lanes, against src/arith.
//   vector_tb add VECTORS COUNT   the golden vectors of Add, and random tiles
//   vector_tb pool COUNT          maxima and averages of random windows
#include <algorithm>
#include <array>
#include <bit>
#include <fstream>
#include <sstream>

#include "Vvector_path.h"
#include "arith/requantize.h"
#include "bench.h"

namespace arith = pronghorn::arith;

namespace {

constexpr int kPx = BENCH_PX, kIc = BENCH_IC, kTile = kPx * kIc;
// From the last step to the results: to the sums' register, then through the lanes.
constexpr int kToResult = 10 + 2 + 21;

using Tile = std::array<std::int8_t, kTile>;  // byte p * ic + i: pixel p, channel i

struct Operands {
  std::array<std::int32_t, kIc> bias{};
  std::array<float, kIc> m{};
  bool has_res = false;
  Tile res{};
  std::int32_t z_res = 0;
  float m_res = 1;
  std::int32_t z = 0;
  arith::Range range = arith::kS8;
};

class Path {
 public:
  // The results of a tile whose steps are `steps`; with gaps between them where `random` says so.
  Tile run(const std::vector<Tile>& steps, bool average, const Operands& o,
           std::mt19937_64& random) {
    top_.average_i = average;
    for (int i = 0; i < kIc; ++i) {
      const auto at = static_cast<std::size_t>(i);
      bench::put_bytes(top_.constants_i, at * 8, &o.bias[at], 4);
      bench::put_bytes(top_.constants_i, at * 8 + 4, &o.m[at], 4);
    }
    top_.has_res_i = o.has_res;
    top_.z_res_i = static_cast<unsigned char>(o.z_res);
    top_.m_res_i = std::bit_cast<std::uint32_t>(o.m_res);
    bench::put_bytes(top_.res_i, 0, o.res.data(), kTile);
    top_.z_i = static_cast<unsigned char>(o.z);
    top_.lo_i = static_cast<unsigned char>(o.range.lo);
    top_.hi_i = static_cast<unsigned char>(o.range.hi);
    for (std::size_t s = 0; s < steps.size(); ++s) {
      while (s > 0 && (random() & 3) == 0) {
        Tile noise;
        for (auto& v : noise) v = static_cast<std::int8_t>(random());
        step(noise, false, false, false);
      }
      step(steps[s], true, s == 0, s + 1 == steps.size());
    }
    for (int i = 0; i < kToResult; ++i) step(steps[0], false, false, false);
    Tile got;
    bench::get_bytes(top_.data_o, 0, got.data(), kTile);
    return got;
  }

 private:
  void step(const Tile& x, bool step, bool first, bool last) {
    bench::put_bytes(top_.x_i, 0, x.data(), kTile);
    top_.step_i = step;
    top_.first_i = first;
    top_.last_i = last;
    top_.clk_i = 0;
    top_.eval();
    top_.clk_i = 1;
    top_.eval();
  }
  bench::Model<Vvector_path> top_;
};

std::int32_t s8(std::mt19937_64& random) {
  return static_cast<std::int32_t>(bench::between(random, -128, 127));
}
float scale(std::mt19937_64& random, int lo, int hi) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(127 + bench::between(random, lo, hi))
                                  << 23 |
                              (static_cast<std::uint32_t>(random()) & 0x7fffffu));
}

Operands random_operands(std::mt19937_64& random) {
  Operands o;
  for (auto& b : o.bias) b = -s8(random);
  for (auto& m : o.m) m = scale(random, -9, 1);
  o.has_res = (random() & 3) != 0;
  for (auto& r : o.res) r = static_cast<std::int8_t>(random());
  o.z_res = s8(random);
  o.m_res = scale(random, -7, 3);
  o.z = s8(random);
  if ((random() & 1) != 0) {
    const std::int32_t a = s8(random), b = s8(random);
    o.range = {std::min(a, b), std::max(a, b)};
  }
  return o;
}

// acc of pixel p and channel i, by the law.
std::int32_t expect(const Operands& o, std::int32_t acc, int p, int i) {
  const auto at = static_cast<std::size_t>(i);
  if (!o.has_res) return arith::requantize(acc + o.bias[at], o.m[at], o.z, o.range);
  return arith::add(acc, -o.bias[at], o.m[at], o.res[static_cast<std::size_t>(p * kIc + i)],
                    o.z_res, o.m_res, o.z, o.range);
}

void compare(const Tile& got, const Tile& expected, const char* what, int pixels) {
  for (int b = 0; b < pixels * kIc; ++b) {
    const auto at = static_cast<std::size_t>(b);
    bench::check(got[at] == expected[at], "%s: pixel %d channel %d: got %d, expected %d", what,
                 b / kIc, b % kIc, got[at], expected[at]);
  }
}

// A golden vector in every lane of channel 0; random values beside it.
void vectors(const std::string& folder, std::mt19937_64& random, Path& path) {
  std::ifstream in(folder + "/add.txt");
  std::string line;
  int count = 0;
  while (std::getline(in, line)) {
    if (line[0] == '#') continue;
    std::istringstream words(line);
    std::int32_t a = 0, z_a = 0, b = 0, expected = 0;
    std::string m_a, m_b;
    Operands o = random_operands(random);
    words >> a >> z_a >> m_a >> b >> o.z_res >> m_b >> o.z >> o.range.lo >> o.range.hi >> expected;
    const auto value = [](const std::string& hex) {
      return std::bit_cast<float>(static_cast<std::uint32_t>(std::stoul(hex, nullptr, 16)));
    };
    // On chip everything is s8: a u8 value and its zero point move down together.
    if (a > 127) {
      a -= 128;
      z_a -= 128;
    }
    if (b > 127 || o.z_res > 127) {
      b -= 128;
      o.z_res -= 128;
    }
    if (o.range.hi > 127 || o.z > 127 || expected > 127) {
      o.z -= 128;
      o.range = {o.range.lo - 128, o.range.hi - 128};
      expected -= 128;
    }
    const auto fits = [](std::int32_t v) { return v >= -128 && v <= 127; };
    if (!fits(a) || !fits(b) || !fits(o.z_res) || !fits(o.z) || !fits(o.range.lo) ||
        !fits(o.range.hi))
      continue;  // of mixed types, which no graph has
    o.has_res = true;
    o.bias[0] = -z_a;
    o.m[0] = value(m_a);
    o.m_res = value(m_b);
    Tile x, want;
    for (int p = 0; p < kPx; ++p)
      for (int i = 0; i < kIc; ++i) {
        const auto at = static_cast<std::size_t>(p * kIc + i);
        x[at] = static_cast<std::int8_t>(i == 0 ? a : s8(random));
        if (i == 0) o.res[at] = static_cast<std::int8_t>(b);
        want[at] = static_cast<std::int8_t>(i == 0 ? expected : expect(o, x[at], p, i));
      }
    compare(path.run({x}, false, o, random), want, line.c_str(), kPx);
    ++count;
  }
  bench::check(count > 100, "only %d vectors of Add", count);
}

void random_adds(std::mt19937_64& random, Path& path) {
  const Operands o = random_operands(random);
  Tile x, want;
  for (int p = 0; p < kPx; ++p)
    for (int i = 0; i < kIc; ++i) {
      const auto at = static_cast<std::size_t>(p * kIc + i);
      x[at] = static_cast<std::int8_t>(random());
      want[at] = static_cast<std::int8_t>(expect(o, x[at], p, i));
    }
  compare(path.run({x}, false, o, random), want, "add", kPx);
}

std::vector<Tile> random_steps(std::mt19937_64& random) {
  std::vector<Tile> steps(static_cast<std::size_t>(bench::between(random, 1, 20)));
  const auto kind = random() & 3;  // all the smallest, all the largest, or random
  for (Tile& t : steps)
    for (auto& v : t)
      v = kind == 0   ? std::int8_t{-128}
          : kind == 1 ? std::int8_t{127}
                      : static_cast<std::int8_t>(random());
  return steps;
}

void maximum(std::mt19937_64& random, Path& path) {
  const auto steps = random_steps(random);
  Operands o;
  std::ranges::fill(o.m, 1.0f);
  Tile want = steps[0];
  for (const Tile& t : steps)
    for (std::size_t b = 0; b < kTile; ++b) want[b] = std::max(want[b], t[b]);
  compare(path.run(steps, false, o, random), want, "maximum", kPx);
}

// Over all pixels of all steps, into pixel 0.
void average(std::mt19937_64& random, Path& path) {
  const auto steps = random_steps(random);
  Operands o = random_operands(random);
  o.has_res = false;
  for (auto& m : o.m) m = 1.0f / static_cast<float>(steps.size() * kPx) * scale(random, -1, 1);
  Tile want{};
  for (int i = 0; i < kIc; ++i) {
    std::int32_t acc = 0;
    for (const Tile& t : steps)
      for (int p = 0; p < kPx; ++p) acc += t[static_cast<std::size_t>(p * kIc + i)];
    want[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(expect(o, acc, 0, i));
  }
  compare(path.run(steps, true, o, random), want, "average", 1);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  std::mt19937_64 random = bench::random_engine("vector");
  Path path;
  if (mode == "add" && argc == 4) {
    vectors(argv[2], random, path);
    for (int n = 0; n < std::atoi(argv[3]); ++n) random_adds(random, path);
  } else if (mode == "pool" && argc == 3) {
    for (int n = 0; n < std::atoi(argv[2]); ++n) {
      maximum(random, path);
      average(random, path);
    }
  } else {
    std::fprintf(stderr, "usage: vector_tb add VECTORS COUNT | pool COUNT\n");
    return 2;
  }
  return bench::finish("vector");
}
