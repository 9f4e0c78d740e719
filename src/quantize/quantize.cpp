// SPDX-License-Identifier: Apache-2.0
#include "quantize/quantize.h"

#include <algorithm>
#include <span>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "graph/passes/passes.h"
#include "quantize/calibrate.h"
#include "quantize/emit.h"
#include "quantize/equalize.h"
#include "quantize/report.h"

namespace pronghorn::quantize {
namespace {

using graph::Op;
using graph::ValueId;

// Channel ranges for equalisation settle within a few images.
constexpr std::int64_t kEqualizeImages = 48;

void check(const Calibration& calibration, const Options& options) {
  if (calibration.count < 1 || (!calibration.images && !calibration.tensors)) {
    base::fail(base::Status::kInvalidArgument,
               "quantization needs calibration images; at least one, some hundreds are good");
  }
  if (options.method == Method::kPercentile &&
      !(options.percentile > 50 && options.percentile <= 100)) {
    base::fail(base::Status::kInvalidArgument, "percentile {} is not in (50, 100]",
               options.percentile);
  }
  if (options.threads < 0) {
    base::fail(base::Status::kInvalidArgument, "threads {} must not be negative", options.threads);
  }
}

// Counts finished images of all passes; the callback runs on the thread that called quantize().
class Progress {
 public:
  Progress(std::int64_t total, const std::function<void(std::int64_t, std::int64_t)>& callback)
      : total_(total), callback_(callback), caller_(std::this_thread::get_id()) {}
  // One call at a time.
  void one_done() {
    ++done_;
    if (callback_ && std::this_thread::get_id() == caller_) callback_(done_, total_);
  }
  // Between images: the callback gets a chance to throw.
  void look() const {
    if (callback_ && std::this_thread::get_id() == caller_) callback_(done_, total_);
  }
  void all_done() const {
    if (callback_) callback_(total_, total_);
  }

