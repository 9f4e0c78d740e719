// SPDX-License-Identifier: Apache-2.0
// Measures what quantization did, layer by layer.
#pragma once

#include <functional>
#include <vector>

#include "device/device.h"
#include "quantize/calibrate.h"
#include "quantize/emit.h"
#include "quantize/quantize.h"

namespace pronghorn::quantize {

// SQNR is measured on the first this many images, which is plenty: each layer has thousands of
// values an image.
inline constexpr std::int64_t kReportImages = 64;

struct Measured {
  const Prepared& prepared;
  const Decisions& decisions;
  const Emitted& emitted;
  const std::map<graph::ValueId, const Histogram*>& histograms;
  const std::vector<std::vector<float>>& logits;  // of the float graph, by image
};

// `one_done` is called once for each of min(images, kReportImages) + images steps.
Report measure(const Measured& measured, const Calibration& calibration, int threads,
               device::Device& device, const std::function<void()>& one_done);

}  // namespace pronghorn::quantize
