// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG bytes to pixels: decode, orient, resize, crop.

#include <png.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "fuzz.h"
#include "image/image.h"
#include "jpeglib.h"

namespace pronghorn::fuzz {
namespace {

constexpr int kWidth = 19;  // not a multiple of a block
constexpr int kHeight = 21;

// A little picture with edges and slopes.
Input picture(int channels) {
  Input pixels(static_cast<std::size_t>(kWidth * kHeight * channels));
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < channels; ++c) {
        pixels[static_cast<std::size_t>((y * kWidth + x) * channels + c)] =
            static_cast<std::uint8_t>(x * 11 + y * 7 * c + (x > y ? 90 : 0));
      }
    }
  }
  return pixels;
}

struct JpegKind {
  int channels;
  J_COLOR_SPACE from, to;
  bool progressive;
  int restart_rows;
  int orientation;  // 0: no EXIF block
};

Input jpeg(const JpegKind& kind) {
  jpeg_compress_struct compress{};
  jpeg_error_mgr errors{};
  compress.err = jpeg_std_error(&errors);
  jpeg_create_compress(&compress);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&compress, &data, &size);
  compress.image_width = kWidth;
  compress.image_height = kHeight;
  compress.input_components = kind.channels;
  compress.in_color_space = kind.from;
  jpeg_set_defaults(&compress);
  jpeg_set_colorspace(&compress, kind.to);
  jpeg_set_quality(&compress, 80, TRUE);
  if (kind.progressive) jpeg_simple_progression(&compress);
  compress.restart_in_rows = kind.restart_rows;
  jpeg_start_compress(&compress, TRUE);
  if (kind.orientation != 0) {
    const Input exif = {'E',  'x',
                        'i',  'f',
                        0,    0,
                        'M',  'M',
                        0,    42,
                        0,    0,
                        0,    8,
                        0,    1,
                        0x01, 0x12,
                        0,    3,
                        0,    0,
                        0,    1,
                        0,    static_cast<std::uint8_t>(kind.orientation),
                        0,    0,
                        0,    0,
                        0,    0};
    jpeg_write_marker(&compress, JPEG_APP0 + 1, exif.data(), static_cast<unsigned>(exif.size()));
  }
  Input pixels = picture(kind.channels);
  while (compress.next_scanline < compress.image_height) {
    JSAMPROW row = pixels.data() + compress.next_scanline * kWidth * kind.channels;
    jpeg_write_scanlines(&compress, &row, 1);
  }
  jpeg_finish_compress(&compress);
  jpeg_destroy_compress(&compress);
  const Input result(data, data + size);
  std::free(data);
  return result;
}

Input png(unsigned format, int channels, bool palette) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = kWidth;
  image.height = kHeight;
  image.format = palette ? PNG_FORMAT_RGB_COLORMAP : format;
  image.colormap_entries = palette ? 256 : 0;
  Input colours(256 * 3);
  for (std::size_t i = 0; i < colours.size(); ++i) colours[i] = static_cast<std::uint8_t>(i * 5);
  const Input pixels = picture(palette ? 1 : channels);
  png_alloc_size_t size = 1 << 16;
  Input result(size);
  if (!png_image_write_to_memory(&image, result.data(), &size, 0, pixels.data(), 0,
                                 palette ? colours.data() : nullptr)) {
    return {};
  }
  result.resize(size);
  return result;
}

std::uint32_t big_endian(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 |
         at[3];
}

}  // namespace

std::vector<Input> seeds() {
  return {jpeg({3, JCS_RGB, JCS_YCbCr, false, 0, 0}),
          jpeg({3, JCS_RGB, JCS_YCbCr, true, 0, 6}),
          jpeg({3, JCS_RGB, JCS_RGB, false, 1, 3}),
          jpeg({1, JCS_GRAYSCALE, JCS_GRAYSCALE, false, 0, 8}),
          jpeg({4, JCS_CMYK, JCS_CMYK, false, 0, 0}),
          jpeg({4, JCS_CMYK, JCS_YCCK, true, 1, 0}),
          png(PNG_FORMAT_RGB, 3, false),
          png(PNG_FORMAT_RGBA, 4, false),
          png(PNG_FORMAT_GA, 2, false),
          png(0, 1, true)};
}

// The CRCs of PNG chunks.
void repair(Input& input) {
  if (input.size() < 8 || input[0] != 0x89) return;
  for (std::size_t at = 8; at + 12 <= input.size();) {
    const std::size_t length = big_endian(&input[at]);
    if (length > input.size() - at - 12) return;
    const auto crc =
        static_cast<std::uint32_t>(crc32(0, &input[at + 4], static_cast<unsigned>(length + 4)));
    for (std::size_t i = 0; i < 4; ++i) {
      input[at + 8 + length + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    }
    at += length + 12;
  }
}

void test_one(const Input& input) {
  constexpr image::DecodeLimits kLimits{.max_pixels = 1 << 18};
  std::vector<std::uint8_t> pixels(16 * 16 * 3);
  using enum image::Interpolation;
  for (const image::ResizeMode& mode :
       {image::ResizeMode{0, 16, kBilinear, false}, image::ResizeMode{18, 16, kBilinear, true},
        image::ResizeMode{0, 16, kNearest, false}}) {
    expect_value_or_refusal(
        [&] { image::load(as_bytes(input), "input", mode, pixels.data(), kLimits); });
  }
}

}  // namespace pronghorn::fuzz
