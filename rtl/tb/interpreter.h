// SPDX-License-Identifier: Apache-2.0
// Executes a command stream by the words of docs/fpga.md alone, slowly: what the benches compare
// the RTL with. It shares no code with the compiler or the cycle model of src/device/fpga.
#pragma once

#include <bit>
#include <cstring>
#include <vector>

#include "arith/requantize.h"
#include "fpga_configurations.h"

namespace bench {

class Interpreter {
 public:
  explicit Interpreter(const pronghorn::device::fpga::Configuration& c)
      : c_(c),
        w_(static_cast<std::size_t>(c.w_uram_words + c.w_bram_words) * word_bytes(2)),
        constants_(static_cast<std::size_t>(c.c_words) * word_bytes(3)) {
    m_[0].resize(static_cast<std::size_t>(c.m0_rows) * word_bytes(0));
    m_[1].resize(static_cast<std::size_t>(c.m1_rows) * word_bytes(1));
  }

  void run(std::vector<std::uint8_t>& memory, std::size_t address, const std::uint64_t (&base)[3]) {
    for (;;) {
      std::uint64_t w[64] = {};
      std::memcpy(w, &memory[address], 8);
      const int length = static_cast<int>(field(w[0], 8, 8));
      std::memcpy(w, &memory[address], static_cast<std::size_t>(length) * 8);
      address += static_cast<std::size_t>(length) * 8;
      switch (field(w[0], 0, 8)) {
        case 1:
        case 2:
        case 3:
        case 4:
          compute(w);
          break;
        case 5:
          transfer(w, memory, base, true);
          break;
        case 6:
          image(w, memory, base);
          break;
        case 7:
          transfer(w, memory, base, false);
          break;
        default:
          return;
      }
    }
  }

  const std::int8_t* weights() const { return w_.data(); }
  const std::int8_t* constants() const { return constants_.data(); }

 private:
  static std::int64_t field(std::uint64_t word, int low, int bits) {
    return static_cast<std::int64_t>((word >> low) & ((std::uint64_t{1} << bits) - 1));
  }
  static std::int64_t s(std::int64_t v, int bits) {
    return v >= std::int64_t{1} << (bits - 1) ? v - (std::int64_t{1} << bits) : v;
  }

  std::size_t word_bytes(int target) const {
    return static_cast<std::size_t>(target == 2   ? c_.oc * c_.ic
                                    : target == 3 ? 8 * c_.ic
                                                  : c_.px * c_.ic);
  }
  // The byte of channel i of the word at a flat position.
  std::int8_t& at(int mem, std::int64_t flat, int i) {
    return m_[mem].at(static_cast<std::size_t>(flat * c_.ic + i));
  }

  void transfer(const std::uint64_t* w, std::vector<std::uint8_t>& memory,
                const std::uint64_t (&base)[3], bool load) {
    const int target = static_cast<int>(field(w[3], 0, 3));
    const std::size_t bytes = word_bytes(target);
    const std::size_t outside =
        base[field(w[2], 48, 2)] + static_cast<std::size_t>(field(w[2], 0, 48));
    const std::size_t inside = static_cast<std::size_t>(field(w[3], 16, 16)) * bytes;
    const std::size_t size = static_cast<std::size_t>(field(w[3], 32, 32)) * bytes;
    if (size == 0) return;
    std::vector<std::int8_t>& array = target == 2 ? w_ : target == 3 ? constants_ : m_[target];
    if (load)
      std::memcpy(&array.at(inside + size - 1) - size + 1, &memory[outside], size);
    else
      std::memcpy(&memory[outside], &array.at(inside + size - 1) - size + 1, size);
  }

