// SPDX-License-Identifier: Apache-2.0
#include "image/exif.h"

#include <cstdint>

namespace pronghorn::image {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kByteType = 1;
constexpr std::uint32_t kShortType = 3;
constexpr std::uint32_t kLongType = 4;
constexpr std::size_t kEntryBytes = 12;

struct Tiff {
  base::Bytes bytes;
  bool little_endian = true;

  // 0 beyond the end, which no field that matters here accepts.
  std::uint32_t number(std::size_t offset, std::size_t width) const {
    if (offset > bytes.size() || width > bytes.size() - offset) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t at = little_endian ? offset + width - 1 - i : offset + i;
      value = value << 8 | std::to_integer<std::uint32_t>(bytes[at]);
    }
    return value;
  }
};

}  // namespace

int exif_orientation(base::Bytes bytes) {
  Tiff tiff{bytes};
  const std::uint32_t mark = tiff.number(0, 2);
  if (mark != 0x4949 && mark != 0x4d4d) return 1;
  tiff.little_endian = mark == 0x4949;
  if (tiff.number(2, 2) != 42) return 1;
  const std::size_t directory = tiff.number(4, 4);
  const std::size_t entries = tiff.number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (tiff.number(entry, 2) != kOrientationTag) continue;
    const std::uint32_t type = tiff.number(entry + 2, 2);
    const std::uint32_t value = type == kByteType    ? tiff.number(entry + 8, 1)
                                : type == kShortType ? tiff.number(entry + 8, 2)
                                : type == kLongType  ? tiff.number(entry + 8, 4)
                                                     : 1;
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace pronghorn::image
