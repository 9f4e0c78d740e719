// SPDX-License-Identifier: Apache-2.0
#include "bench/peers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "bench/photographs.h"

extern char** environ;

namespace pronghorn::bench {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kMostImages = 512;  // kept decoded for every engine: 77 MB at 224 x 224
const std::set<std::string> kKnown = {"onnxruntime", "openvino", "torch", "tensorflow", "tensorrt"};

std::string cache_folder() {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (!set("PRONGHORN_CACHE").empty()) return set("PRONGHORN_CACHE");
  if (!set("XDG_CACHE_HOME").empty()) return set("XDG_CACHE_HOME") + "/pronghorn";
  return set("HOME") + "/.cache/pronghorn";
}

// NumPy's format, version 1.0: u8 of n x h x w x 3.
void write_npy(const std::string& path, const std::vector<std::uint8_t>& pixels, std::size_t n,
               const ModelInfo& info) {
  std::string header =
      fmt::format("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, {}, {}, 3), }}", n,
                  info.input_height, info.input_width);
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(static_cast<char>(header.size() & 255)).put(static_cast<char>(header.size() >> 8));
  file << header;
  file.write(reinterpret_cast<const char*>(pixels.data()),
             static_cast<std::streamsize>(pixels.size()));
  if (!file) throw Error(PH_IO, path + ": cannot be written");
}

}  // namespace

int run_command(const std::vector<std::string>& command,
                const std::function<void(const std::string&)>& on_line) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error(PH_IO, "no pipe can be made");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (failed != 0) {
    close(ends[0]);
    throw Error(PH_NOT_FOUND, fmt::format("{}: {}", command[0], std::strerror(failed)));
  }
  std::string line;
  char bytes[4096];
  for (ssize_t got; (got = read(ends[0], bytes, sizeof bytes)) != 0;) {
    if (got < 0) {
      if (errno != EINTR) break;
      kill(child, SIGINT);  // a signal that ends us is for it too: it keeps what it measured
      continue;
    }
    for (const char byte : std::string_view(bytes, static_cast<std::size_t>(got))) {
      line += byte;
      if (byte == '\n') {
        on_line(line);
        line.clear();
      }
    }
  }
  close(ends[0]);
  if (!line.empty()) on_line(line + "\n");
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// For the same code in the same process as the others.
std::string library_path() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("libpronghorn.so") != std::string::npos) return line.substr(line.find('/'));
  }
  throw Error(PH_NOT_FOUND, "libpronghorn.so is not loaded as a shared library: peers need it");
}

std::string peers_environment() { return cache_folder() + "/peers"; }

std::string peer_script(const std::string& name, const std::string& option) {
  const char* set = std::getenv("PRONGHORN_PEERS");
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& folder :
       {fs::path(set == nullptr ? "" : set), program / "../share/pronghorn/peers",
        program / "../bench/peers"}) {
    if (folder.empty() || !fs::exists(folder / name)) continue;
    return fs::canonical(folder / name).string();
  }
  throw Error(PH_NOT_FOUND, fmt::format("{}: {} is neither beside the program nor in "
                                        "PRONGHORN_PEERS",
                                        option, name));
}

void find_peers(PeerOptions& options) {
  if (options.names != "auto") {
    for (std::size_t at = 0; at <= options.names.size();) {
      const std::size_t comma = std::min(options.names.find(',', at), options.names.size());
      const std::string name = options.names.substr(at, comma - at);
      if (!kKnown.contains(name)) {
        throw Error(PH_INVALID_ARGUMENT,
                    fmt::format("--peers: unknown peer \"{}\"; auto, or of: {}", name,
                                fmt::join(kKnown, ", ")));
      }
      at = comma + 1;
    }
  }
  options.script = peer_script("compare.py", "--peers");
}

