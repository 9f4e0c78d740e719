// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>

#include "apps/cli/bench_task.h"
#include "apps/cli/command.h"
#include "apps/cli/digest.h"
#include "apps/cli/interrupt.h"
#include "apps/cli/labels.h"
#include "apps/cli/model_flags.h"
#include "apps/cli/output_file.h"
#include "apps/cli/progress.h"
#include "bench/modelled.h"
#include "bench/page.h"
#include "bench/peers.h"
#include "bench/photographs.h"
#include "bench/prices.h"
#include "bench/profile.h"
#include "bench/report.h"

namespace pronghorn::cli {
namespace {

struct Flags {
  std::vector<int> batches = {1, 8, 32, 128};
  double seconds = 3;
  std::string images;
  ModelFlags model;
  ResizeFlags resize;
  DeviceFlags device;
  std::string hint;
  std::string decoders = "all";
  bool profile = false;
  std::string json;
  std::string report;
  std::string csv;
  bool no_report = false;
  std::string preset;
  std::vector<std::string> kinds = {"device", "real"};
  int repeats = 2;
  std::int64_t dataset = 0;
  std::vector<std::string> scenarios;
  bool official = false;
  double latency_bound = 15;
  std::vector<int> concurrency;
  std::vector<double> rates;
  bool rate_sweep = false;
  std::vector<int> thread_counts;
  bool device_scaling = false;
  std::string trace;
  double sustained = 0;
  int cold_starts = 0;
  double most_seconds = 0;
  std::string price;
  std::string prices;
  std::string peers;
  std::string peers_python;
  bool watch = false;
  TaskFlags task;
  std::string port;
};

// The device's name with the port of --port: fpga:PORT, and a configuration that was named.
std::string with_port(const std::string& device, const std::string& port) {
  if (port.empty()) return device;
  if (device.empty() || device == "fpga") return "fpga:" + port;
  if (device.rfind("fpga::", 0) == 0) return "fpga:" + port + device.substr(5);
  throw Error(PH_INVALID_ARGUMENT,
              fmt::format("--port {} goes with --device fpga or fpga::CONFIGURATION, not {}", port,
                          device));
}

// A device without a clock of its own is verified and its counted cycles are shown; nothing is
// timed.
bool show_modelled(const Flags& flags, const Context& context, const Model& model,
                   OutputFile& json_file) {
  if (flags.device.device.rfind("fpga", 0) != 0) return false;
  const Session session(model, flags.device.device, flags.device.threads);
  auto figures = bench::modelled_figures(session);
  if (!figures) return false;
  const std::pair<const char*, bool> timed[] = {{"--peers", !flags.peers.empty()},
                                                {"--scenario", !flags.scenarios.empty()},
                                                {"--rate", !flags.rates.empty()},
                                                {"--rate-sweep", flags.rate_sweep},
                                                {"--trace", !flags.trace.empty()},
                                                {"--concurrency", !flags.concurrency.empty()},
                                                {"--sustained", flags.sustained > 0},
                                                {"--cold-start", flags.cold_starts > 0},
                                                {"--dataset", flags.dataset > 0},
                                                {"--watch", flags.watch},
                                                {"--device-scaling", flags.device_scaling},
                                                {"--thread-scaling", !flags.thread_counts.empty()}};
  for (const auto& [option, given] : timed) {
    if (!given) continue;
    throw Error(
        PH_UNSUPPORTED,
        fmt::format("{}: device {} counts cycles of a model and gives no times; cpu, cuda or "
                    "a card (--port xrt) does",
                    option, flags.device.device));
  }
  constexpr int kImages = 2;
  bench::verify_modelled(model, session, kImages);
  figures = bench::modelled_figures(session);  // with what a simulator counted
  fmt::print("verified: the same bytes as device reference on {} images\n\n{}", kImages,
             bench::modelled_table(*figures));
  nlohmann::ordered_json json{{"schema", bench::kSchema},
                              {"command", context.command},
                              {"kind", "modelled"},
                              {"verified_images", kImages},
                              {"model", to_json(model.info(), flags.model.model)}};
  json.update(*figures);
  json_file.write(json.dump(2) + "\n");
  return true;
}

const std::vector<std::pair<std::string, bench::Scenario>> kScenarios = {
    {"singlestream", bench::Scenario::kSingleStream},
    {"multistream", bench::Scenario::kMultiStream},
    {"server", bench::Scenario::kServer},
    {"offline", bench::Scenario::kOffline}};

// What a preset means; options that were given as well keep their values.
void apply_preset(const CLI::App& command, Flags& flags) {
  const auto free = [&](const char* option) { return command.count(option) == 0; };
  if (flags.preset == "inaccel-2020") {
    // The published set-up: 200,000 ImageNet photographs at batch 128, whole way
    // (docs/benchmark_method.md).
    if (free("--batch")) flags.batches = {128};
    if (free("--dataset")) flags.dataset = 200000;
    if (free("--kind")) flags.kinds = {"real"};
  } else if (flags.preset == "quick") {
    if (free("--batch")) flags.batches = {1, 32};
    if (free("--seconds")) flags.seconds = 1;
  } else if (flags.preset == "full") {
    if (free("--scenario")) flags.scenarios = {"all"};
    if (free("--concurrency")) flags.concurrency = {1, 2, 4, 8, 16};
    if (free("--rate") && free("--rate-sweep")) flags.rate_sweep = true;
    if (free("--thread-scaling")) {
      for (int count = 1; count < available_cores(); count *= 2) {
        flags.thread_counts.push_back(count);
      }
      flags.thread_counts.push_back(available_cores());
    }
    flags.device_scaling = true;
    if (free("--sustained")) flags.sustained = 30;
    if (free("--cold-start")) flags.cold_starts = 5;
    if (free("--peers")) flags.peers = "auto";
  }
}

// A folder that goes away with this object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "pronghorn-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw Error(PH_IO, fmt::format("{}: no temporary folder can be made", name));
    }
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(PH_NOT_FOUND, fmt::format("{}: no such file", path));
  return {std::istreambuf_iterator<char>(file), {}};
}

