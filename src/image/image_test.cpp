// SPDX-License-Identifier: Apache-2.0
#include "image/image.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "base/error.h"
#include "image/encode_for_test.h"
#include "image/jpeg_reader.h"

namespace pronghorn::image {
namespace {

using base::Status;
using testing::ByteVector;
using testing::cut;
using testing::jpeg;
using testing::JpegOptions;
using testing::picture;
using testing::png;

base::Status status_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const base::Error& error) {
    return error.status();
  }
  return Status{0};
}

Image loaded(base::Bytes bytes, const ResizeMode& mode) {
  Image image{mode.width, mode.width, {}};
  const std::size_t size = static_cast<std::size_t>(mode.width) * mode.width * 3;
  image.pixels.assign(size + 1, 99);
  load(bytes, "test", mode, image.pixels.data());
  EXPECT_EQ(image.pixels.back(), 99) << "wrote behind the end";
  image.pixels.pop_back();
  return image;
}

// ---- against Pillow ----------------------------------------------------------------------------

ByteVector fixture(const std::string& name) {
  std::ifstream file("tests/data/images/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name << ": tests run in the root of the source tree";
  std::stringstream content;
  content << file.rdbuf();
  const std::string text = content.str();
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return ByteVector(begin, begin + text.size());
}

class Fixture : public ::testing::TestWithParam<const char*> {};

TEST_P(Fixture, EqualsPillow) {
  const std::string file = GetParam();
  const std::string name = file.substr(0, file.find('.'));
  const auto wanted = [&name](const std::string& what) {
    return decode(fixture(name + "." + what + ".png"), what);
  };
  const ByteVector bytes = fixture(file);
  const Image decoded = decode(bytes, file);
  EXPECT_EQ(decoded.width, wanted("decoded").width);
  EXPECT_EQ(decoded.pixels, wanted("decoded").pixels);
  ResizeMode direct = parse_resize("direct:16");
  EXPECT_EQ(loaded(bytes, direct).pixels, wanted("direct16").pixels);
  EXPECT_EQ(loaded(bytes, parse_resize("short:20,crop:16")).pixels, wanted("short20crop16").pixels);
  direct.interpolation = Interpolation::kNearest;
  EXPECT_EQ(loaded(bytes, direct).pixels, wanted("nearest16").pixels);
}

INSTANTIATE_TEST_SUITE_P(Files, Fixture,
                         ::testing::Values("baseline420.jpg", "progressive422.jpg", "gray.jpg",
                                           "cmyk.jpg", "orientation6.jpg", "palette.png",
                                           "gray16.png"));

// ---- resize modes ------------------------------------------------------------------------------

TEST(ResizeModeText, RoundTrip) {
  for (const char* text : {"direct:224", "short:256,crop:224", "direct:1", "short:224,crop:224"}) {
    EXPECT_EQ(to_string(parse_resize(text)), text);
  }
}

TEST(ResizeModeText, RefusesEverythingElse) {
  for (const char* text : {"", "224", "direct", "direct:", "direct:0", "direct:-1", "direct:x",
                           "direct:224x", "direct:99999999999", "short:256", "short:256,crop:",
                           "short:200,crop:224", "crop:224", "direct:224,crop:224"}) {
    EXPECT_EQ(status_of([&] { parse_resize(text); }), Status::kInvalidArgument) << text;
  }
}

TEST(Load, ShortAndCropFollowTorchvision) {
  // 100 x 37 to a short side of 20: int(20 * 100 / 37) = 54 columns; the crop of 15 starts at
  // column round(39 / 2.0) = round(19.5) = 20 and row round(5 / 2.0) = round(2.5) = 2.
  const Image src = picture(100, 37);
  const Image whole = resize(src, 54, 20, Interpolation::kBilinear);
  const Image got = loaded(png(src), parse_resize("short:20,crop:15"));
  EXPECT_EQ(got.pixels, cut(whole, 20, 2, 15, 15).pixels);
}

// ---- JPEG --------------------------------------------------------------------------------------

// What load() leaves out, columns, rows, must not change what it keeps.
TEST(Load, EqualsDecodeThenResizeThenCrop) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 150; ++i) {
    JpegOptions options;
    options.h_samples = 1 + random() % 2;
    options.v_samples = 1 + random() % 2;
    options.progressive = random() % 3 == 0;
    options.gray = random() % 5 == 0;
    options.orientation = random() % 4 == 0 ? 1 + random() % 8 : 0;
    const int width = 1 + random() % 400;
    const int height = 1 + random() % 300;
    const ByteVector bytes = jpeg(picture(width, height, random()), options);
    ResizeMode mode;
    mode.width = 1 + random() % 80;
    mode.short_side = random() % 4 == 0 ? 0 : mode.width + random() % 40;
    mode.interpolation = random() % 4 == 0 ? Interpolation::kNearest : Interpolation::kBilinear;
    const Image decoded = decode(bytes, "test");
    Image wanted;
    if (mode.short_side == 0) {
      wanted = resize(decoded, mode.width, mode.width, mode.interpolation);
    } else {
      const bool tall = decoded.width <= decoded.height;
      const int shorter = std::min(decoded.width, decoded.height);
      const int longer = mode.short_side * std::max(decoded.width, decoded.height) / shorter;
      wanted = resize(decoded, tall ? mode.short_side : longer, tall ? longer : mode.short_side,
                      mode.interpolation);
      const auto offset = [&mode](int size) {
        return static_cast<int>(std::nearbyint((size - mode.width) / 2.0));
      };
      wanted = cut(wanted, offset(wanted.width), offset(wanted.height), mode.width, mode.width);
    }
    ASSERT_EQ(loaded(bytes, mode).pixels, wanted.pixels)
        << width << "x" << height << " " << to_string(mode) << " samples " << options.h_samples
        << options.v_samples << " progressive " << options.progressive << " gray " << options.gray
        << " orientation " << options.orientation;
  }
}

