// SPDX-License-Identifier: Apache-2.0
// Images per second of one thread over the images of a source, kept in memory: decode only, and
// decode + resize + crop in every mode. The share says what resizing leaves of the decoder's rate.
// usage: image_bench SOURCE [seconds per line, default 3]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/image.h"
#include "image/resample.h"
#include "image/source.h"

using namespace pronghorn;
using Clock = std::chrono::steady_clock;

namespace {

struct Sample {
  std::string name;
  image::Encoded encoded;
};

struct Line {
  std::string name;
  std::function<void(const Sample&)> work;
  double seconds = 0;
  std::int64_t images = 0;
};

double pass(const std::vector<Sample>& samples, const Line& line) {
  const auto begin = Clock::now();
  for (const Sample& sample : samples) line.work(sample);
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The lines take turns, so that a change of the machine's speed meets all of them.
void measure(const std::vector<Sample>& samples, std::vector<Line>& lines, double seconds) {
  for (Line& line : lines) pass(samples, line);  // warm up
  while (lines.back().seconds < seconds) {
    for (Line& line : lines) {
      line.seconds += pass(samples, line);
      line.images += static_cast<std::int64_t>(samples.size());
    }
  }
}

int bench(const std::string& path, double seconds) {
  const auto source = image::open_source(path);
  std::vector<Sample> samples;
  std::int64_t bytes = 0;
  double pixels = 0;
  for (std::int64_t i = 0; i < source->size(); ++i) {
    samples.push_back({source->name(i), source->read(i)});
    bytes += static_cast<std::int64_t>(samples.back().encoded.bytes.size());
    const image::Image image = image::decode(samples.back().encoded.bytes, samples.back().name);
    pixels += static_cast<double>(image.width) * image.height;
  }
  std::vector<std::uint8_t> dst;
  const auto loader = [&dst](std::string_view text, image::Interpolation how, bool scaled) {
    image::ResizeMode mode = image::parse_resize(text);
    mode.interpolation = how;
    mode.scaled_decode = scaled;
    dst.resize(std::max(dst.size(), static_cast<std::size_t>(mode.width) * mode.width * 3));
    return [mode, &dst](const Sample& sample) {
      image::load(sample.encoded.bytes, sample.name, mode, dst.data());
    };
  };
  using enum image::Interpolation;
  std::vector<Line> lines;
  lines.push_back({"decode", [](const Sample& s) { image::decode(s.encoded.bytes, s.name); }});
  for (const char* mode : {"direct:224", "short:256,crop:224"}) {
    lines.push_back({mode, loader(mode, kBilinear, false)});
    lines.push_back({fmt::format("{} nearest", mode), loader(mode, kNearest, false)});
    lines.push_back({fmt::format("{} scaled decode", mode), loader(mode, kBilinear, true)});
  }
  measure(samples, lines, seconds);
  const auto count = static_cast<double>(samples.size());
  fmt::print("{} images, mean {:.0f} bytes and {:.3f} megapixels, one thread, {} resize kernels\n",
             samples.size(), static_cast<double>(bytes) / count, pixels / count / 1e6,
             image::resize_kernels().name);
  const double reference = lines[0].seconds / static_cast<double>(lines[0].images);
  for (const Line& line : lines) {
    const double each = line.seconds / static_cast<double>(line.images);
    fmt::print("{:34} {:8.1f} images/s  {:5.1f} % of decode\n", line.name, 1 / each,
               100 * reference / each);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr, "usage: image_bench SOURCE [SECONDS]\n");
    return 2;
  }
  try {
    return bench(argv[1], argc == 3 ? std::atof(argv[2]) : 3.0);
  } catch (const base::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
