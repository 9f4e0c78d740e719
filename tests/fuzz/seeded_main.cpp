// SPDX-License-Identifier: Apache-2.0
// The driver of every fuzz target. Starts from the target's seeds (and files given to it), mutates
// them, and keeps what reaches new branches as material for more.
//
//   onnx_fuzz [--seconds S | --execs N] [--seed N] [FILE|FOLDER...]
//   onnx_fuzz --replay FILE...      run these inputs once, unchanged
//
// The same seed and --execs make the same inputs. PRONGHORN_FUZZ_SECONDS replaces --seconds. An
// input that crashes, throws the wrong thing or takes over ten seconds is written to
// <target>-crash.bin in the working folder, and the status is not 0.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "coverage.h"
#include "fuzz.h"
#include "mutate.h"

extern "C" {
// Present in programs built with sanitizers only.
[[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());
// Allocations that a small input has no right to, and slow memory growth, are findings too.
const char* __asan_default_options();
const char* __asan_default_options() {
  return "max_allocation_size_mb=1024:hard_rss_limit_mb=3072:allocator_may_return_null=0:"
         "detect_stack_use_after_return=1:handle_abort=1";
}
}

namespace {

using pronghorn::fuzz::Input;
using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaxSize = 1 << 16;
constexpr unsigned kSecondsAnInput = 10;

std::string crash_file;
const Input* current = nullptr;

void save_current() {
  if (current == nullptr) return;
  std::ofstream(crash_file, std::ios::binary)
      .write(reinterpret_cast<const char*>(current->data()),
             static_cast<std::streamsize>(current->size()));
  std::fprintf(stderr, "the input is in %s (%zu bytes)\n", crash_file.c_str(), current->size());
  current = nullptr;
}

void on_signal(int number) {
  std::fprintf(stderr, number == SIGALRM ? "an input took over %u s\n" : "signal (limit %u s)\n",
               kSecondsAnInput);
  save_current();
  _exit(2);
}

void run(const Input& input) {
  current = &input;
  alarm(kSecondsAnInput);
  pronghorn::fuzz::begin_trace();
  try {
    pronghorn::fuzz::test_one(input);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "threw what no reader may throw: %s\n", error.what());
    save_current();
    std::exit(2);
  }
  alarm(0);
  current = nullptr;
}

Input read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::exit(1);
  }
  return Input(std::istreambuf_iterator<char>(file), {});
}

struct Options {
  double seconds = 60;
  long execs = 0;
  std::uint64_t seed = 0;
  bool replay = false;
  std::vector<Input> files;
};

Options parse(int argc, char** argv) {
  Options options;
  options.seed = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--seconds" && has_value) {
      options.seconds = std::atof(argv[++i]);
      if (const char* other = std::getenv("PRONGHORN_FUZZ_SECONDS")) {
        options.seconds = std::atof(other);
      }
    } else if (word == "--execs" && has_value) {
      options.execs = std::atol(argv[++i]);
    } else if (word == "--seed" && has_value) {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (word == "--replay") {
      options.replay = true;
    } else if (word.starts_with("--")) {
      std::fprintf(stderr,
                   "usage: %s [--seconds S | --execs N] [--seed N] [--replay] [FILE|FOLDER...]\n",
                   argv[0]);
      std::exit(1);
    } else if (std::filesystem::is_directory(word)) {
      std::vector<std::filesystem::path> paths;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(word)) {
        if (entry.is_regular_file()) paths.push_back(entry.path());
      }
      std::sort(paths.begin(), paths.end());
      for (const auto& path : paths) options.files.push_back(read_file(path));
    } else {
      options.files.push_back(read_file(word));
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace pronghorn::fuzz;
  const std::string name = std::filesystem::path(argv[0]).filename();
  crash_file = name + "-crash.bin";
  const Options options = parse(argc, argv);
  if (&__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(save_current);
  } else {
    for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) signal(number, on_signal);
  }
  signal(SIGALRM, on_signal);

  if (options.replay) {
    for (const Input& input : options.files) run(input);
    std::printf("%s: %zu inputs replayed\n", name.c_str(), options.files.size());
    return 0;
  }

  std::printf("%s: seed %llu\n", name.c_str(), static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  std::vector<Input> corpus = seeds();
  corpus.insert(corpus.end(), options.files.begin(), options.files.end());
  std::erase_if(corpus, [](const Input& input) { return input.size() > kMaxSize; });
  if (corpus.empty()) {
    std::fprintf(stderr, "no seed of at most %zu bytes\n", kMaxSize);
    return 1;
  }
  for (const Input& input : corpus) {
    run(input);
    new_branches();
  }

  Random random(options.seed);
  const std::size_t seeds_size = corpus.size();
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  long execs = 0;
  while (options.execs > 0 ? execs < options.execs : seconds() < options.seconds) {
    // Half of the time one of the latest finds, which nothing was made from yet.
    const std::size_t latest = std::min<std::size_t>(corpus.size(), 32);
    const std::size_t pick =
        random() % 2 == 0 ? random() % corpus.size() : corpus.size() - 1 - random() % latest;
    Input input = mutate(corpus[pick], corpus, kMaxSize, random);
    if (random() % 4 != 0) repair(input);
    run(input);
    ++execs;
    if (new_branches() > 0) corpus.push_back(std::move(input));
  }
  std::printf("%s: %ld execs in %.1f s, %d branches, corpus %zu (%zu seeds), no finding\n",
              name.c_str(), execs, seconds(), all_branches(), corpus.size(), seeds_size);
  return 0;
}