TEST(Load, ScaledDecodeStaysClose) {
  for (const int orientation : {1, 6}) {
    JpegOptions options;
    options.orientation = orientation;
    options.quality = 95;
    Image smooth{803, 601, {}};
    for (int y = 0; y < smooth.height; ++y) {
      for (int x = 0; x < smooth.width; ++x) {
        smooth.pixels.push_back(static_cast<std::uint8_t>(x * 255 / 803));
        smooth.pixels.push_back(static_cast<std::uint8_t>(y * 255 / 601));
        smooth.pixels.push_back(static_cast<std::uint8_t>((x + y) * 255 / 1404));
      }
    }
    const ByteVector bytes = jpeg(smooth, options);
    for (const char* text : {"direct:96", "short:70,crop:64", "direct:300"}) {
      ResizeMode mode = parse_resize(text);
      const Image exact = loaded(bytes, mode);
      mode.scaled_decode = true;
      const Image fast = loaded(bytes, mode);
      int worst = 0;
      for (std::size_t i = 0; i < exact.pixels.size(); ++i) {
        worst = std::max(worst, std::abs(exact.pixels[i] - fast.pixels[i]));
      }
      // A whole scaled pixel's shift would be 2 levels and more; edges differ most.
      EXPECT_LE(worst, 3) << text << " orientation " << orientation;
      // 803 / 2 >= 300 but 601 / 2 >= 300 too: scaled in every mode, so something differs.
      EXPECT_NE(exact.pixels, fast.pixels) << text;
    }
  }
}

TEST(Load, ScaledDecodeIsExactWhenNothingCanBeScaled) {
  const ByteVector bytes = jpeg(picture(100, 80));
  ResizeMode mode = parse_resize("direct:64");
  const Image exact = loaded(bytes, mode);
  mode.scaled_decode = true;
  EXPECT_EQ(loaded(bytes, mode).pixels, exact.pixels);
}

