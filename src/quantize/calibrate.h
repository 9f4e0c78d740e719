// SPDX-License-Identifier: Apache-2.0
// Runs a program over the calibration images, several at a time, with results that do not depend on
// how many.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "device/device.h"
#include "quantize/histogram.h"
#include "quantize/prepare.h"
#include "quantize/quantize.h"

namespace pronghorn::quantize {

// `prepared` with `values` as its outputs, compiled.
std::shared_ptr<const graph::Graph> with_outputs(const graph::Graph& graph,
                                                 const std::vector<graph::ValueId>& values);

// One image on its way: the outputs of every program, in the order of its graph's outputs.
struct Outputs {
  std::int64_t image = 0;
  int thread = 0;
  std::vector<std::vector<base::Buffer>>& buffers;  // [program][output]
};

// Feeds image after image to all programs: a program with a float32 input gets pixel - zero_point,
// one with a u8 input the pixels. `work` is called concurrently, `merge` after it in the order of
// the images, one at a time. The first exception of either ends the run and is rethrown.
void run_images(const std::vector<device::Program*>& programs, const Prepared& prepared,
                const Calibration& calibration, std::int64_t images, int threads,
                const std::function<void(const Outputs&)>& work,
                const std::function<void(const Outputs&)>& merge);

// What is known of one float tensor after calibration.
struct TensorStatistics {
  Histogram histogram;
  std::vector<double> mean, square;  // by channel: of x, of x^2
  std::vector<float> largest;        // by channel: |x|
};

// Statistics of `values` over the first `images` images; `logits` (may be null) receives the first
// graph output of each. Throws Error(kInvalidArgument) naming the tensor that holds a NaN or an
// infinity.
std::vector<TensorStatistics> observe(const Prepared& prepared,
                                      const std::vector<graph::ValueId>& values,
                                      const Calibration& calibration, std::int64_t images,
                                      int threads, device::Device& device,
                                      std::vector<std::vector<float>>* logits,
                                      const std::function<void()>& one_done);

}  // namespace pronghorn::quantize