// "a.json" gives "a.html".
std::string page_beside(const std::string& json) {
  return std::filesystem::path(json).replace_extension(".html").string();
}

// The last minute as eight heights of a block.
std::string sparkline(const std::vector<double>& rates) {
  static constexpr const char* kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::size_t from = rates.size() > 60 ? rates.size() - 60 : 0;
  const double most = std::max(1e-9, *std::max_element(rates.begin(), rates.end()));
  std::string text;
  for (std::size_t i = from; i < rates.size(); ++i) {
    text += kBlocks[std::clamp(static_cast<int>(8 * rates[i] / most), 0, 7)];
  }
  return text;
}

// What a user waits for: a new process that classifies one photograph.
std::vector<std::string> cold_start_command(const Flags& flags, const TemporaryFolder& folder) {
  const bench::Photograph photograph = bench::make_photograph(bench::kDefaultSeed, 0);
  const std::string path = folder.file("photograph.jpg");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(photograph.jpeg.data()),
             static_cast<std::streamsize>(photograph.jpeg.size()));
  std::vector<std::string> command = {"/proc/self/exe", "classify", path, "--model",
                                      flags.model.model};
  std::error_code error;
  const auto self = std::filesystem::read_symlink(command[0], error);
  if (!error) command[0] = self.string();
  if (!flags.model.preprocess.empty()) {
    command.insert(command.end(), {"--preprocess", flags.model.preprocess});
  }
  if (!flags.device.device.empty()) {
    command.insert(command.end(), {"--device", flags.device.device});
  }
  if (!flags.device.precision.empty()) {
    command.insert(command.end(), {"--precision", flags.device.precision});
  }
  return command;
}