ordered_json run_peers(const Model& model, const PeerOptions& options, const std::string& folder) {
  const ModelInfo info = model.info();
  if (!info.input_is_u8) {
    throw Error(PH_UNSUPPORTED,
                "--peers: the model takes float pixels; give a quantized one (pronghorn quantize)");
  }
  const std::string peers = fs::path(options.script).parent_path().string();
  const std::string environment = peers_environment();
  const std::string left_out = folder + "left_out.json";
  const std::string python = options.python.empty() ? environment + "/bin/python" : options.python;
  options.say(fmt::format("\npeers ({}), {}\n", options.names, python));
  if (!options.python.empty()) {
    std::ofstream(left_out) << "[]";  // what it lacks is found when it is imported
  } else if (run_command(
                 {"python3", peers + "/environment.py", environment, options.names, left_out},
                 options.say) != 0) {
    throw Error(PH_IO, fmt::format("--peers: no virtual environment in {}; python3 with venv is "
                                   "needed (Debian: python3-venv)",
                                   environment));
  }
  // The same photographs for all, spread over the source so that every class takes part.
  std::vector<Photograph> generated;
  Source source = [&] {
    if (!options.images.empty()) return Source::open(options.images);
    generated = make_photographs(kDefaultSeed, 0, 64, options.threads);
    std::vector<std::span<const std::byte>> bytes;
    for (const Photograph& photograph : generated) bytes.emplace_back(photograph.jpeg);
    return Source::memory(bytes, {});
  }();
  // More time, more images for the accuracy.
  const std::int64_t count =
      std::min({kMostImages, source.size(),
                std::max<std::int64_t>(32, static_cast<std::int64_t>(64 * options.seconds))});
  std::vector<std::uint8_t> pixels, one(info.pixel_bytes());
  ordered_json labels = ordered_json::array();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = i * source.size() / count;
    try {
      source.pixels(index, options.resize, one);
    } catch (const Error& error) {
      if (error.status() != PH_CORRUPT && error.status() != PH_UNSUPPORTED) throw;
      continue;
    }
    pixels.insert(pixels.end(), one.begin(), one.end());
    const std::string label = source.label(index);
    labels.push_back(label.empty() || !options.class_of ? -1 : options.class_of(label));
  }
  if (labels.empty()) throw Error(PH_CORRUPT, "--peers: not one image could be decoded");
  const std::string file = folder + "peers-model.onnx";
  model.save(file);
  write_npy(folder + "pixels.npy", pixels, labels.size(), info);
  std::ofstream(folder + "labels.json") << labels.dump();
  const std::string out = folder + "peers.json";
  const bool gpu = options.device.starts_with("cuda");
  const std::string names = options.names != "auto" ? options.names
                            : gpu                   ? "onnxruntime,torch,tensorflow,tensorrt"
                                                    : "onnxruntime,openvino,torch,tensorflow";
  const int status = run_command({python,
                                  options.script,
                                  file,
                                  "--library",
                                  library_path(),
                                  "--device",
                                  gpu ? options.device : "cpu",
                                  "--threads",
                                  std::to_string(options.threads),
                                  "--batch",
                                  fmt::format("{}", fmt::join(options.batches, ",")),
                                  "--rounds",
                                  "5",
                                  "--seconds",
                                  fmt::format("{:g}", std::max(0.05, options.seconds / 5)),
                                  "--peers",
                                  names,
                                  "--precisions",
                                  "--pixels",
                                  folder + "pixels.npy",
                                  "--labels",
                                  folder + "labels.json",
                                  "--left-out",
                                  left_out,
                                  "--out",
                                  out},
                                 options.say);
  std::ifstream written(out);
  ordered_json json = ordered_json::parse(written, nullptr, false);
  if (status != 0 || !json.is_object()) {
    throw Error(PH_INTERNAL,
                fmt::format("--peers: {} ended with status {}", options.script, status));
  }
  json.erase("schema");
  json.erase("command");  // of temporary files; the run's own says how to repeat it
  json.erase("machine");
  return json;
}

}  // namespace pronghorn::bench
