// SPDX-License-Identifier: Apache-2.0
// Encoders for tests: pictures of any kind without files.
#pragma once

#include <jpeglib.h>
#include <png.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "image/image.h"

namespace pronghorn::image::testing {

using ByteVector = std::vector<std::byte>;

// Waves and edges in three channels, the same for the same arguments.
inline Image picture(int width, int height, unsigned seed = 1) {
  std::mt19937 random(seed);
  Image image{width, height, {}};
  const int slope = 1 + static_cast<int>(random() % 5);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.pixels.push_back(static_cast<std::uint8_t>(x * slope + y * 3));
      image.pixels.push_back((x / 9 + y / 7) % 2 == 0 ? 210 : 40);
      image.pixels.push_back(static_cast<std::uint8_t>(128 + y * slope - x + random() % 8));
    }
  }
  return image;
}

inline Image noise(int width, int height, unsigned seed) {
  std::mt19937 random(seed);
  Image image{width, height, {}};
  image.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (auto& value : image.pixels) value = static_cast<std::uint8_t>(random());
  return image;
}

struct JpegOptions {
  int quality = 85;
  int h_samples = 2;  // of luma: 2 x 2 is 4:2:0
  int v_samples = 2;
  bool progressive = false;
  bool gray = false;
  int orientation = 0;  // 0: no EXIF
  bool big_endian = true;
};

// An EXIF block with nothing but the orientation, from its TIFF header on.
inline ByteVector tiff_orientation(int orientation, bool big_endian) {
  std::vector<int> bytes = {0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0,
                            3,    0,    0, 0,  1, 0, 0, 0, 0, 0, 0,    0,    0};
  bytes[19] = orientation;
  if (!big_endian) {
    bytes = {0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3,
             0,    1,    0,  0, 0, 0, 0, 0, 0, 0, 0,    0,    0};
    bytes[18] = orientation;
  }
  ByteVector result;
  for (const int b : bytes) result.push_back(static_cast<std::byte>(b));
  return result;
}

inline ByteVector jpeg(const Image& image, const JpegOptions& options = {}) {
  jpeg_compress_struct cinfo{};
  jpeg_error_mgr errors{};
  cinfo.err = jpeg_std_error(&errors);
  jpeg_create_compress(&cinfo);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&cinfo, &data, &size);
  cinfo.image_width = static_cast<JDIMENSION>(image.width);
  cinfo.image_height = static_cast<JDIMENSION>(image.height);
  cinfo.input_components = 3;
  cinfo.in_color_space = JCS_RGB;
  jpeg_set_defaults(&cinfo);
  if (options.gray) jpeg_set_colorspace(&cinfo, JCS_GRAYSCALE);
  jpeg_set_quality(&cinfo, options.quality, TRUE);
  cinfo.comp_info[0].h_samp_factor = options.gray ? 1 : options.h_samples;
  cinfo.comp_info[0].v_samp_factor = options.gray ? 1 : options.v_samples;
  if (options.progressive) jpeg_simple_progression(&cinfo);
  jpeg_start_compress(&cinfo, TRUE);
  if (options.orientation != 0) {
    ByteVector exif = {std::byte{'E'}, std::byte{'x'}, std::byte{'i'},
                       std::byte{'f'}, std::byte{0},   std::byte{0}};
    const ByteVector tiff = tiff_orientation(options.orientation, options.big_endian);
    exif.insert(exif.end(), tiff.begin(), tiff.end());
    jpeg_write_marker(&cinfo, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(exif.data()),
                      static_cast<unsigned>(exif.size()));
  }
  while (cinfo.next_scanline < cinfo.image_height) {
    auto* row = const_cast<JSAMPROW>(
        &image.pixels[static_cast<std::size_t>(cinfo.next_scanline) * cinfo.image_width * 3]);
    jpeg_write_scanlines(&cinfo, &row, 1);
  }
  jpeg_finish_compress(&cinfo);
  jpeg_destroy_compress(&cinfo);
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  ByteVector result(begin, begin + size);
  std::free(data);
  return result;
}

// `rows` are packed rows of height times `pitch` bytes in the given PNG colour type and depth.
inline ByteVector png(int width, int height, int depth, int color, bool interlaced,
                      const std::vector<std::uint8_t>& rows, std::size_t pitch) {
  ByteVector result;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &result,
      [](png_structp p, png_bytep bytes, size_t count) {
        auto* out = static_cast<ByteVector*>(png_get_io_ptr(p));
        const auto* begin = reinterpret_cast<const std::byte*>(bytes);
        out->insert(out->end(), begin, begin + count);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), depth,
               color, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (color == PNG_COLOR_TYPE_PALETTE) {
    std::vector<png_color> palette(std::size_t{1} << depth);
    for (std::size_t i = 0; i < palette.size(); ++i) {
      palette[i] = {static_cast<png_byte>(i * 7), static_cast<png_byte>(255 - i),
                    static_cast<png_byte>(i)};
    }
    png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
  }
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (int y = 0; y < height; ++y) {
    pointers.push_back(const_cast<png_bytep>(&rows[static_cast<std::size_t>(y) * pitch]));
  }
  png_write_image(png, pointers.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return result;
}

inline ByteVector png(const Image& image, bool interlaced = false) {
  return png(image.width, image.height, 8, PNG_COLOR_TYPE_RGB, interlaced, image.pixels,
             static_cast<std::size_t>(image.width) * 3);
}

// Pixels of the window [x, x + width) x [y, y + height).
inline Image cut(const Image& src, int x, int y, int width, int height) {
  Image dst{width, height, {}};
  for (int row = y; row < y + height; ++row) {
    const auto begin = src.pixels.begin() + (static_cast<std::ptrdiff_t>(row) * src.width + x) * 3;
    dst.pixels.insert(dst.pixels.end(), begin, begin + 3 * width);
  }
  return dst;
}

}  // namespace pronghorn::image::testing
