// SPDX-License-Identifier: Apache-2.0
// The command stream of docs/fpga.md as structs. A field's name, place and meaning are that page's;
// encode() and decode() share one table of fields, so neither can disagree with the other.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace pronghorn::device::fpga {

enum class Opcode : std::uint8_t {
  kConv = 1,
  kAdd = 2,
  kAverage = 3,
  kMaxPool = 4,
  kLoad = 5,
  kImage = 6,
  kStore = 7,
  kEnd = 8,
};
const char* name_of(Opcode opcode);

enum class Engine : std::uint8_t { kLoad, kCompute, kStore, kNone };
Engine engine_of(Opcode opcode);

// Start when at least so many commands of each engine, in this program, have completed.
struct Wait {
  std::int64_t load = 0, compute = 0, store = 0;
  bool operator==(const Wait&) const = default;
};

// A place of the source relative to the pixel: `row` rows and `bank` banks further, `ro` and `co`
// pixels of the grid down and right (what pad_check looks at).
struct Tap {
  std::int64_t row = 0, bank = 0, ro = 0, co = 0;
  bool operator==(const Tap&) const = default;
};

struct Compute {  // CONV, ADD, AVERAGE, MAXPOOL
  std::int64_t src_row = 0, src_gs = 0, dst_row = 0, dst_gs = 0;
  std::int64_t res_row = 0, res_gs = 0, w_addr = 0, c_addr = 0;
  std::int64_t tiles = 0, src_groups = 0, dst_groups = 0, taps = 0, last_px = 0;
  std::int64_t src_bank = 0, dst_bank = 0, res_bank = 0;
  std::int64_t src_mem = 0, dst_mem = 0, res_mem = 0;
  std::int64_t has_res = 0, logits = 0, planes = 0, pad_check = 0, no_wait = 0;
  std::int64_t pad = 0, z_dst = 0, lo = -128, hi = 127, z_res = 0;  // after the shift to s8
  std::int64_t lookahead = 0;
  std::int64_t m_res = 0;  // the bits of a binary32
  std::int64_t drow_row = 0, drow_bank = 0, dcol_row = 0;
  std::int64_t x0 = 0, y0 = 0, pitch = 0, height = 0, iw = 0, ih = 0;
  std::int64_t step_x = 0, step_y = 0, step_row = 0, step_bank = 0;
  std::vector<Tap> tap;  // AVERAGE: empty; the others: `taps` of them
  bool operator==(const Compute&) const = default;
};

struct Transfer {  // LOAD, STORE
  std::int64_t offset = 0, base = 0;
  std::int64_t target = 0, first = 0, count = 0;
  bool operator==(const Transfer&) const = default;
};

struct ImageLoad {  // IMAGE
  std::int64_t offset = 0, base = 0;
  std::int64_t target = 0, beats = 0, rows = 0, positions = 0, step = 0, groups = 0;
  std::int64_t dst_row = 0, dst_bank = 0, planes = 1, dst_gs = 0, plane_row = 0, plane_bank = 0;
  bool operator==(const ImageLoad&) const = default;
};

struct Command {
  Opcode opcode = Opcode::kEnd;
  std::int64_t tag = 0;  // index of the graph's node
  Wait wait;
  std::variant<std::monostate, Compute, Transfer, ImageLoad> body;
  bool operator==(const Command&) const = default;
};

// The 64-bit words. Throws Error(kInternal) naming the command and the field that does not fit.
std::vector<std::uint64_t> encode(std::span<const Command> commands);

// The reverse, to END. Throws Error(kCorrupt) naming the word: unknown opcode, wrong length, bits
// set where the format has none, a program without END.
std::vector<Command> decode(std::span<const std::uint64_t> words);

// One line a command: what it does, where, and what it waits for. `names[tag]` is printed beside
// it.
std::string listing(std::span<const Command> commands, std::span<const std::string> names);

}  // namespace pronghorn::device::fpga
