// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cstddef>

#include "base/error.h"
#include "device/fpga/command.h"

namespace pronghorn::device::fpga {
namespace {

std::string place(std::int64_t mem, std::int64_t row, std::int64_t bank, std::int64_t gs,
                  std::int64_t groups) {
  return fmt::format("M{}[{}{}]{}", mem, row, bank != 0 ? fmt::format(".{}", bank) : "",
                     groups > 1 ? fmt::format(" x{} +{}", groups, gs) : "");
}

std::string describe(Opcode opcode, const Compute& c) {
  const std::int64_t results = opcode == Opcode::kConv && c.logits != 0 ? 4 : 1;
  std::string text =
      fmt::format("{} -> {}", place(c.src_mem, c.src_row, c.src_bank, c.src_gs, c.src_groups),
                  place(c.dst_mem, c.dst_row, c.dst_bank, c.dst_gs, c.dst_groups * results));
  if (c.has_res != 0) {
    text += fmt::format(", residual {} z {} * {:g}",
                        place(c.res_mem, c.res_row, c.res_bank, c.res_gs, c.dst_groups), c.z_res,
                        std::bit_cast<float>(static_cast<std::uint32_t>(c.m_res)));
  }
  text += fmt::format(", {} tiles (last {})", c.tiles, c.last_px);
  if (c.taps > 1) text += fmt::format(", {} taps", c.taps);
  if (opcode == Opcode::kConv) text += fmt::format(", weights {}", c.w_addr);
  if (opcode != Opcode::kMaxPool) text += fmt::format(", constants {}", c.c_addr);
  if (c.logits != 0) {
    text += ", binary32";
  } else {
    text += fmt::format(", z {} in [{}, {}]", c.z_dst, c.lo, c.hi);
  }
  if (c.pitch != 0)
    text += fmt::format(", grid {} x {} from ({}, {})", c.height, c.pitch, c.y0, c.x0);
  if (c.pad_check != 0) text += fmt::format(", inside {} x {} else {}", c.ih, c.iw, c.pad);
  if (c.planes != 0) {
    text += fmt::format(", planes +{}.{} +{}", c.drow_row, c.drow_bank, c.dcol_row);
  }
  text += c.no_wait != 0 ? ", no wait" : fmt::format(", lookahead {}", c.lookahead);
  return text;
}

std::string describe(Opcode opcode, const Transfer& t) {
  constexpr const char* kTargets[] = {"M0", "M1", "weights", "constants"};
  constexpr const char* kBases[] = {"model", "input", "output", "?"};
  const char* target = t.target < 4 ? kTargets[t.target] : "?";
  const std::string memory = fmt::format("{}+{:#x}", kBases[t.base], t.offset);
  const std::string chip = fmt::format("{}[{} .. {}]", target, t.first, t.first + t.count - 1);
  return opcode == Opcode::kLoad ? memory + " -> " + chip : chip + " -> " + memory;
}

std::string describe(const ImageLoad& l) {
  return fmt::format("input+{:#x} -> {}, {} rows of {} beats, {} positions a step of {}, {} planes",
                     l.offset, place(l.target, l.dst_row, l.dst_bank, l.dst_gs, l.groups), l.rows,
                     l.beats, l.positions, l.step, l.planes);
}

}  // namespace

std::string listing(std::span<const Command> commands, std::span<const std::string> names) {
  std::string text;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const Command& c = commands[i];
    std::string body;
    if (const auto* compute = std::get_if<Compute>(&c.body)) body = describe(c.opcode, *compute);
    if (const auto* transfer = std::get_if<Transfer>(&c.body)) body = describe(c.opcode, *transfer);
    if (const auto* image = std::get_if<ImageLoad>(&c.body)) body = describe(*image);
    if (c.wait.load > 0) body += fmt::format(", after {} loads", c.wait.load);
    if (c.wait.compute > 0) body += fmt::format(", after {} computes", c.wait.compute);
    if (c.wait.store > 0) body += fmt::format(", after {} stores", c.wait.store);
    const auto tag = static_cast<std::size_t>(c.tag);
    const bool named = c.opcode != Opcode::kEnd && tag < names.size();
    text += fmt::format("{:4}  {:8}{}{}\n", i, name_of(c.opcode), body,
                        named ? fmt::format("  ; {}", names[tag]) : "");
  }
  return text;
}

}  // namespace pronghorn::device::fpga
