// SPDX-License-Identifier: Apache-2.0
// The files of tests/data/keras and what Keras computes with them.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "import/zip.h"

namespace pronghorn::import {

// Tests run in the repository's root.
inline std::filesystem::path keras_data() { return "tests/data/keras"; }

inline zip::Member keras_file(const std::string& name) {
  if (name.ends_with(".h5")) {
    auto file = std::make_shared<base::MappedFile>(keras_data() / "hdf5.zip");
    return zip::Archive(file->bytes(), file, "hdf5.zip").read(name, 1 << 20);
  }
  auto file = std::make_shared<base::MappedFile>(keras_data() / name);
  return {file->bytes(), file};
}

struct KerasAnswer {
  std::vector<float> input, output;
};

inline KerasAnswer keras_answer(const std::string& model) {
  std::ifstream file(keras_data() / (model + ".txt"));
  KerasAnswer answer;
  std::string line;
  for (std::vector<float>* values : {&answer.input, &answer.output}) {
    std::getline(file, line);
    std::istringstream numbers(line);
    for (float v; numbers >> v;) values->push_back(v);
  }
  return answer;
}

}  // namespace pronghorn::import
