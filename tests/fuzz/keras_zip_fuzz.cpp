// SPDX-License-Identifier: Apache-2.0
// .keras bytes (a zip of JSON and HDF5) to a graph. The seeds are files (seeds/keras_zip_fuzz-*).
#include <zlib.h>

#include <algorithm>

#include "fuzz.h"
#include "import/import.h"

namespace pronghorn::fuzz {
namespace {

constexpr std::size_t kLocalSize = 30;
constexpr std::size_t kCentralSize = 46;

std::size_t get(const Input& input, std::size_t at, int bytes) {
  std::size_t value = 0;
  for (int i = bytes - 1; i >= 0; --i) value = value << 8 | input[at + static_cast<std::size_t>(i)];
  return value;
}

void put32(Input& input, std::size_t at, std::size_t value) {
  for (std::size_t i = 0; i < 4; ++i) input[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// Sizes and CRC of the member whose entry stands at `entry` in the central directory, as its stored
// bytes now are.
void repair_member(Input& input, std::size_t entry) {
  const std::size_t local = get(input, entry + 42, 4);
  const std::size_t stored = get(input, entry + 20, 4);
  if (local > input.size() || input.size() - local < kLocalSize) return;
  const std::size_t data =
      local + kLocalSize + get(input, local + 26, 2) + get(input, local + 28, 2);
  if (data > input.size() || stored > input.size() - data) return;
  Input content(1 << 17);
  std::size_t size = std::min(stored, content.size());
  if (get(input, entry + 10, 2) == 8) {
    z_stream stream{};
    stream.next_in = &input[data];
    stream.avail_in = static_cast<unsigned>(stored);
    stream.next_out = content.data();
    stream.avail_out = static_cast<unsigned>(content.size());
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return;
    inflate(&stream, Z_FINISH);
    size = stream.total_out;
    inflateEnd(&stream);
  } else {
    std::copy_n(input.begin() + static_cast<std::ptrdiff_t>(data), size, content.begin());
  }
  const std::size_t crc = crc32(0, content.data(), static_cast<unsigned>(size));
  put32(input, entry + 16, crc);
  put32(input, entry + 24, size);
  put32(input, local + 14, crc);
  put32(input, local + 22, size);
}

}  // namespace

std::vector<Input> seeds() { return {}; }

void repair(Input& input) {
  const std::string_view bytes(reinterpret_cast<const char*>(input.data()), input.size());
  const std::size_t end = bytes.rfind("PK\5\6");
  if (end == std::string_view::npos || input.size() - end < 22) return;
  std::size_t entry = get(input, end + 16, 4);
  while (entry < input.size() && input.size() - entry >= kCentralSize &&
         bytes.substr(entry, 4) == "PK\1\2") {
    repair_member(input, entry);
    entry += kCentralSize + get(input, entry + 28, 2) + get(input, entry + 30, 2) +
             get(input, entry + 32, 2);
  }
}

void test_one(const Input& input) {
  expect_value_or_refusal([&] { import::import_keras_zip(as_bytes(input), nullptr, "input"); });
}

}  // namespace pronghorn::fuzz
