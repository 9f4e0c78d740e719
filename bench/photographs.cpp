// SPDX-License-Identifier: Apache-2.0
#include "bench/photographs.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

// jpeglib.h needs <cstdio> before it.
#include <jpeglib.h>

namespace pronghorn::bench {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  float uniform(float lo, float hi) {
    return lo + (hi - lo) * static_cast<float>(bits() >> 40) * 0x1p-24f;
  }
  int below(int n) { return static_cast<int>(bits() % static_cast<std::uint64_t>(n)); }

 private:
  std::uint64_t state_;
};

struct Kind {
  int width, height, weight;
};
// Sizes of ImageNet photographs, most frequent first.
constexpr std::array<Kind, 14> kKinds{{{500, 375, 40},
                                       {500, 333, 18},
                                       {375, 500, 13},
                                       {333, 500, 5},
                                       {500, 500, 3},
                                       {400, 300, 3},
                                       {640, 480, 6},
                                       {800, 600, 4},
                                       {500, 281, 2},
                                       {300, 225, 3},
                                       {250, 188, 2},
                                       {200, 150, 2},
                                       {1024, 768, 1},
                                       {500, 400, 1}}};

Kind pick_kind(Random& random) {
  int total = 0;
  for (const Kind& kind : kKinds) total += kind.weight;
  int ticket = random.below(total);
  for (const Kind& kind : kKinds) {
    if ((ticket -= kind.weight) < 0) return kind;
  }
  return kKinds[0];
}

struct Plane {
  int width, height;
  std::vector<float> values;
  Plane(int w, int h, float value)
      : width(w), height(h), values(static_cast<std::size_t>(w) * static_cast<std::size_t>(h)) {
    std::fill(values.begin(), values.end(), value);
  }
  float* row(int y) {
    return values.data() + static_cast<std::ptrdiff_t>(y) * static_cast<std::ptrdiff_t>(width);
  }
};

// One octave of value noise: random numbers on a grid of `cell` pixels, interpolated.
void add_octave(Plane& plane, float cell, float amplitude, Random& random) {
  const int columns = static_cast<int>(static_cast<float>(plane.width) / cell) + 2;
  const int rows = static_cast<int>(static_cast<float>(plane.height) / cell) + 2;
  std::vector<float> grid(static_cast<std::size_t>(columns * rows));
  for (float& value : grid) value = random.uniform(-amplitude, amplitude);
  std::vector<float> line(static_cast<std::size_t>(columns));
  std::vector<int> left(static_cast<std::size_t>(plane.width));
  std::vector<float> share(static_cast<std::size_t>(plane.width));
  for (int x = 0; x < plane.width; ++x) {
    const float u = static_cast<float>(x) / cell;
    const int i = static_cast<int>(u);
    const float t = u - static_cast<float>(i);
    left[static_cast<std::size_t>(x)] = i;
    share[static_cast<std::size_t>(x)] = t * t * (3 - 2 * t);
  }
  for (int y = 0; y < plane.height; ++y) {
    const float v = static_cast<float>(y) / cell;
    const int j = static_cast<int>(v);
    const float t = v - static_cast<float>(j);
    const float s = t * t * (3 - 2 * t);
    const float* above = grid.data() + j * columns;
    const float* below = above + columns;
    for (int i = 0; i < columns; ++i) {
      line[static_cast<std::size_t>(i)] = above[i] + s * (below[i] - above[i]);
    }
    float* dst = plane.row(y);
    for (int x = 0; x < plane.width; ++x) {
      const float* at = line.data() + left[static_cast<std::size_t>(x)];
      dst[x] += at[0] + share[static_cast<std::size_t>(x)] * (at[1] - at[0]);
    }
  }
}

// A shaded ellipse or a turned rectangle that hides what is behind it.
void add_object(Plane& luma, Plane& blue, Plane& red, Random& random) {
  const float w = static_cast<float>(luma.width);
  const float h = static_cast<float>(luma.height);
  const float cx = random.uniform(0, w);
  const float cy = random.uniform(0, h);
  const float rx = random.uniform(0.03f, 0.28f) * w;
  const float ry = random.uniform(0.03f, 0.28f) * h;
  const float angle = random.uniform(0, 3.14159f);
  const float c = std::cos(angle), s = std::sin(angle);
  const bool round = random.below(2) == 0;
  const float light = random.uniform(-70, 70);
  const float shade = random.uniform(-40, 40);
  const float keep = random.uniform(0.1f, 0.6f);  // of the texture behind: as if of another matter
  const float b = random.uniform(-30, 30), r = random.uniform(-30, 30);
  const float reach = std::sqrt(rx * rx + ry * ry) + 1;
  const int y1 = std::min(luma.height, static_cast<int>(cy + reach) + 1);
  const int x1 = std::min(luma.width, static_cast<int>(cx + reach) + 1);
  const int x0 = std::max(0, static_cast<int>(cx - reach));
  for (int y = std::max(0, static_cast<int>(cy - reach)); y < y1; ++y) {
    float* to = luma.row(y);
    float* to_blue = blue.row(y);
    float* to_red = red.row(y);
    for (int x = x0; x < x1; ++x) {
      const float dx = static_cast<float>(x) - cx, dy = static_cast<float>(y) - cy;
      const float u = (c * dx + s * dy) / rx;
      const float v = (c * dy - s * dx) / ry;
      const float d = round ? u * u + v * v : std::max(std::fabs(u), std::fabs(v));
      if (d >= 1) continue;
      const float edge = std::min(1.0f, (1 - d) * std::min(rx, ry) * 0.7f);  // a pixel wide
      to[x] += edge * ((1 - keep) * (128 - to[x]) + light + shade * u);
      to_blue[x] += edge * b;
      to_red[x] += edge * r;
    }
  }
}

