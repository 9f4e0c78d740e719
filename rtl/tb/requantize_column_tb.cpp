// SPDX-License-Identifier: Apache-2.0
// requantize_column against the golden vectors of the law and against src/arith itself: random
// accumulators, and values within a few units of the ties where the two roundings matter.
#include <bit>
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

#include "Vrequantize_path.h"
#include "arith/requantize.h"
#include "bench.h"

namespace arith = pronghorn::arith;

namespace {

struct Case {
  std::int32_t acc = 0, bias = 0;
  float m = 0;
  bool has_res = false;
  std::int32_t q_res = 0, z_res = 0;
  float m_res = 1;
  std::int32_t z = 0;
  arith::Range range{0, 0};
  std::int32_t expected = 0;
};

// On chip everything is s8: u8 moves down by 128. Vectors of mixed types move each value by itself.
constexpr int kLanes = 2;

float float_of(const std::string& hex) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(std::stoul(hex, nullptr, 16)));
}

// A result of u8 has bounds past 127 somewhere; both spellings of a shift give the same bytes.
void to_chip(Case& c) {
  if (c.range.hi > 127 || c.z > 127 || c.expected > 127) {
    c.z -= 128;
    c.range.lo -= 128;
    c.range.hi -= 128;
    c.expected -= 128;
  }
  if (c.q_res > 127 || c.z_res > 127) {
    c.q_res -= 128;
    c.z_res -= 128;
  }
}

bool fits(const Case& c) {
  const auto s8 = [](std::int32_t v) { return v >= -128 && v <= 127; };
  return s8(c.z) && s8(c.range.lo) && s8(c.range.hi) && s8(c.q_res) && s8(c.z_res);
}

void read_vectors(const std::string& folder, std::vector<Case>& cases) {
  std::string line;
  std::ifstream plain(folder + "/requantize.txt");
  std::size_t skipped = 0;
  while (std::getline(plain, line)) {
    if (line[0] == '#') continue;
    std::istringstream in(line);
    std::string m;
    Case c;
    in >> c.acc >> m >> c.z >> c.range.lo >> c.range.hi >> c.expected;
    c.m = float_of(m);
    to_chip(c);
    fits(c) ? cases.push_back(c) : void(++skipped);
  }
  std::ifstream residual(folder + "/requantize_residual.txt");
  while (std::getline(residual, line)) {
    if (line[0] == '#') continue;
    std::istringstream in(line);
    std::string m, m_res;
    Case c;
    in >> c.acc >> m >> c.q_res >> c.z_res >> m_res >> c.z >> c.range.lo >> c.range.hi >>
        c.expected;
    c.m = float_of(m);
    c.m_res = float_of(m_res);
    c.has_res = true;
    to_chip(c);
    fits(c) ? cases.push_back(c) : void(++skipped);
  }
  std::ifstream add(folder + "/add.txt");
  while (std::getline(add, line)) {
    if (line[0] == '#') continue;
    std::istringstream in(line);
    std::string m_a, m_b;
    std::int32_t a = 0, z_a = 0;
    Case c;
    in >> a >> z_a >> m_a >> c.q_res >> c.z_res >> m_b >> c.z >> c.range.lo >> c.range.hi >>
        c.expected;
    c.acc = a;
    c.bias = -z_a;
    c.m = float_of(m_a);
    c.m_res = float_of(m_b);
    c.has_res = true;
    to_chip(c);
    fits(c) ? cases.push_back(c) : void(++skipped);
  }
  std::printf("vectors: %zu; %zu mix types in a way that no graph can\n", cases.size(), skipped);
}

