// SPDX-License-Identifier: Apache-2.0
// What the benches share: a clock, a seed that is printed, checks that count.
#pragma once

#include <verilated.h>
#if VM_COVERAGE
#include <unistd.h>
#include <verilated_cov.h>
#endif

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

namespace bench {

inline std::uint64_t failures = 0;
inline std::uint64_t checks = 0;

// PRONGHORN_SEED repeats a run.
inline std::mt19937_64 random_engine(const char* name) {
  const char* text = std::getenv("PRONGHORN_SEED");
  const std::uint64_t seed =
      text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
  std::printf("%s: PRONGHORN_SEED=%llu\n", name, static_cast<unsigned long long>(seed));
  return std::mt19937_64(seed);
}

inline std::int64_t between(std::mt19937_64& random, std::int64_t lo, std::int64_t hi) {
  return lo + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(hi - lo + 1));
}

template <typename... Args>
void check(bool holds, const char* format, Args... args) {
  ++checks;
  if (holds) return;
  if (++failures <= 20) {
    std::printf("FAILED: ");
    std::printf(format, args...);
    std::printf("\n");
  }
}

// Bits of a Verilated port of any width.
template <typename Port>
void put_bytes(Port& port, std::size_t offset, const void* src, std::size_t count) {
  std::memcpy(reinterpret_cast<char*>(&port) + offset, src, count);
}
template <typename Port>
void get_bytes(const Port& port, std::size_t offset, void* dst, std::size_t count) {
  std::memcpy(dst, reinterpret_cast<const char*>(&port) + offset, count);
}

inline int finish(const char* name) {
  std::printf("%s: %llu checks, %llu failed\n", name, static_cast<unsigned long long>(checks),
              static_cast<unsigned long long>(failures));
  return failures == 0 && checks > 0 ? 0 : 1;
}

// A Verilated module. Built with coverage, it writes what it reached when it goes away, which is
// when its counters do: PROCESS-NUMBER.coverage in the working folder.
template <typename Top>
class Model : public Top {
#if VM_COVERAGE
 public:
  ~Model() {
    static int number = 0;
    VerilatedCov::write(
        (std::to_string(::getpid()) + "-" + std::to_string(number++) + ".coverage").c_str());
    VerilatedCov::clear();
  }
#endif
};

}  // namespace bench
