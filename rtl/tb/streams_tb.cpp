// SPDX-License-Identifier: Apache-2.0
// The streams between memory and chip: LOAD to rows, weights and constants, IMAGE, STORE, with
// every AXI channel and every port on chip stalling at random. What lies on chip and what is stored
// must be what tb/interpreter.h makes of the same commands; a command waits for what it names.
#include <array>
#include <vector>

#include "Vstreams.h"
#include "axi_memory.h"
#include "interpreter.h"

namespace {

using u64 = std::uint64_t;
using pronghorn::device::fpga::Configuration;

const Configuration& configuration() {
  for (const auto& c : pronghorn::device::fpga::kConfigurations)
    if (c.name == BENCH_CONFIG) return c;
  std::abort();
}

constexpr std::int64_t kRows = 200, kWords = 40;
constexpr std::size_t kSource = 1 << 17, kProgram = 1 << 16, kOutput = 1 << 17;

u64 put(std::int64_t v, int low, int bits) {
  return (static_cast<u64>(v) & ((u64{1} << bits) - 1)) << low;
}

// Loads, images and stores; a store waits for a random number of the loads before it.
std::vector<u64> random_commands(const Configuration& c, std::mt19937_64& random, int count,
                                 std::size_t& stored) {
  using bench::between;
  std::vector<u64> words;
  std::int64_t loads = 0;
  const std::int64_t sizes[] = {c.px * c.ic, c.px * c.ic, c.oc * c.ic, 8 * c.ic};
  const auto head = [&](int op, int length, u64 wait, std::int64_t offset, int base) {
    words.push_back(put(op, 0, 8) | put(length, 8, 8));
    words.push_back(wait);
    words.push_back(put(offset, 0, 48) | put(base, 48, 2));
  };
  const auto load = [&](int target, std::int64_t first, std::int64_t rows) {
    const std::int64_t bytes = rows * sizes[target];
    head(5, 4, 0,
         between(random, 0, (static_cast<std::int64_t>(kSource) - bytes) / c.axi_bytes) *
             c.axi_bytes,
         1);
    words.push_back(put(target, 0, 3) | put(first, 16, 16) | put(rows, 32, 32));
    ++loads;
  };
  // Every row and word has been loaded before anything is read.
  for (int target = 0; target < 4; ++target) load(target, 0, target < 2 ? kRows : kWords);
  for (int n = 0; n < count; ++n) {
    const auto kind = random() % 3;
    if (kind == 0) {
      const auto target = static_cast<int>(random() & 3);
      const std::int64_t limit = target < 2 ? kRows : kWords;
      const std::int64_t first = between(random, 0, limit - 1);
      load(target, first, between(random, 0, std::min<std::int64_t>(limit - first, 9)));
    } else if (kind == 1) {
      const std::int64_t step = (random() & 1) != 0 ? 3 : 6, planes = between(random, 1, 2);
      const std::int64_t beats =
          between(random, 1, std::min<std::int64_t>(c.row_bytes / c.axi_bytes, 6));
      const std::int64_t positions =
          std::min<std::int64_t>(between(random, 1, 3 * c.px), beats * c.axi_bytes / step + 1);
      const std::int64_t rows = between(random, 1, 9), groups = between(random, 1, 4);
      const std::int64_t lines = (rows * positions + 2 * c.px) / c.px + 1;
      if ((2 * lines + 1) * groups + 20 > kRows) continue;
      head(6, 6, 0, between(random, 0, 60) * c.axi_bytes, 1);
      words.push_back(put(random() & 1, 0, 1) | put(beats, 8, 8) | put(rows, 16, 16) |
                      put(positions, 32, 16) | put(step, 48, 8) | put(groups, 56, 8));
      words.push_back(put(between(random, 0, 15), 0, 16) |
                      put(between(random, 0, c.px - 1), 16, 8) | put(planes, 24, 8) |
                      put(2 * lines + 1, 32, 16) | put(lines, 48, 16));
      words.push_back(put(between(random, 0, c.px - 1), 0, 8));
      ++loads;
    } else {
      const std::int64_t first = between(random, 0, kRows - 1);
      const std::int64_t rows = between(random, 0, std::min<std::int64_t>(kRows - first, 20));
      const auto bytes = static_cast<std::size_t>(rows * c.px * c.ic);
      if (stored + bytes > kOutput) continue;
      // All loads before it, or what follows would change what it reads.
      head(7, 4, put(loads, 0, 16), static_cast<std::int64_t>(stored), 2);
      words.push_back(put(random() & 1, 0, 1) | put(first, 16, 16) | put(rows, 32, 32));
      stored += bytes;
    }
  }
  words.push_back(8 | 2 << 8);
  words.push_back(0);
  return words;
}

class Chip {
 public:
  Chip(const Configuration& c, double stall, std::mt19937_64& random)
      : axi(top, c.axi_bytes, kProgram + kSource + kOutput, stall, random()),
        c_(c),
        stall_(stall),
        random_(random) {
    for (auto& m : rows_) m.resize(static_cast<std::size_t>(kRows * c.px * c.ic) * 4);
    weights.resize(static_cast<std::size_t>(kWords * c.oc * c.ic));
    constants.resize(static_cast<std::size_t>(kWords * 8 * c.ic));
    top.rst_ni = 0;
    for (int i = 0; i < 8; ++i) cycle();
    top.rst_ni = 1;
    cycle();
  }

