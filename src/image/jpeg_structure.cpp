// SPDX-License-Identifier: Apache-2.0
// Marker codes and the layout of segments: ITU-T T.81, annex B.
#include "image/jpeg_structure.h"

#include <cstdint>
#include <cstring>

namespace pronghorn::image {
namespace {

constexpr int kSof0 = 0xc0;
constexpr int kDht = 0xc4;
constexpr int kSof15 = 0xcf;
constexpr int kRst0 = 0xd0;
constexpr int kRst7 = 0xd7;
constexpr int kSoi = 0xd8;
constexpr int kEoi = 0xd9;
constexpr int kSos = 0xda;
constexpr int kDri = 0xdd;

struct Cursor {
  const std::uint8_t* at;
  const std::uint8_t* end;

  std::ptrdiff_t left() const { return end - at; }
  int word(std::ptrdiff_t offset) const { return at[offset] << 8 | at[offset + 1]; }
};

// `data` begins behind the header of the scan.
bool entropy_is_whole(Cursor data, bool restarts) {
  int expected = kRst0;
  while (data.left() >= 2) {
    const auto* mark = static_cast<const std::uint8_t*>(
        std::memchr(data.at, 0xff, static_cast<std::size_t>(data.left() - 1)));
    if (mark == nullptr) return false;
    const int code = mark[1];
    data.at = mark + 2;
    if (code == 0) continue;  // a byte 0xff of the data
    if (code == kEoi) return true;
    if (!restarts || code != expected) return false;
    expected = code == kRst7 ? kRst0 : code + 1;
  }
  return false;
}

}  // namespace

bool is_plain_baseline(base::Bytes bytes) {
  const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes.data());
  Cursor c{begin, begin + bytes.size()};
  if (c.left() < 4 || c.at[0] != 0xff || c.at[1] != kSoi) return false;
  c.at += 2;
  int components = 0;
  bool restarts = false;
  while (c.left() >= 4) {
    const int code = c.at[1];
    if (c.at[0] != 0xff || code == 0 || code == 0xff || (code >= kRst0 && code <= kEoi)) {
      return false;
    }
    const int size = c.word(2);
    if (size < 2 || c.left() < 2 + size) return false;
    if (code == kSof0) {
      if (components != 0 || size < 8 || c.at[4] != 8) return false;
      components = c.at[9];
      if (components == 0 || size != 8 + 3 * components) return false;
    } else if (code > kSof0 && code <= kSof15 && code != kDht) {
      return false;  // another process, or what only other processes have
    } else if (code == kDri) {
      if (size != 4) return false;
      restarts = c.word(4) != 0;
    } else if (code == kSos) {
      if (size < 6 || components == 0 || c.at[4] != components) return false;
      c.at += 2 + size;
      return entropy_is_whole(c, restarts);
    }
    c.at += 2 + size;
  }
  return false;
}

}  // namespace pronghorn::image