std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
}

std::vector<std::byte> encode(const std::vector<std::uint8_t>& ycc, int width, int height,
                              int quality, bool full_chroma) {
  jpeg_compress_struct encoder;
  jpeg_error_mgr errors;
  encoder.err = jpeg_std_error(&errors);
  errors.error_exit = [](j_common_ptr info) {  // through C frames of libjpeg: only on no memory
    jpeg_destroy(info);
    throw std::bad_alloc();
  };
  jpeg_create_compress(&encoder);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&encoder, &bytes, &size);
  encoder.image_width = static_cast<JDIMENSION>(width);
  encoder.image_height = static_cast<JDIMENSION>(height);
  encoder.input_components = 3;
  encoder.in_color_space = JCS_YCbCr;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, quality, TRUE);
  if (full_chroma) encoder.comp_info[0].h_samp_factor = encoder.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&encoder, TRUE);
  while (encoder.next_scanline < encoder.image_height) {
    JSAMPROW row =
        const_cast<JSAMPROW>(ycc.data()) +
        static_cast<std::size_t>(encoder.next_scanline) * static_cast<std::size_t>(width) * 3;
    jpeg_write_scanlines(&encoder, &row, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  const auto* first = reinterpret_cast<const std::byte*>(bytes);
  std::vector<std::byte> result(first, first + size);
  std::free(bytes);
  return result;
}

}  // namespace

Photograph make_photograph(std::uint64_t seed, int index) {
  Random random(Random(seed).bits() + static_cast<std::uint64_t>(index) * 0x632be59bd9b4e019u);
  const Kind kind = pick_kind(random);
  Plane luma(kind.width, kind.height, random.uniform(90, 150));
  Plane blue(kind.width, kind.height, random.uniform(118, 138));
  Plane red(kind.width, kind.height, random.uniform(118, 138));
  // Amplitudes that fall with the cell size give the 1/f spectrum of natural scenes.
  const float size = static_cast<float>(std::max(kind.width, kind.height));
  const float texture = random.uniform(0.8f, 1.15f);
  float amplitude = 36;
  for (float cell = size / 2; cell > 1.2f; cell /= 2) {
    add_octave(luma, cell, amplitude, random);
    amplitude *= texture;
  }
  for (Plane* chroma : {&blue, &red}) {
    add_octave(*chroma, size / 2, 16, random);
    add_octave(*chroma, size / 6, 8, random);
    add_octave(*chroma, size / 24, 4, random);
  }
  for (int objects = 4 + random.below(16); objects > 0; --objects) {
    add_object(luma, blue, red, random);
  }
  // Two in three ImageNet files were saved at quality 96.
  const int quality = random.below(3) > 0 ? 96 : 78 + random.below(15);
  const float grain = random.uniform(1.0f, 26);
  std::vector<std::uint8_t> ycc(luma.values.size() * 3);
  for (std::size_t i = 0; i < luma.values.size(); ++i) {
    // The sum of four uniform numbers is near enough a normal one.
    const std::uint64_t bits = random.bits();
    const auto sum = static_cast<float>((bits & 0xffff) + (bits >> 16 & 0xffff) +
                                        (bits >> 32 & 0xffff) + (bits >> 48));
    ycc[3 * i] = to_byte(luma.values[i] + grain * (sum * 0x1p-16f - 2));
    ycc[3 * i + 1] = to_byte(blue.values[i]);
    ycc[3 * i + 2] = to_byte(red.values[i]);
  }
  return {kind.width, kind.height,
          encode(ycc, kind.width, kind.height, quality, random.below(8) == 0)};
}

std::vector<Photograph> make_photographs(std::uint64_t seed, int first, int count, int threads) {
  std::vector<Photograph> photographs(static_cast<std::size_t>(count));
  std::atomic<int> next = 0;
  const auto work = [&] {
    for (int i = next++; i < count; i = next++) {
      photographs[static_cast<std::size_t>(i)] = make_photograph(seed, first + i);
    }
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < std::min(threads, count); ++i) helpers.emplace_back(work);
  work();
  helpers.clear();
  return photographs;
}

}  // namespace pronghorn::bench
