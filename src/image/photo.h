// SPDX-License-Identifier: Apache-2.0
// A photograph decoded no further than a device needs that upsamples, converts and resizes by
// itself: a JPEG's sample planes as they are stored, or RGB pixels.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "image/image.h"

namespace pronghorn::image {

class JpegReader;

struct PhotoLayout {
  // kYcc: planes Y, Cb, Cr in full range (ITU-T T.871); kGray: one plane; kRgb: interleaved pixels.
  enum class Kind { kRgb, kGray, kYcc };
  struct Plane {
    int width = 0, height = 0;  // samples that belong to the picture
    std::size_t offset = 0;     // bytes
    std::size_t pitch = 0;      // bytes from row to row; rows behind `height` are there too
  };
  Kind kind = Kind::kRgb;
  int width = 0, height = 0;  // of the picture, upright
  int h = 1, v = 1;           // kYcc: samples of Y for one of Cb and Cr: 1 x 1, 2 x 1 or 2 x 2
  std::array<Plane, 3> planes;
  std::size_t bytes = 0;  // of all
};

class Photo {
 public:
  // Reads the header. `bytes` must outlive the object. Throws as image::decode does.
  Photo(base::Bytes bytes, std::string name, const DecodeLimits& limits = {});
  ~Photo();
  Photo(const Photo&) = delete;
  Photo& operator=(const Photo&) = delete;

  const PhotoLayout& layout() const { return layout_; }
  // Planes of a baseline JPEG in one piece (is_plain_baseline): another decoder may make them.
  bool plain() const { return plain_; }
  // Once. Planes: the samples from which image::decode makes its pixels; kRgb: those pixels.
  void decode(std::uint8_t* dst);

 private:
  base::Bytes bytes_;
  std::string name_;
  PhotoLayout layout_;
  bool plain_ = false;
  std::unique_ptr<JpegReader> reader_;  // planes
  std::optional<Image> image_;          // kRgb
};

}  // namespace pronghorn::image
