// SPDX-License-Identifier: Apache-2.0
#include "image/jpeg_reader.h"

#include <jerror.h>
#include <jpeglib.h>  // before jerror.h

#include <algorithm>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE
#include <cstring>
#include <utility>

#include "base/error.h"
#include "image/exif.h"

namespace pronghorn::image {
namespace {

// A progressive image of a few kilobytes can ask for thousands of passes over all its pixels.
// Real encoders write about ten.
constexpr int kMaxScans = 500;
constexpr std::int64_t kMaxScannedPixels = 4'000'000'000;

constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr std::size_t kExifPrefix = 6;  // "Exif", 0, 0

// A pixel at a cut edge is made without its neighbour's chroma; so many are decoded and dropped.
constexpr int kCropMargin = 8;

constexpr int kLeastPlanes = 16;  // the smallest side of a picture that read_planes() takes

// The 3-operand form of Pillow's division by 255, exact for 8-bit factors.
int multiply_255(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

// Stored inverted (as Adobe writes it and Pillow assumes): c, m, y, k are 255 minus the sample.
void cmyk_to_rgb(const std::uint8_t* src, int pixels, std::uint8_t* dst) {
  for (int i = 0; i < pixels; ++i, src += 4, dst += 3) {
    const int light = src[3];  // 255 - k
    for (int c = 0; c < 3; ++c) {
      const int value = light - multiply_255(255 - src[c], light);
      dst[c] = static_cast<std::uint8_t>(value < 0 ? 0 : value);
    }
  }
}

struct ErrorManager {
  jpeg_error_mgr libjpeg;  // first, so that libjpeg's pointer to it is a pointer to this
  std::jmp_buf jump;
  base::Status status;
  char message[JMSG_LENGTH_MAX];
};

ErrorManager& error_manager(j_common_ptr cinfo) {
  return *reinterpret_cast<ErrorManager*>(cinfo->err);
}

[[noreturn]] void give_up(j_common_ptr cinfo, base::Status status, const char* message) {
  ErrorManager& errors = error_manager(cinfo);
  errors.status = status;
  std::snprintf(errors.message, sizeof errors.message, "%s", message);
  std::longjmp(errors.jump, 1);
}

base::Status status_of(int code) {
  switch (code) {
    case JERR_OUT_OF_MEMORY:
      return base::Status::kOutOfMemory;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_SOF_UNSUPPORTED:
      return base::Status::kUnsupported;
    default:
      return base::Status::kCorrupt;
  }
}

extern "C" {
void jpeg_error_exit(j_common_ptr cinfo) {
  char message[JMSG_LENGTH_MAX];
  cinfo->err->format_message(cinfo, message);
  give_up(cinfo, status_of(cinfo->err->msg_code), message);
}
void jpeg_ignore_message(j_common_ptr) {}
void jpeg_no_op(j_decompress_ptr) {}
boolean jpeg_out_of_bytes(j_decompress_ptr cinfo) {
  give_up(reinterpret_cast<j_common_ptr>(cinfo), base::Status::kCorrupt,
          "the JPEG data ends too early (truncated file)");
}
void jpeg_skip_bytes(j_decompress_ptr cinfo, long count) {
  if (count <= 0) return;
  if (static_cast<std::size_t>(count) > cinfo->src->bytes_in_buffer) jpeg_out_of_bytes(cinfo);
  cinfo->src->next_input_byte += count;
  cinfo->src->bytes_in_buffer -= static_cast<std::size_t>(count);
}
void jpeg_count_scans(j_common_ptr common) {
  if (!common->is_decompressor) return;
  const auto* cinfo = reinterpret_cast<j_decompress_ptr>(common);
  const std::int64_t scans = cinfo->input_scan_number;
  const std::int64_t pixels = static_cast<std::int64_t>(cinfo->image_width) * cinfo->image_height;
  if (scans > kMaxScans || (scans > 1 && scans * pixels > kMaxScannedPixels)) {
    give_up(common, base::Status::kOutOfMemory, "the JPEG has too many scans (a bomb?)");
  }
}
}

}  // namespace

struct JpegReader::State {
  jpeg_decompress_struct cinfo{};
  ErrorManager errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  int rows_read = 0;

