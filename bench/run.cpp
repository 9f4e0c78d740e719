// SPDX-License-Identifier: Apache-2.0
#include "bench/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "bench/photographs.h"

namespace pronghorn::bench {
namespace {

constexpr int kGenerated = 64;

Source in_memory(const std::vector<Photograph>& photographs) {
  std::vector<std::span<const std::byte>> images;
  std::vector<std::string> names;
  for (const Photograph& photograph : photographs) {
    images.emplace_back(photograph.jpeg);
    names.push_back(fmt::format("generated-{}.jpg", names.size()));
  }
  return Source::memory(images, names);
}

double mean_bytes(const std::vector<Photograph>& photographs) {
  double sum = 0;
  for (const Photograph& photograph : photographs) {
    sum += static_cast<double>(photograph.jpeg.size());
  }
  return sum / static_cast<double>(photographs.size());
}

// Counts each labelled image once, however often the measurements repeat it.
class Judge {
 public:
  explicit Judge(const std::function<std::int64_t(const std::string&)>& class_of)
      : class_of_(class_of) {}

  void see(const Result& result) {
    if (!class_of_ || result.label.empty() || !seen_.insert(result.index).second) return;
    const std::int64_t truth = class_of_(std::string(result.label));
    if (truth < 0) return;
    const Top top =
        top_k(result.outputs, static_cast<int>(std::min<std::size_t>(5, result.outputs.size())));
    ++images_;
    top1_ += top.indices[0] == truth ? 1 : 0;
    top5_ += std::count(top.indices.begin(), top.indices.end(), truth);
  }

  std::optional<Accuracy> accuracy() const {
    if (images_ == 0) return std::nullopt;
    const auto n = static_cast<double>(images_);
    return Accuracy{images_, static_cast<double>(top1_) / n, static_cast<double>(top5_) / n};
  }

 private:
  const std::function<std::int64_t(const std::string&)>& class_of_;
  std::unordered_set<std::int64_t> seen_;
  std::int64_t images_ = 0, top1_ = 0, top5_ = 0;
};

}  // namespace

Report run(const Model& model, const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  Report report;
  report.model = model.info();
  report.resize = options.resize;
  report.images.generated = options.images.empty();
  const Session session(model, options.device, options.threads);
  report.threads = options.threads > 0 ? options.threads : available_cores();
  report.device = session.device();

  // The first result, before anything that only the benchmark needs.
  Source images = options.images.empty() ? in_memory({make_photograph(kDefaultSeed, 0)})
                                         : Source::open(options.images);
  const std::vector<std::uint8_t> first =
      decode_some(images, options.resize, session.pixel_bytes(), 1);
  top_k(session.run(first), static_cast<int>(std::min<std::int64_t>(5, session.classes())));
  report.first_result_seconds = seconds_since_start();

  report.machine = this_machine();
  if (options.images.empty()) {
    const std::vector<Photograph> photographs =
        make_photographs(kDefaultSeed, 0, kGenerated, report.threads);
    images = in_memory(photographs);
    report.images.seed = kDefaultSeed;
    report.images.mean_bytes = mean_bytes(photographs);
  } else {
    report.images.path = options.images;
  }
  report.images.count = images.size();

  if (options.on_ready) options.on_ready(report);

  const int largest = *std::max_element(options.batches.begin(), options.batches.end());
  const std::vector<std::uint8_t> pixels =
      decode_some(images, options.resize, session.pixel_bytes(), std::clamp(largest, 2, 64));
  report.verified = verify(model, session, pixels);
  if (options.on_verified) options.on_verified(report.verified);

  const Setting setting{session,        images,          options.resize,
                        report.threads, options.seconds, options.cancelled};
  Judge judge(options.class_of);
  const int total = 2 * static_cast<int>(options.batches.size());
  int done = 0;
  const auto next = [&](const char* kind, int batch) {
    if (options.progress) {
      options.progress(fmt::format("{} throughput, batch {}", kind, batch), done++, total);
    }
  };
  const auto keep = [&](Measurement measurement) {
    if (options.on_measurement) options.on_measurement(measurement);
    report.results.push_back(std::move(measurement));
  };
  for (const int batch : options.batches) {
    next("device", batch);
    keep(measure_device(setting, batch, pixels));
    next("real", batch);
    // Decoding takes its share; the guess only sizes the rounds.
    keep(measure_real(setting, batch, 0.8 * report.results.back().images_per_second,
                      [&](const Result& result) { judge.see(result); }));
  }
  report.accuracy = judge.accuracy();
  report.session_memory_bytes = session.memory_bytes();
  report.peak_rss_bytes = peak_rss_bytes();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace pronghorn::bench
