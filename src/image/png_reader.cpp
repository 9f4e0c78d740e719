// SPDX-License-Identifier: Apache-2.0
#include "image/png_reader.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace pronghorn::image {
namespace {

constexpr std::array<std::uint8_t, 8> kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr png_alloc_size_t kMaxChunkBytes = 8 << 20;  // of ancillary chunks, unpacked

struct PngState {
  png_structp png = nullptr;
  png_infop info = nullptr;
  base::Bytes bytes;
  std::size_t position = 0;
  base::Status status = base::Status::kCorrupt;
  char message[256] = {};
  bool clip_gray = false;

  ~PngState() { png_destroy_read_struct(&png, &info, nullptr); }
};

extern "C" {
[[noreturn]] void png_on_error(png_structp png, png_const_charp message) {
  auto& state = *static_cast<PngState*>(png_get_error_ptr(png));
  std::snprintf(state.message, sizeof state.message, "%s", message);
  png_longjmp(png, 1);
}
void png_on_warning(png_structp, png_const_charp) {}
void png_read_bytes(png_structp png, png_bytep dst, size_t count) {
  auto& state = *static_cast<PngState*>(png_get_io_ptr(png));
  if (count > state.bytes.size() - state.position) {
    png_error(png, "the PNG data ends too early (truncated file)");
  }
  std::memcpy(dst, state.bytes.data() + state.position, count);
  state.position += count;
}
}

// Nothing between setjmp and a longjmp owns anything: this frame, the step's, and libpng's.
template <typename Step>
void fenced(PngState& state, const std::string& name, const Step& step) {
  const auto guarded = [&state, &step] {
    if (setjmp(png_jmpbuf(state.png)) != 0) return false;
    step(state);
    return true;
  };
  if (!guarded()) base::fail(state.status, "{}: {}", name, state.message);
}

// Text, colour profiles and the like are skipped unread: they may be bombs of their own.
void skip_ancillary(png_structp png) {
  static constexpr png_byte kNames[] = "iCCP\0iTXt\0tEXt\0zTXt\0eXIf\0sPLT\0hIST";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, kNames, 7);
}

void choose_conversions(PngState& s) {
  const int color = png_get_color_type(s.png, s.info);
  const int depth = png_get_bit_depth(s.png, s.info);
  s.clip_gray = color == PNG_COLOR_TYPE_GRAY && depth == 16;
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(s.png);
  if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(s.png);
  if (depth == 16 && !s.clip_gray) png_set_strip_16(s.png);
  png_set_strip_alpha(s.png);
  if ((color & PNG_COLOR_MASK_COLOR) == 0 && !s.clip_gray) png_set_gray_to_rgb(s.png);
  png_set_interlace_handling(s.png);
  png_read_update_info(s.png, s.info);
}

}  // namespace

bool is_png(base::Bytes bytes) {
  return bytes.size() >= kSignature.size() &&
         std::memcmp(bytes.data(), kSignature.data(), kSignature.size()) == 0;
}

Image decode_png(base::Bytes bytes, const std::string& name, const DecodeLimits& limits) {
  PngState state;
  state.bytes = bytes;
  state.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, png_on_error, png_on_warning);
  if (state.png != nullptr) state.info = png_create_info_struct(state.png);
  if (state.info == nullptr) base::fail(base::Status::kOutOfMemory, "{}: no memory", name);
  fenced(state, name, [](PngState& s) {
    png_set_read_fn(s.png, &s, png_read_bytes);
    png_set_user_limits(s.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(s.png, kMaxChunkBytes);
    skip_ancillary(s.png);
    png_read_info(s.png, s.info);
  });
  const std::int64_t width = png_get_image_width(state.png, state.info);
  const std::int64_t height = png_get_image_height(state.png, state.info);
  if (width > limits.max_pixels / height) {
    base::fail(base::Status::kOutOfMemory, "{}: {} x {} pixels; at most {} pixels are accepted",
               name, width, height, limits.max_pixels);
  }
  fenced(state, name, [](PngState& s) { choose_conversions(s); });

  Image image;
  image.width = static_cast<int>(width);
  image.height = static_cast<int>(height);
  const std::size_t samples = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  image.pixels.resize(samples * 3);
  const std::size_t pitch = static_cast<std::size_t>(width) * (state.clip_gray ? 2 : 3);
  std::vector<png_bytep> rows(static_cast<std::size_t>(height));
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * pitch;
  png_bytepp row_pointers = rows.data();
  fenced(state, name, [row_pointers](PngState& s) {
    png_read_image(s.png, row_pointers);
    png_read_end(s.png, nullptr);
  });
  if (state.clip_gray) {  // 2 bytes become 3 in place, from the end
    for (std::size_t i = samples; i-- > 0;) {
      const std::uint8_t* sample = &image.pixels[i * 2];
      const std::uint8_t value = sample[0] != 0 ? 255 : sample[1];
      std::fill_n(&image.pixels[i * 3], 3, value);
    }
  }
  return image;
}

}  // namespace pronghorn::image
