// SPDX-License-Identifier: Apache-2.0
// The arithmetic is that of Pillow's Image.resize for 8-bit images, so that models meet the pixels
// which they were trained with: weights in binary64, normalised, rounded to 22 fraction bits;
// columns first, rounded to 8 bits, then rows.
#include "image/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace pronghorn::image {
namespace {

const ResizeKernels& choose_kernels() {
  const char* forced = std::getenv("PRONGHORN_ISA");
  if (forced != nullptr && std::string_view(forced) == kResizePortable.name) return kResizePortable;
  return __builtin_cpu_supports("avx2") ? kResizeAvx2 : kResizePortable;
}

}  // namespace

const ResizeKernels& resize_kernels() {
  static const ResizeKernels& kernels = choose_kernels();
  return kernels;
}

Axis Resampler::Weights::axis() const {
  return {first.data(), weights.data(), parts.data(), static_cast<int>(first.size()), taps};
}

Range Resampler::Weights::source() const {
  const auto [low, high] = std::minmax_element(first.begin(), first.end());
  return {*low, *high + taps};
}

Resampler::Weights Resampler::triangle(const Stretch& stretch) {
  const double scale = (stretch.to - stretch.from) / stretch.dst;
  const double filter_scale = std::max(scale, 1.0);
  const double support = filter_scale;
  struct Taps {
    int begin;
    int end;
  };
  const int count = stretch.wanted.size();
  std::vector<Taps> taps(count);
  Weights result;
  for (int i = 0; i < count; ++i) {
    const double center = stretch.from + (stretch.wanted.begin + i + 0.5) * scale;
    taps[i].begin = std::max(static_cast<int>(center - support + 0.5), 0);
    taps[i].end = std::min(static_cast<int>(center + support + 0.5), stretch.src);
    result.taps = std::max(result.taps, taps[i].end - taps[i].begin);
  }
  result.taps += result.taps % 2;
  result.first.resize(count);
  result.weights.resize(static_cast<std::size_t>(count) * result.taps);
  result.parts.resize(result.weights.size() * 2);
  std::vector<double> exact(result.taps);
  for (int i = 0; i < count; ++i) {
    const auto [begin, end] = taps[i];
    const double center = stretch.from + (stretch.wanted.begin + i + 0.5) * scale;
    const double inverse = 1.0 / filter_scale;
    double sum = 0.0;
    for (int t = begin; t < end; ++t) {
      exact[t - begin] = std::max(1.0 - std::abs((t - center + 0.5) * inverse), 0.0);
      sum += exact[t - begin];
    }
    // Surplus taps must not reach beyond the source, as long as the source has that many pixels.
    const int first = std::max(std::min(begin, stretch.src - result.taps), 0);
    result.first[i] = first;
    std::int32_t* weights = &result.weights[static_cast<std::size_t>(i) * result.taps];
    for (int t = begin; t < end; ++t) {
      const double weight = sum != 0.0 ? exact[t - begin] / sum : exact[t - begin];
      weights[t - first] = static_cast<std::int32_t>(0.5 + weight * (1 << kWeightBits));
    }
    std::int16_t* parts = &result.parts[static_cast<std::size_t>(i) * result.taps * 2];
    for (int t = 0; t < result.taps; ++t) {
      const std::int32_t weight = std::min(weights[t], (1 << kWeightBits) - 1);
      parts[t / 2 * 4 + t % 2] = static_cast<std::int16_t>(weight & ((1 << kLowBits) - 1));
      parts[t / 2 * 4 + 2 + t % 2] = static_cast<std::int16_t>(weight >> kLowBits);
    }
  }
  return result;
}

Taps triangle_taps(const Stretch& stretch) {
  Resampler::Weights weights = Resampler::triangle(stretch);
  return {std::move(weights.first), std::move(weights.weights), weights.taps};
}

// Positions are summed up one after another, as Pillow does: its rounding errors are part of it.
Resampler::Weights Resampler::nearest(const Stretch& stretch) {
  const double scale = (stretch.to - stretch.from) / stretch.dst;
  Weights result;
  result.taps = 1;
  double position = stretch.from + scale * 0.5;
  for (int i = 0; i < stretch.wanted.end; ++i, position += scale) {
    if (i < stretch.wanted.begin) continue;
    result.first.push_back(std::clamp(static_cast<int>(position), 0, stretch.src - 1));
  }
  return result;
}

Resampler::Resampler(const Stretch& x, const Stretch& y, Interpolation interpolation) {
  const bool bilinear = interpolation == Interpolation::kBilinear;
  kernels_ = bilinear ? &resize_kernels() : nullptr;
  x_ = bilinear ? triangle(x) : nearest(x);
  y_ = bilinear ? triangle(y) : nearest(y);
  rows_ = y_.source();
  columns_ = x_.source();
  rows_.end = std::min(rows_.end, y.src);  // taps may be more than a tiny source has pixels
  columns_.end = std::min(columns_.end, x.src);
  for (std::int32_t& first : x_.first) first -= columns_.begin;
  for (std::int32_t& first : y_.first) first -= rows_.begin;
  pitch_ = static_cast<std::ptrdiff_t>(x.wanted.size()) * 3 + kRowSlack;
  intermediate_.resize(static_cast<std::size_t>(pitch_) * rows_.size());
}

void Resampler::push(const std::uint8_t* const* src, int count) {
  if (count > rows_.size() - pushed_) {
    base::fail(base::Status::kInternal, "resampler: {} rows pushed, {} are left", count,
               rows_.size() - pushed_);
  }
  if (kernels_ == nullptr) {
    for (int r = 0; r < count; ++r) {
      std::uint8_t* dst = intermediate(pushed_ + r);
      for (const std::int32_t first : x_.first) {
        std::memcpy(dst, src[r] + 3 * static_cast<std::ptrdiff_t>(first), 3);
        dst += 3;
      }
    }
    pushed_ += count;
    return;
  }
  constexpr int kRows = 16;
  std::array<std::uint8_t*, kRows> dst;
  for (int done = 0; done < count;) {
    const int some = std::min(kRows, count - done);
    for (int r = 0; r < some; ++r) dst[r] = intermediate(pushed_ + r);
    kernels_->horizontal(x_.axis(), src + done, some, dst.data());
    pushed_ += some;
    done += some;
  }
}

void Resampler::finish(std::uint8_t* dst) {
  if (pushed_ != rows_.size()) {
    base::fail(base::Status::kInternal, "resampler: {} of {} rows pushed", pushed_, rows_.size());
  }
  const int bytes = static_cast<int>(x_.first.size()) * 3;
  if (kernels_ == nullptr) {
    for (const std::int32_t first : y_.first) {
      std::memcpy(dst, intermediate(first), bytes);
      dst += bytes;
    }
    return;
  }
  const Axis axis = y_.axis();
  std::vector<const std::uint8_t*> rows(axis.taps);
  for (int i = 0; i < axis.count; ++i, dst += bytes) {
    for (int t = 0; t < axis.taps; ++t) {
      rows[t] = intermediate(std::min(axis.first[i] + t, rows_.size() - 1));
    }
    kernels_->vertical(axis, i, rows.data(), bytes, dst);
  }
}

}  // namespace pronghorn::image
