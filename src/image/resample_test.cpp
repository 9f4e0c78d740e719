// SPDX-License-Identifier: Apache-2.0
#include "image/resample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>

#include "base/error.h"
#include "image/encode_for_test.h"

namespace pronghorn::image {
namespace {

using testing::cut;
using testing::noise;

double triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

// The method in plain binary64, one axis; no intermediate rounding.
std::vector<double> stretch(const std::vector<double>& src, int channels, int count) {
  const int size = static_cast<int>(src.size()) / channels;
  const double scale = static_cast<double>(size) / count;
  const double support = std::max(scale, 1.0);
  std::vector<double> dst;
  for (int i = 0; i < count; ++i) {
    const double center = (i + 0.5) * scale;
    for (int c = 0; c < channels; ++c) {
      double sum = 0;
      double total = 0;
      for (int t = 0; t < size; ++t) {
        const double weight = triangle((t + 0.5 - center) / support);
        sum += weight * src[static_cast<std::size_t>(t) * channels + c];
        total += weight;
      }
      dst.push_back(sum / total);
    }
  }
  return dst;
}

TEST(Resample, WithinOneLevelOfThePlainMethod) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 40; ++i) {
    const Image src = noise(1 + random() % 70, 1 + random() % 70, random());
    const int width = 1 + random() % 60;
    const int height = 1 + random() % 60;
    std::vector<double> rows;  // columns stretched
    for (int y = 0; y < src.height; ++y) {
      const auto* begin = src.pixels.data() + static_cast<std::ptrdiff_t>(y) * src.width * 3;
      const auto row = stretch(std::vector<double>(begin, begin + src.width * 3), 3, width);
      rows.insert(rows.end(), row.begin(), row.end());
    }
    const std::vector<double> wanted = stretch(rows, width * 3, height);
    const Image got = resize(src, width, height, Interpolation::kBilinear);
    ASSERT_EQ(got.pixels.size(), wanted.size());
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      ASSERT_LE(std::abs(got.pixels[k] - wanted[k]), 1.01)
          << src.width << "x" << src.height << " to " << width << "x" << height << " byte " << k;
    }
  }
}

TEST(Resample, SameSizeIsACopy) {
  const Image src = noise(37, 23, 5);
  EXPECT_EQ(resize(src, 37, 23, Interpolation::kBilinear).pixels, src.pixels);
  EXPECT_EQ(resize(src, 37, 23, Interpolation::kNearest).pixels, src.pixels);
}

TEST(Resample, AnEvenPictureStaysEven) {
  for (const int level : {0, 1, 127, 128, 254, 255}) {
    Image src{301, 199, {}};
    src.pixels.assign(static_cast<std::size_t>(301) * 199 * 3, static_cast<std::uint8_t>(level));
    for (const auto how : {Interpolation::kBilinear, Interpolation::kNearest}) {
      const Image dst = resize(src, 47, 224, how);
      EXPECT_EQ(std::count(dst.pixels.begin(), dst.pixels.end(), level),
                static_cast<std::ptrdiff_t>(dst.pixels.size()));
    }
  }
}

TEST(Resample, WindowEqualsTheCutWhole) {
  const Image src = noise(131, 97, 7);
  for (const auto how : {Interpolation::kBilinear, Interpolation::kNearest}) {
    const Image full = resize(src, 60, 45, how);
    Stretch x = whole(131, 60);
    Stretch y = whole(97, 45);
    x.wanted = {11, 43};
    y.wanted = {20, 41};
    Resampler resampler(x, y, how);
    std::vector<std::uint8_t> padded = src.pixels;
    padded.resize(padded.size() + kRowSlack);
    for (int row = resampler.rows().begin; row < resampler.rows().end; ++row) {
      const std::uint8_t* pointer = padded.data() + (row * 131 + resampler.columns().begin) * 3;
      resampler.push(&pointer, 1);
    }
    Image window{32, 21, std::vector<std::uint8_t>(32 * 21 * 3)};
    resampler.finish(window.pixels.data());
    EXPECT_EQ(window.pixels, cut(full, 11, 20, 32, 21).pixels);
    EXPECT_GT(resampler.rows().begin, 0);
    EXPECT_LT(resampler.columns().end, 131);
  }
}

TEST(Resample, NearestTakesThePixelUnderTheCenter) {
  const Image src = noise(10, 1, 3);
  const Image dst = resize(src, 4, 1, Interpolation::kNearest);
  const int columns[] = {1, 3, 6, 8};  // (i + 0.5) * 2.5
  for (int i = 0; i < 4; ++i) EXPECT_EQ(dst.pixels[i * 3], src.pixels[columns[i] * 3]) << i;
}

