// SPDX-License-Identifier: Apache-2.0
#include "quantize/quantize.h"

#include <algorithm>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "capi/guard.h"
#include "capi/objects.h"
#include "runtime/device_list.h"

using namespace pronghorn;

namespace {

quantize::Options options_of(const ph_quantize_options& given) {
  quantize::Options options;
  const std::string method = given.method == nullptr ? "" : given.method;
  if (method == "minmax") {
    options.method = quantize::Method::kMinMax;
  } else if (method == "percentile") {
    options.method = quantize::Method::kPercentile;
  } else if (!method.empty() && method != "mse") {
    base::fail(base::Status::kInvalidArgument, "method \"{}\"; mse, minmax or percentile", method);
  }
  if (given.percentile != 0) options.percentile = given.percentile;
  if (given.max_deviation < 0) {
    base::fail(base::Status::kInvalidArgument, "max_deviation is {}; 0 (no limit) or more",
               given.max_deviation);
  }
  options.max_deviation = given.max_deviation;
  options.equalize = given.no_equalize == 0;
  options.report = given.no_report == 0;
  options.threads = given.threads;
  return options;
}

void tell(const ph_quantize_options& given, std::int64_t done, std::int64_t total) {
  if (given.progress != nullptr && given.progress(given.user, done, total) != 0) {
    base::fail(base::Status::kCancelled, "quantization was stopped by its caller at {} of {}", done,
               total);
  }
}

// Calibration sees every image once, in source order; a broken one is an error, because dropping it
// would change the result unseen. The caller is asked every few images whether to go on.
base::Buffer decode_all(const image::Source& source, std::int64_t count,
                        const image::ResizeMode& resize, int threads,
                        const ph_quantize_options& given) {
  const std::int64_t bytes = 3LL * resize.width * resize.width;
  base::Buffer pixels(static_cast<std::size_t>(count * bytes));
  base::ThreadPool pool(threads == 0 ? base::available_cores() : threads);
  const std::int64_t few = 8LL * pool.size();
  for (std::int64_t first = 0; first < count; first += few) {
    tell(given, 0, count);
    pool.parallel_for(std::min(few, count - first), [&](std::int64_t i, int) {
      i += first;
      const image::Encoded encoded = source.read(i);
      image::load(encoded.bytes, source.name(i), resize, pixels.as<std::uint8_t>() + i * bytes);
    });
  }
  return pixels;
}

// Quantizes and hands out model and reports; `resize` is the result's own, "" for that of the
// model.
void quantize_to(const ph_model* model, const quantize::Calibration& calibration,
                 const quantize::Options& options, const ph_quantize_options& given,
                 const std::string& resize, ph_model** quantized, char** report_json,
                 char** report_table) {
  const auto device = runtime::open_device("cpu");
  quantize::Report report;
  const auto progress = [&](std::int64_t done, std::int64_t total) { tell(given, done, total); };
  graph::Graph result =
      quantize::quantize(*model->graph, calibration, options, *device, &report, progress);
  if (!resize.empty()) result.resize = resize;
  char* json = report_json == nullptr ? nullptr : capi::new_string(quantize::to_json(report));
  char* table = report_table == nullptr ? nullptr : capi::new_string(quantize::to_table(report));
  *quantized = new ph_model{std::make_shared<const graph::Graph>(std::move(result))};
  if (report_json != nullptr) *report_json = json;
  if (report_table != nullptr) *report_table = table;
}

}  // namespace

ph_status ph_quantize(const ph_model* model, const ph_source* calibration, const ph_resize* resize,
                      const ph_quantize_options* options, ph_model** quantized, char** report_json,
                      char** report_table) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(calibration, "calibration");
    capi::require(quantized, "quantized");
    const ph_quantize_options given = capi::read_struct(options, "options");
    const quantize::Options chosen = options_of(given);
    const image::Source& source = *calibration->source;
    const std::int64_t count =
        given.max_images > 0 ? std::min(given.max_images, source.size()) : source.size();
    const image::ResizeMode mode = capi::resize_of(resize, model->graph.get());
    const base::Buffer pixels = decode_all(source, count, mode, chosen.threads, given);
    quantize_to(model, {pixels.as<std::uint8_t>(), count}, chosen, given, image::to_string(mode),
                quantized, report_json, report_table);
  });
}

ph_status ph_quantize_f32(const ph_model* model, const float* inputs, int64_t count,
                          const ph_quantize_options* options, ph_model** quantized,
                          char** report_json, char** report_table) {
  return capi::guard([&] {
    capi::require(model, "model");
    capi::require(inputs, "inputs");
    capi::require(quantized, "quantized");
    const ph_quantize_options given = capi::read_struct(options, "options");
    const quantize::Options chosen = options_of(given);
    if (given.max_images > 0) count = std::min(count, given.max_images);
    quantize_to(model, {nullptr, count, inputs}, chosen, given, "", quantized, report_json,
                report_table);
  });
}
