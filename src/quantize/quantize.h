// SPDX-License-Identifier: Apache-2.0
// Post-training quantization: float graph and calibration images in, QDQ graph and report out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "device/device.h"
#include "graph/graph.h"

namespace pronghorn::quantize {

enum class Method { kMinMax, kPercentile, kMse };

struct Options {
  Method method = Method::kMse;
  double percentile = 99.999;  // of |x|, kPercentile only; in (50, 100]
  // The most that the weights of an output channel may deviate from zero (root mean square), in
  // steps of their scale; 0: no limit. Evenly spread channels have 40 to 60 steps; with 28 kernels
  // that add products in 16 bits (AVX2) run about a fifth faster, for less than a bit of precision.
  double max_deviation = 0;
  bool equalize = true;  // cross-layer equalisation where it lowers the weights' error
  bool report = true;    // measure SQNR on the calibration images (one more pass)
  int threads = 0;       // 0: every core. The result does not depend on it.
};

// Calibration data in memory: `count` images of the graph's input size, u8 RGB, NHWC; or `tensors`,
// the float input itself, NHWC, of any number of channels.
struct Calibration {
  const std::uint8_t* images = nullptr;
  std::int64_t count = 0;
  const float* tensors = nullptr;
};

struct LayerReport {
  std::string node;  // of the float graph after fusion
  std::string op;
  float scale = 0;  // of its quantized output
  std::int32_t zero_point = 0;
  std::string dtype;               // "uint8", "int8", "float32" (logits)
  double clipped = 0;              // fraction of output values outside the representable range
  double sqnr_alone_db = 0;        // this layer quantized, all before it float
  double sqnr_accumulated_db = 0;  // everything up to here quantized
};

struct Report {
  std::vector<LayerReport> layers;
  double top1_agreement = 0;  // of the quantized with the float graph, on the calibration images
  std::int64_t images = 0;
};
std::string to_json(const Report& report);   // schema in docs/quantization.md
std::string to_table(const Report& report);  // for people, worst layers marked

// `graph` is float, with preprocess set. `device` runs the float and the quantized graph.
// `progress(done, total)` is called from one thread. Throws Error(kInvalidArgument) for no images,
// a graph that is already quantized, or one without preprocess.
// The result's input is the raw u8 RGB image: means become zero points, the rest of the preprocess
// is folded into the first convolution before its weights are quantized. Calibrated on tensors, it
// is the float input as before, and a QuantizeLinear follows; no preprocess is needed or folded.
graph::Graph quantize(const graph::Graph& graph, const Calibration& calibration,
                      const Options& options, device::Device& device, Report* report = nullptr,
                      const std::function<void(std::int64_t, std::int64_t)>& progress = {});

}  // namespace pronghorn::quantize
