// SPDX-License-Identifier: Apache-2.0
// The hardware's bytes in C++: two activation memories, the weight and constant memories, and the
// commands in order. Tiles of pixels are independent of each other, so host threads share them.
// Which cycle each thing happens in is count_cycles()'s business.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <vector>

#include "arith/requantize.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "device/fpga/kernels/sums.h"
#include "device/fpga/layout.h"
#include "device/fpga/port.h"

namespace pronghorn::device::fpga {
namespace {

class ModelPort final : public Port {
 public:
  ModelPort(const Configuration& c, int threads)
      : c_(c), kernel_(choose_sums_kernel()), pool_(threads) {
    const std::size_t row = static_cast<std::size_t>(c.px) * static_cast<std::size_t>(c.ic);
    memory_[0].assign(static_cast<std::size_t>(c.m0_rows) * row, 0);
    memory_[1].assign(static_cast<std::size_t>(c.m1_rows) * row, 0);
    constants_.assign(static_cast<std::size_t>(c.c_words) * 8 * static_cast<std::size_t>(c.ic),
                      std::byte{0});
  }

  std::string name() const override { return "model"; }
  bool is_card() const override { return false; }

  RunReport run(std::span<const std::uint64_t> program, const Memory& memory) override {
    const std::vector<Command> commands = decode(program);
    RunReport report = count_cycles(c_, commands);
    for (std::size_t i = 0; i < commands.size(); ++i) {
      const Command& command = commands[i];
      switch (command.opcode) {
        case Opcode::kConv:
        case Opcode::kAdd:
        case Opcode::kMaxPool:
        case Opcode::kAverage:
          compute(command.opcode, std::get<Compute>(command.body));
          break;
        case Opcode::kLoad:
          load(std::get<Transfer>(command.body), memory, i);
          break;
        case Opcode::kImage:
          image(std::get<ImageLoad>(command.body), memory, i);
          break;
        case Opcode::kStore:
          store(std::get<Transfer>(command.body), memory, i);
          break;
        case Opcode::kEnd:
          break;
      }
    }
    return report;
  }

 private:
  using Bytes = std::vector<std::int8_t>;

  static std::span<const std::byte> source(const Memory& memory, std::int64_t base,
                                           std::int64_t offset, std::int64_t bytes,
                                           std::size_t command) {
    const std::span<const std::byte> all = base == 0   ? memory.model
                                           : base == 1 ? memory.input
                                                       : memory.output;
    if (base > 2 || offset + bytes > static_cast<std::int64_t>(all.size())) {
      base::fail(base::Status::kCorrupt, "command {}: bytes {} to {} of base {} with {} bytes",
                 command, offset, offset + bytes, base, all.size());
    }
    return all.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes));
  }

  void check_rows(std::int64_t first, std::int64_t count, std::int64_t depth, std::size_t command) {
    if (first + count > depth) {
      base::fail(base::Status::kCorrupt, "command {}: words {} to {} of a memory of {}", command,
                 first, first + count, depth);
    }
  }

  std::int64_t rows_of(std::int64_t target) const { return target == 0 ? c_.m0_rows : c_.m1_rows; }

  void load(const Transfer& t, const Memory& memory, std::size_t command) {
    const std::int64_t word = t.target < 2    ? std::int64_t{c_.px} * c_.ic
                              : t.target == 2 ? std::int64_t{c_.oc} * c_.ic
                                              : std::int64_t{8} * c_.ic;
    const auto bytes = source(memory, t.base, t.offset, t.count * word, command);
    if (t.target == 2) {
      check_rows(t.first, t.count, c_.w_uram_words + c_.w_bram_words, command);
      load_weights(t, bytes);
      return;
    }
    check_rows(t.first, t.count, t.target < 2 ? rows_of(t.target) : c_.c_words, command);
    void* to = t.target < 2 ? static_cast<void*>(memory_[t.target].data() + t.first * word)
                            : static_cast<void*>(constants_.data() + t.first * word);
    std::memcpy(to, bytes.data(), bytes.size());
  }

  // Bytes [o][i] to the kernel's pairs [i / 2][o][2] of s16.
  void load_weights(const Transfer& t, std::span<const std::byte> bytes) {
    const std::int64_t word = std::int64_t{c_.oc} * c_.ic;
    const auto needed = static_cast<std::size_t>((t.first + t.count) * word);
    if (weights_.size() < needed) weights_.resize(needed, 0);
    const auto* from = reinterpret_cast<const std::int8_t*>(bytes.data());
    for (std::int64_t w = 0; w < t.count; ++w) {
      std::int16_t* to = weights_.data() + (t.first + w) * word;
      for (int o = 0; o < c_.oc; ++o) {
        for (int i = 0; i < c_.ic; ++i) {
          to[(i / 2 * c_.oc + o) * 2 + i % 2] = from[w * word + o * c_.ic + i];
        }
      }
    }
  }

