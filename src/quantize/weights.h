// SPDX-License-Identifier: Apache-2.0
// Convolution weights and bias to integers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "quantize/quantize.h"

namespace pronghorn::quantize {

struct QuantizedConv {
  std::vector<std::int8_t> weights;  // in [-127, 127], the float weights' order
  std::vector<float> weight_scale;   // by output channel
  std::vector<std::int32_t> bias;    // at scale src_scale * weight_scale[oc]
  std::vector<float> bias_scale;
};

// What is known of a convolution's input: per input channel of the whole tensor.
struct InputStatistics {
  std::vector<double> mean;
  std::vector<double> square;  // mean of x^2
};

// weights are [oc][kh][kw][ic / groups], bias [oc]. Scales cover the largest weight of a channel;
// kMse also tries smaller ones and takes the least error, each weight's error counted by its input
// channel's power. The bias takes back the mean error that rounding the weights makes on average
// inputs. A channel whose bias or accumulator could leave s32 gets a larger scale.
// `max_deviation` as in Options.
// `statistics` may be empty: all inputs then count alike and no mean error is known.
QuantizedConv quantize_conv(std::span<const float> weights, std::span<const float> bias,
                            std::int64_t groups, float src_scale, const InputStatistics& statistics,
                            Method method, double max_deviation = 0);

}  // namespace pronghorn::quantize
