// SPDX-License-Identifier: Apache-2.0
// RAPL, as the Linux kernel shows it: Documentation/power/powercap/powercap.rst, and the events of
// arch/x86/events/rapl.c.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "bench/power.h"

namespace pronghorn::bench {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<double> number_in(const fs::path& path) {
  const std::optional<std::string> line = first_line(path);
  if (!line) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(line->c_str(), &end);
  if (end == line->c_str()) return std::nullopt;
  return value;
}

class PowercapMeter final : public EnergyMeter {
 public:
  PowercapMeter(fs::path zone, std::string name, double range_uj)
      : file_(zone / "energy_uj"), name_(std::move(name)), range_uj_(range_uj) {
    last_uj_ = number_in(file_).value_or(0);
  }
  std::string name() const override { return name_; }
  std::string source() const override { return "RAPL, powercap"; }
  double joules() override {
    const double now = number_in(file_).value_or(last_uj_);
    // The counter wraps at its range, after an hour or so at full power.
    sum_uj_ += now >= last_uj_ ? now - last_uj_ : now + range_uj_ - last_uj_;
    last_uj_ = now;
    return 1e-6 * sum_uj_;
  }

 private:
  fs::path file_;
  std::string name_;
  double range_uj_;
  double last_uj_ = 0, sum_uj_ = 0;
};

class PerfMeter final : public EnergyMeter {
 public:
  PerfMeter(int file, std::string name, double scale)
      : file_(file), name_(std::move(name)), scale_(scale) {}
  ~PerfMeter() override { close(file_); }
  PerfMeter(const PerfMeter&) = delete;
  PerfMeter& operator=(const PerfMeter&) = delete;
  std::string name() const override { return name_; }
  std::string source() const override { return "RAPL, perf"; }
  double joules() override {
    std::uint64_t count = 0;
    if (read(file_, &count, sizeof count) != sizeof count) return last_;
    last_ = static_cast<double>(count) * scale_;
    return last_;
  }

 private:
  int file_;
  std::string name_;
  double scale_;
  double last_ = 0;
};

// The zones that add up: packages, and the memory inside them. The other zones of a package (core,
// uncore) are parts of it.
std::string open_powercap(const fs::path& sys, Meters& meters) {
  const fs::path root = sys / "class/powercap";
  std::error_code error;
  std::vector<fs::path> zones;
  for (const fs::directory_entry& entry : fs::directory_iterator(root, error)) {
    if (entry.path().filename().string().starts_with("intel-rapl:")) zones.push_back(entry.path());
  }
  if (error) return fmt::format("{}: {}", root.string(), error.message());
  if (zones.empty()) return fmt::format("{}: no intel-rapl zone", root.string());
  std::sort(zones.begin(), zones.end());
  for (const fs::path& zone : zones) {
    const std::string name = first_line(zone / "name").value_or("");
    if (!name.starts_with("package") && name != "dram") continue;
    const fs::path file = zone / "energy_uj";
    const std::optional<double> range = number_in(zone / "max_energy_range_uj");
    if (!number_in(file) || !range) {
      const int opened = open(file.c_str(), O_RDONLY | O_CLOEXEC);
      const bool denied = opened < 0 && (errno == EACCES || errno == EPERM);
      if (opened >= 0) close(opened);
      return fmt::format(
          "{}: {}", file.string(),
          denied ? "no permission to read it; run as root, or: sudo chmod a+r " + file.string()
                 : "holds no counter");
    }
    const std::string place = zone.filename().string().substr(std::strlen("intel-rapl:"));
    meters.meters.push_back(
        std::make_unique<PowercapMeter>(zone, fmt::format("cpu {} ({})", name, place), *range));
  }
  return meters.meters.empty() ? fmt::format("{}: no zone of a package", root.string()) : "";
}

// "event=0x02" in the file of an event.
std::optional<std::uint64_t> event_code(const fs::path& file) {
  const std::string line = first_line(file).value_or("");
  if (!line.starts_with("event=")) return std::nullopt;
  return std::strtoull(line.c_str() + std::strlen("event="), nullptr, 0);
}

std::string open_perf(const fs::path& sys, Meters& meters) {
  const fs::path pmu = sys / "bus/event_source/devices/power";
  const std::optional<double> type = number_in(pmu / "type");
  if (!type) return fmt::format("{}: the kernel has no power events", pmu.string());
  const std::string cpus = first_line(pmu / "cpumask").value_or("0");
  for (const char* event : {"energy-pkg", "energy-ram"}) {
    const fs::path file = pmu / "events" / event;
    const std::optional<std::uint64_t> code = event_code(file);
    const std::optional<double> scale = number_in(file.string() + ".scale");
    if (!code || !scale) continue;
    std::size_t at = 0;
    while (at < cpus.size()) {  // "0,16": one processor of each package
      const int cpu = std::atoi(cpus.c_str() + at);
      at = cpus.find(',', at);
      at = at == std::string::npos ? cpus.size() : at + 1;
      perf_event_attr attributes{};
      attributes.size = sizeof attributes;
      attributes.type = static_cast<std::uint32_t>(*type);
      attributes.config = *code;
      const auto opened =
          static_cast<int>(syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, 0));
      if (opened < 0) {
        meters.meters.clear();
        return fmt::format("perf event {}: {}{}", event, std::strerror(errno),
                           errno == EACCES || errno == EPERM
                               ? "; run as root, or: sudo sysctl kernel.perf_event_paranoid=-1"
                               : "");
      }
      meters.meters.push_back(std::make_unique<PerfMeter>(
          opened, fmt::format("cpu {} (processor {})", event, cpu), *scale));
    }
  }
  return meters.meters.empty() ? fmt::format("{}: no energy events", pmu.string()) : "";
}

class DeviceMeter final : public EnergyMeter {
 public:
  DeviceMeter(std::string device, std::function<double()> read)
      : device_(std::move(device)), read_(std::move(read)) {}
  std::string name() const override { return device_; }
  std::string source() const override {
    return device_.starts_with("cuda") ? "NVML" : device_.starts_with("fpga") ? "XRT" : "device";
  }
  double joules() override { return read_(); }

 private:
  std::string device_;
  std::function<double()> read_;
};

}  // namespace

Meters open_rapl(const std::string& sys) {
  Meters meters;
  const std::string powercap = open_powercap(sys, meters);
  if (powercap.empty()) return meters;
  meters.meters.clear();
  const std::string perf = open_perf(sys, meters);
  if (!perf.empty()) {
    meters.missing.push_back(fmt::format(
        "cpu: no energy counter ({}; {}); many virtual machines hide it", powercap, perf));
  }
  return meters;
}

std::unique_ptr<EnergyMeter> device_meter(const std::string& device, std::function<double()> read) {
  return std::make_unique<DeviceMeter>(device, std::move(read));
}

}  // namespace pronghorn::bench