  void image(const ImageLoad& l, const Memory& memory, std::size_t command) {
    const std::int64_t row = l.beats * c_.axi_bytes;
    const auto bytes = source(memory, l.base, l.offset, l.rows * row, command);
    const auto* from = reinterpret_cast<const std::int8_t*>(bytes.data());
    Bytes& to = memory_[l.target];
    const std::int64_t first = l.dst_row * c_.px + l.dst_bank;
    const std::int64_t distance = l.plane_row * c_.px + l.plane_bank;
    for (std::int64_t r = 0; r < l.rows; ++r) {
      for (std::int64_t g = 0; g < l.groups; ++g) {
        const std::int64_t begin =
            first + g * l.dst_gs * c_.px + r % l.planes * distance + r / l.planes * l.positions;
        for (std::int64_t x = 0; x < l.positions; ++x) {
          const std::int64_t at = (begin + x) * c_.ic;
          check_rows(begin + x, 1, rows_of(l.target) * c_.px, command);
          for (std::int64_t i = 0; i < c_.ic; ++i) {
            const std::int64_t byte = l.step * x + g * c_.ic + i;
            to[static_cast<std::size_t>(at + i)] = byte < row ? from[r * row + byte] : 0;
          }
        }
      }
    }
  }

  void store(const Transfer& t, const Memory& memory, std::size_t command) {
    const std::int64_t word = std::int64_t{c_.px} * c_.ic;
    if (t.target > 1 || t.base != 2 ||
        t.offset + t.count * word > static_cast<std::int64_t>(memory.output.size())) {
      base::fail(base::Status::kCorrupt, "command {}: STORE of {} rows at {} of {} bytes", command,
                 t.count, t.offset, memory.output.size());
    }
    check_rows(t.first, t.count, rows_of(t.target), command);
    std::memcpy(memory.output.data() + t.offset, memory_[t.target].data() + t.first * word,
                static_cast<std::size_t>(t.count * word));
  }

  // A word of an activation memory by flat position; what lies outside reads as 0 (pixels past the
  // last one do that).
  const std::int8_t* word(std::int64_t mem, std::int64_t flat) const {
    static const std::int8_t kNothing[64] = {};
    const std::int64_t words = rows_of(mem) * c_.px;
    return flat >= 0 && flat < words ? memory_[mem].data() + flat * c_.ic : kNothing;
  }

  struct Pixel {
    std::int64_t x = 0, y = 0, n = 0;
  };

  // Coordinates on the grid of pixel `index` of the command.
  Pixel pixel(const Compute& c, std::int64_t index) const {
    if (c.pitch == 0) return {};
    const std::int64_t columns = c.x0 + index;
    const std::int64_t lines = c.y0 + columns / c.pitch;
    return {columns % c.pitch, lines % c.height, lines / c.height};
  }

  bool inside(const Compute& c, const Pixel& p, const Tap& tap) const {
    const std::int64_t x = p.x + tap.co;
    const std::int64_t y = p.y + tap.ro;
    return x >= 0 && x < c.iw && y >= 0 && y < c.ih;
  }

  std::int64_t destination(const Compute& c, std::int64_t group, std::int64_t index,
                           const Pixel& p) const {
    const std::int64_t first = (c.dst_row + group * c.dst_gs) * c_.px + c.dst_bank;
    if (c.planes == 0) return first + index;
    const std::int64_t plane_width = c.pitch / 2;
    const std::int64_t plane_height = (c.height + 1) / 2;
    return first + p.y % 2 * (c.drow_row * c_.px + c.drow_bank) +
           p.x % 2 * (c.dcol_row * c_.px + c_.px / 2) + p.n * plane_height * plane_width +
           (p.y / 2 - c.y0 / 2) * plane_width + p.x / 2;
  }

  std::int8_t* target(const Compute& c, std::int64_t flat) {
    if (flat < 0 || flat >= rows_of(c.dst_mem) * c_.px) {
      base::fail(base::Status::kCorrupt, "a result is written at {} of memory {} with {} words",
                 flat, c.dst_mem, rows_of(c.dst_mem) * c_.px);
    }
    return memory_[c.dst_mem].data() + flat * c_.ic;
  }

