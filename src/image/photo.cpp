// SPDX-License-Identifier: Apache-2.0
#include "image/photo.h"

#include <cstring>
#include <new>

#include "base/error.h"
#include "image/jpeg_reader.h"
#include "image/jpeg_structure.h"

namespace pronghorn::image {

Photo::Photo(base::Bytes bytes, std::string name, const DecodeLimits& limits)
    : bytes_(bytes), name_(std::move(name)) {
  if (is_jpeg(bytes)) {
    reader_ = std::make_unique<JpegReader>(bytes, name_, limits);
    if (const std::optional<PhotoLayout> planes = reader_->planes()) {
      layout_ = *planes;
      plain_ = is_plain_baseline(bytes);
      return;
    }
    reader_.reset();
  }
  image_ = image::decode(bytes, name_, limits);
  layout_.width = image_->width;
  layout_.height = image_->height;
  layout_.bytes = image_->pixels.size();
  layout_.planes[0] = {image_->width, image_->height, 0,
                       static_cast<std::size_t>(image_->width) * 3};
}

Photo::~Photo() = default;

void Photo::decode(std::uint8_t* dst) {
  if (image_) {
    std::memcpy(dst, image_->pixels.data(), image_->pixels.size());
    image_.reset();
    return;
  }
  reader_->read_planes(layout_, dst);
}

}  // namespace pronghorn::image
