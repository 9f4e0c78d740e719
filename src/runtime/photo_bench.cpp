// SPDX-License-Identifier: Apache-2.0
// Where the time of photographs on a device with an input path goes: images per second of the
// processor's decoders alone, the device's alone, both, both with the device's resize, and all of
// it to scores. The lines take turns; images are kept in memory. usage: photo_bench DEVICE MODEL
// SOURCE [seconds a line, default 3] [rounds, default 3]
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/source.h"
#include "import/import.h"
#include "runtime/device_list.h"
#include "runtime/photo_loader.h"
#include "runtime/session.h"

using namespace pronghorn;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kBatch = 128;

struct Line {
  std::string name;
  std::function<image::PipelineStats(double seconds)> work;
  std::vector<double> rates;
};

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void run(Line& line, double seconds) {
  const double before = processor_seconds();
  const image::PipelineStats stats = line.work(seconds);
  const double cores = (processor_seconds() - before) / stats.wall_seconds;
  const auto images = static_cast<double>(stats.images);
  const auto each = [&](double total) { return 1e6 * total / images; };
  line.rates.push_back(images / stats.wall_seconds);
  fmt::print(
      "{:<18} {:8.0f} images/s, {:4.1f} cores, {:2.0f} % by the engine; us an image: read {:.1f}, "
      "decode {:.0f}, engine {:.0f}, lane {:.1f}, sink {:.1f} (results {:.1f}); {:.2f} s\n",
      line.name, line.rates.back(), cores, 100 * static_cast<double>(stats.engine_images) / images,
      each(stats.read_seconds), each(stats.decode_seconds), each(stats.engine_seconds),
      each(stats.lane_seconds), each(stats.sink_seconds), each(stats.result_seconds),
      stats.wall_seconds);
  std::fflush(stdout);
}

std::shared_ptr<const image::Source> in_memory(const std::string& path) {
  const auto source = image::open_source(path);
  std::vector<std::string> names;
  std::vector<image::Encoded> images;
  for (std::int64_t i = 0; i < source->size(); ++i) {
    const image::Encoded encoded = source->read(i);
    auto owner =
        std::make_shared<std::vector<std::byte>>(encoded.bytes.begin(), encoded.bytes.end());
    names.push_back(source->name(i));
    images.push_back({base::Bytes(*owner), owner});
  }
  return image::memory_source(std::move(names), std::move(images));
}

void bench(const std::string& name, const std::string& model, const std::string& images,
           double seconds, int rounds) {
  const auto source = in_memory(images);
  const auto device = runtime::open_device(name);
  runtime::Session session(std::make_shared<const graph::Graph>(import::import_model(model)),
                           device, 0);
  device::InputPath* const path = session.input_path();
  if (path == nullptr) {
    base::fail(base::Status::kUnsupported, "device {} takes no part in decoding", name);
  }
  const int threads = session.threads();
  fmt::print("{}, {} threads, engine: {}{}\n", name, threads, path->engine(), path->missing());
  const image::ResizeMode resize = image::parse_resize("direct:224");

  const auto load = [&](runtime::PhotoLoaderOptions options) {
    options.resize = resize;
    options.batch = kBatch;
    return [&, options](double limit) {
      const auto loaders = runtime::make_photo_loaders(path, options);
      const image::PipelineOptions pipeline{
          .resize = resize, .limits = {}, .loaders = loaders.pointers()};
      const auto repeated = image::repeated_source(source, std::int64_t{1} << 40);
      const auto start = Clock::now();
      return image::run(
          *repeated, pipeline, [](const image::Chunk&) {},
          [&] { return std::chrono::duration<double>(Clock::now() - start).count() > limit; });
    };
  };
  std::vector<Line> lines;
  const auto add = [&](const char* what, const runtime::PhotoLoaderOptions& options) {
    lines.push_back({what, load(options), {}});
  };
  add("processor decodes", {.threads = threads, .engine = false, .decode_only = true});
  if (!path->engine().empty()) {
    add("engine decodes", {.threads = 0, .decode_only = true});
    add("both decode", {.threads = threads, .decode_only = true});
  }
  add("decode, resize", {.threads = threads});
  lines.push_back(
      {"all, to scores",
       [&](double limit) {
         const double rate = lines[lines.size() - 2].rates.back();
         const auto count = static_cast<std::int64_t>(rate * limit);
         const auto repeated = image::repeated_source(source, std::max<std::int64_t>(1000, count));
         return runtime::classify(session, *repeated, {.resize = resize, .batch = kBatch},
                                  [&](const runtime::Result& result) {
                                    if (result.outputs != nullptr) {
                                      runtime::top_k(result.outputs, session.classes(), 5);
                                    }
                                    return true;
                                  });
       },
       {}});
  for (Line& line : lines) run(line, 0.2 * seconds);  // warm up
  for (Line& line : lines) line.rates.clear();
  fmt::print("\n");
  for (int round = 0; round < rounds; ++round) {
    for (Line& line : lines) run(line, seconds);
  }
  fmt::print("\n");
  for (Line& line : lines) {
    std::sort(line.rates.begin(), line.rates.end());
    fmt::print("{:<18} {:8.0f} images/s (median of {}, {:.0f} to {:.0f})\n", line.name,
               line.rates[line.rates.size() / 2], rounds, line.rates.front(), line.rates.back());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 6) {
    fmt::print(stderr, "usage: photo_bench DEVICE MODEL SOURCE [seconds a line] [rounds]\n");
    return 2;
  }
  try {
    const double seconds = argc > 4 ? std::atof(argv[4]) : 3;
    const int rounds = argc > 5 ? std::atoi(argv[5]) : 3;
    bench(argv[1], argv[2], argv[3], std::max(0.1, seconds), std::max(1, rounds));
  } catch (const std::exception& error) {
    fmt::print(stderr, "photo_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