  // Hands the commands over, LOAD and STORE each in order. A load waits for the stores before it,
  // as the compiler makes it wait where they share rows.
  bool run(const std::vector<u64>& words) {
    int stores = 0;
    for (std::size_t i = 0; (words[i] & 255) != 8;) {
      const auto length = static_cast<int>(words[i] >> 8 & 255);
      const unsigned engine = (words[i] & 255) == 7 ? 1 : 0;
      for (int wait = 0; (top.load_ready_o >> engine & 1) == 0; ++wait) {
        if (wait == 100000) return false;
        cycle();
      }
      for (int w = 0; w < length; ++w) {
        u64 word = words[i + static_cast<std::size_t>(w)];
        if (w == 1 && engine == 0) word = put(stores, 32, 16);
        top.word_valid_i = static_cast<unsigned char>(1u << engine);
        top.word_index_i = static_cast<unsigned char>(w);
        top.word_last_i = w + 1 == length;
        top.word_i = word;
        cycle();
        top.word_valid_i = 0;
        for (auto gap = random_() & 1; gap > 0; --gap) cycle();
      }
      stores += engine == 1;
      i += static_cast<std::size_t>(length);
      cycle();
    }
    for (int i = 0; i < 1000000; ++i) {
      if (top.empty_o == 3 && axi.quiet()) return true;
      cycle();
    }
    return false;
  }

  bench::Model<Vstreams> top;
  bench::AxiMemory<Vstreams> axi;
  std::vector<std::uint8_t> weights, constants;
  int done[2] = {};
  int errors[2] = {};

 private:
  bool chance() { return static_cast<double>(random_() >> 11) * 0x1p-53 < stall_; }

  std::uint8_t* word(int mem, std::int64_t row, std::int64_t bank) {
    return &rows_[static_cast<std::size_t>(mem)].at(
        static_cast<std::size_t>((row * c_.px + bank) * c_.ic));
  }

  void cycle() {
    top.eval();
    axi.take();
    // Rows on chip: a write where COMPUTE leaves the port, which was said a cycle before.
    if (top.write_valid_o != 0 && (top.write_ready_i >> top.write_mem_o & 1) != 0)
      for (std::int64_t l = 0; l < c_.px; ++l)
        if ((top.write_mask_o >> l & 1) != 0)
          bench::get_bytes(top.write_data_o, static_cast<std::size_t>(l * c_.ic),
                           word(top.write_mem_o, top.write_row_o, top.write_bank_o + l),
                           static_cast<std::size_t>(c_.ic));
    const auto keep = [&](auto& port, std::vector<std::uint8_t>& dst, std::size_t size) {
      bench::check((top.word_address_o + 1) * size <= dst.size(), "a word past the end");
      bench::get_bytes(port, 0, &dst.at(top.word_address_o * size), size);
    };
    if (top.weight_write_o != 0)
      keep(top.weight_data_o, weights, static_cast<std::size_t>(c_.oc * c_.ic));
    if (top.constant_write_o != 0)
      keep(top.constant_data_o, constants, static_cast<std::size_t>(8 * c_.ic));
    // Reads come five cycles after their request.
    for (std::size_t d = kReadLatency - 1; d > 0; --d) reading_[d] = reading_[d - 1];
    reading_[0] = top.read_valid_o != 0 && top.read_ready_i != 0
                      ? std::pair<int, int>{top.read_mem_o, top.read_row_o}
                      : std::pair<int, int>{-1, 0};
    for (int e = 0; e < 2; ++e) {
      done[e] += top.command_done_o >> e & 1;
      errors[e] += top.error_o >> e & 1;
    }
    top.clk_i = 1;
    top.eval();
    axi.drive();
    top.write_ready_i = static_cast<unsigned char>((chance() ? 0 : 1) | (chance() ? 0 : 2));
    top.read_ready_i = !chance();
    top.done_i = static_cast<u64>(done[0]) | static_cast<u64>(done[1]) << 32;
    // Noise where nothing was asked for.
    const std::size_t bytes = static_cast<std::size_t>(c_.px * c_.ic);
    for (std::size_t m = 0; m < 2; ++m)
      for (std::size_t b = 0; b < bytes; b += 8) {
        const u64 noise = random_();
        bench::put_bytes(top.data_i, m * bytes + b, &noise, std::min<std::size_t>(8, bytes - b));
      }
    const auto [mem, row] = reading_[kReadLatency - 1];
    if (mem >= 0)
      bench::put_bytes(top.data_i, static_cast<std::size_t>(mem) * bytes, word(mem, row, 0), bytes);
    top.clk_i = 0;
    top.eval();
  }