  ~State() { jpeg_destroy_decompress(&cinfo); }
};

namespace {

// Nothing between setjmp and a longjmp owns anything: this frame, the step's, and libjpeg's.
template <typename Step>
bool run_fenced(std::jmp_buf& jump, const Step& step) {
  if (setjmp(jump) != 0) return false;
  step();
  return true;
}

}  // namespace

template <typename Step>
void JpegReader::fenced(Step step) {
  State& state = *state_;
  if (!run_fenced(state.errors.jump, [&state, &step] { step(state); })) {
    base::fail(state.errors.status, "{}: {}", name_, state.errors.message);
  }
}

bool is_jpeg(base::Bytes bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8} &&
         bytes[2] == std::byte{0xff};
}

JpegReader::JpegReader(base::Bytes bytes, std::string name, const DecodeLimits& limits)
    : state_(std::make_unique<State>()), name_(std::move(name)) {
  State& s = *state_;
  s.cinfo.err = jpeg_std_error(&s.errors.libjpeg);
  s.errors.libjpeg.error_exit = jpeg_error_exit;
  s.errors.libjpeg.output_message = jpeg_ignore_message;
  s.source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
  s.source.bytes_in_buffer = bytes.size();
  s.source.init_source = jpeg_no_op;
  s.source.fill_input_buffer = jpeg_out_of_bytes;
  s.source.skip_input_data = jpeg_skip_bytes;
  s.source.resync_to_restart = jpeg_resync_to_restart;
  s.source.term_source = jpeg_no_op;
  s.progress.progress_monitor = jpeg_count_scans;
  fenced([](State& state) {
    jpeg_create_decompress(&state.cinfo);
    state.cinfo.src = &state.source;
    state.cinfo.progress = &state.progress;
    jpeg_save_markers(&state.cinfo, kExifMarker, 0xffff);
    jpeg_read_header(&state.cinfo, TRUE);
  });
  const auto& cinfo = s.cinfo;
  if (static_cast<std::int64_t>(cinfo.image_width) * cinfo.image_height > limits.max_pixels) {
    base::fail(base::Status::kOutOfMemory, "{}: {} x {} pixels; at most {} pixels are accepted",
               name_, cinfo.image_width, cinfo.image_height, limits.max_pixels);
  }
  if (cinfo.num_components != 1 && cinfo.num_components != 3 && cinfo.num_components != 4) {
    base::fail(base::Status::kUnsupported, "{}: a JPEG of {} components; 1, 3 or 4 are accepted",
               name_, cinfo.num_components);
  }
  for (const jpeg_marker_struct* m = cinfo.marker_list; m != nullptr; m = m->next) {
    if (m->data_length < kExifPrefix || std::memcmp(m->data, "Exif\0", kExifPrefix) != 0) continue;
    const auto* tiff = reinterpret_cast<const std::byte*>(m->data) + kExifPrefix;
    orientation_ = exif_orientation({tiff, m->data_length - kExifPrefix});
    break;
  }
}

JpegReader::~JpegReader() = default;

int JpegReader::width() const {
  const auto& cinfo = state_->cinfo;
  return static_cast<int>(cinfo.output_width != 0 ? cinfo.output_width : cinfo.image_width);
}

int JpegReader::height() const {
  const auto& cinfo = state_->cinfo;
  return static_cast<int>(cinfo.output_height != 0 ? cinfo.output_height : cinfo.image_height);
}

void JpegReader::start(int denominator) {
  auto& cinfo = state_->cinfo;
  cinfo.out_color_space = cinfo.num_components == 4 ? JCS_CMYK : JCS_RGB;
  cinfo.scale_num = 1;
  cinfo.scale_denom = static_cast<unsigned>(denominator);
  fenced([](State& state) { jpeg_start_decompress(&state.cinfo); });
}

Range JpegReader::crop(Range wanted) {
  auto& cinfo = state_->cinfo;
  const int width = this->width();
  const int begin = std::max(wanted.begin - kCropMargin, 0);
  const int end = std::min(wanted.end + kCropMargin, width);
  if (begin == 0 && end == width) return {0, width};
  JDIMENSION offset = static_cast<JDIMENSION>(begin);
  JDIMENSION size = static_cast<JDIMENSION>(end - begin);
  fenced([&offset, &size](State& state) { jpeg_crop_scanline(&state.cinfo, &offset, &size); });
  return {static_cast<int>(offset), static_cast<int>(offset + cinfo.output_width)};
}

void JpegReader::skip(int rows) {
  if (rows == 0) return;
  fenced([rows](State& state) {
    if (jpeg_skip_scanlines(&state.cinfo, static_cast<JDIMENSION>(rows)) !=
        static_cast<JDIMENSION>(rows)) {
      give_up(reinterpret_cast<j_common_ptr>(&state.cinfo), base::Status::kCorrupt,
              "fewer rows than the header says");
    }
  });
}

void JpegReader::read(std::uint8_t* const* rows, int count) {
  const bool four = state_->cinfo.num_components == 4;
  if (four) cmyk_.resize(static_cast<std::size_t>(state_->cinfo.output_width) * 4);
  std::uint8_t* cmyk_row = cmyk_.data();
  fenced([rows, count, four, cmyk_row](State& state) {
    for (state.rows_read = 0; state.rows_read < count;) {
      JSAMPROW row = four ? cmyk_row : rows[state.rows_read];
      JSAMPARRAY target = four ? &row : const_cast<JSAMPARRAY>(rows + state.rows_read);
      const int most = four ? 1 : count - state.rows_read;
      const int got = static_cast<int>(
          jpeg_read_scanlines(&state.cinfo, target, static_cast<JDIMENSION>(most)));
      if (got == 0) {
        give_up(reinterpret_cast<j_common_ptr>(&state.cinfo), base::Status::kCorrupt,
                "fewer rows than the header says");
      }
      if (four) {
        cmyk_to_rgb(cmyk_row, static_cast<int>(state.cinfo.output_width), rows[state.rows_read]);
      }
      state.rows_read += got;
    }
  });
}

void JpegReader::finish() {
  fenced([](State& state) {
    const JDIMENSION left = state.cinfo.output_height - state.cinfo.output_scanline;
    if (left > 0) jpeg_skip_scanlines(&state.cinfo, left);
    jpeg_finish_decompress(&state.cinfo);
  });
}

std::optional<PhotoLayout> JpegReader::planes() const {
  const auto& cinfo = state_->cinfo;
  const jpeg_component_info* const parts = cinfo.comp_info;
  PhotoLayout layout;
  layout.width = width();
  layout.height = height();
  // libjpeg upsamples very small planes in another way.
  if (orientation_ != 1 || std::min(layout.width, layout.height) < kLeastPlanes) return {};
  layout.h = parts[0].h_samp_factor;
  layout.v = parts[0].v_samp_factor;
  if (cinfo.jpeg_color_space == JCS_GRAYSCALE && layout.h == 1 && layout.v == 1) {
    layout.kind = PhotoLayout::Kind::kGray;
  } else if (cinfo.jpeg_color_space == JCS_YCbCr && cinfo.num_components == 3 &&
             (layout.h == 1 || layout.h == 2) && (layout.v == 1 || layout.v == layout.h) &&
             parts[1].h_samp_factor == 1 && parts[1].v_samp_factor == 1 &&
             parts[2].h_samp_factor == 1 && parts[2].v_samp_factor == 1) {
    layout.kind = PhotoLayout::Kind::kYcc;
  } else {
    return {};
  }
  const int mcu_rows = (layout.height + DCTSIZE * layout.v - 1) / (DCTSIZE * layout.v);
  const int mcu_columns = (layout.width + DCTSIZE * layout.h - 1) / (DCTSIZE * layout.h);
  for (int i = 0; i < cinfo.num_components; ++i) {
    const int h = i == 0 ? layout.h : 1;
    const int v = i == 0 ? layout.v : 1;
    PhotoLayout::Plane& plane = layout.planes[static_cast<std::size_t>(i)];
    plane.width = (layout.width * h + layout.h - 1) / layout.h;
    plane.height = (layout.height * v + layout.v - 1) / layout.v;
    plane.pitch = static_cast<std::size_t>((mcu_columns * h * DCTSIZE + 15) / 16 * 16);
    plane.offset = layout.bytes;
    layout.bytes += plane.pitch * static_cast<std::size_t>(mcu_rows * v * DCTSIZE);
  }
  return layout;
}

void JpegReader::read_planes(const PhotoLayout& layout, std::uint8_t* dst) {
  fenced([&layout, dst](State& state) {
    auto& cinfo = state.cinfo;
    cinfo.raw_data_out = TRUE;
    cinfo.out_color_space = cinfo.jpeg_color_space;
    jpeg_start_decompress(&cinfo);
    constexpr int kMostRows = 2 * DCTSIZE;
    JSAMPROW rows[3][kMostRows];
    JSAMPARRAY planes[3] = {rows[0], rows[1], rows[2]};
    const int step = layout.v * DCTSIZE;
    for (int mcu_row = 0; cinfo.output_scanline < cinfo.output_height; ++mcu_row) {
      for (int i = 0; i < cinfo.num_components; ++i) {
        const PhotoLayout::Plane& plane = layout.planes[static_cast<std::size_t>(i)];
        const int count = i == 0 ? step : DCTSIZE;
        for (int r = 0; r < count; ++r) {
          rows[i][r] =
              dst + plane.offset + plane.pitch * static_cast<std::size_t>(mcu_row * count + r);
        }
      }
      if (jpeg_read_raw_data(&cinfo, planes, static_cast<JDIMENSION>(step)) == 0) {
        give_up(reinterpret_cast<j_common_ptr>(&cinfo), base::Status::kCorrupt,
                "fewer rows than the header says");
      }
    }
    jpeg_finish_decompress(&cinfo);
  });
}

}  // namespace pronghorn::image