// Each node's time instead of throughput; one thread unless told otherwise, the first batch size.
void show_profile(const Flags& flags, const Context& context, const Model& model,
                  OutputFile& json_file) {
  const int threads = std::max(flags.device.threads, 1);
  const Session session(model, flags.device.device, threads, flags.hint, flags.device.precision);
  const bench::Photograph photograph = bench::make_photograph(bench::kDefaultSeed, 0);
  const std::vector<std::span<const std::byte>> generated = {photograph.jpeg};
  const std::vector<std::string> names = {"generated-0.jpg"};
  const Source images =
      flags.images.empty() ? Source::memory(generated, names) : Source::open(flags.images);
  const std::vector<std::uint8_t> pixels =
      bench::decode_some(images, flags.resize.of(model.info()), session.pixel_bytes(), 8);
  const bench::Verified verified = bench::verify(model, session, pixels, flags.device.precision);
  const bench::Profile profile =
      bench::profile(session, flags.device.device, threads, flags.batches.front(), flags.seconds,
                     pixels, interrupted);
  fmt::print("{}: verified against device {}\n\n{}", title_of(model.info()), verified.device,
             bench::to_text(profile));
  json_file.write(nlohmann::ordered_json{{"schema", bench::kSchema},
                                         {"command", context.command},
                                         {"machine", bench::to_json(bench::this_machine())},
                                         {"model", to_json(model.info(), flags.model.model)},
                                         {"profile", bench::to_json(profile)}}
                      .dump(2) +
                  "\n");
}

