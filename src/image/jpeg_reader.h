// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/image.h"
#include "image/photo.h"
#include "image/resample.h"

namespace pronghorn::image {

bool is_jpeg(base::Bytes bytes);

// Decodes one JPEG row by row. libjpeg reports errors by longjmp; every call into it is fenced so
// that no jump crosses an object with a destructor, and leaves here as an Error naming `name`.
class JpegReader {
 public:
  // Reads the header and checks the limits; nothing of the image's size is allocated yet.
  // `bytes` must outlive the reader.
  JpegReader(base::Bytes bytes, std::string name, const DecodeLimits& limits);
  ~JpegReader();
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  int width() const;  // as stored, before the orientation; after start(): of the scaled image
  int height() const;
  int orientation() const { return orientation_; }  // EXIF, 1 to 8

  // Scales by 1/denominator (1, 2, 4, 8). Each size is rounded up.
  void start(int denominator);
  // After start(): leaves out columns which are not in `wanted`, where that is possible without
  // changing the others. Returns the columns that read() will give.
  Range crop(Range wanted);
  void skip(int rows);
  // The next `count` rows, RGB.
  void read(std::uint8_t* const* rows, int count);
  // Reads to the end of the image, so that what is missing there is noticed.
  void finish();

  // Before start(): how the stored sample planes would lie in memory, where they are of a kind that
  // PhotoLayout has, of an upright picture.
  std::optional<PhotoLayout> planes() const;
  // Instead of start() and what follows it: all of the planes, to planes()->bytes bytes at `dst`.
  void read_planes(const PhotoLayout& layout, std::uint8_t* dst);

 private:
  struct State;
  template <typename Step>
  void fenced(Step step);

  std::unique_ptr<State> state_;
  std::string name_;
  int orientation_ = 1;
  std::vector<std::uint8_t> cmyk_;  // one row
};

}  // namespace pronghorn::image
