// SPDX-License-Identifier: Apache-2.0
// Other engines beside Pronghorn in one run: bench/peers/compare.py in a virtual environment of its
// own, on the model and the pixels of this run.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <pronghorn/pronghorn.hpp>
#include <string>
#include <vector>

namespace pronghorn::bench {

struct PeerOptions {
  std::string names;   // "auto" or a list with commas
  std::string python;  // of an environment that is there; "": one is made
  std::string device;  // of Pronghorn; "cuda..." compares engines on the GPU
  int threads = 1;
  std::vector<int> batches;
  double seconds = 3;
  std::string images;  // "" are generated ones
  Resize resize;
  std::function<std::int64_t(const std::string& label)> class_of;
  std::function<void(const std::string& line)> say;
  std::string script;  // found by find_peers()
};

// Finds the script (PRONGHORN_PEERS, else beside the program). Throws Error saying what is missing,
// or which peer is unknown.
void find_peers(PeerOptions& options);

// Makes the virtual environment in the user's cache when none is given, runs, and returns the
// JSON that the script wrote: `results`, `checks`, `left_out`. `folder` takes temporary files.
nlohmann::ordered_json run_peers(const Model& model, const PeerOptions& options,
                                 const std::string& folder);

// What bench/task.h shares with the above: a script of bench/peers by name, `option` being what
// asked for it; the virtual environment; the library in use; a command run with its standard output
// line by line to `on_line`, and its exit status.
std::string peer_script(const std::string& name, const std::string& option);
std::string peers_environment();
std::string library_path();
int run_command(const std::vector<std::string>& command,
                const std::function<void(const std::string&)>& on_line);

}  // namespace pronghorn::bench