  struct Constant {
    std::int32_t bias;
    float m;
  };
  Constant constant(std::int64_t address, std::int64_t group, std::int64_t i) const {
    const std::size_t at = static_cast<std::size_t>(((address + group) * c_.ic + i) * 8);
    Constant k;
    if (at + 8 > constants_.size()) {
      base::fail(base::Status::kCorrupt, "constant word {} of {}", address + group, c_.c_words);
    }
    std::memcpy(&k.bias, constants_.data() + at, 4);
    std::memcpy(&k.m, constants_.data() + at + 4, 4);
    return k;
  }

  // Result bytes of one pixel and group from its sums.
  void requantize(const Compute& c, std::int64_t group, std::int64_t index, const Pixel& p,
                  const std::int32_t* sums) {
    std::int8_t* to = target(c, destination(c, group, index, p));
    const std::int8_t* residual =
        c.has_res != 0
            ? word(c.res_mem, (c.res_row + group * c.res_gs) * c_.px + c.res_bank + index)
            : nullptr;
    const float m_res = std::bit_cast<float>(static_cast<std::uint32_t>(c.m_res));
    const arith::Range range{static_cast<std::int32_t>(c.lo), static_cast<std::int32_t>(c.hi)};
    const auto z_dst = static_cast<std::int32_t>(c.z_dst);
    const auto z_res = static_cast<std::int32_t>(c.z_res);
    for (std::int64_t i = 0; i < c_.ic; ++i) {
      const Constant k = constant(c.c_addr, group, i);
      const auto acc = static_cast<std::int32_t>(static_cast<std::uint32_t>(sums[i]) +
                                                 static_cast<std::uint32_t>(k.bias));
      to[i] = static_cast<std::int8_t>(
          residual != nullptr
              ? arith::requantize_residual(acc, k.m, residual[i], z_res, m_res, z_dst, range)
              : arith::requantize(acc, k.m, z_dst, range));
    }
  }

  void logits(const Compute& c, std::int64_t group, std::int64_t index, const std::int32_t* sums) {
    for (std::int64_t i = 0; i < c_.ic; ++i) {
      const Constant k = constant(c.c_addr, group, i);
      const auto acc = static_cast<std::int32_t>(static_cast<std::uint32_t>(sums[i]) +
                                                 static_cast<std::uint32_t>(k.bias));
      const float value = arith::dequantize(acc, k.m, 0);
      const std::int64_t quarter = c_.ic / 4;
      std::int8_t* to = target(
          c, (c.dst_row + (4 * group + i / quarter) * c.dst_gs) * c_.px + c.dst_bank + index);
      std::memcpy(to + i % quarter * 4, &value, 4);
    }
  }

  void compute(Opcode opcode, const Compute& c) {
    pool_.parallel_for(c.tiles, [&](std::int64_t tile, int) {
      switch (opcode) {
        case Opcode::kConv:
          return conv(c, tile);
        case Opcode::kAverage:
          return average(c, tile);
        default:
          return pointwise(opcode, c, tile);
      }
    });
  }

  std::int64_t valid(const Compute& c, std::int64_t tile) const {
    return tile + 1 == c.tiles ? c.last_px : c_.px;
  }

  std::int64_t source_of(const Compute& c, std::int64_t group, std::int64_t tile,
                         const Tap& tap) const {
    return (c.src_row + group * c.src_gs + tile + tap.row) * c_.px + c.src_bank + tap.bank;
  }