  void image(const std::uint64_t* w, const std::vector<std::uint8_t>& memory,
             const std::uint64_t (&base)[3]) {
    const std::size_t outside =
        base[field(w[2], 48, 2)] + static_cast<std::size_t>(field(w[2], 0, 48));
    const std::int64_t row_bytes = field(w[3], 8, 8) * c_.axi_bytes,
                       positions = field(w[3], 32, 16);
    const std::int64_t planes = field(w[4], 24, 8), gs = field(w[4], 32, 16);
    for (std::int64_t r = 0; r < field(w[3], 16, 16); ++r)
      for (std::int64_t x = 0; x < positions; ++x)
        for (std::int64_t g = 0; g < field(w[3], 56, 8); ++g)
          for (int i = 0; i < c_.ic; ++i) {
            const std::int64_t b = field(w[3], 48, 8) * x + g * c_.ic + i;
            const std::int64_t flat =
                (field(w[4], 0, 16) + g * gs) * c_.px + field(w[4], 16, 8) +
                (r % planes) * (field(w[4], 48, 16) * c_.px + field(w[5], 0, 8)) +
                (r / planes) * positions + x;
            at(static_cast<int>(field(w[3], 0, 1)), flat, i) =
                b < row_bytes ? static_cast<std::int8_t>(
                                    memory[outside + static_cast<std::size_t>(r * row_bytes + b)])
                              : std::int8_t{0};
          }
  }

  void constant(std::int64_t word, int i, std::int32_t& bias, float& m) const {
    const std::size_t offset =
        static_cast<std::size_t>(word) * word_bytes(3) + static_cast<std::size_t>(i) * 8;
    std::memcpy(&bias, &constants_.at(offset), 4);
    std::memcpy(&m, &constants_.at(offset + 4), 4);
  }

