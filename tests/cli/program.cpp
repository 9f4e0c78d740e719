// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/program.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

// jpeglib.h needs <cstdio> before it.
#include <jpeglib.h>

namespace pronghorn::test {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string jpeg(int width, int height, int red, int green, int blue) {
  jpeg_compress_struct encoder;
  jpeg_error_mgr errors;
  encoder.err = jpeg_std_error(&errors);
  jpeg_create_compress(&encoder);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&encoder, &bytes, &size);
  encoder.image_width = static_cast<JDIMENSION>(width);
  encoder.image_height = static_cast<JDIMENSION>(height);
  encoder.input_components = 3;
  encoder.in_color_space = JCS_RGB;
  jpeg_set_defaults(&encoder);
  jpeg_start_compress(&encoder, TRUE);
  std::vector<unsigned char> line(static_cast<std::size_t>(width) * 3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int light = (x * 7 + y * 5) % 16 - 8;
      const int colour[3] = {red, green, blue};
      for (int c = 0; c < 3; ++c) {
        line[static_cast<std::size_t>(3 * x + c)] =
            static_cast<unsigned char>(std::min(255, std::max(0, colour[c] + light)));
      }
    }
    JSAMPROW row = line.data();
    jpeg_write_scanlines(&encoder, &row, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  std::string result(reinterpret_cast<char*>(bytes), size);
  std::free(bytes);
  return result;
}

}  // namespace

Folder::Folder() {
  static std::atomic<int> number = 0;
  path_ = fs::temp_directory_path() /
          ("pronghorn-cli-" + std::to_string(getpid()) + "-" + std::to_string(number++));
  fs::create_directories(path_);
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void Folder::write(const std::string& name, const std::string& bytes) const {
  fs::create_directories(path(name).parent_path());
  std::ofstream(path(name), std::ios::binary) << bytes;
}

std::string Folder::read(const std::string& name) const { return slurp(path(name)); }

nlohmann::json Folder::json(const std::string& name) const {
  return nlohmann::json::parse(read(name));
}

void Folder::picture(const std::string& name, int red, int green, int blue) const {
  write(name, jpeg(80, 60, red, green, blue));
}

Outcome Folder::run(const std::string& arguments, const std::string& environment,
                    const std::string& input) const {
  const std::string out = path_.string() + ".out";
  const std::string err = path_.string() + ".err";
  const std::string command = "cd '" + path_.string() + "' && " + environment + " '" +
                              PRONGHORN_PROGRAM + "' " + arguments + " >'" + out + "' 2>'" + err +
                              "' <'" + input + "'";
  const int status = std::system(command.c_str());
  Outcome result{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), slurp(out),
                 slurp(err)};
  fs::remove(out);
  fs::remove(err);
  return result;
}

Outcome run(const std::string& arguments, const std::string& environment) {
  return Folder().run(arguments, environment);
}

std::string colours_file() {
  return std::string(PRONGHORN_SOURCE) + "/tests/data/onnx/colours.onnx";
}

std::string colours() {
  return "--model '" + colours_file() + "' --preprocess torch --labels colours.txt";
}

void write_colour_labels(const Folder& folder) {
  folder.write("colours.txt", "red\ngreen, lime\nblue\ngray\n");
}

}  // namespace pronghorn::test
