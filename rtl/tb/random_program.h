// SPDX-License-Identifier: Apache-2.0
// Random command streams that keep to the rules of docs/fpga.md.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "bench.h"
#include "fpga_configurations.h"

namespace bench {

// Everything loaded at random, `commands` COMPUTE commands back and forth between two halves of
// both memories, everything stored.
class RandomProgram {
 public:
  static constexpr std::int64_t kRows = 512, kHalf = kRows / 2, kWeights = 160, kConstants = 24;

  RandomProgram(const pronghorn::device::fpga::Configuration& c, std::mt19937_64& random)
      : c_(c), random_(random) {}

  // Fills memory: [0, data_bytes()) random source data; the program goes to `at`.
  void build(std::vector<std::uint8_t>& memory, std::size_t at, int commands) {
    row_ = static_cast<std::size_t>(c_.px * c_.ic);
    for (std::size_t i = 0; i < data_bytes(); ++i) memory[i] = static_cast<std::uint8_t>(random_());
    const std::size_t constants = constants_at();
    for (std::int64_t i = 0; i < kConstants * c_.ic; ++i) {
      const auto bias = static_cast<std::int32_t>(between(random_, -20000, 20000));
      const float m =
          std::bit_cast<float>(static_cast<std::uint32_t>(127 + between(random_, -14, -6)) << 23 |
                               (static_cast<std::uint32_t>(random_()) & 0x7fffffu));
      std::memcpy(&memory[constants + static_cast<std::size_t>(i) * 8], &bias, 4);
      std::memcpy(&memory[constants + static_cast<std::size_t>(i) * 8 + 4], &m, 4);
    }
    words.clear();
    load(5, 0, 0, kRows, 0);
    load(5, 1, 0, kRows, static_cast<std::int64_t>(row_) * kRows);
    load(5, 2, 0, kWeights, static_cast<std::int64_t>(row_) * kRows * 2);
    load(5, 3, 0, kConstants, static_cast<std::int64_t>(constants));
    if (chance(2)) image();
    for (int i = 0; i < commands; ++i) compute(i);
    // The pieces in which everything is stored.
    const std::int64_t piece = between(random_, 100, kRows);
    for (int m = 0; m < 2; ++m)
      for (std::int64_t r = 0; r < kRows; r += piece)
        store(m, r, std::min(piece, kRows - r), (m * kRows + r) * static_cast<std::int64_t>(row_));
    words.push_back(8 | 2 << 8);
    words.push_back(0);
    std::memcpy(&memory[at], words.data(), words.size() * 8);
  }

  std::size_t constants_at() const {
    return static_cast<std::size_t>(c_.px * c_.ic * 2 * kRows + c_.oc * c_.ic * kWeights);
  }
  std::size_t data_bytes() const {
    return constants_at() + static_cast<std::size_t>(8 * c_.ic * kConstants);
  }
  std::size_t stored_bytes() const { return static_cast<std::size_t>(c_.px * c_.ic * 2 * kRows); }

  // The COMPUTE and IMAGE commands, in short.
  void print() const {
    for (std::size_t i = 0; i < words.size(); i += (words[i] >> 8) & 255) {
      const std::uint64_t* w = &words[i];
      const auto f = [&](int word, int low, int bits) {
        return static_cast<int>((w[word] >> low) & ((std::uint64_t{1} << bits) - 1));
      };
      const int op = f(0, 0, 8);
      if (op == 6)
        std::printf("  IMAGE beats %d rows %d positions %d step %d groups %d planes %d dst %d,%d\n",
                    f(3, 8, 8), f(3, 16, 16), f(3, 32, 16), f(3, 48, 8), f(3, 56, 8), f(4, 24, 8),
                    f(4, 0, 16), f(4, 16, 8));
      if (op <= 4)
        std::printf(
            "  op %d tiles %d groups %d -> %d taps %d last %d src M%d %d,%d dst M%d %d,%d res %d "
            "logits %d planes %d check %d grid %dx%d from %d,%d\n",
            op, f(4, 0, 16), f(4, 16, 10), f(4, 26, 10), f(4, 36, 6), f(4, 42, 6), f(5, 0, 1),
            f(2, 0, 16), f(4, 48, 6), f(5, 1, 1), f(2, 32, 16), f(4, 54, 5), f(5, 3, 1), f(5, 4, 1),
            f(5, 5, 1), f(5, 6, 1), f(7, 52, 12), f(7, 40, 12), f(7, 28, 12), f(7, 16, 12));
    }
  }