void random_cases(std::mt19937_64& random, int count, std::vector<Case>& cases) {
  using bench::between;
  for (int i = 0; i < count; ++i) {
    Case c;
    const int bits = static_cast<int>(between(random, 1, 31));
    c.acc = static_cast<std::int32_t>(static_cast<std::uint32_t>(random()) >> (32 - bits));
    if ((random() & 1) != 0) c.acc = -c.acc;
    c.bias = static_cast<std::int32_t>(between(random, -1000000, 1000000)) * ((random() & 1) != 0);
    if (std::int64_t{c.acc} + c.bias != static_cast<std::int32_t>(c.acc + std::int64_t{c.bias}))
      c.bias = 0;
    c.has_res = (random() & 1) != 0;
    const auto exponent = static_cast<std::uint32_t>(127 + between(random, -30, 3));
    c.m = std::bit_cast<float>(
        exponent << 23 |
        ((random() & 3) == 0 ? 0u : static_cast<std::uint32_t>(random()) & 0x7fffffu));
    c.q_res = static_cast<std::int32_t>(between(random, -128, 127));
    c.z_res = static_cast<std::int32_t>(between(random, -128, 127));
    c.m_res = std::bit_cast<float>(
        static_cast<std::uint32_t>(127 + between(random, -7, 3)) << 23 |
        ((random() & 3) == 0 ? 0u : static_cast<std::uint32_t>(random()) & 0x7fffffu));
    if ((random() & 1) != 0) {
      // A multiplier that brings the sum next to an integer and a half.
      const std::int32_t sum = c.acc + c.bias;
      const float residual = c.has_res ? static_cast<float>(c.q_res - c.z_res) * c.m_res : 0.0f;
      const double target =
          static_cast<double>(between(random, -300, 300)) + 0.5 - static_cast<double>(residual);
      // With a residual the lanes take m < 2^10.
      if (sum != 0 && target / sum > 0 && (!c.has_res || target / sum < 1000)) {
        std::uint32_t near = std::bit_cast<std::uint32_t>(static_cast<float>(target / sum));
        near += static_cast<std::uint32_t>(between(random, -2, 2));
        c.m = std::bit_cast<float>(near);
      }
    }
    c.z = static_cast<std::int32_t>(between(random, -128, 127));
    const auto x = static_cast<std::int32_t>(between(random, -128, 127));
    const auto y = static_cast<std::int32_t>(between(random, -128, 127));
    c.range = (random() & 3) != 0 ? arith::kS8 : arith::Range{std::min(x, y), std::max(x, y)};
    const std::int32_t sum = c.acc + c.bias;
    c.expected = c.has_res
                     ? arith::requantize_residual(sum, c.m, c.q_res, c.z_res, c.m_res, c.z, c.range)
                     : arith::requantize(sum, c.m, c.z, c.range);
    cases.push_back(c);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: requantize_column_tb VECTORS COUNT\n");
    return 2;
  }
  std::mt19937_64 random = bench::random_engine("requantize_column");
  std::vector<Case> cases;
  read_vectors(argv[1], cases);
  random_cases(random, std::atoi(argv[2]), cases);
  while (cases.size() % kLanes != 0) cases.push_back(cases.back());

  bench::Model<Vrequantize_path> top;
  // One column: the lanes share bias and m, so each case takes a cycle and all lanes; the second
  // lane gets the negated sum of the first, whose result is checked too.
  const std::size_t n = cases.size();
  for (std::size_t t = 0; t < n + 22; ++t) {
    const auto at = [&](std::size_t delay) -> const Case& {
      return cases[t < delay ? 0 : std::min(t - delay, n - 1)];
    };
    const Case& c = at(0);
    top.acc_i = static_cast<std::uint32_t>(c.acc) |
                static_cast<std::uint64_t>(static_cast<std::uint32_t>(-(c.acc / 2))) << 32;
    top.bias_i = static_cast<std::uint32_t>(c.bias);
    top.m_i = std::bit_cast<std::uint32_t>(c.m);
    const Case& r = at(6);
    const auto q_res = static_cast<std::uint8_t>(r.q_res);
    top.res_i = static_cast<std::uint16_t>(q_res | q_res << 8);
    const Case& before = at(3);
    top.z_res_i = static_cast<std::uint8_t>(before.z_res);
    top.m_res_i = std::bit_cast<std::uint32_t>(before.m_res);
    top.has_res_i = before.has_res;
    top.z_i = static_cast<std::uint8_t>(at(18).z);
    top.lo_i = static_cast<std::uint8_t>(at(19).range.lo);
    top.hi_i = static_cast<std::uint8_t>(at(19).range.hi);
    if (t >= 21 && t - 21 < n) {
      const Case& e = at(21);
      const int got = static_cast<std::int8_t>(top.q_o & 0xff);
      bench::check(got == e.expected,
                   "acc %d bias %d m %08x res %d (%d %d %08x) z %d [%d, %d]: got %d, expected %d",
                   e.acc, e.bias, std::bit_cast<std::uint32_t>(e.m), e.has_res, e.q_res, e.z_res,
                   std::bit_cast<std::uint32_t>(e.m_res), e.z, e.range.lo, e.range.hi, got,
                   e.expected);
      const std::int32_t sum = static_cast<std::int32_t>(static_cast<std::uint32_t>(-(e.acc / 2)) +
                                                         static_cast<std::uint32_t>(e.bias));
      const std::int32_t second =
          e.has_res ? arith::requantize_residual(sum, e.m, e.q_res, e.z_res, e.m_res, e.z, e.range)
                    : arith::requantize(sum, e.m, e.z, e.range);
      const int got2 = static_cast<std::int8_t>(top.q_o >> 8);
      bench::check(got2 == second, "second lane: sum %d m %08x res %d: got %d, expected %d", sum,
                   std::bit_cast<std::uint32_t>(e.m), e.has_res, got2, second);
    }
    top.clk_i = 0;
    top.eval();
    top.clk_i = 1;
    top.eval();
  }
  return bench::finish("requantize_column");
}
