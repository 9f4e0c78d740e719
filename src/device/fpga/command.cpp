// SPDX-License-Identifier: Apache-2.0
#include "device/fpga/command.h"

#include <cstddef>

#include "base/error.h"

namespace pronghorn::device::fpga {
namespace {

template <typename T>
struct Field {
  const char* name;
  int word, low, width;
  bool is_signed;
  std::int64_t T::* member;
};

constexpr Field<Command> kHead[] = {{"tag", 0, 32, 32, false, &Command::tag}};
constexpr Field<Wait> kWait[] = {
    {"wait.load", 1, 0, 16, false, &Wait::load},
    {"wait.compute", 1, 16, 16, false, &Wait::compute},
    {"wait.store", 1, 32, 16, false, &Wait::store},
};
constexpr Field<Compute> kCompute[] = {
    {"src_row", 2, 0, 16, false, &Compute::src_row},
    {"src_gs", 2, 16, 16, false, &Compute::src_gs},
    {"dst_row", 2, 32, 16, false, &Compute::dst_row},
    {"dst_gs", 2, 48, 16, false, &Compute::dst_gs},
    {"res_row", 3, 0, 16, false, &Compute::res_row},
    {"res_gs", 3, 16, 16, false, &Compute::res_gs},
    {"w_addr", 3, 32, 16, false, &Compute::w_addr},
    {"c_addr", 3, 48, 16, false, &Compute::c_addr},
    {"tiles", 4, 0, 16, false, &Compute::tiles},
    {"src_groups", 4, 16, 10, false, &Compute::src_groups},
    {"dst_groups", 4, 26, 10, false, &Compute::dst_groups},
    {"taps", 4, 36, 6, false, &Compute::taps},
    {"last_px", 4, 42, 6, false, &Compute::last_px},
    {"src_bank", 4, 48, 6, false, &Compute::src_bank},
    {"dst_bank", 4, 54, 5, false, &Compute::dst_bank},
    {"res_bank", 4, 59, 5, false, &Compute::res_bank},
    {"src_mem", 5, 0, 1, false, &Compute::src_mem},
    {"dst_mem", 5, 1, 1, false, &Compute::dst_mem},
    {"res_mem", 5, 2, 1, false, &Compute::res_mem},
    {"has_res", 5, 3, 1, false, &Compute::has_res},
    {"logits", 5, 4, 1, false, &Compute::logits},
    {"planes", 5, 5, 1, false, &Compute::planes},
    {"pad_check", 5, 6, 1, false, &Compute::pad_check},
    {"no_wait", 5, 7, 1, false, &Compute::no_wait},
    {"pad", 5, 8, 8, true, &Compute::pad},
    {"z_dst", 5, 16, 8, true, &Compute::z_dst},
    {"lo", 5, 24, 8, true, &Compute::lo},
    {"hi", 5, 32, 8, true, &Compute::hi},
    {"z_res", 5, 40, 8, true, &Compute::z_res},
    {"lookahead", 5, 48, 16, false, &Compute::lookahead},
    {"m_res", 6, 0, 32, false, &Compute::m_res},
    {"drow_row", 6, 32, 16, false, &Compute::drow_row},
    {"drow_bank", 6, 48, 5, false, &Compute::drow_bank},
    {"dcol_row", 7, 0, 16, false, &Compute::dcol_row},
    {"x0", 7, 16, 12, false, &Compute::x0},
    {"y0", 7, 28, 12, false, &Compute::y0},
    {"pitch", 7, 40, 12, false, &Compute::pitch},
    {"height", 7, 52, 12, false, &Compute::height},
    {"iw", 8, 0, 12, false, &Compute::iw},
    {"ih", 8, 12, 12, false, &Compute::ih},
    {"step_x", 8, 24, 12, false, &Compute::step_x},
    {"step_y", 8, 36, 12, false, &Compute::step_y},
    {"step_row", 8, 48, 16, false, &Compute::step_row},
    {"step_bank", 9, 0, 5, false, &Compute::step_bank},
};
constexpr Field<Transfer> kTransfer[] = {
    {"offset", 2, 0, 48, false, &Transfer::offset}, {"base", 2, 48, 2, false, &Transfer::base},
    {"target", 3, 0, 3, false, &Transfer::target},  {"first", 3, 16, 16, false, &Transfer::first},
    {"count", 3, 32, 32, false, &Transfer::count},
};
constexpr Field<ImageLoad> kImage[] = {
    {"offset", 2, 0, 48, false, &ImageLoad::offset},
    {"base", 2, 48, 2, false, &ImageLoad::base},
    {"target", 3, 0, 1, false, &ImageLoad::target},
    {"beats", 3, 8, 8, false, &ImageLoad::beats},
    {"rows", 3, 16, 16, false, &ImageLoad::rows},
    {"positions", 3, 32, 16, false, &ImageLoad::positions},
    {"step", 3, 48, 8, false, &ImageLoad::step},
    {"groups", 3, 56, 8, false, &ImageLoad::groups},
    {"dst_row", 4, 0, 16, false, &ImageLoad::dst_row},
    {"dst_bank", 4, 16, 8, false, &ImageLoad::dst_bank},
    {"planes", 4, 24, 8, false, &ImageLoad::planes},
    {"dst_gs", 4, 32, 16, false, &ImageLoad::dst_gs},
    {"plane_row", 4, 48, 16, false, &ImageLoad::plane_row},
    {"plane_bank", 5, 0, 8, false, &ImageLoad::plane_bank},
};
constexpr Field<Tap> kTap[] = {
    {"tap.row", 0, 0, 16, true, &Tap::row},
    {"tap.bank", 0, 16, 5, false, &Tap::bank},
    {"tap.ro", 0, 21, 5, true, &Tap::ro},
    {"tap.co", 0, 26, 5, true, &Tap::co},
};

constexpr std::size_t kTapWord = 10;

std::uint64_t mask(int width) { return (std::uint64_t{1} << width) - 1; }

// Writes every field of `value` into words; `used` collects the bits that have a meaning.
template <typename T, std::size_t N>
void put(const Field<T> (&fields)[N], const T& value, std::uint64_t* words, std::size_t command) {
  for (const Field<T>& f : fields) {
    const std::int64_t v = value.*f.member;
    const std::int64_t lo = f.is_signed ? -(std::int64_t{1} << (f.width - 1)) : 0;
    const std::int64_t hi = f.is_signed ? (std::int64_t{1} << (f.width - 1)) - 1
                                        : static_cast<std::int64_t>(mask(f.width));
    if (v < lo || v > hi) {
      base::fail(base::Status::kInternal, "command {}: {} is {}, outside {} to {}", command, f.name,
                 v, lo, hi);
    }
    words[f.word] |= (static_cast<std::uint64_t>(v) & mask(f.width)) << f.low;
  }
}

template <typename T, std::size_t N>
void take(const Field<T> (&fields)[N], std::uint64_t* words, T& value) {
  for (const Field<T>& f : fields) {
    std::uint64_t bits = words[f.word] >> f.low & mask(f.width);
    words[f.word] &= ~(mask(f.width) << f.low);
    if (f.is_signed && (bits >> (f.width - 1) & 1) != 0) bits |= ~mask(f.width);
    value.*f.member = static_cast<std::int64_t>(bits);
  }
}

std::size_t length_of(const Command& command) {
  switch (command.opcode) {
    case Opcode::kConv:
    case Opcode::kAdd:
    case Opcode::kMaxPool:
      return kTapWord + (std::get<Compute>(command.body).tap.size() + 1) / 2;
    case Opcode::kAverage:
      return kTapWord;
    case Opcode::kLoad:
    case Opcode::kStore:
      return 4;
    case Opcode::kImage:
      return 6;
    case Opcode::kEnd:
      return 2;
  }
  base::fail(base::Status::kInternal, "opcode {} has no length", static_cast<int>(command.opcode));
}

}  // namespace

const char* name_of(Opcode opcode) {
  constexpr const char* kNames[] = {"?",    "CONV",  "ADD",   "AVERAGE", "MAXPOOL",
                                    "LOAD", "IMAGE", "STORE", "END"};
  const auto i = static_cast<std::size_t>(opcode);
  return i < std::size(kNames) ? kNames[i] : "?";
}

Engine engine_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::kLoad:
    case Opcode::kImage:
      return Engine::kLoad;
    case Opcode::kStore:
      return Engine::kStore;
    case Opcode::kEnd:
      return Engine::kNone;
    default:
      return Engine::kCompute;
  }
}

