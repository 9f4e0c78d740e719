// SPDX-License-Identifier: Apache-2.0
#include "quantize/histogram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "arith/requantize.h"

namespace pronghorn::quantize {
namespace {

// Narrow enough for any useful tensor, wide enough that no 1 / width overflows.
constexpr int kFirstExponent = -100;

// floor(x / 2^exponent) as an integer; the product is exact.
inline int bin_of(float x, float inverse) {
  const float scaled = x * inverse;
  const int toward_zero = static_cast<int>(scaled);
  return toward_zero - (scaled < static_cast<float>(toward_zero));
}

}  // namespace

Histogram::Histogram() : exponent_(kFirstExponent), bins_(2 * kBins) {}

double Histogram::width() const { return std::ldexp(1.0, exponent_); }

void Histogram::widen(int exponent) {
  const int shift = std::min(exponent - exponent_, 30);
  exponent_ = exponent;
  if (count_ == 0) return;
  std::vector<std::uint64_t> merged(bins_.size());
  for (int i = -kBins; i < kBins; ++i) {
    merged[static_cast<std::size_t>((i >> shift) + kBins)] +=
        bins_[static_cast<std::size_t>(i + kBins)];
  }
  bins_ = std::move(merged);
}

bool Histogram::add(std::span<const float> values) {
  if (values.empty()) return true;
  float lo = values[0], hi = values[0];
  bool finite = true;
  for (const float x : values) {
    lo = x < lo ? x : lo;
    hi = x > hi ? x : hi;
    finite = finite && std::fabs(x) <= std::numeric_limits<float>::max();
  }
  if (!finite) return false;
  int exponent = exponent_;
  while (std::floor(std::ldexp(static_cast<double>(lo), -exponent)) < -kBins ||
         std::floor(std::ldexp(static_cast<double>(hi), -exponent)) >= kBins) {
    ++exponent;
  }
  if (exponent > exponent_) widen(exponent);

  // Equal neighbours (a ReLU's zeros) would make each increment wait for the one before: take
  // turns.
  std::array<std::vector<std::uint32_t>, 4> turns;
  for (auto& turn : turns) turn.resize(bins_.size());
  const float inverse = std::ldexp(1.0f, -exponent_);
  const std::size_t whole = values.size() / 4 * 4;
  for (std::size_t i = 0; i < whole; i += 4) {
    for (std::size_t k = 0; k < 4; ++k) {
      ++turns[k][static_cast<std::size_t>(bin_of(values[i + k], inverse) + kBins)];
    }
  }
  for (std::size_t i = whole; i < values.size(); ++i) {
    ++turns[0][static_cast<std::size_t>(bin_of(values[i], inverse) + kBins)];
  }
  for (std::size_t i = 0; i < bins_.size(); ++i) {
    for (const auto& turn : turns) bins_[i] += turn[i];
  }
  min_ = count_ ? std::min(min_, lo) : lo;
  max_ = count_ ? std::max(max_, hi) : hi;
  count_ += values.size();
  return true;
}

void Histogram::merge(const Histogram& other) {
  if (other.count_ == 0) return;
  Histogram aligned = other;
  if (aligned.exponent_ < exponent_) aligned.widen(exponent_);
  if (aligned.exponent_ > exponent_) widen(aligned.exponent_);
  for (std::size_t i = 0; i < bins_.size(); ++i) bins_[i] += aligned.bins_[i];
  min_ = count_ ? std::min(min_, other.min_) : other.min_;
  max_ = count_ ? std::max(max_, other.max_) : other.max_;
  count_ += other.count_;
}

Scale scale_of_range(double lo, double hi, bool non_negative) {
  lo = non_negative ? 0.0 : std::min(lo, 0.0);
  hi = std::max(hi, 0.0);
  // An all-zero tensor may have any scale; denormal ones would lose their precision.
  const double scale = (hi - lo) / 255.0;
  if (scale < 1e-30) return {1.0f, 0};
  return {static_cast<float>(scale),
          static_cast<std::int32_t>(std::clamp(std::nearbyint(-lo / scale), 0.0, 255.0))};
}

double squared_error(const Histogram& h, const Scale& s) {
  double sum = 0;
  for (int i = 0; i < 2 * Histogram::kBins; ++i) {
    const std::uint64_t n = h.bins()[static_cast<std::size_t>(i)];
    if (n == 0) continue;
    const double x = h.centre(i);
    const std::int32_t q =
        arith::quantize(static_cast<float>(x), s.scale, s.zero_point, arith::kU8);
    const double error = x - static_cast<double>(q - s.zero_point) * s.scale;
    sum += static_cast<double>(n) * error * error;
  }
  return h.count() ? sum / static_cast<double>(h.count()) : 0.0;
}

double clipped_fraction(const Histogram& h, const Scale& s) {
  const double lo = (-0.5 - s.zero_point) * static_cast<double>(s.scale);
  const double hi = (255.5 - s.zero_point) * static_cast<double>(s.scale);
  std::uint64_t outside = 0;
  for (int i = 0; i < 2 * Histogram::kBins; ++i) {
    if (h.centre(i) < lo || h.centre(i) > hi) outside += h.bins()[static_cast<std::size_t>(i)];
  }
  return h.count() ? static_cast<double>(outside) / static_cast<double>(h.count()) : 0.0;
}

namespace {

// The least magnitude that `fraction` of all values stay below, to a bin's width.
double percentile_of_magnitude(const Histogram& h, double fraction) {
  const auto wanted = static_cast<std::uint64_t>(fraction * static_cast<double>(h.count()) + 0.5);
  std::uint64_t below = 0;
  for (int i = 0; i < Histogram::kBins; ++i) {
    below += h.bins()[static_cast<std::size_t>(Histogram::kBins + i)];
    below += h.bins()[static_cast<std::size_t>(Histogram::kBins - 1 - i)];
    if (below >= wanted) return (i + 1) * h.width();
  }
  return Histogram::kBins * h.width();
}

// Walks each end of the range from the extreme towards zero and keeps the best; the two ends are
// searched in turn, because the best step for one depends on the other.
Scale least_error_scale(const Histogram& h, bool non_negative) {
  constexpr int kSteps = 160;
  double lo = std::min(h.min(), 0.0f), hi = std::max(h.max(), 0.0f);
  Scale best = scale_of_range(lo, hi, non_negative);
  double least = squared_error(h, best);
  const auto search = [&](double& end) {
    const double extreme = end;
    double chosen = end;
    for (int i = kSteps; i-- > 8;) {
      end = extreme * i / kSteps;
      const Scale scale = scale_of_range(lo, hi, non_negative);
      const double error = squared_error(h, scale);
      if (error < least) {
        least = error;
        best = scale;
        chosen = end;
      }
    }
    end = chosen;
  };
  search(hi);
  if (!non_negative) {
    search(lo);
    search(hi);
  }
  return best;
}

}  // namespace

Scale choose_scale(const Histogram& h, bool non_negative, Method method, double percentile) {
  switch (method) {
    case Method::kMinMax:
      break;
    case Method::kPercentile: {
      const double bound = percentile_of_magnitude(h, percentile / 100.0);
      return scale_of_range(std::max(static_cast<double>(h.min()), -bound),
                            std::min(static_cast<double>(h.max()), bound), non_negative);
    }
    case Method::kMse:
      return least_error_scale(h, non_negative);
  }
  return scale_of_range(h.min(), h.max(), non_negative);
}

}  // namespace pronghorn::quantize