  std::vector<std::uint64_t> words;

 private:
  using u64 = std::uint64_t;
  bool chance(int n) { return random_() % static_cast<u64>(n) == 0; }
  std::int64_t pick(std::int64_t lo, std::int64_t hi) { return between(random_, lo, hi); }
  static u64 put(std::int64_t v, int low, int bits) {
    return (static_cast<u64>(v) & ((u64{1} << bits) - 1)) << low;
  }

  void load(int op, int target, std::int64_t first, std::int64_t count, std::int64_t offset) {
    words.push_back(put(op, 0, 8) | put(4, 8, 8));
    words.push_back(0);
    words.push_back(put(offset, 0, 48) | put(0, 48, 2));
    words.push_back(put(target, 0, 3) | put(first, 16, 16) | put(count, 32, 32));
    ++loads_;
  }
  void store(int mem, std::int64_t first, std::int64_t count, std::int64_t offset) {
    words.push_back(put(7, 0, 8) | put(4, 8, 8));
    words.push_back(put(computes_, 16, 16) | put(loads_, 0, 16));
    words.push_back(put(offset, 0, 48) | put(2, 48, 2));
    words.push_back(put(mem, 0, 3) | put(first, 16, 16) | put(count, 32, 32));
  }
  // Over the random rows: the image's bytes are those of the first LOAD.
  void image() {
    const std::int64_t step = chance(2) ? 3 : 6, planes = chance(2) ? 2 : 1;
    const std::int64_t beats = pick(1, std::min<std::int64_t>(c_.row_bytes / c_.axi_bytes, 6));
    const std::int64_t positions =
        std::min<std::int64_t>(pick(1, 3 * c_.px), beats * c_.axi_bytes / step + 1);
    const std::int64_t rows = pick(1, 9), groups = pick(1, 4);
    const std::int64_t lines = rows * positions / c_.px + 3;
    words.push_back(put(6, 0, 8) | put(6, 8, 8));
    words.push_back(0);
    words.push_back(put(pick(0, 20) * c_.axi_bytes, 0, 48));
    words.push_back(put(pick(0, 1), 0, 1) | put(beats, 8, 8) | put(rows, 16, 16) |
                    put(positions, 32, 16) | put(step, 48, 8) | put(groups, 56, 8));
    words.push_back(put(pick(0, 20), 0, 16) | put(pick(0, c_.px - 1), 16, 8) | put(planes, 24, 8) |
                    put(lines * 2 + 1, 32, 16) | put(lines, 48, 16));
    words.push_back(put(pick(0, c_.px - 1), 0, 8));
    ++loads_;
  }