void run_bench(const Flags& flags, Context& context) {
  const std::string page = !flags.report.empty() ? flags.report
                           : flags.no_report || !flags.json.ends_with(".json")
                               ? ""
                               : page_beside(flags.json);
  if (!flags.task.options.task.empty()) {
    const TemporaryFolder folder;
    return run_task(flags.task, context, flags.device.device, flags.device.threads, flags.json,
                    page, folder.file(""));
  }
  OutputFile json_file(flags.json);
  OutputFile page_file(page);
  OutputFile csv_file(flags.csv);
  const std::vector<bench::Price> prices =
      flags.prices.empty() ? bench::built_in_prices()
                           : bench::parse_prices(read_whole(flags.prices), flags.prices);
  std::optional<bench::Price> price;
  if (!flags.price.empty()) price = bench::choose_price(flags.price, prices);
  bench::PeerOptions peers{flags.peers, flags.peers_python, flags.device.device,
                           flags.device.threads > 0 ? flags.device.threads : available_cores()};
  if (!flags.peers.empty()) bench::find_peers(peers);  // what is wrong with it is said now
  const TemporaryFolder folder;
  const Model model = open_model(flags.model);
  if (flags.profile) return show_profile(flags, context, model, json_file);
  if (show_modelled(flags, context, model, json_file)) return;
  const ModelInfo info = model.info();
  bench::Options options;
  options.batches = flags.batches;
  options.device = flags.device.device;
  options.threads = flags.device.threads;
  options.hint = flags.hint;
  options.precision = flags.device.precision;
  options.processor_decodes = flags.decoders == "processor";
  options.seconds = flags.seconds;
  options.most_seconds = flags.most_seconds;
  options.repeats = flags.repeats;
  options.kinds = flags.kinds;
  options.dataset = flags.dataset;
  options.resize = flags.resize.of(info);
  options.images = flags.images;
  options.scenarios = {{}, flags.kinds, flags.official, 1e-3 * flags.latency_bound};
  for (const std::string& name : flags.scenarios) {
    for (const auto& [known, scenario] : kScenarios) {
      if (name == known || name == "all") options.scenarios.scenarios.push_back(scenario);
    }
  }
  options.concurrency = flags.concurrency;
  options.rates = flags.rates;
  options.rate_sweep = flags.rate_sweep;
  options.thread_counts = flags.thread_counts;
  options.device_scaling = flags.device_scaling;
  options.trace = flags.trace;
  if (!flags.trace.empty()) bench::read_trace(flags.trace);  // what is wrong with it is said now
  options.sustained = flags.sustained;
  options.cold_starts = flags.cold_starts;
  if (flags.cold_starts > 0) options.cold_start_command = cold_start_command(flags, folder);
  options.cancelled = interrupted;
  std::unique_ptr<LabelIndex> labels;  // made when first asked for: not before the first result
  options.class_of = [&](const std::string& label) {
    if (!labels) labels = std::make_unique<LabelIndex>(model);
    return labels->find(label);
  };
  Progress progress("bench", 2 * static_cast<std::int64_t>(flags.batches.size()), "measurements");
  const auto show = [&](const std::string& text) {
    progress.pause();
    fmt::print("{}", text);
    std::fflush(stdout);
  };
  options.progress = [&](const std::string& what, int done, int) {
    progress.set(done);
    progress.set_title(what);
  };
  options.on_ready = [&](const bench::Report& report) {
    std::string text = bench::machine_card(report.machine, report.device, report.threads);
    text += fmt::format("  {:<10} {}, {:.2f} GMAC an image\n", "model", title_of(info),
                        static_cast<double>(info.macs) * 1e-9);
    text += report.images.generated
                ? fmt::format(
                      "  {:<10} {} generated ones (seed {}, mean {:.0f} KB): they show "
                      "nothing, so there is no accuracy\n",
                      "images", report.images.count, report.images.seed,
                      report.images.mean_bytes * 1e-3)
                : fmt::format("  {:<10} {} from {}\n", "images", report.images.count,
                              report.images.path);
    if (!report.images.note.empty()) {
      text += fmt::format("  {:<10} {}\n", "too few", report.images.note);
    }
    text += fmt::format("  {:<10} {} {}\n", "resize", report.resize.mode,
                        report.resize.nearest ? "nearest" : "bilinear");
    if (report.decoders.value("resize", "") == "device") {
      text += report.decoders["engine"].is_null()
                  ? fmt::format("  {:<10} the processor alone: {}\n", "decoders",
                                report.decoders["missing"].get<std::string>())
                  : fmt::format("  {:<10} {}, and the processor\n", "decoders",
                                report.decoders["engine"].get<std::string>());
    }
    text +=
        fmt::format("  {:<10} {:.3f} s after start\n\n", "1st result", report.first_result_seconds);
    show(text);
  };
  options.on_verified = [&](const bench::Verified& verified) {
    show(
        verified.exact
            ? fmt::format("verified: the same bytes as device {} on {} image{}\n\n",
                          verified.device, verified.images, verified.images == 1 ? "" : "s")
            : fmt::format("verified: within {:.0e} of device {} on {} image{} (largest {:.1e})\n\n",
                          verified.tolerance, verified.device, verified.images,
                          verified.images == 1 ? "" : "s", verified.max_error));
    show(
        "real   = JPEG bytes to labels: read, decode, resize, infer, top-5\n"
        "device = tensors in memory to scores\n" +
        bench::table_head());
  };
  options.say = show;
  options.on_measurement = [&](const bench::Measurement& m) { show(bench::table_row(m)); };
  std::vector<double> seen;
  if (flags.watch) {
    if (flags.sustained == 0) options.sustained = 86400;  // until Ctrl-C
    options.on_second = [&](double seconds, double images) {
      seen.push_back(images);
      if (isatty(STDOUT_FILENO) != 0) {
        fmt::print("\r\033[K{} {:8.1f} images/s {}", clock_text(seconds), images, sparkline(seen));
      } else {
        fmt::print("{} {:8.1f} images/s\n", clock_text(seconds), images);
      }
      std::fflush(stdout);
    };
  }
  bench::Report report = bench::run(model, options);

  double best = 0;
  for (const bench::Measurement& measurement : report.results) {
    if (measurement.kind == flags.kinds.back())
      best = std::max(best, measurement.images_per_second);
  }
  if (price && best > 0) report.sections["cost"] = bench::cost_json(*price, best);
  if (!flags.peers.empty() && !interrupted()) {
    peers.batches = flags.batches;
    peers.seconds = flags.seconds;
    peers.images = flags.images;
    peers.resize = options.resize;
    peers.class_of = options.class_of;
    peers.say = show;
    peers.device = report.device.name;
    try {
      report.sections["peers"] = bench::run_peers(model, peers, folder.file(""));
    } catch (const Error& error) {
      // What was measured before is kept.
      report.sections["peers"] = {{"results", nlohmann::ordered_json::array()},
                                  {"left_out", {{{"system", "all"}, {"reason", error.what()}}}}};
      if (!interrupted()) context.exit_status = kExitError;
      show(fmt::format("  {}\n", error.what()));
    }
    report.partial = report.partial || interrupted();
  }

  std::string text = "\n";
  if (report.accuracy) {
    text += fmt::format("accuracy     top-1 {:.2f} %, top-5 {:.2f} % of {} labelled images seen\n",
                        100 * report.accuracy->top1, 100 * report.accuracy->top5,
                        report.accuracy->images);
  }
  if (report.sections.contains("cost")) {
    const auto& cost = report.sections["cost"];
    text += fmt::format("cost         {:.3f} dollars a million images at {:.3f} an hour ({})\n",
                        cost["dollars_per_million_images"].get<double>(),
                        cost["dollars_per_hour"].get<double>(), price->name);
  }
  text += fmt::format("peak memory  {:.0f} MB, whole run {:.0f} s\n",
                      static_cast<double>(report.peak_rss_bytes) * 1e-6, report.seconds);
  if (report.partial)
    text += "PARTIAL      interrupted: what is shown was measured, the rest is missing\n";
  if (!report.results.empty()) text += report.stability.stable ? "STABLE\n" : "UNSTABLE\n";
  for (const std::string& reason : report.stability.reasons) text += "  " + reason + "\n";
  show(text);

  nlohmann::ordered_json json = bench::to_json(report, context.command);
  if (json_file || page_file) {
    const std::string copy = folder.file("model.onnx");
    model.save(copy);  // as `pronghorn` writes it: the same for the same model, whatever its format
    json["model"]["sha256"] = digest_of(copy, "sha256");
  }
  json_file.write(json.dump(2) + "\n");
  if (page_file) page_file.write(bench::html_page(json));
  if (csv_file) csv_file.write(bench::csv_table(json));
  if (report.partial) {
    context.exit_status = kExitInterrupted;
    fmt::print(stderr, "pronghorn: interrupted; {}\n",
               flags.json.empty() ? "nothing was to be kept"
                                  : "what was measured is kept and marked partial");
  }
}

