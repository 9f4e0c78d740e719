// SPDX-License-Identifier: Apache-2.0
#include "bench/monitor.h"

namespace pronghorn::bench {

using nlohmann::ordered_json;

Monitor::Monitor(Meters& meters, double period_seconds)
    : meters_(meters), period_(period_seconds), first_(read_counters()), last_(first_) {
  moments_.push_back(look());
  thread_ = std::thread([this] { watch(); });
}

Monitor::~Monitor() { stop(); }

std::vector<Moment> Monitor::stop() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
    moments_.push_back(look());
  }
  return moments_;
}

Moment Monitor::look() {
  const Counters now = read_counters();
  const Disturbance since = between(last_, now);
  last_ = now;
  Moment moment{
      now.monotonic - first_.monotonic, cpu_mhz(), since.steal_share, since.other_share, {}};
  for (const auto& meter : meters_.meters) moment.joules.push_back(meter->joules());
  return moment;
}

void Monitor::watch() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, period_, [this] { return stop_; })) moments_.push_back(look());
}

std::vector<double> idle_watts(Meters& meters, double seconds) {
  if (meters.meters.empty()) return {};
  Monitor monitor(meters, seconds);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const std::vector<Moment> moments = monitor.stop();
  std::vector<double> watts;
  const double length = moments.back().seconds - moments.front().seconds;
  for (std::size_t i = 0; i < meters.meters.size(); ++i) {
    watts.push_back((moments.back().joules[i] - moments.front().joules[i]) / length);
  }
  return watts;
}

ordered_json energy_json(const Meters& meters, const std::vector<Moment>& moments,
                         const std::vector<double>& idle, double images) {
  ordered_json json{{"scope", "component"}, {"missing", meters.missing}};
  json["meters"] = ordered_json::array();
  if (meters.meters.empty() || moments.size() < 2 || images <= 0) return json;
  const double seconds = moments.back().seconds - moments.front().seconds;
  const auto figures = [&](double joules, double idle_power) {
    const double active = joules - idle_power * seconds;
    ordered_json entry{{"joules", joules},
                       {"watts", joules / seconds},
                       {"idle_watts", idle_power},
                       {"joules_an_image", joules / images},
                       {"images_per_second_per_watt", images / joules}};
    // Noise can make the difference nothing or less; then it is no figure.
    entry["joules_an_image_idle_subtracted"] =
        active > 0 ? ordered_json(active / images) : ordered_json();
    entry["images_per_second_per_watt_idle_subtracted"] =
        active > 0 ? ordered_json(images / active) : ordered_json();
    return entry;
  };
  double all = 0, all_idle = 0;
  for (std::size_t i = 0; i < meters.meters.size(); ++i) {
    const double joules = moments.back().joules[i] - moments.front().joules[i];
    ordered_json entry{{"name", meters.meters[i]->name()}, {"source", meters.meters[i]->source()}};
    entry.update(figures(joules, idle[i]));
    entry["series_watts"] = ordered_json::array();
    for (std::size_t k = 1; k < moments.size(); ++k) {
      const double length = moments[k].seconds - moments[k - 1].seconds;
      if (length < 0.2) continue;  // a counter is renewed about every millisecond; noise below
      entry["series_watts"].push_back(
          {moments[k].seconds, (moments[k].joules[i] - moments[k - 1].joules[i]) / length});
    }
    json["meters"].push_back(std::move(entry));
    all += joules;
    all_idle += idle[i];
  }
  json["seconds"] = seconds;
  json["images"] = images;
  json["total"] = figures(all, all_idle);
  return json;
}

}  // namespace pronghorn::bench
