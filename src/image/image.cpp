// SPDX-License-Identifier: Apache-2.0
#include "image/image.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <new>

#include "base/error.h"
#include "image/jpeg_reader.h"
#include "image/png_reader.h"
#include "image/resample.h"

namespace pronghorn::image {
namespace {

constexpr int kMaxSide = 16384;
constexpr int kRowsAtOnce = 16;  // of a decoder: a strip that stays in cache

// Where a pixel of the upright picture is in the stored one: mirrored along the upright axes first,
// then rows and columns exchanged.
struct Orientation {
  bool flip_x;
  bool flip_y;
  bool exchange;
};
constexpr std::array<Orientation, 9> kOrientations = {{{false, false, false},
                                                       {false, false, false},
                                                       {true, false, false},
                                                       {true, true, false},
                                                       {false, true, false},
                                                       {false, false, true},
                                                       {true, false, true},
                                                       {true, true, true},
                                                       {false, true, true}}};

Image oriented(const Image& src, const Orientation& how) {
  Image dst;
  dst.width = how.exchange ? src.height : src.width;
  dst.height = how.exchange ? src.width : src.height;
  dst.pixels.resize(src.pixels.size());
  const std::ptrdiff_t pixel = 3;
  const std::ptrdiff_t row = pixel * src.width;
  const std::ptrdiff_t step_x = (how.exchange ? row : pixel) * (how.flip_x ? -1 : 1);
  const std::ptrdiff_t step_y = (how.exchange ? pixel : row) * (how.flip_y ? -1 : 1);
  const std::uint8_t* corner = src.pixels.data();
  if (how.flip_x) corner -= step_x * (dst.width - 1);
  if (how.flip_y) corner -= step_y * (dst.height - 1);
  std::uint8_t* out = dst.pixels.data();
  for (int y = 0; y < dst.height; ++y) {
    const std::uint8_t* in = corner + step_y * y;
    for (int x = 0; x < dst.width; ++x, in += step_x, out += 3) std::memcpy(out, in, 3);
  }
  return dst;
}

[[noreturn]] void fail_format(base::Bytes bytes, const std::string& name) {
  if (bytes.empty()) base::fail(base::Status::kCorrupt, "{}: the file is empty", name);
  base::fail(base::Status::kUnsupported, "{}: neither JPEG nor PNG", name);
}

// The stored picture, not yet upright.
Image decode_stored(JpegReader& reader, int denominator) {
  reader.start(denominator);
  Image image;
  image.width = reader.width();
  image.height = reader.height();
  const std::size_t pitch = static_cast<std::size_t>(image.width) * 3;
  image.pixels.resize(pitch * static_cast<std::size_t>(image.height));
  std::array<std::uint8_t*, kRowsAtOnce> rows;
  for (int y = 0; y < image.height;) {
    const int count = std::min(kRowsAtOnce, image.height - y);
    for (int r = 0; r < count; ++r) {
      rows[r] = image.pixels.data() + pitch * static_cast<std::size_t>(y + r);
    }
    reader.read(rows.data(), count);
    y += count;
  }
  reader.finish();
  return image;
}

void push_image(const Image& image, Resampler& resampler) {
  const Range rows = resampler.rows();
  const std::size_t pitch = static_cast<std::size_t>(image.width) * 3;
  const std::size_t offset = static_cast<std::size_t>(resampler.columns().begin) * 3;
  // Less than kRowSlack bytes are behind the last rows: those are copied to where there is more.
  const int tail_rows = std::min(image.height, 1 + static_cast<int>((kRowSlack - 1) / pitch));
  const int tail_begin = image.height - tail_rows;
  const std::uint8_t* in_place = image.pixels.data();
  std::vector<std::uint8_t> tail(pitch * static_cast<std::size_t>(tail_rows) + kRowSlack);
  std::memcpy(tail.data(), in_place + pitch * static_cast<std::size_t>(tail_begin),
              pitch * static_cast<std::size_t>(tail_rows));
  std::array<const std::uint8_t*, kRowsAtOnce> src;
  for (int y = rows.begin; y < rows.end;) {
    const int count = std::min(kRowsAtOnce, rows.end - y);
    for (int r = 0; r < count; ++r) {
      const int row = y + r;
      src[r] = offset + (row < tail_begin
                             ? in_place + pitch * static_cast<std::size_t>(row)
                             : tail.data() + pitch * static_cast<std::size_t>(row - tail_begin));
    }
    resampler.push(src.data(), count);
    y += count;
  }
}

// Adds the seconds of its life to `sum`, unless that is null.
class Lap {
 public:
  explicit Lap(double* sum) : sum_(sum) {
    if (sum_ != nullptr) begin_ = std::chrono::steady_clock::now();
  }
  ~Lap() {
    if (sum_ == nullptr) return;
    *sum_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  Lap(const Lap&) = delete;
  Lap& operator=(const Lap&) = delete;

 private:
  double* sum_;
  std::chrono::steady_clock::time_point begin_;
};

// Strip by strip: what was decoded is resized while it is in the cache.
void push_jpeg(JpegReader& reader, Resampler& resampler, double* resize_seconds) {
  const Range rows = resampler.rows();
  const Range columns = resampler.columns();
  const Range given = reader.crop(columns);
  reader.skip(rows.begin);
  const std::size_t pitch = static_cast<std::size_t>(given.size()) * 3 + kRowSlack;
  std::vector<std::uint8_t> strip(pitch * kRowsAtOnce);
  std::array<std::uint8_t*, kRowsAtOnce> dst;
  std::array<const std::uint8_t*, kRowsAtOnce> src;
  for (int r = 0; r < kRowsAtOnce; ++r) {
    dst[r] = strip.data() + pitch * static_cast<std::size_t>(r);
    src[r] = dst[r] + 3 * (columns.begin - given.begin);
  }
  for (int y = rows.begin; y < rows.end;) {
    const int count = std::min(kRowsAtOnce, rows.end - y);
    reader.read(dst.data(), count);
    const Lap lap(resize_seconds);
    resampler.push(src.data(), count);
    y += count;
  }
  reader.finish();
}

// Half to even, as Python's round().
int center_offset(int size, int wanted) {
  const int twice = size - wanted;
  const int half = twice / 2;
  return twice % 2 == 0 ? half : half + half % 2;
}

// The strongest scaling which leaves at least as many pixels as the plan makes of them.
int choose_denominator(const ResizePlan& plan) {
  for (const int denominator : {8, 4, 2}) {
    if (plan.x.src / denominator >= plan.x.dst && plan.y.src / denominator >= plan.y.dst) {
      return denominator;
    }
  }
  return 1;
}

// The same stretch of a source that was scaled by 1 / denominator. The last pixel of the scaled
// source may lie half outside the picture; when mirrored it is the first.
Stretch scaled(Stretch stretch, int size, int denominator, bool mirrored) {
  const double extent = static_cast<double>(stretch.src) / denominator;
  stretch.from = mirrored ? size - extent : 0.0;
  stretch.to = mirrored ? size : extent;
  stretch.src = size;
  return stretch;
}

void resample(const Image& image, const ResizePlan& plan, Interpolation interpolation,
              std::uint8_t* dst, double* seconds = nullptr) {
  const Lap lap(seconds);
  Resampler resampler(plan.x, plan.y, interpolation);
  push_image(image, resampler);
  resampler.finish(dst);
}

int parse_number(std::string_view text, std::string_view whole_text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kMaxSide) {
    base::fail(base::Status::kInvalidArgument,
               "resize mode '{}': '{}' is not a number of pixels from 1 to {}", whole_text, text,
               kMaxSide);
  }
  return value;
}

}  // namespace

ResizeMode parse_resize(std::string_view text) {
  constexpr std::string_view kDirect = "direct:";
  constexpr std::string_view kShort = "short:";
  constexpr std::string_view kCrop = ",crop:";
  ResizeMode mode;
  if (text.starts_with(kDirect)) {
    mode.width = parse_number(text.substr(kDirect.size()), text);
    return mode;
  }
  const std::size_t comma = text.find(kCrop);
  if (!text.starts_with(kShort) || comma == std::string_view::npos) {
    base::fail(base::Status::kInvalidArgument,
               "resize mode '{}'; accepted are direct:W and short:S,crop:W, as in direct:224 or "
               "short:256,crop:224",
               text);
  }
  mode.short_side = parse_number(text.substr(kShort.size(), comma - kShort.size()), text);
  mode.width = parse_number(text.substr(comma + kCrop.size()), text);
  if (mode.short_side < mode.width) {
    base::fail(base::Status::kInvalidArgument,
               "resize mode '{}': the crop must not be larger than the short side", text);
  }
  return mode;
}

std::string to_string(const ResizeMode& mode) {
  if (mode.short_side == 0) return fmt::format("direct:{}", mode.width);
  return fmt::format("short:{},crop:{}", mode.short_side, mode.width);
}

ResizePlan plan_resize(const ResizeMode& mode, int width, int height) {
  if (mode.short_side == 0) return {whole(width, mode.width), whole(height, mode.width)};
  const int shorter = std::min(width, height);
  const int longer = std::max(width, height);
  const double scaled = static_cast<double>(static_cast<std::int64_t>(mode.short_side) * longer) /
                        static_cast<double>(shorter);
  const int new_longer = static_cast<int>(std::min(scaled, 1e9));
  const int new_width = width <= height ? mode.short_side : new_longer;
  const int new_height = width <= height ? new_longer : mode.short_side;
  ResizePlan plan = {whole(width, new_width), whole(height, new_height)};
  plan.x.wanted.begin = center_offset(new_width, mode.width);
  plan.y.wanted.begin = center_offset(new_height, mode.width);
  plan.x.wanted.end = plan.x.wanted.begin + mode.width;
  plan.y.wanted.end = plan.y.wanted.begin + mode.width;
  return plan;
}

namespace {

Image decode_any(base::Bytes bytes, const std::string& name, const DecodeLimits& limits) {
  if (is_png(bytes)) return decode_png(bytes, name, limits);
  if (!is_jpeg(bytes)) fail_format(bytes, name);
  JpegReader reader(bytes, name, limits);
  Image stored = decode_stored(reader, 1);
  if (reader.orientation() == 1) return stored;
  return oriented(stored, kOrientations[reader.orientation()]);
}

void load_any(base::Bytes bytes, const std::string& name, const ResizeMode& mode, std::uint8_t* dst,
              const DecodeLimits& limits, double* resize_seconds) {
  if (is_png(bytes)) {
    const Image image = decode_png(bytes, name, limits);
    resample(image, plan_resize(mode, image.width, image.height), mode.interpolation, dst,
             resize_seconds);
    return;
  }
  if (!is_jpeg(bytes)) fail_format(bytes, name);
  JpegReader reader(bytes, name, limits);
  const Orientation& how = kOrientations[reader.orientation()];
  ResizePlan plan = how.exchange ? plan_resize(mode, reader.height(), reader.width())
                                 : plan_resize(mode, reader.width(), reader.height());
  const int denominator = mode.scaled_decode ? choose_denominator(plan) : 1;
  if (reader.orientation() == 1) {
    reader.start(denominator);
    plan.x = scaled(plan.x, reader.width(), denominator, false);
    plan.y = scaled(plan.y, reader.height(), denominator, false);
    Resampler resampler(plan.x, plan.y, mode.interpolation);
    push_jpeg(reader, resampler, resize_seconds);
    const Lap lap(resize_seconds);
    resampler.finish(dst);
    return;
  }
  const Image image = oriented(decode_stored(reader, denominator), how);
  plan.x = scaled(plan.x, image.width, denominator, how.flip_x);
  plan.y = scaled(plan.y, image.height, denominator, how.flip_y);
  resample(image, plan, mode.interpolation, dst, resize_seconds);
}

// A single image too large for this machine is that image's error, not the program's.
template <typename Work>
auto within_memory(const std::string& name, const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    base::fail(base::Status::kOutOfMemory, "{}: not enough memory for its pixels", name);
  }
}

}  // namespace

Image decode(base::Bytes bytes, const std::string& name, const DecodeLimits& limits) {
  return within_memory(name, [&] { return decode_any(bytes, name, limits); });
}

void load(base::Bytes bytes, const std::string& name, const ResizeMode& mode, std::uint8_t* dst,
          const DecodeLimits& limits, double* resize_seconds) {
  within_memory(name, [&] { load_any(bytes, name, mode, dst, limits, resize_seconds); });
}

Image resize(const Image& src, int width, int height, Interpolation interpolation) {
  if (src.width < 1 || src.height < 1 || width < 1 || height < 1) {
    base::fail(base::Status::kInvalidArgument, "resize of {} x {} to {} x {}; each side is >= 1",
               src.width, src.height, width, height);
  }
  Image dst;
  dst.width = width;
  dst.height = height;
  dst.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  resample(src, {whole(src.width, width), whole(src.height, height)}, interpolation,
           dst.pixels.data());
  return dst;
}

}  // namespace pronghorn::image