void add_load_options(CLI::App& command, Flags& flags) {
  command
      .add_option("--preset", flags.preset,
                  "quick, full (every section), or inaccel-2020 (200,000 images at batch 128)")
      ->check(CLI::IsMember({"quick", "full", "inaccel-2020"}));
  command.add_option("--kind", flags.kinds, "What to measure: device, real")
      ->delimiter(',')
      ->check(CLI::IsMember({"device", "real"}))
      ->capture_default_str();
  command
      .add_option("--repeats", flags.repeats,
                  "Parts of the run whose medians must agree within 2 %")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      .add_option("--most-seconds", flags.most_seconds,
                  "Time for a measurement that does not settle (default: four times --seconds)")
      ->check(CLI::Range(0.01, 86400.0));
  command
      .add_option("--dataset", flags.dataset,
                  "Real throughput over exactly so many images, repeating the given ones")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000000}));
  command
      .add_option("--scenario", flags.scenarios,
                  "MLPerf-like load: singlestream, multistream, server, offline, all")
      ->delimiter(',')
      ->check(CLI::IsMember({"singlestream", "multistream", "server", "offline", "all"}));
  command.add_flag("--official", flags.official,
                   "MLPerf's durations (600 s) and query counts; default: short");
  command.add_option("--latency-bound", flags.latency_bound, "Of server and trace, ms at the p99")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  command.add_option("--concurrency", flags.concurrency, "Streams at once, to sweep")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  command.add_option("--rate", flags.rates, "Requests a second (open loop, Poisson), to sweep")
      ->delimiter(',')
      ->check(CLI::Range(0.001, 1e7));
  command.add_flag("--rate-sweep", flags.rate_sweep, "The same at parts of the throughput");
  command.add_option("--thread-scaling", flags.thread_counts, "Thread counts to compare")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  command.add_flag("--device-scaling", flags.device_scaling,
                   "Each card of the device's kind alone, then all of them");
  command.add_option("--trace", flags.trace, "Replay requests: a file of seconds, one a line");
  command
      .add_option("--sustained", flags.sustained,
                  "Seconds of a long run, shown second by second; 8 or more")
      ->check(CLI::Range(1.0, 86400.0));
  command.add_flag("--watch", flags.watch, "Show the sustained run live; Ctrl-C ends it");
  command.add_option("--cold-start", flags.cold_starts, "Start this many new processes")
      ->check(CLI::Range(1, 1000));
  command.add_option("--peers", flags.peers,
                     "Compare with other engines in the same run: auto, or names "
                     "(onnxruntime,openvino,torch,tensorflow,tensorrt)");
  command
      .add_option("--peers-python", flags.peers_python,
                  "Python that has the engines, instead of a virtual environment of its own")
      ->check(CLI::ExistingFile);
}

