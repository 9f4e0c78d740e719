// SPDX-License-Identifier: Apache-2.0
#include "mutate.h"

#include <algorithm>
#include <array>
#include <bit>

namespace pronghorn::fuzz {
namespace {

std::size_t below(Random& random, std::size_t limit) { return random() % limit; }

// A place and a length inside `input`, short ones more often.
struct Range {
  std::size_t at, size;
};
Range pick_range(const Input& input, Random& random) {
  const std::size_t at = below(random, input.size());
  const std::size_t longest = std::min(input.size() - at, std::size_t{1} << below(random, 12));
  return {at, 1 + below(random, longest)};
}

std::uint64_t interesting(const Input& input, Random& random) {
  const std::uint64_t size = input.size();
  const std::array<std::uint64_t, 16> values = {0,
                                                1,
                                                2,
                                                0x7f,
                                                0xff,
                                                0x7fff,
                                                0xffff,
                                                0x7fffffff,
                                                0x80000000,
                                                0xffffffff,
                                                0x7fffffffffffffff,
                                                ~std::uint64_t{0},
                                                size,
                                                size - 1,
                                                size + 1,
                                                std::uint64_t{1} << below(random, 64)};
  return values[below(random, values.size())];
}

// An integer of 1, 2, 4 or 8 bytes, in either order: new, or the old one moved a little.
void edit_integer(Input& input, Random& random) {
  const std::size_t width = std::size_t{1} << below(random, 4);
  if (input.size() < width) return;
  const std::size_t at = below(random, input.size() - width + 1);
  const bool big = below(random, 2) == 0;
  const auto byte = [&](std::size_t i) -> std::uint8_t& {
    return input[at + (big ? width - 1 - i : i)];
  };
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value |= std::uint64_t{byte(i)} << (8 * i);
  if (below(random, 2) == 0) {
    value = interesting(input, random);
  } else {
    value += below(random, 33) - 16;
  }
  for (std::size_t i = 0; i < width; ++i) byte(i) = static_cast<std::uint8_t>(value >> (8 * i));
}

// A protobuf varint.
void edit_varint(Input& input, Random& random) {
  const std::size_t at = below(random, input.size());
  std::size_t end = at;
  while (end < input.size() && end - at < 9 && (input[end] & 0x80) != 0) ++end;
  end = std::min(end + 1, input.size());
  Input coded;
  std::uint64_t value = interesting(input, random);
  do {
    coded.push_back(static_cast<std::uint8_t>((value & 0x7f) | (value > 0x7f ? 0x80 : 0)));
    value >>= 7;
  } while (value != 0);
  input.erase(input.begin() + static_cast<std::ptrdiff_t>(at),
              input.begin() + static_cast<std::ptrdiff_t>(end));
  input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), coded.begin(), coded.end());
}

// Digits: lengths in tar headers, shapes in JSON.
void edit_digit(Input& input, Random& random) {
  const std::size_t start = below(random, input.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(input.size(), 4096); ++i) {
    std::uint8_t& c = input[(start + i) % input.size()];
    if (c >= '0' && c <= '9') {
      c = static_cast<std::uint8_t>("0123456789-"[below(random, 11)]);
      return;
    }
  }
}

void insert(Input& input, std::size_t at, const Input& piece) {
  input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
}

void edit(Input& input, const std::vector<Input>& others, Random& random) {
  if (input.empty()) input.push_back(0);
  const std::size_t at = below(random, input.size());
  switch (below(random, 12)) {
    case 0:
      input[at] ^= static_cast<std::uint8_t>(1u << below(random, 8));
      break;
    case 1:
      input[at] = static_cast<std::uint8_t>(random());
      break;
    case 2:
    case 3:
    case 4:
      edit_integer(input, random);
      break;
    case 5:
      edit_varint(input, random);
      break;
    case 6:
      edit_digit(input, random);
      break;
    case 7: {  // remove
      const Range range = pick_range(input, random);
      const auto first = input.begin() + static_cast<std::ptrdiff_t>(range.at);
      input.erase(first, first + static_cast<std::ptrdiff_t>(range.size));
      break;
    }
    case 8: {  // repeat
      const Range range = pick_range(input, random);
      const auto first = input.begin() + static_cast<std::ptrdiff_t>(range.at);
      const Input piece(first, first + static_cast<std::ptrdiff_t>(range.size));
      insert(input, at, piece);
      break;
    }
    case 9: {  // random bytes over a range
      const Range range = pick_range(input, random);
      for (std::size_t i = 0; i < std::min<std::size_t>(range.size, 32); ++i) {
        input[range.at + i] = static_cast<std::uint8_t>(random());
      }
      break;
    }
    case 10:  // cut off
      if (below(random, 4) == 0) input.resize(at);
      break;
    default: {  // a piece of another input, inserted or written over
      const Input& other = others[below(random, others.size())];
      if (other.empty()) break;
      const Range range = pick_range(other, random);
      const auto first = other.begin() + static_cast<std::ptrdiff_t>(range.at);
      const Input piece(first, first + static_cast<std::ptrdiff_t>(range.size));
      if (below(random, 2) == 0) {
        insert(input, at, piece);
      } else {
        const std::size_t size = std::min(piece.size(), input.size() - at);
        std::copy_n(piece.begin(), size, input.begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
  }
}

}  // namespace

Input mutate(const Input& input, const std::vector<Input>& others, std::size_t max_size,
             Random& random) {
  Input changed = input;
  for (std::size_t edits = 1 + below(random, 8); edits > 0; --edits) {
    edit(changed, others, random);
  }
  if (changed.size() > max_size) changed.resize(max_size);
  return changed;
}

}  // namespace pronghorn::fuzz