TEST(Resample, RowsMissingOrTooManyAreRefused) {
  const Image src = noise(8, 8, 3);
  std::vector<std::uint8_t> dst(4 * 4 * 3);
  Resampler resampler(whole(8, 4), whole(8, 4), Interpolation::kBilinear);
  EXPECT_THROW(resampler.finish(dst.data()), base::Error);
  const std::vector<const std::uint8_t*> rows(9, src.pixels.data());
  EXPECT_THROW(resampler.push(rows.data(), 9), base::Error);
}

// Random weights that add up to about one, as the resampler makes them.
struct RandomAxis {
  std::vector<std::int32_t> first;
  std::vector<std::int32_t> weights;
  std::vector<std::int16_t> parts;
  int taps;

  RandomAxis(std::mt19937& random, int count, int half_taps, int src) : taps(2 * half_taps) {
    for (int i = 0; i < count; ++i) {
      first.push_back(static_cast<std::int32_t>(random() % (src - taps + 1)));
      std::vector<double> raw;
      double sum = 0;
      for (int t = 0; t < taps; ++t) {
        raw.push_back(random() % 4 == 0 ? 0.0 : static_cast<double>(random() % 1000));
        sum += raw.back();
      }
      if (sum == 0) sum = raw[0] = 1;
      for (int t = 0; t < taps; ++t) {
        weights.push_back(static_cast<std::int32_t>(0.5 + raw[t] / sum * (1 << kWeightBits)));
      }
    }
    parts.resize(weights.size() * 2);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const std::int32_t weight = std::min(weights[i], (1 << kWeightBits) - 1);
      parts[i / 2 * 4 + i % 2] = static_cast<std::int16_t>(weight & 0x7fff);
      parts[i / 2 * 4 + 2 + i % 2] = static_cast<std::int16_t>(weight >> kLowBits);
    }
  }
  Axis axis() const {
    return {first.data(), weights.data(), parts.data(), static_cast<int>(first.size()), taps};
  }
};

TEST(ResizeKernels, Avx2EqualsPortable) {
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "this processor has no AVX2";
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 300; ++i) {
    const int half_taps = 1 + random() % (i % 10 == 0 ? 400 : 6);
    const int src = 2 * half_taps + random() % 50;
    const int count = 1 + random() % 60;
    const int rows = 1 + random() % 9;
    const RandomAxis axis(random, count, half_taps, src);
    // Half of the cases are all 255: the largest sums.
    Image image = noise(src + kRowSlack, std::max(rows, axis.taps), random());
    if (i % 2 == 0) std::fill(image.pixels.begin(), image.pixels.end(), 255);
    std::vector<const std::uint8_t*> in;
    for (int y = 0; y < image.height; ++y) {
      in.push_back(&image.pixels[static_cast<std::size_t>(y) * image.width * 3]);
    }
    const int pitch = 3 * count + kRowSlack;
    std::vector<std::uint8_t> results[2];
    const ResizeKernels* kernels[2] = {&kResizePortable, &kResizeAvx2};
    for (int k = 0; k < 2; ++k) {
      std::vector<std::uint8_t> block(static_cast<std::size_t>(pitch) * rows);
      std::vector<std::uint8_t*> out;
      for (int r = 0; r < rows; ++r) out.push_back(&block[static_cast<std::size_t>(pitch) * r]);
      kernels[k]->horizontal(axis.axis(), in.data(), rows, out.data());
      for (const std::uint8_t* row : out) results[k].insert(results[k].end(), row, row + 3 * count);
      const int bytes = 1 + (i * 37) % (3 * src);
      std::vector<std::uint8_t> exact(bytes + 1, 77);
      kernels[k]->vertical(axis.axis(), count - 1, in.data(), bytes, exact.data());
      EXPECT_EQ(exact.back(), 77) << "wrote behind the end";
      results[k].insert(results[k].end(), exact.begin(), exact.end());
    }
    ASSERT_EQ(results[0], results[1]) << "taps " << axis.taps << " count " << count;
  }
}

TEST(ResizeKernels, TheProcessorsBestIsTaken) {
  const char* forced = std::getenv("PRONGHORN_ISA");
  const bool portable = !__builtin_cpu_supports("avx2") ||
                        (forced != nullptr && std::string(forced) == kResizePortable.name);
  EXPECT_STREQ(resize_kernels().name, portable ? "portable" : "avx2");
}

}  // namespace
}  // namespace pronghorn::image