  static constexpr std::size_t kReadLatency = 5;
  const Configuration& c_;
  double stall_;
  std::mt19937_64& random_;
  std::vector<std::uint8_t> rows_[2];
  std::array<std::pair<int, int>, kReadLatency> reading_ = [] {
    std::array<std::pair<int, int>, kReadLatency> none;
    none.fill({-1, 0});
    return none;
  }();
};

void streams(std::mt19937_64& random, int runs) {
  const auto& c = configuration();
  for (int n = 0; n < runs; ++n) {
    const double stall = n % 3 == 0 ? 0.0 : n % 3 == 1 ? 0.3 : 0.8;
    std::size_t stored = 0;
    const auto words = random_commands(c, random, 30, stored);
    Chip chip(c, stall, random);
    for (std::size_t i = 0; i < kSource; ++i)
      chip.axi.memory[kProgram + i] = static_cast<std::uint8_t>(random());
    std::memcpy(chip.axi.memory.data(), words.data(), words.size() * 8);
    const u64 base[3] = {0, kProgram, kProgram + kSource};
    for (unsigned b = 0; b < 3; ++b) {
      chip.top.base_i[2 * b] = static_cast<std::uint32_t>(base[b]);
      chip.top.base_i[2 * b + 1] = static_cast<std::uint32_t>(base[b] >> 32);
    }
    auto memory = chip.axi.memory;
    bench::Interpreter interpreter(c);
    interpreter.run(memory, 0, base);
    bench::check(chip.run(words), "run %d does not end", n);
    std::size_t wrong = 0, first = 0;
    for (std::size_t i = 0; i < stored; ++i)
      if (chip.axi.memory[base[2] + i] != memory[base[2] + i] && wrong++ == 0) first = i;
    bench::check(wrong == 0, "run %d: %zu of %zu stored bytes differ, first at %zu", n, wrong,
                 stored, first);
    bench::check(std::memcmp(chip.weights.data(), interpreter.weights(), chip.weights.size()) == 0,
                 "run %d: weights differ", n);
    bench::check(
        std::memcmp(chip.constants.data(), interpreter.constants(), chip.constants.size()) == 0,
        "run %d: constants differ", n);
    bench::check(chip.errors[0] == 0 && chip.errors[1] == 0, "run %d: errors", n);
  }
  // Errors of the bus come out.
  std::size_t stored = 0;
  const auto words = random_commands(c, random, 10, stored);
  Chip chip(c, 0.3, random);
  chip.axi.read_error = chip.axi.write_error = true;
  chip.top.base_i[2] = kProgram;
  chip.top.base_i[4] = kProgram + kSource;
  bench::check(chip.run(words), "a run with errors does not end");
  bench::check(chip.errors[0] > 0 && (stored == 0 || chip.errors[1] > 0), "errors are not told");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: streams_tb RUNS\n");
    return 2;
  }
  std::mt19937_64 random = bench::random_engine("streams");
  streams(random, std::atoi(argv[1]));
  return bench::finish("streams");
}