  void conv(const Compute& c, std::int64_t tile) {
    const int pixels = static_cast<int>(valid(c, tile));
    const std::int64_t columns = ceil_div(c.dst_groups, c_.oc / c_.ic);
    const std::int64_t word_size = std::int64_t{c_.oc} * c_.ic;
    if ((c.w_addr + columns * c.taps * c.src_groups) * word_size >
        static_cast<std::int64_t>(weights_.size())) {
      base::fail(base::Status::kCorrupt, "weight words from {} on were never loaded", c.w_addr);
    }
    std::vector<Pixel> places(static_cast<std::size_t>(pixels));
    for (int p = 0; p < pixels; ++p) {
      places[static_cast<std::size_t>(p)] = pixel(c, tile * c_.px + p);
    }
    // The tile's source words for every tap and group, widened once for all output channels.
    const std::int64_t steps = c.taps * c.src_groups;
    const std::int64_t src_word = std::int64_t{pixels} * c_.ic;
    std::vector<std::int16_t> src(static_cast<std::size_t>(steps * src_word));
    std::int16_t* to = src.data();
    for (const Tap& tap : c.tap) {
      for (std::int64_t g = 0; g < c.src_groups; ++g) {
        const std::int64_t flat = source_of(c, g, tile, tap);
        for (int p = 0; p < pixels; ++p, to += c_.ic) {
          if (c.pad_check != 0 && !inside(c, places[static_cast<std::size_t>(p)], tap)) {
            std::fill_n(to, c_.ic, static_cast<std::int16_t>(c.pad));
            continue;
          }
          const std::int8_t* from = word(c.src_mem, flat + p);
          for (int i = 0; i < c_.ic; ++i) to[i] = from[i];
        }
      }
    }
    std::vector<std::int32_t> sums(static_cast<std::size_t>(pixels * c_.oc));
    for (std::int64_t column = 0; column < columns; ++column) {
      std::fill(sums.begin(), sums.end(), 0);
      for (std::int64_t s = 0; s < steps; ++s) {
        kernel_.add(src.data() + s * src_word,
                    weights_.data() + (c.w_addr + column * steps + s) * word_size, pixels, c_.ic,
                    c_.oc, sums.data());
      }
      const std::int64_t per_word = c_.oc / c_.ic;
      const std::int64_t groups = std::min(per_word, c.dst_groups - column * per_word);
      for (std::int64_t j = 0; j < groups; ++j) {
        for (int p = 0; p < pixels; ++p) {
          const std::int32_t* sum = sums.data() + p * c_.oc + j * c_.ic;
          const std::int64_t index = tile * c_.px + p;
          if (c.logits != 0) {
            logits(c, column * per_word + j, index, sum);
          } else {
            requantize(c, column * per_word + j, index, places[static_cast<std::size_t>(p)], sum);
          }
        }
      }
    }
  }

  void pointwise(Opcode opcode, const Compute& c, std::int64_t tile) {
    std::vector<std::int32_t> sums(static_cast<std::size_t>(c_.ic));
    for (std::int64_t g = 0; g < c.src_groups; ++g) {
      for (std::int64_t p = 0; p < valid(c, tile); ++p) {
        const std::int64_t index = tile * c_.px + p;
        const Pixel place = pixel(c, index);
        if (opcode == Opcode::kAdd) {
          const std::int8_t* from = word(c.src_mem, source_of(c, g, tile, c.tap[0]) + p);
          std::copy_n(from, c_.ic, sums.begin());
          requantize(c, g, index, place, sums.data());
          continue;
        }
        std::fill(sums.begin(), sums.end(), -128);
        for (const Tap& tap : c.tap) {
          if (c.pad_check != 0 && !inside(c, place, tap)) continue;
          const std::int8_t* from = word(c.src_mem, source_of(c, g, tile, tap) + p);
          for (int i = 0; i < c_.ic; ++i) {
            sums[static_cast<std::size_t>(i)] =
                std::max<std::int32_t>(sums[static_cast<std::size_t>(i)], from[i]);
          }
        }
        std::int8_t* to = target(c, destination(c, g, index, place));
        for (int i = 0; i < c_.ic; ++i) {
          to[i] = static_cast<std::int8_t>(sums[static_cast<std::size_t>(i)]);
        }
      }
    }
  }

  void average(const Compute& c, std::int64_t image) {
    std::vector<std::int32_t> sums(static_cast<std::size_t>(c_.ic));
    const std::int64_t pixels = (c.taps - 1) * c_.px + c.last_px;
    const std::int64_t offset = image * (c.step_row * c_.px + c.step_bank);
    for (std::int64_t g = 0; g < c.src_groups; ++g) {
      std::fill(sums.begin(), sums.end(), 0);
      const std::int64_t first = (c.src_row + g * c.src_gs) * c_.px + c.src_bank + offset;
      for (std::int64_t p = 0; p < pixels; ++p) {
        const std::int8_t* from = word(c.src_mem, first + p);
        for (int i = 0; i < c_.ic; ++i) sums[static_cast<std::size_t>(i)] += from[i];
      }
      requantize(c, g, image, {}, sums.data());
    }
  }

  const Configuration& c_;
  const SumsKernel& kernel_;
  base::ThreadPool pool_;
  Bytes memory_[2];
  std::vector<std::int16_t> weights_;
  std::vector<std::byte> constants_;
};

}  // namespace

std::unique_ptr<Port> make_model_port(const Configuration& c, int threads) {
  return std::make_unique<ModelPort>(c, threads);
}

}  // namespace pronghorn::device::fpga
