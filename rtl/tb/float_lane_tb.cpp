// SPDX-License-Identifier: Apache-2.0
// float_lane against the golden vectors (dequantize.txt holds logits too) and random products.
#include <bit>
#include <fstream>
#include <sstream>
#include <vector>

#include "Vfloat_lane.h"
#include "arith/requantize.h"
#include "bench.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: float_lane_tb VECTORS COUNT\n");
    return 2;
  }
  struct Case {
    std::int32_t acc, bias;
    float m, expected;
  };
  std::vector<Case> cases;
  std::ifstream in(std::string(argv[1]) + "/dequantize.txt");
  std::string line;
  while (std::getline(in, line)) {
    if (line[0] == '#') continue;
    std::istringstream words(line);
    std::int32_t q = 0, z = 0;
    std::string s, x;
    words >> q >> s >> z >> x;
    const auto bits = [](const std::string& hex) {
      return std::bit_cast<float>(static_cast<std::uint32_t>(std::stoul(hex, nullptr, 16)));
    };
    cases.push_back({q, -z, bits(s), bits(x)});
  }
  std::mt19937_64 random = bench::random_engine("float_lane");
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    auto acc = static_cast<std::int32_t>(static_cast<std::uint32_t>(random()) >>
                                         bench::between(random, 1, 31));
    if ((random() & 1) != 0) acc = -acc;
    if ((random() & 63) == 0) acc = 0;
    const auto exponent = static_cast<std::uint32_t>(bench::between(random, 1, 127 + 94));
    const float m =
        std::bit_cast<float>(exponent << 23 | (static_cast<std::uint32_t>(random()) & 0x7fffffu));
    cases.push_back({acc, 0, m, pronghorn::arith::dequantize(acc, m, 0)});
  }
  bench::Model<Vfloat_lane> top;
  for (std::size_t t = 0; t < cases.size() + 19; ++t) {
    const Case& c = cases[std::min(t, cases.size() - 1)];
    top.acc_i = static_cast<std::uint32_t>(c.acc);
    top.bias_i = static_cast<std::uint32_t>(c.bias);
    top.m_i = std::bit_cast<std::uint32_t>(c.m);
    if (t >= 19) {
      const Case& e = cases[t - 19];
      bench::check(top.x_o == std::bit_cast<std::uint32_t>(e.expected),
                   "acc %d bias %d m %08x: got %08x, expected %08x", e.acc, e.bias,
                   std::bit_cast<std::uint32_t>(e.m), top.x_o,
                   std::bit_cast<std::uint32_t>(e.expected));
    }
    top.clk_i = 0;
    top.eval();
    top.clk_i = 1;
    top.eval();
  }
  return bench::finish("float_lane");
}
