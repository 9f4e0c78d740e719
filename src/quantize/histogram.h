// SPDX-License-Identifier: Apache-2.0
// What calibration remembers of one tensor, and how a scale follows from it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quantize/quantize.h"

namespace pronghorn::quantize {

// Counts of values in bins of one power-of-two width around zero: bin i holds
// [i * width, (i + 1) * width) for -kBins <= i < kBins. When a value does not fit, the width
// doubles until it does and pairs of bins are merged. Counts are integers and the final width
// follows from the largest magnitude alone, so neither the order of values nor of merges shows in
// the result.
class Histogram {
 public:
  static constexpr int kBins = 4096;

  Histogram();
  // Returns false, leaving everything as it was, when a value is not finite.
  bool add(std::span<const float> values);
  void merge(const Histogram& other);

  float min() const { return min_; }  // of all values; 0 when there are none
  float max() const { return max_; }
  std::uint64_t count() const { return count_; }
  double width() const;
  const std::vector<std::uint64_t>& bins() const { return bins_; }  // 2 * kBins; [i + kBins]
  double centre(int bin) const { return (bin - kBins + 0.5) * width(); }
  bool operator==(const Histogram&) const = default;

 private:
  void widen(int exponent);

  int exponent_;
  float min_ = 0, max_ = 0;
  std::uint64_t count_ = 0;
  std::vector<std::uint64_t> bins_;
};

// A u8 tensor: real value (q - zero_point) * scale, q in [0, 255].
struct Scale {
  float scale = 1;
  std::int32_t zero_point = 0;
};

// `non_negative` fixes the zero point at 0. percentile is Options::percentile.
Scale choose_scale(const Histogram& histogram, bool non_negative, Method method, double percentile);

// The u8 scale that covers [lo, hi] and zero, which it represents exactly.
Scale scale_of_range(double lo, double hi, bool non_negative);

// Mean squared error of the histogram's values (bin centres) under a scale.
double squared_error(const Histogram& histogram, const Scale& scale);

// Fraction of values that a scale cannot represent within half a step.
double clipped_fraction(const Histogram& histogram, const Scale& scale);

}  // namespace pronghorn::quantize
