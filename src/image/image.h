// SPDX-License-Identifier: Apache-2.0
// Photographs to pixels: decode, orient, resize, crop. All results are interleaved RGB, 8 bits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace pronghorn::image {

struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> pixels;  // [height][width][3], RGB
};

// What a decoder refuses before it allocates anything.
struct DecodeLimits {
  std::int64_t max_pixels = 200'000'000;
};

enum class Interpolation { kBilinear, kNearest };  // antialiased triangle filter; Keras load_img

// "direct:W": the whole image to W x W. "short:S,crop:W": the short side to S, aspect kept, the
// centre W x W taken, as torchvision's Resize and CenterCrop do.
struct ResizeMode {
  int short_side = 0;  // 0: direct
  int width = 224;     // of the square result
  Interpolation interpolation = Interpolation::kBilinear;
  // Let the JPEG decoder scale by 1/2, 1/4 or 1/8 in the DCT domain when the result stays at least
  // as large as what resize needs. Faster, slightly different pixels.
  bool scaled_decode = false;
};
// Throws Error(kInvalidArgument) showing what is accepted.
ResizeMode parse_resize(std::string_view text);
std::string to_string(const ResizeMode& mode);

// JPEG (baseline, progressive, gray, YCbCr, RGB, CMYK, YCCK; EXIF orientation applied) or PNG
// (any depth; alpha dropped as Pillow's convert("RGB") does). `name` stands for the image in
// errors. Throws Error: kCorrupt (truncated, damaged), kUnsupported (neither JPEG nor PNG),
// kOutOfMemory (more pixels than the limit).
Image decode(base::Bytes bytes, const std::string& name, const DecodeLimits& limits = {});

// Pillow's antialiased triangle resize of the box [0, w) x [0, h), in the same integer arithmetic.
Image resize(const Image& src, int width, int height, Interpolation interpolation);

// decode + resize + crop into `dst`, width * width * 3 bytes; only what the crop needs is computed.
// `resize_seconds`, where given, is added the time of the resampling alone.
void load(base::Bytes bytes, const std::string& name, const ResizeMode& mode, std::uint8_t* dst,
          const DecodeLimits& limits = {}, double* resize_seconds = nullptr);

}  // namespace pronghorn::image