TEST(Decode, EveryOrientationIsTurnedUpright) {
  const Image stored = decode(jpeg(picture(41, 29)), "test");
  const auto pixel = [](const Image& image, int x, int y) {
    const auto* p = &image.pixels[(static_cast<std::size_t>(y) * image.width + x) * 3];
    return std::array<int, 3>{p[0], p[1], p[2]};
  };
  for (int orientation = 1; orientation <= 8; ++orientation) {
    JpegOptions options;
    options.orientation = orientation;
    options.big_endian = orientation % 2 == 0;
    const Image upright = decode(jpeg(picture(41, 29), options), "test");
    ASSERT_EQ(upright.width, orientation < 5 ? 41 : 29);
    ASSERT_EQ(upright.height, orientation < 5 ? 29 : 41);
    // Where EXIF says that the stored row 0 and column 0 are seen.
    const bool row_at_end =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const bool column_at_end =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    for (int y = 0; y < stored.height; ++y) {
      for (int x = 0; x < stored.width; ++x) {
        const int row = row_at_end ? stored.height - 1 - y : y;
        const int column = column_at_end ? stored.width - 1 - x : x;
        ASSERT_EQ(pixel(upright, orientation < 5 ? column : row, orientation < 5 ? row : column),
                  pixel(stored, x, y))
            << "orientation " << orientation;
      }
    }
  }
}

// ---- bad input ---------------------------------------------------------------------------------

TEST(BadInput, EmptyAndWrongFormats) {
  EXPECT_EQ(status_of([] { decode({}, "test"); }), Status::kCorrupt);
  for (const std::string text : {"GIF89a", "\xff", "hello", "\x89PNG"}) {
    const base::Bytes bytes = std::as_bytes(std::span(text.data(), text.size()));
    EXPECT_EQ(status_of([&] { decode(bytes, "test"); }), Status::kUnsupported) << text;
  }
}

TEST(BadInput, MessagesNameTheImage) {
  try {
    decode({}, "holiday.jpg");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find("holiday.jpg"), std::string::npos);
  }
}

TEST(BadInput, EveryTruncationOfAJpegIsAnError) {
  for (const bool progressive : {false, true}) {
    JpegOptions options;
    options.progressive = progressive;
    const ByteVector whole = jpeg(picture(40, 30), options);
    const ResizeMode mode = parse_resize("short:20,crop:8");  // needs no bottom rows
    for (std::size_t size = 3; size < whole.size(); ++size) {
      const base::Bytes part = base::Bytes(whole).first(size);
      ASSERT_EQ(status_of([&] { decode(part, "test"); }), Status::kCorrupt) << size;
      ASSERT_EQ(status_of([&] { loaded(part, mode); }), Status::kCorrupt) << size;
    }
  }
}

TEST(BadInput, EveryTruncationOfAPngIsAnError) {
  for (const bool interlaced : {false, true}) {
    const ByteVector whole = png(picture(20, 15), interlaced);
    for (std::size_t size = 8; size < whole.size(); ++size) {
      const base::Bytes part = base::Bytes(whole).first(size);
      ASSERT_EQ(status_of([&] { decode(part, "test"); }), Status::kCorrupt) << size;
    }
  }
}

TEST(BadInput, GarbageBehindAJpegIsIgnored) {
  ByteVector bytes = jpeg(picture(40, 30));
  const Image clean = decode(bytes, "test");
  for (int i = 0; i < 1000; ++i) bytes.push_back(static_cast<std::byte>(i * 7));
  EXPECT_EQ(decode(bytes, "test").pixels, clean.pixels);
}

// The position of the frame header's height in a JPEG.
std::size_t frame_height_at(const ByteVector& bytes) {
  for (std::size_t i = 2; i + 9 < bytes.size(); ++i) {
    const bool frame = bytes[i + 1] == std::byte{0xc0} || bytes[i + 1] == std::byte{0xc2};
    if (bytes[i] == std::byte{0xff} && frame) return i + 5;
  }
  ADD_FAILURE() << "no frame header";
  return 0;
}

