// SPDX-License-Identifier: Apache-2.0
// Answers requests "<what>\t<path>\n" on standard input with pixels on standard output:
// two int32 (width, height), then width * height * 3 bytes; a broken image is -1, length, message.
// <what> is "decode" or "<bilinear|nearest>[+scaled] <resize mode>".
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/image.h"
#include "image/source.h"

using namespace pronghorn;

namespace {

image::Image answer(const std::string& what, const std::string& path) {
  const image::Encoded encoded = image::list_source({path})->read(0);
  if (what == "decode") return image::decode(encoded.bytes, path);
  const std::size_t space = what.find(' ');
  image::ResizeMode mode = image::parse_resize(what.substr(space + 1));
  if (what.starts_with("nearest")) mode.interpolation = image::Interpolation::kNearest;
  mode.scaled_decode = what.substr(0, space).ends_with("+scaled");
  image::Image result{mode.width, mode.width, {}};
  result.pixels.resize(static_cast<std::size_t>(mode.width) * mode.width * 3);
  image::load(encoded.bytes, path, mode, result.pixels.data());
  return result;
}

void write_numbers(std::int32_t a, std::int32_t b) {
  const std::int32_t numbers[2] = {a, b};
  std::cout.write(reinterpret_cast<const char*>(numbers), sizeof numbers);
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t tab = line.find('\t');
    try {
      const image::Image result = answer(line.substr(0, tab), line.substr(tab + 1));
      write_numbers(result.width, result.height);
      std::cout.write(reinterpret_cast<const char*>(result.pixels.data()),
                      static_cast<std::streamsize>(result.pixels.size()));
    } catch (const base::Error& error) {
      const std::string message = error.what();
      write_numbers(-1, static_cast<std::int32_t>(message.size()));
      std::cout << message;
    }
    std::cout.flush();
  }
}
