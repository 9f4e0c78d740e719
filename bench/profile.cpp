// SPDX-License-Identifier: Apache-2.0
#include "bench/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace pronghorn::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLeastRounds = 5;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Takes one round's times, the least of each node; steps of one node (a copy, then the kernel) are
// one entry.
void take(const nlohmann::json& times, std::vector<NodeProfile>& nodes, bool first) {
  std::vector<NodeProfile> round;
  for (const nlohmann::json& t : times) {
    const auto calls = t.at("calls").get<std::int64_t>();
    if (calls == 0) continue;
    const double seconds = t.at("seconds").get<double>() / static_cast<double>(calls);
    const auto name = t.at("node").get<std::string>();
    if (round.empty() || round.back().node != name) round.push_back({name, "", 0, 0, 0});
    NodeProfile& node = round.back();
    node.kernel = t.at("kernel").get<std::string>();
    node.seconds += seconds;
    node.macs = t.value("macs", std::int64_t{0});
    node.bytes = t.value("bytes", std::int64_t{0});
  }
  if (first) {
    nodes = std::move(round);
    return;
  }
  for (std::size_t i = 0; i < std::min(nodes.size(), round.size()); ++i) {
    nodes[i].seconds = std::min(nodes[i].seconds, round[i].seconds);
  }
}

// Of one thread: what a node's time is to be compared with.
double thread_ceiling(const Profile& p) { return p.ceiling / p.threads; }

}  // namespace

Profile profile(const Session& session, const std::string& device, int threads, int batch,
                double seconds, const std::vector<std::uint8_t>& pixels,
                const std::function<bool()>& cancelled) {
  Profile p;
  p.device = session.device().name;
  p.isa = session.device().isa;
  p.threads = threads;
  p.batch = batch;
  p.ceiling = device_ceiling(device, threads);
  std::vector<std::uint8_t> images;
  const std::size_t size = session.pixel_bytes() * static_cast<std::size_t>(batch);
  while (images.size() < size) {
    const std::size_t more = std::min(pixels.size(), size - images.size());
    images.insert(images.end(), pixels.begin(), pixels.begin() + static_cast<std::ptrdiff_t>(more));
  }
  std::vector<float> outputs(static_cast<std::size_t>(session.classes() * batch));
  session.run(images, batch, outputs);  // warm up: memory, caches, threads
  std::vector<double> rounds;
  const auto start = Clock::now();
  while (rounds.size() < kLeastRounds || seconds_since(start) < seconds) {
    if (cancelled && cancelled()) throw Error(PH_CANCELLED, "cancelled");
    session.profile(true);
    const auto begin = Clock::now();
    session.run(images, batch, outputs);
    rounds.push_back(seconds_since(begin) / batch);
    take(nlohmann::json::parse(session.profile(false)), p.nodes, rounds.size() == 1);
  }
  std::sort(rounds.begin(), rounds.end());
  p.images_per_second = 1 / rounds[rounds.size() / 2];
  return p;
}

std::string to_text(const Profile& p) {
  std::string text = fmt::format("{:<28} {:<26} {:>9} {:>9} {:>8} {:>8} {:>8}\n", "node", "kernel",
                                 "ms/image", "GMAC/s", "ceiling", "MB", "GB/s");
  double seconds = 0;
  std::int64_t macs = 0, bytes = 0;
  const auto row = [&](const std::string& node, const std::string& kernel, double s,
                       std::int64_t work, std::int64_t moved) {
    const double rate = static_cast<double>(work) / s;
    const auto known = [](bool is, std::string shown) { return is ? shown : std::string("-"); };
    text += fmt::format(
        "{:<28.28} {:<26.26} {:>9.4f} {:>9} {:>8} {:>8} {:>8}\n", node, kernel, 1e3 * s,
        known(work > 0, fmt::format("{:.1f}", 1e-9 * rate)),
        known(work > 0 && p.ceiling > 0, fmt::format("{:.1f} %", 100 * rate / thread_ceiling(p))),
        known(moved > 0, fmt::format("{:.3f}", 1e-6 * static_cast<double>(moved))),
        known(moved > 0, fmt::format("{:.1f}", 1e-9 * static_cast<double>(moved) / s)));
  };
  for (const NodeProfile& n : p.nodes) {
    row(n.node, n.kernel, n.seconds, n.macs, n.bytes);
    seconds += n.seconds;
    macs += n.macs;
    bytes += n.bytes;
  }
  row("all, each at its fastest", "", seconds, macs, bytes);
  text += fmt::format("\n{:.1f} images/s at batch {} on {} thread{} with the clocks running",
                      p.images_per_second, p.batch, p.threads, p.threads == 1 ? "" : "s");
  text += p.ceiling > 0 ? fmt::format("; ceiling of {}: {:.1f} GMAC/s a thread\n", p.isa,
                                      1e-9 * thread_ceiling(p))
                        : std::string("; the ceiling of this device is not measured\n");
  return text;
}

nlohmann::ordered_json to_json(const Profile& p) {
  nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
  for (const NodeProfile& n : p.nodes) {
    nodes.push_back({{"node", n.node},
                     {"kernel", n.kernel},
                     {"seconds", n.seconds},
                     {"macs", n.macs},
                     {"bytes", n.bytes}});
  }
  return {{"device", p.device},
          {"isa", p.isa},
          {"threads", p.threads},
          {"batch", p.batch},
          {"ceiling_macs_per_second", p.ceiling},
          {"images_per_second", p.images_per_second},
          {"nodes", nodes}};
}

}  // namespace pronghorn::bench