TEST(BadInput, DecompressionBombsAreRefusedByTheHeader) {
  for (const bool progressive : {false, true}) {
    JpegOptions options;
    options.progressive = progressive;
    ByteVector bytes = jpeg(picture(40, 30), options);
    const std::size_t at = frame_height_at(bytes);
    for (int i = 0; i < 4; i += 2) {  // 65500 x 65500
      bytes[at + i] = std::byte{0xff};
      bytes[at + i + 1] = std::byte{0xdc};
    }
    EXPECT_EQ(status_of([&] { decode(bytes, "test"); }), Status::kOutOfMemory);
    EXPECT_EQ(status_of([&] { loaded(bytes, ResizeMode{}); }), Status::kOutOfMemory);
  }
  ByteVector bytes = png(picture(40, 30));
  for (int i = 16; i < 24; i += 4) bytes[i] = std::byte{0x7f};  // 2 gigapixels a side
  EXPECT_THROW(decode(bytes, "test"), base::Error);
}

TEST(BadInput, TheLimitDecidesOnLargeImages) {
  Image even{10000, 5000, {}};
  even.pixels.assign(std::size_t{10000} * 5000 * 3, 90);
  const ByteVector as_jpeg = jpeg(even, {.quality = 20});
  const ByteVector as_png = png(Image{1000, 500, std::vector<std::uint8_t>(1000 * 500 * 3, 90)});
  EXPECT_NEAR(loaded(as_jpeg, ResizeMode{}).pixels[0], 90, 4);
  std::vector<std::uint8_t> dst(224 * 224 * 3);
  const auto load_with = [&](const ByteVector& bytes, std::int64_t pixels) {
    return status_of([&] { load(bytes, "test", ResizeMode{}, dst.data(), {pixels}); });
  };
  EXPECT_EQ(load_with(as_jpeg, 50'000'000), Status{0});
  EXPECT_EQ(load_with(as_jpeg, 49'999'999), Status::kOutOfMemory);
  EXPECT_EQ(load_with(as_png, 500'000), Status{0});
  EXPECT_EQ(load_with(as_png, 499'999), Status::kOutOfMemory);
}

TEST(BadInput, ThousandsOfScansAreRefused) {
  JpegOptions options;
  options.progressive = true;
  const ByteVector whole = jpeg(picture(64, 64), options);
  // The last scan again and again.
  std::size_t last = 0;
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
    if (whole[i] == std::byte{0xff} && whole[i + 1] == std::byte{0xda}) last = i;
  }
  const auto repeated = [&](int times) {
    ByteVector bytes(whole.begin(), whole.end() - 2);
    for (int i = 0; i < times; ++i)
      bytes.insert(bytes.end(), whole.begin() + last, whole.end() - 2);
    bytes.insert(bytes.end(), whole.end() - 2, whole.end());
    return bytes;
  };
  EXPECT_EQ(status_of([&] { decode(repeated(50), "test"); }), Status{0});
  EXPECT_EQ(status_of([&] { decode(repeated(5000), "test"); }), Status::kOutOfMemory);
}

TEST(BadInput, RandomDamageNeverCrashes) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::vector<ByteVector> whole = {png(picture(30, 20)), png(picture(30, 20), true)};
  for (const bool progressive : {false, true}) {
    whole.push_back(jpeg(picture(60, 50), {.progressive = progressive, .orientation = 7}));
  }
  ResizeMode mode = parse_resize("short:20,crop:16");
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    ByteVector bytes = whole[random() % whole.size()];
    for (int k = 1 + random() % 4; k > 0; --k) {
      bytes[8 + random() % (bytes.size() - 8)] = static_cast<std::byte>(random());
    }
    mode.scaled_decode = random() % 2 == 0;
    std::vector<std::uint8_t> dst(16 * 16 * 3);
    try {
      load(bytes, "test", mode, dst.data(), {1'000'000});
    } catch (const base::Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_LT(refused, 4000);
}

TEST(BadInput, ResizeToNothingIsRefused) {
  EXPECT_EQ(status_of([] { resize(picture(4, 4), 0, 4, Interpolation::kBilinear); }),
            Status::kInvalidArgument);
  EXPECT_EQ(status_of([] { resize(Image{}, 4, 4, Interpolation::kBilinear); }),
            Status::kInvalidArgument);
}

}  // namespace
}  // namespace pronghorn::image