 private:
  std::int64_t done_ = 0, total_;
  const std::function<void(std::int64_t, std::int64_t)>& callback_;
  std::thread::id caller_;
};

InputStatistics statistics_of_image(const Prepared& prepared, const Calibration& calibration) {
  const auto size =
      static_cast<std::size_t>(prepared.graph.value(prepared.graph.inputs[0]).shape.size());
  const std::size_t total = size * static_cast<std::size_t>(calibration.count);
  std::int64_t sum[3] = {}, square[3] = {};
  for (std::size_t i = 0; i < total; ++i) {
    const std::int64_t x = calibration.images[i] - prepared.zero_point[i % 3];
    sum[i % 3] += x;
    square[i % 3] += x * x;
  }
  InputStatistics result;
  for (int c = 0; c < 3; ++c) {
    result.mean.push_back(3.0 * static_cast<double>(sum[c]) / static_cast<double>(total));
    result.square.push_back(3.0 * static_cast<double>(square[c]) / static_cast<double>(total));
  }
  return result;
}

// The same of the float input, and its distribution.
InputStatistics statistics_of_tensors(const Prepared& prepared, const Calibration& calibration,
                                      Histogram& histogram) {
  const graph::Shape& shape = prepared.graph.value(prepared.graph.inputs[0]).shape;
  const auto channels = static_cast<std::size_t>(shape.c);
  const auto size = static_cast<std::size_t>(shape.size());
  InputStatistics result;
  result.mean.assign(channels, 0.0);
  result.square.assign(channels, 0.0);
  for (std::int64_t image = 0; image < calibration.count; ++image) {
    const std::span<const float> x{calibration.tensors + static_cast<std::size_t>(image) * size,
                                   size};
    if (!histogram.add(x)) {
      base::fail(base::Status::kInvalidArgument,
                 "calibration tensor {} holds a NaN or an infinity; every value must be finite",
                 image);
    }
    for (std::size_t i = 0; i < size; ++i) {
      result.mean[i % channels] += x[i];
      result.square[i % channels] += static_cast<double>(x[i]) * x[i];
    }
  }
  const auto pixels = static_cast<double>(shape.h * shape.w * calibration.count);
  for (double& mean : result.mean) mean /= pixels;
  for (double& square : result.square) square /= pixels;
  return result;
}

void equalize(Prepared& prepared, const Calibration& calibration, int threads,
              device::Device& device, Progress& progress) {
  const std::vector<Chain> chains = find_chains(prepared.graph);
  if (chains.empty()) return;
  std::vector<ValueId> between;
  for (const Chain& chain : chains) between.push_back(chain.between);
  const auto statistics =
      observe(prepared, between, calibration, std::min(calibration.count, kEqualizeImages), threads,
              device, nullptr, [&] { progress.one_done(); });
  for (std::size_t i = 0; i < chains.size(); ++i) {
    const auto factors = equalizing_factors(prepared.graph, chains[i], statistics[i]);
    if (!factors.empty()) apply_factors(prepared.graph, chains[i], factors);
  }
  graph::passes::drop_dead(prepared.graph);
}

}  // namespace

graph::Graph quantize(const graph::Graph& original, const Calibration& calibration,
                      const Options& options, device::Device& device, Report* report,
                      const std::function<void(std::int64_t, std::int64_t)>& progress_callback) {
  check(calibration, options);
  const int threads = options.threads > 0 ? options.threads : base::available_cores();
  Prepared prepared = prepare(original, calibration.tensors == nullptr);
  Histogram of_tensors;  // filled for calibration on tensors
  const InputStatistics of_input = prepared.takes_pixels
                                       ? statistics_of_image(prepared, calibration)
                                       : statistics_of_tensors(prepared, calibration, of_tensors);
  const bool measured = report && options.report;
  const std::int64_t few = std::min(calibration.count, kEqualizeImages);
  const bool equalized = options.equalize && !find_chains(prepared.graph).empty();
  Progress progress(
      calibration.count + (equalized ? few : 0) +
          (measured ? calibration.count + std::min(calibration.count, kReportImages) : 0),
      progress_callback);
  if (equalized) equalize(prepared, calibration, threads, device, progress);

  const graph::Graph& g = prepared.graph;
  Decisions decisions{find_points(g), {}, {}};
  const Points& points = decisions.points;
  std::vector<ValueId> tapped;
  for (const graph::Node& node : g.nodes) {
    if (points.kind[static_cast<std::size_t>(node.output)] != Point::kNone) {
      tapped.push_back(node.output);
    }
  }
  std::vector<std::vector<float>> logits;
  const auto statistics = observe(prepared, tapped, calibration, calibration.count, threads, device,
                                  &logits, [&] { progress.one_done(); });

  std::map<ValueId, InputStatistics> inputs;
  std::map<ValueId, const Histogram*> histograms;
  inputs[g.inputs[0]] = of_input;
  if (!prepared.takes_pixels) {
    decisions.scales[g.inputs[0]] =
        choose_scale(of_tensors, of_tensors.min() >= 0, options.method, options.percentile);
  }
  for (std::size_t i = 0; i < tapped.size(); ++i) {
    const ValueId id = tapped[i];
    inputs[id] = {statistics[i].mean, statistics[i].square};
    histograms[id] = &statistics[i].histogram;
    if (points.kind[static_cast<std::size_t>(id)] != Point::kOwn) continue;
    decisions.scales[id] =
        choose_scale(statistics[i].histogram, points.non_negative[static_cast<std::size_t>(id)],
                     options.method, options.percentile);
  }
  std::vector<std::size_t> convs;
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    if (g.nodes[n].op != Op::kConv) continue;
    convs.push_back(n);
    decisions.convs[n];  // the map does not change while threads fill it
  }
  base::ThreadPool pool(threads);
  pool.parallel_for(static_cast<std::int64_t>(convs.size()), [&](std::int64_t i, int) {
    progress.look();
    const std::size_t n = convs[static_cast<std::size_t>(i)];
    const graph::Node& node = g.nodes[n];
    const ValueId source = points.source[static_cast<std::size_t>(node.inputs[0])];
    const bool pixels = source == g.inputs[0] && prepared.takes_pixels;
    const float src_scale = pixels ? 1.0f : decisions.scales.at(source).scale;
    decisions.convs.at(n) =
        quantize_conv(g.constant(node.inputs[1]).values<float>(),
                      g.constant(node.inputs[2]).values<float>(), node.as<graph::Window>().groups,
                      src_scale, inputs.at(node.inputs[0]), options.method, options.max_deviation);
  });
  Emitted emitted = emit(prepared, decisions);
  if (measured) {
    *report = measure({prepared, decisions, emitted, histograms, logits}, calibration, threads,
                      device, [&] { progress.one_done(); });
  }
  progress.all_done();
  return std::move(emitted.graph);
}

}  // namespace pronghorn::quantize
