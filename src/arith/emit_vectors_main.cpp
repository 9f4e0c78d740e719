// SPDX-License-Identifier: Apache-2.0
// emit_vectors FOLDER: writes the golden vectors of the integer law.
#include <cstdio>
#include <exception>
#include <filesystem>

#include "arith/vectors.h"
#include "base/file.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: emit_vectors FOLDER (tests/vectors)\n");
    return 2;
  }
  try {
    for (const auto& [name, text] : pronghorn::arith::vectors::files()) {
      pronghorn::base::write_file(std::filesystem::path(argv[1]) / name, text);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "emit_vectors: %s\n", error.what());
    return 1;
  }
  return 0;
}
