// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <iostream>
#include <sstream>

#include "capi/guard.h"
#include "capi/objects.h"

namespace pronghorn::capi {

image::ResizeMode resize_of(const ph_resize* given, const graph::Graph* model) {
  const ph_resize options = read_struct(given, "resize");
  std::string mode = options.mode == nullptr ? "" : options.mode;
  if (mode.empty() && model != nullptr) {
    mode = model->resize.empty() ? fmt::format("direct:{}", model->value(model->inputs[0]).shape.w)
                                 : model->resize;
  }
  if (mode.empty()) mode = "direct:224";
  image::ResizeMode parsed = image::parse_resize(mode);
  if (options.nearest != 0) parsed.interpolation = image::Interpolation::kNearest;
  parsed.scaled_decode = options.scaled_decode != 0;
  return parsed;
}

namespace {

void copy_text(const std::string& value, char* text, size_t capacity) {
  if (value.size() + 1 > capacity) {
    base::fail(base::Status::kInvalidArgument, "the text needs {} bytes, capacity is {}",
               value.size() + 1, capacity);
  }
  std::memcpy(text, value.c_str(), value.size() + 1);
}

void check_index(const ph_source* source, int64_t index) {
  require(source, "source");
  if (index < 0 || index >= source->source->size()) {
    base::fail(base::Status::kInvalidArgument, "image {}; 0 to {}", index,
               source->source->size() - 1);
  }
}

void load_into(base::Bytes bytes, const std::string& name, const ph_resize* resize, uint8_t* pixels,
               size_t capacity) {
  require(pixels, "pixels");
  const image::ResizeMode mode = resize_of(resize, nullptr);
  const auto needed = static_cast<size_t>(mode.width) * static_cast<size_t>(mode.width) * 3;
  if (capacity < needed) {
    base::fail(base::Status::kInvalidArgument, "{} needs {} bytes of pixels, capacity is {}",
               image::to_string(mode), needed, capacity);
  }
  image::load(bytes, name, mode, pixels);
}

}  // namespace
}  // namespace pronghorn::capi

using namespace pronghorn;

ph_status ph_source_open(const char* path, ph_source** source) {
  return capi::guard([&] {
    capi::require(path, "path");
    capi::require(source, "source");
    const bool list = std::strcmp(path, "-") == 0;
    *source = new ph_source{list ? image::open_list(std::cin) : image::open_source(path)};
  });
}

ph_status ph_source_files(const char* const* paths, int64_t count, ph_source** source) {
  return capi::guard([&] {
    capi::require(paths, "paths");
    capi::require(source, "source");
    std::stringstream lines;
    for (int64_t i = 0; i < count; ++i) {
      capi::require(paths[i], "paths[i]");
      lines << paths[i] << '\n';
    }
    *source = new ph_source{image::open_list(lines)};
  });
}

ph_status ph_source_memory(const void* const* data, const size_t* sizes, const char* const* names,
                           int64_t count, ph_source** source) {
  return capi::guard([&] {
    capi::require(data, "data");
    capi::require(sizes, "sizes");
    capi::require(source, "source");
    if (count < 1) base::fail(base::Status::kInvalidArgument, "count is {}; 1 or more", count);
    std::vector<std::string> all_names;
    std::vector<image::Encoded> images;
    for (int64_t i = 0; i < count; ++i) {
      capi::require(data[i], "data[i]");
      const auto* bytes = static_cast<const std::byte*>(data[i]);
      auto copy = std::make_shared<const std::vector<std::byte>>(bytes, bytes + sizes[i]);
      images.push_back({base::Bytes(*copy), copy});
      all_names.push_back(names == nullptr ? fmt::format("image {}", i) : names[i]);
    }
    *source = new ph_source{image::memory_source(std::move(all_names), std::move(images))};
  });
}

ph_status ph_source_repeat(const ph_source* source, int64_t size, ph_source** repeated) {
  return capi::guard([&] {
    capi::require(source, "source");
    capi::require(repeated, "repeated");
    *repeated = new ph_source{image::repeated_source(source->source, size)};
  });
}

void ph_source_free(ph_source* source) { delete source; }

int64_t ph_source_size(const ph_source* source) {
  return source == nullptr ? 0 : source->source->size();
}

ph_status ph_source_name(const ph_source* source, int64_t index, char* text, size_t capacity) {
  return capi::guard([&] {
    capi::check_index(source, index);
    capi::require(text, "text");
    capi::copy_text(source->source->name(index), text, capacity);
  });
}

ph_status ph_source_label(const ph_source* source, int64_t index, char* text, size_t capacity) {
  return capi::guard([&] {
    capi::check_index(source, index);
    capi::require(text, "text");
    capi::copy_text(source->source->label(index), text, capacity);
  });
}

ph_status ph_image_decode(const void* data, size_t size, const char* name, const ph_resize* resize,
                          uint8_t* pixels, size_t capacity) {
  return capi::guard([&] {
    capi::require(data, "data");
    capi::load_into({static_cast<const std::byte*>(data), size}, name == nullptr ? "image" : name,
                    resize, pixels, capacity);
  });
}

ph_status ph_source_pixels(const ph_source* source, int64_t index, const ph_resize* resize,
                           uint8_t* pixels, size_t capacity) {
  return capi::guard([&] {
    capi::check_index(source, index);
    const image::Encoded encoded = source->source->read(index);
    capi::load_into(encoded.bytes, source->source->name(index), resize, pixels, capacity);
  });
}
