// SPDX-License-Identifier: Apache-2.0
// What only time shows: cold starts, drift over a long run, energy, and where the time goes.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>

#include "bench/measure.h"
#include "bench/section.h"

extern char** environ;

namespace pronghorn::bench {

using nlohmann::ordered_json;

namespace {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void spawn_and_wait(const std::vector<std::string>& command) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int failed = posix_spawn(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (failed == 0) {
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (failed != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error(PH_INTERNAL, fmt::format("cold start: {} {}", command[0],
                                         failed != 0 ? std::strerror(failed) : "did not succeed"));
  }
}

// Two of a quarter each, so that neither end is one slot alone.
constexpr std::size_t kLeastSlots = 8;

void say_energy(const Bench& bench, const char* what, const ordered_json& energy) {
  if (!energy.contains("total")) return;
  const ordered_json& total = energy["total"];
  const ordered_json& active = total["joules_an_image_idle_subtracted"];
  bench.say(
      fmt::format("energy       {}: {:.4f} J an image, {:.2f} images/s/W at {:.1f} W "
                  "(component, idle {:.1f} W in it; {} J without)\n",
                  what, total["joules_an_image"].get<double>(),
                  total["images_per_second_per_watt"].get<double>(), total["watts"].get<double>(),
                  total["idle_watts"].get<double>(),
                  active.is_null() ? "-" : fmt::format("{:.4f}", active.get<double>())));
}

double slope_share(const std::vector<double>& rates) {
  // The last quarter against the first: a line through noise would say less.
  const auto part = static_cast<std::ptrdiff_t>(std::max<std::size_t>(1, rates.size() / 4));
  const double first = quantile({rates.begin(), rates.begin() + part}, 0.5);
  const double last = quantile({rates.end() - part, rates.end()}, 0.5);
  return first > 0 ? last / first - 1 : 0;
}

}  // namespace

ordered_json measure_cold_start(const std::vector<std::string>& command, int times) {
  std::vector<double> seconds;
  for (int i = 0; i < times; ++i) {
    const Clock::time_point start = Clock::now();
    spawn_and_wait(command);
    seconds.push_back(seconds_since(start));
  }
  return {{"command", fmt::format("{}", fmt::join(command, " "))},
          {"what", "from the start of the process to its end, with one photograph classified"},
          {"seconds", seconds},
          {"median_seconds", quantile(seconds, 0.5)}};
}

ordered_json measure_sustained(const Bench& bench, double seconds) {
  // A batch ends at once, so seconds are lumpy: slots of a few batches tell more.
  const double batch_seconds = bench.batch * bench.threads / std::max(1e-3, bench.real_rate);
  const auto width = static_cast<std::size_t>(std::max(1.0, std::ceil(4 * batch_seconds)));
  if (const double least = static_cast<double>(kLeastSlots * width); seconds < least) {
    const std::string why = fmt::format(
        "{:g} s are too few for a drift at batch {}: {} slots of {} s are needed, --sustained {:g} "
        "or a smaller --batch",
        seconds, bench.batch, kLeastSlots, width, least);
    bench.say("\nsustained    refused: " + why + "\n");
    return {{"refused", why}, {"batch", bench.batch}, {"asked_seconds", seconds}};
  }
  Monitor monitor(bench.meters);
  const Counters before = read_counters();
  const Clock::time_point start = Clock::now();
  std::vector<std::int64_t> slots(static_cast<std::size_t>(std::ceil(seconds)) + 1, 0);
  const int top = static_cast<int>(std::min<std::int64_t>(5, bench.session.classes()));
  // More images than can be done in the time; the callback ends it.
  const Source endless = bench.images.repeat(
      static_cast<std::int64_t>(10 * seconds * std::max(10.0, bench.real_rate)) + 1000);
  std::int64_t done = 0;
  bool interrupted = false;
  double last = 0;
  std::size_t told = 0;
  try {
    bench.session.classify(
        endless, bench.resize, {bench.batch, bench.threads, false}, [&](const Result& result) {
          last = seconds_since(start);
          interrupted = bench.cancelled && bench.cancelled();
          for (;
               bench.on_second && told + 1 <= static_cast<std::size_t>(last) && told < slots.size();
               ++told) {
            bench.on_second(static_cast<double>(told + 1), static_cast<double>(slots[told]));
          }
          if (last >= seconds || interrupted) return false;
          if (result.error == nullptr) {
            top_k(result.outputs, top);
            ++done;
            ++slots[static_cast<std::size_t>(last)];
          }
          return true;
        });
  } catch (const Error& error) {
    if (error.status() != PH_CANCELLED) throw;
  }
  const std::vector<Moment> moments = monitor.stop();
  const Disturbance disturbance = between(before, read_counters());
  slots.resize(static_cast<std::size_t>(std::min(last, seconds)));  // whole seconds only
  std::vector<double> rates;
  for (std::size_t at = 0; at + width <= slots.size(); at += width) {
    std::int64_t sum = 0;
    for (std::size_t i = at; i < at + width; ++i) sum += slots[i];
    rates.push_back(static_cast<double>(sum) / static_cast<double>(width));
  }
  // An interrupted run can be too short for one.
  const ordered_json drift =
      rates.size() < kLeastSlots ? ordered_json() : ordered_json(slope_share(rates));
  ordered_json json{{"batch", bench.batch},
                    {"seconds", last},
                    {"images", done},
                    {"images_per_second", static_cast<double>(done) / std::max(last, 1e-9)},
                    {"slot_seconds", width},
                    {"series_images_per_second", rates},
                    {"coefficient_of_variation", coefficient_of_variation(rates)},
                    {"drift", drift},
                    {"steal_share", disturbance.steal_share},
                    {"other_share", disturbance.other_share},
                    {"throttled_seconds", disturbance.throttled_seconds}};
  json["moments"] = ordered_json::array();
  for (std::size_t i = 1; i < moments.size(); ++i) {
    json["moments"].push_back({{"seconds", moments[i].seconds},
                               {"mhz", moments[i].mhz},
                               {"steal_share", moments[i].steal_share},
                               {"other_share", moments[i].other_share}});
  }
  if (!bench.meters.meters.empty()) {
    json["energy"] = energy_json(bench.meters, moments, bench.idle, static_cast<double>(done));
  }
  std::vector<std::string> flags;
  if (coefficient_of_variation(rates) > 0.05) {
    flags.push_back(fmt::format("rates vary by {:.1f} % (coefficient of variation)",
                                100 * coefficient_of_variation(rates)));
  }
  if (drift.is_null()) {
    flags.push_back(fmt::format("ended after {:.1f} s: too short for a drift", last));
  } else if (std::abs(drift.get<double>()) > 0.03) {
    flags.push_back(
        fmt::format("the last quarter is {:+.1f} % against the first", 100 * drift.get<double>()));
  }
  double least = 0, most = 0;
  for (const Moment& moment : moments) {
    if (moment.mhz <= 0) continue;
    least = least == 0 ? moment.mhz : std::min(least, moment.mhz);
    most = std::max(most, moment.mhz);
  }
  if (least < 0.9 * most) {
    flags.push_back(fmt::format("the clock went from {:.0f} to {:.0f} MHz", most, least));
  }
  Stability stability;
  judge(disturbance, stability);
  flags.insert(flags.end(), stability.reasons.begin(), stability.reasons.end());
  json["flags"] = flags;
  bench.say(
      fmt::format("\nsustained    {:.1f} images/s over {:.0f} s, drift {}, variation {:.1f} %{}\n",
                  json["images_per_second"].get<double>(), last,
                  drift.is_null() ? "-" : fmt::format("{:+.1f} %", 100 * drift.get<double>()),
                  100 * json["coefficient_of_variation"].get<double>(),
                  flags.empty() ? "" : ": " + fmt::format("{}", fmt::join(flags, "; "))));
  if (json.contains("energy")) say_energy(bench, "sustained", json["energy"]);
  return json;
}

ordered_json measure_energy(const Bench& bench) {
  ordered_json json = ordered_json::object();
  if (bench.meters.meters.empty()) {
    json["real"] = energy_json(bench.meters, {}, bench.idle, 0);
    for (const std::string& why : bench.meters.missing) bench.say("energy       " + why + "\n");
    return json;
  }
  const double seconds = std::max(3.0, bench.seconds);
  const auto report = [&](const char* kind, const std::vector<Moment>& moments, double images) {
    json[kind] = energy_json(bench.meters, moments, bench.idle, images);
    say_energy(bench, kind, json[kind]);
  };
  {
    const auto count = static_cast<std::int64_t>(seconds * std::max(1.0, bench.real_rate)) + 1;
    double images = 0;
    Monitor monitor(bench.meters);
    try {
      bench.session.classify(bench.images.repeat(count), bench.resize,
                             {bench.batch, bench.threads, false}, [&](const Result& result) {
                               if (bench.cancelled && bench.cancelled()) return false;
                               images += result.error == nullptr ? 1 : 0;
                               return true;
                             });
    } catch (const Error& error) {
      if (error.status() != PH_CANCELLED) throw;  // what was classified until then is a figure
    }
    report("real", monitor.stop(), images);
  }
  const auto batch = static_cast<std::size_t>(bench.batch);
  const std::size_t one = bench.session.pixel_bytes();
  std::vector<std::uint8_t> inputs(batch * one);
  for (std::size_t at = 0; at < inputs.size(); at += one) {
    std::memcpy(inputs.data() + at, bench.pixels.data() + at % bench.pixels.size(), one);
  }
  std::vector<float> outputs(batch * static_cast<std::size_t>(bench.session.classes()));
  Monitor monitor(bench.meters);
  const Clock::time_point start = Clock::now();
  double images = 0;
  while (seconds_since(start) < seconds && !(bench.cancelled && bench.cancelled())) {
    bench.session.run(inputs, bench.batch, outputs);
    images += bench.batch;
  }
  report("device", monitor.stop(), images);
  return json;
}

ordered_json measure_layers(const Bench& bench, int batch) {
  const std::size_t one = bench.session.pixel_bytes();
  std::vector<std::uint8_t> inputs(one * static_cast<std::size_t>(batch));
  for (std::size_t at = 0; at < inputs.size(); at += one) {
    std::memcpy(inputs.data() + at, bench.pixels.data() + at % bench.pixels.size(), one);
  }
  std::vector<float> outputs(static_cast<std::size_t>(batch * bench.session.classes()));
  bench.session.profile(true);
  const Clock::time_point start = Clock::now();
  std::int64_t runs = 0;
  do {
    bench.session.run(inputs, batch, outputs);
    ++runs;
  } while (seconds_since(start) < bench.seconds / 3);
  const auto profile = ordered_json::parse(bench.session.profile(false), nullptr, false);
  ordered_json json{{"batch", batch}, {"runs", runs}, {"layers", ordered_json::array()}};
  if (!profile.is_array() || profile.empty()) {
    json["missing"] = "device " + bench.session.device().name + " keeps no times of layers";
    return json;
  }
  std::map<std::string, NodeInfo> nodes;
  const ModelInfo info = bench.model.info();
  for (int i = 0; i < info.nodes; ++i) {
    const NodeInfo node = bench.model.node(i);
    nodes[node.name] = node;
  }
  const double images = static_cast<double>(runs) * batch;
  double copies = 0, all = 0;
  for (const ordered_json& entry : profile) {
    const std::string name = entry.value("node", "");
    const double seconds = entry.value("seconds", 0.0) / images;
    all += seconds;
    if (entry.value("kernel", "") == "copy") copies += seconds;
    ordered_json layer{
        {"node", name}, {"kernel", entry.value("kernel", "")}, {"seconds_an_image", seconds}};
    const auto found = nodes.find(name);
    if (found != nodes.end() && seconds > 0) {
      const NodeInfo& node = found->second;
      const double output = static_cast<double>(node.height) * node.width * node.channels;
      // Weights are read once a batch, the output is written once an image; what is read of the
      // input is not counted, so the true intensity is lower.
      const double bytes = static_cast<double>(node.parameter_bytes) / batch +
                           output * (node.dtype == "float32" || node.dtype == "int32" ? 4 : 1);
      layer["op"] = node.op;
      layer["macs"] = node.macs;
      layer["bytes_an_image"] = bytes;
      layer["gmac_per_second"] = 1e-9 * static_cast<double>(node.macs) / seconds;
      layer["macs_per_byte"] = bytes > 0 ? static_cast<double>(node.macs) / bytes : 0;
    }
    json["layers"].push_back(std::move(layer));
  }
  if (copies > 0) {
    json["copy_seconds_an_image"] = copies;
    bench.say(
        fmt::format("\ncopies       {:.2f} us an image to and from the device, {:.1f} % of its "
                    "{:.2f} us (batch {}, one after the other)\n",
                    1e6 * copies, 100 * copies / all, 1e6 * all, batch));
  }
  return json;
}

}  // namespace pronghorn::bench