  void compute(int index) {
    const int op = static_cast<int>(pick(1, 4));
    const std::int64_t px = c_.px;
    const bool planes = op != 3 && chance(3);
    const bool logits = op == 1 && !planes && chance(5);
    const std::int64_t pitch = planes ? 2 * pick(1, 8) : pick(1, 16), height = pick(1, 9),
                       images = pick(1, 3);
    const std::int64_t pixels = planes || chance(2) ? pitch * height * images : pick(1, 80);
    std::int64_t tiles = (pixels + px - 1) / px, last = pixels - (tiles - 1) * px;
    std::int64_t src_groups = pick(1, 4), dst_groups = op == 1 ? pick(1, 4) : src_groups;
    std::int64_t taps = op == 1 ? pick(1, 7) : op == 2 ? 1 : pick(1, 9);
    std::int64_t step = 0;
    if (op == 3) {
      const std::int64_t area = pick(1, 30);
      tiles = images;
      taps = (area + px - 1) / px;
      last = area - (taps - 1) * px;
      step = area;
    }
    // Source rows, and rows of the destination.
    const std::int64_t src_rows = (op == 3 ? step * images / px + taps + 2 : tiles) + 8;
    const std::int64_t ph = (height + 1) / 2, plane = images * ph * (pitch / 2) / px + 3;
    const std::int64_t dst_rows = planes ? 4 * plane + 4 : op == 3 ? images / px + 2 : tiles + 1;
    const std::int64_t dst_count = dst_groups * (logits ? 4 : 1);
    const std::int64_t src_half = (index % 2) * kHalf, dst_half = kHalf - src_half;
    if (src_rows * src_groups + 8 > kHalf || dst_rows * dst_count > kHalf ||
        (op == 1 && (dst_groups + 1) / 2 * taps * src_groups > kWeights)) {
      compute(index);  // too large: another
      return;
    }
    const std::int64_t src_row = src_half + 4 + pick(0, kHalf - src_rows * src_groups - 8);
    const std::int64_t dst_row = dst_half + pick(0, kHalf - dst_rows * dst_count);
    const int src_mem = static_cast<int>(pick(0, 1)), dst_mem = static_cast<int>(pick(0, 1));
    const bool has_res = (op == 1 || op == 2) && !logits && chance(2);
    const bool in_place = has_res && !planes && dst_mem != src_mem && chance(2);
    const std::int64_t dst_bank = in_place ? 0 : pick(0, px - 1);
    const std::int64_t res_row =
        in_place ? dst_row : src_half + pick(0, kHalf - (tiles + 1) * dst_groups);

    words.push_back(put(op, 0, 8) | put(op == 3 ? 10 : 10 + (taps + 1) / 2, 8, 8) |
                    put(index, 32, 32));
    words.push_back(put(loads_, 0, 16));
    words.push_back(put(src_row, 0, 16) | put(src_rows, 16, 16) | put(dst_row, 32, 16) |
                    put(dst_rows, 48, 16));
    words.push_back(
        put(res_row, 0, 16) | put(in_place ? dst_rows : tiles + 1, 16, 16) |
        put(op == 1 ? pick(0, kWeights - (dst_groups + 1) / 2 * taps * src_groups) : 0, 32, 16) |
        put(pick(0, kConstants - dst_groups), 48, 16));
    words.push_back(put(tiles, 0, 16) | put(src_groups, 16, 10) | put(dst_groups, 26, 10) |
                    put(taps, 36, 6) | put(last, 42, 6) | put(pick(0, px - 1), 48, 6) |
                    put(dst_bank, 54, 5) | put(in_place ? dst_bank : pick(0, px - 1), 59, 5));
    const std::int64_t a = pick(-128, 127), b = pick(-128, 127);
    const bool wide = chance(2);
    words.push_back(put(src_mem, 0, 1) | put(dst_mem, 1, 1) | put(1 - src_mem, 2, 1) |
                    put(has_res, 3, 1) | put(logits, 4, 1) | put(planes, 5, 1) |
                    put(op != 3 && chance(2), 6, 1) | put(pick(-128, 127), 8, 8) |
                    put(pick(-128, 127), 16, 8) | put(wide ? -128 : std::min(a, b), 24, 8) |
                    put(wide ? 127 : std::max(a, b), 32, 8) | put(pick(-128, 127), 40, 8) |
                    put(0xffff, 48, 16));
    const float m_res = std::bit_cast<float>(static_cast<std::uint32_t>(127 + pick(-7, 3)) << 23 |
                                             (static_cast<std::uint32_t>(random_()) & 0x7fffffu));
    words.push_back(put(std::bit_cast<std::uint32_t>(m_res), 0, 32) | put(plane, 32, 16) |
                    put(pick(0, px - 1), 48, 5));
    words.push_back(put(2 * plane + 1, 0, 16) | put(planes ? 0 : pick(0, pitch - 1), 16, 12) |
                    put(planes ? 0 : pick(0, height - 1), 28, 12) | put(pitch, 40, 12) |
                    put(height, 52, 12));
    words.push_back(put(pick(1, pitch), 0, 12) | put(pick(1, height), 12, 12) |
                    put(px % pitch, 24, 12) | put(px / pitch % height, 36, 12) |
                    put(step / px, 48, 16));
    words.push_back(put(step % px, 0, 5));
    for (std::int64_t t = 0; op != 3 && t < taps; t += 2) {
      u64 word = 0;
      for (int half = 0; half < 2; ++half)
        word |= (put(pick(-3, 3), 0, 16) | put(pick(0, px - 1), 16, 5) | put(pick(-3, 3), 21, 5) |
                 put(pick(-3, 3), 26, 5))
                << (32 * half);
      words.push_back(word);
    }
    ++computes_;
  }

  const pronghorn::device::fpga::Configuration& c_;
  std::mt19937_64& random_;
  std::size_t row_ = 0;
  std::int64_t loads_ = 0, computes_ = 0;
};

}  // namespace bench
