// SPDX-License-Identifier: Apache-2.0
// Runs the program under test and makes what it reads.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace pronghorn::test {

struct Outcome {
  int status = 0;  // exit status; 128 + signal when killed
  std::string out, err;
};
// Runs in an empty folder. The words are quoted for the shell by the caller where they need it;
// `environment` is put before them.
Outcome run(const std::string& arguments, const std::string& environment = "");

// A folder of one test, removed with it. The current directory of the program is this folder.
class Folder {
 public:
  Folder();
  ~Folder();
  std::filesystem::path path(const std::string& name = "") const { return path_ / name; }
  void write(const std::string& name, const std::string& bytes) const;
  std::string read(const std::string& name) const;
  nlohmann::json json(const std::string& name) const;
  // A picture of one colour with a little structure; makes its folder.
  void picture(const std::string& name, int red, int green, int blue) const;
  // `input` is the file that becomes standard input.
  Outcome run(const std::string& arguments, const std::string& environment = "",
              const std::string& input = "/dev/null") const;

 private:
  std::filesystem::path path_;
};

// The float network of tests/data/onnx and what it needs on the command line.
std::string colours();       // "--model .../colours.onnx --preprocess torch --labels colours.txt"
std::string colours_file();  // the path alone
void write_colour_labels(const Folder& folder);  // colours.txt: red, green, blue, gray

}  // namespace pronghorn::test