std::vector<std::uint64_t> encode(std::span<const Command> commands) {
  std::vector<std::uint64_t> words;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const Command& command = commands[i];
    const std::size_t length = length_of(command);
    const std::size_t begin = words.size();
    words.resize(begin + length, 0);
    std::uint64_t* w = words.data() + begin;
    w[0] = static_cast<std::uint64_t>(command.opcode) | static_cast<std::uint64_t>(length) << 8;
    put(kHead, command, w, i);
    put(kWait, command.wait, w, i);
    if (const auto* compute = std::get_if<Compute>(&command.body)) {
      put(kCompute, *compute, w, i);
      for (std::size_t t = 0; t < compute->tap.size(); ++t) {
        std::uint64_t bits = 0;
        put(kTap, compute->tap[t], &bits, i);
        w[kTapWord + t / 2] |= bits << (t % 2 * 32);
      }
    } else if (const auto* transfer = std::get_if<Transfer>(&command.body)) {
      put(kTransfer, *transfer, w, i);
    } else if (const auto* image = std::get_if<ImageLoad>(&command.body)) {
      put(kImage, *image, w, i);
    }
  }
  return words;
}

std::vector<Command> decode(std::span<const std::uint64_t> words) {
  std::vector<Command> commands;
  std::size_t at = 0;
  while (at < words.size()) {
    const auto opcode = words[at] & 0xff;
    const std::size_t length = words[at] >> 8 & 0xff;
    if (opcode < 1 || opcode > static_cast<std::uint64_t>(Opcode::kEnd)) {
      base::fail(base::Status::kCorrupt, "command word {}: opcode {} is none of 1 to 8", at,
                 opcode);
    }
    if (length < 2 || at + length > words.size()) {
      base::fail(base::Status::kCorrupt, "command word {}: length {} of {} words left", at, length,
                 words.size() - at);
    }
    std::vector<std::uint64_t> w(words.begin() + static_cast<std::ptrdiff_t>(at),
                                 words.begin() + static_cast<std::ptrdiff_t>(at + length));
    Command command;
    command.opcode = static_cast<Opcode>(opcode);
    w[0] &= ~std::uint64_t{0xffff};
    take(kHead, w.data(), command);
    take(kWait, w.data(), command.wait);
    const Engine engine = engine_of(command.opcode);
    if (engine == Engine::kCompute && length >= kTapWord) {
      Compute compute;
      take(kCompute, w.data(), compute);
      if (command.opcode != Opcode::kAverage) {
        compute.tap.resize(static_cast<std::size_t>(compute.taps));
        for (std::size_t t = 0; t < compute.tap.size() && kTapWord + t / 2 < length; ++t) {
          std::uint64_t& word = w[kTapWord + t / 2];
          std::uint64_t bits = word >> (t % 2 * 32) & 0xffffffff;
          word &= ~(std::uint64_t{0xffffffff} << (t % 2 * 32));
          take(kTap, &bits, compute.tap[t]);
          if (bits != 0) word |= 1;  // reported below
        }
      }
      command.body = std::move(compute);
    } else if (command.opcode == Opcode::kImage && length >= 6) {
      ImageLoad image;
      take(kImage, w.data(), image);
      command.body = image;
    } else if (engine != Engine::kCompute && command.opcode != Opcode::kEnd && length >= 4) {
      Transfer transfer;
      take(kTransfer, w.data(), transfer);
      command.body = transfer;
    } else if (command.opcode != Opcode::kEnd) {
      base::fail(base::Status::kCorrupt, "command word {}: {} is only {} words long", at,
                 name_of(command.opcode), length);
    }
    if (length != length_of(command)) {
      base::fail(base::Status::kCorrupt, "command word {}: {} is {} words long, not {}", at,
                 name_of(command.opcode), length, length_of(command));
    }
    for (std::size_t i = 0; i < length; ++i) {
      if (w[i] != 0) {
        base::fail(base::Status::kCorrupt, "command word {}: bits {:#x} have no meaning", at + i,
                   w[i]);
      }
    }
    at += length;
    commands.push_back(std::move(command));
    if (commands.back().opcode == Opcode::kEnd) return commands;
  }
  base::fail(base::Status::kCorrupt, "the command stream of {} words has no END", words.size());
}

}  // namespace pronghorn::device::fpga
