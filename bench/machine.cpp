// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <pronghorn/pronghorn.hpp>
#include <sstream>

#include "bench/commit.h"

namespace pronghorn::bench {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The value after `key` and a ':' or '=' in a file of such lines.
std::string value_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    std::size_t at = line.find_first_of(":=");
    if (at == std::string::npos) continue;
    at = line.find_first_not_of(" \t\"", at + 1);
    if (at == std::string::npos) return "";
    return line.substr(at, line.find_last_not_of(" \t\"") - at + 1);
  }
  return "";
}

std::int64_t cache_bytes(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
    if (first_line(folder + "/level") != std::to_string(level)) continue;
    const std::string size = first_line(folder + "/size");  // "32768K"
    const std::int64_t unit = size.find('M') != std::string::npos   ? 1 << 20
                              : size.find('K') != std::string::npos ? 1 << 10
                                                                    : 1;
    return std::strtoll(size.c_str(), nullptr, 10) * unit;
  }
  return 0;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

Machine this_machine() {
  Machine machine;
  machine.cpu = value_of("/proc/cpuinfo", "model name");
  machine.cores = available_cores();
  machine.logical_cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  machine.mhz = std::atof(value_of("/proc/cpuinfo", "cpu MHz").c_str());
  machine.governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  machine.hypervisor = first_line("/sys/class/dmi/id/sys_vendor");
  machine.memory_bytes =
      1024 * std::strtoll(value_of("/proc/meminfo", "MemTotal").c_str(), nullptr, 10);
  machine.l2_bytes = cache_bytes(2);
  machine.l3_bytes = cache_bytes(3);
  machine.os = value_of("/etc/os-release", "PRETTY_NAME");
  utsname names{};
  if (uname(&names) == 0) {
    machine.kernel = std::string(names.sysname) + " " + names.release + " " + names.machine;
  }
  double load[1] = {0};
  if (getloadavg(load, 1) == 1) machine.load_average = load[0];
  machine.version = pronghorn::version();
  machine.commit = kCommit;
#if defined(__clang__)
  machine.compiler = "clang " __clang_version__;
#else
  machine.compiler = "gcc " __VERSION__;
#endif
  machine.time = utc_now();
  return machine;
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

double seconds_since_start() {
  // Field 22 of /proc/self/stat: the start in clock ticks since boot. Field 2, the program's name
  // in brackets, may hold blanks.
  std::string stat = first_line("/proc/self/stat");
  const std::size_t bracket = stat.rfind(')');
  if (bracket == std::string::npos) return 0;
  std::istringstream fields(stat.substr(bracket + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  timespec now{};
  if (!fields || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
  const double start =
      std::strtod(field.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) - start;
}

}  // namespace pronghorn::bench