void add_output_options(CLI::App& command, Flags& flags) {
  command.add_option("--price", flags.price,
                     "For the cost: a name of the price list, 0.42/h, or 9000/4y");
  command.add_option("--prices", flags.prices, "Another price list (as bench/prices.toml)");
  command.add_option("--json", flags.json, "Also write the figures to this file");
  command.add_option("--report", flags.report,
                     "Also write one HTML page (default: beside the JSON file)");
  command.add_flag("--no-report", flags.no_report, "Write no page beside the JSON file");
  command.add_option("--csv", flags.csv, "Also write a table with perf_analyzer's columns");
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("bench", "Measure real and device throughput, latency and accuracy");
  command->add_option("-b,--batch", flags->batches, "Batch sizes")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--seconds", flags->seconds, "Time for each measurement, about")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  command->add_option("--images", flags->images,
                      "Photographs: folder or .tar (default: generated ones)");
  flags->model.add(*command);
  flags->resize.add(*command);
  flags->device.add(*command);
  flags->task.add(*command);
  command->add_option("--port", flags->port, "Of device fpga: model, verilator (the RTL) or xrt")
      ->check(CLI::IsMember({"model", "verilator", "xrt"}));
  add_load_options(*command, *flags);
  add_output_options(*command, *flags);
  command
      ->add_option("--decoders", flags->decoders,
                   "all: the device's JPEG engine, where there is one, and the processor; "
                   "processor: that alone")
      ->check(CLI::IsMember({"all", "processor"}))
      ->capture_default_str();
  command
      ->add_option("--hint", flags->hint,
                   "throughput: an image keeps to one thread; latency: all share each image; "
                   "auto (default)")
      ->check(CLI::IsMember({"auto", "throughput", "latency"}));
  command->add_flag("--profile", flags->profile,
                    "Show each node's time, rate, share of the ceiling and bytes instead");
  command->footer("Example:\n  pronghorn bench --batch 1,32 --images photos/ --json bench.json");
  command->callback([flags, command, &context] {
    apply_preset(*command, *flags);
    if (flags->official && flags->scenarios.empty()) {
      throw Error(PH_INVALID_ARGUMENT,
                  "--official sets the durations of --scenario: name one or more, or all");
    }
    flags->device.device = with_port(flags->device.device, flags->port);
    run_bench(*flags, context);
  });
}

}  // namespace pronghorn::cli