  void compute(const std::uint64_t* w) {
    namespace arith = pronghorn::arith;
    const auto op = field(w[0], 0, 8);
    const std::int64_t px = c_.px;
    const std::int64_t src_row = field(w[2], 0, 16), src_gs = field(w[2], 16, 16);
    const std::int64_t dst_row = field(w[2], 32, 16), dst_gs = field(w[2], 48, 16);
    const std::int64_t res_row = field(w[3], 0, 16), res_gs = field(w[3], 16, 16);
    const std::int64_t w_addr = field(w[3], 32, 16), c_addr = field(w[3], 48, 16);
    const std::int64_t tiles = field(w[4], 0, 16), src_groups = field(w[4], 16, 10);
    const std::int64_t dst_groups = field(w[4], 26, 10), taps = field(w[4], 36, 6),
                       last_px = field(w[4], 42, 6);
    const std::int64_t src_bank = field(w[4], 48, 6), dst_bank = field(w[4], 54, 5),
                       res_bank = field(w[4], 59, 5);
    const int src_mem = static_cast<int>(field(w[5], 0, 1)),
              dst_mem = static_cast<int>(field(w[5], 1, 1));
    const int res_mem = static_cast<int>(field(w[5], 2, 1));
    const bool has_res = field(w[5], 3, 1) != 0, logits = field(w[5], 4, 1) != 0,
               planes = field(w[5], 5, 1) != 0;
    const bool check = field(w[5], 6, 1) != 0;
    const auto pad = s(field(w[5], 8, 8), 8), z = s(field(w[5], 16, 8), 8);
    const arith::Range range{static_cast<std::int32_t>(s(field(w[5], 24, 8), 8)),
                             static_cast<std::int32_t>(s(field(w[5], 32, 8), 8))};
    const auto z_res = static_cast<std::int32_t>(s(field(w[5], 40, 8), 8));
    const float m_res = std::bit_cast<float>(static_cast<std::uint32_t>(field(w[6], 0, 32)));
    const std::int64_t drow = field(w[6], 32, 16) * px + field(w[6], 48, 5),
                       dcol = field(w[7], 0, 16) * px + px / 2;
    const std::int64_t x0 = field(w[7], 16, 12), y0 = field(w[7], 28, 12),
                       pitch = field(w[7], 40, 12), height = field(w[7], 52, 12);
    const std::int64_t iw = field(w[8], 0, 12), ih = field(w[8], 12, 12);
    const std::int64_t step = field(w[8], 48, 16) * px + field(w[9], 0, 5);

    struct Result {
      int mem;
      std::int64_t flat;
      int channel;
      std::int8_t value;
    };
    std::vector<Result> results;  // written last: sources are read before
    const std::int64_t pixels = (tiles - 1) * px + last_px;
    if (op == 3) {
      for (std::int64_t n = 0; n < tiles; ++n)
        for (std::int64_t g = 0; g < src_groups; ++g)
          for (int i = 0; i < c_.ic; ++i) {
            std::int32_t acc = 0, bias = 0;
            float m = 0;
            for (std::int64_t p = 0; p < (taps - 1) * px + last_px; ++p)
              acc += at(src_mem, (src_row + g * src_gs) * px + src_bank + n * step + p, i);
            constant(c_addr + g, i, bias, m);
            results.push_back({dst_mem, (dst_row + g * dst_gs) * px + dst_bank + n, i,
                               static_cast<std::int8_t>(arith::requantize(
                                   acc + bias, m, static_cast<std::int32_t>(z), range))});
          }
    }
    for (std::int64_t p = 0; op != 3 && p < pixels; ++p) {
      // The pixel on the grid.
      const std::int64_t on_grid = y0 * pitch + x0 + p;
      const std::int64_t x = pitch > 0 ? on_grid % pitch : 0;
      const std::int64_t line = pitch > 0 ? on_grid / pitch : 0;
      const std::int64_t y = height > 0 ? line % height : 0;
      std::int64_t place = dst_bank + p;
      if (planes) {
        const std::int64_t n = line / height, ph = (height + 1) / 2, pw = pitch / 2;
        place = dst_bank + (y % 2) * drow + (x % 2) * dcol + n * ph * pw + (y / 2 - y0 / 2) * pw +
                x / 2;
      }
      const auto source = [&](std::int64_t g, std::int64_t t, int i) -> std::int64_t {
        const auto tap = static_cast<std::uint64_t>(field(w[10 + t / 2], t % 2 == 0 ? 0 : 32, 32));
        const std::int64_t ro = s(field(tap, 21, 5), 5), co = s(field(tap, 26, 5), 5);
        if (check && (y + ro < 0 || y + ro >= ih || x + co < 0 || x + co >= iw))
          return op == 4 ? -128 : pad;
        return at(src_mem,
                  (src_row + g * src_gs + s(field(tap, 0, 16), 16)) * px + src_bank +
                      field(tap, 16, 5) + p,
                  i);
      };
      for (std::int64_t j = 0; j < dst_groups; ++j)
        for (int i = 0; i < c_.ic; ++i) {
          std::int32_t acc = 0, bias = 0;
          float m = 1;
          if (op == 1) {
            const std::int64_t o = (j % 2) * c_.ic + i;
            for (std::int64_t t = 0; t < taps; ++t)
              for (std::int64_t g = 0; g < src_groups; ++g) {
                const std::int64_t word = w_addr + (j / 2 * taps + t) * src_groups + g;
                const std::int8_t* weights = &w_.at(static_cast<std::size_t>(word) * word_bytes(2) +
                                                    static_cast<std::size_t>(o * c_.ic));
                for (int k = 0; k < c_.ic; ++k)
                  acc += static_cast<std::int32_t>(source(g, t, k)) * weights[k];
              }
          } else if (op == 2) {
            acc = static_cast<std::int32_t>(source(j, 0, i));
          } else {
            std::int64_t largest = -128;
            for (std::int64_t t = 0; t < taps; ++t) largest = std::max(largest, source(j, t, i));
            results.push_back({dst_mem, (dst_row + j * dst_gs) * px + place, i,
                               static_cast<std::int8_t>(largest)});
            continue;
          }
          constant(c_addr + j, i, bias, m);
          acc += bias;
          if (logits) {
            const float logit = arith::dequantize(acc, m, 0);
            char bytes[4];
            std::memcpy(bytes, &logit, 4);
            for (int b = 0; b < 4; ++b) {
              const int byte = i * 4 + b;
              results.push_back({dst_mem, (dst_row + (4 * j + byte / c_.ic) * dst_gs) * px + place,
                                 byte % c_.ic, static_cast<std::int8_t>(bytes[b])});
            }
            continue;
          }
          const std::int32_t q =
              has_res ? arith::requantize_residual(
                            acc, m, at(res_mem, (res_row + j * res_gs) * px + res_bank + p, i),
                            z_res, m_res, static_cast<std::int32_t>(z), range)
                      : arith::requantize(acc, m, static_cast<std::int32_t>(z), range);
          results.push_back(
              {dst_mem, (dst_row + j * dst_gs) * px + place, i, static_cast<std::int8_t>(q)});
        }
    }
    for (const Result& r : results) at(r.mem, r.flat, r.channel) = r.value;
  }

  const pronghorn::device::fpga::Configuration& c_;
  std::vector<std::int8_t> m_[2], w_, constants_;
};

}  // namespace bench
