// SPDX-License-Identifier: Apache-2.0
#include "quantize/weights.h"

#include <algorithm>
#include <cmath>

#include "arith/requantize.h"

namespace pronghorn::quantize {
namespace {

// Round to nearest even for |x| < 2^22, as one addition and one subtraction that vectorise.
inline float round_small(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
  return (x + kMagic) - kMagic;
}

inline float level(float w, float scale) {
  const float q = round_small(std::min(std::max(w / scale, -128.0f), 128.0f));
  return std::min(std::max(q, static_cast<float>(arith::kWeightMin)),
                  static_cast<float>(arith::kWeightMax));
}

// One output channel: its weights, and the power of the input that each meets.
struct Row {
  std::span<const float> weights;
  std::span<const float> power;
};

double error_of(const Row& row, float scale) {
  double total = 0;
  constexpr std::size_t kBlock = 256;  // short binary32 sums, long binary64 ones
  for (std::size_t begin = 0; begin < row.weights.size(); begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, row.weights.size());
    float lanes[8] = {};
    std::size_t i = begin;
    for (; i + 8 <= end; i += 8) {
      for (std::size_t k = 0; k < 8; ++k) {
        const float w = row.weights[i + k];
        const float error = w - level(w, scale) * scale;
        lanes[k] += error * error * row.power[i + k];
      }
    }
    for (; i < end; ++i) {
      const float w = row.weights[i];
      const float error = w - level(w, scale) * scale;
      lanes[0] += error * error * row.power[i];
    }
    for (const float lane : lanes) total += lane;
  }
  return total;
}

float least_error_scale(const Row& row, float full) {
  float best = full;
  double least = error_of(row, full);
  for (int percent = 99; percent >= 60; --percent) {
    const float scale = full * static_cast<float>(percent) / 100.0f;
    const double error = error_of(row, scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

double deviation(std::span<const float> weights) {
  double square = 0;
  for (const float w : weights) square += static_cast<double>(w) * w;
  return std::sqrt(square / static_cast<double>(weights.size()));
}

// The least scale, from `scale` up, at which bias and accumulator stay inside s32 whatever the
// input: |acc| <= 255 * sum |q| + |bias|, with |q| <= |w| / s + 1/2.
float fit_s32(const Row& row, float scale, double bias, float src_scale) {
  constexpr double kLimit = 2147480000.0;
  double magnitude = 0;
  for (const float w : row.weights) magnitude += std::fabs(static_cast<double>(w));
  const double rounding = 127.5 * static_cast<double>(row.weights.size());
  const double least =
      (255.0 * magnitude + std::fabs(bias) / src_scale) / std::max(kLimit - rounding, 1.0);
  return std::max(scale, static_cast<float>(least * (1 + 1e-6)));
}

}  // namespace

QuantizedConv quantize_conv(std::span<const float> weights, std::span<const float> bias,
                            std::int64_t groups, float src_scale, const InputStatistics& statistics,
                            Method method, double max_deviation) {
  const std::size_t oc = bias.size();
  const std::size_t size = weights.size() / oc;
  const bool known = !statistics.mean.empty();
  const std::size_t ic = known ? statistics.mean.size() / static_cast<std::size_t>(groups) : 1;
  QuantizedConv q;
  q.weights.resize(weights.size());
  std::vector<float> power(size, 1.0f);
  std::vector<double> mean(size, 0.0);
  for (std::size_t o = 0; o < oc; ++o) {
    const std::size_t first = o / (oc / static_cast<std::size_t>(groups)) * ic;
    for (std::size_t i = 0; known && i < size; ++i) {
      power[i] = static_cast<float>(statistics.square[first + i % ic]);
      mean[i] = statistics.mean[first + i % ic];
    }
    const Row row{weights.subspan(o * size, size), power};
    float largest = 0;
    for (const float w : row.weights) largest = std::max(largest, std::fabs(w));
    // A channel of zeros carries only its bias: keep that to 24 bits.
    float scale = largest > 1e-30f
                      ? largest / static_cast<float>(arith::kWeightMax)
                      : std::max(1e-30f, std::fabs(bias[o]) / (src_scale * 8388608.0f));
    if (method == Method::kMse && largest > 1e-30f) scale = least_error_scale(row, scale);
    if (max_deviation > 0) {
      scale = std::max(scale, static_cast<float>(deviation(row.weights) / max_deviation));
    }
    scale = fit_s32(row, scale, bias[o], src_scale);
    double correction = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const float l = level(row.weights[i], scale);
      q.weights[o * size + i] = static_cast<std::int8_t>(l);
      correction +=
          (static_cast<double>(row.weights[i]) - static_cast<double>(l) * scale) * mean[i];
    }
    const float bias_scale =
        static_cast<float>(static_cast<double>(src_scale) * static_cast<double>(scale));
    q.weight_scale.push_back(scale);
    q.bias_scale.push_back(bias_scale);
    q.bias.push_back(static_cast<std::int32_t>(std::clamp(
        std::nearbyint((bias[o] + correction) / bias_scale), -2147483647.0, 2147483647.0)));
  }
  return q;
}

}  // namespace pronghorn::quantize
