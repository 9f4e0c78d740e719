// SPDX-License-Identifier: Apache-2.0
// A writer of tar archives for tests, headers as wrong as a test likes.
#pragma once

#include <cstdio>
#include <cstring>
#include <string>

namespace pronghorn::image::testing {

struct TarHeader {
  std::string name;
  char type = '0';
  std::string prefix;
  std::string magic = std::string(
      "ustar\0"
      "00",
      8);
  std::string size;  // 12 bytes in place of the true size
};

inline void seal(std::string& header) {
  unsigned sum = 0;
  for (int i = 148; i < 156; ++i) header[i] = ' ';
  for (const char c : header) sum += static_cast<unsigned char>(c);
  char text[9];
  std::snprintf(text, sizeof text, "%06o", sum & 0777777);
  std::memcpy(&header[148], text, 7);
}

inline std::string tar_member(const TarHeader& fields, const std::string& data) {
  std::string header(512, '\0');
  header.replace(0, fields.name.size(), fields.name);
  char size[13];
  std::snprintf(size, sizeof size, "%011zo", data.size());
  header.replace(124, 11, size);
  if (!fields.size.empty()) header.replace(124, fields.size.size(), fields.size);
  header[156] = fields.type;
  header.replace(257, fields.magic.size(), fields.magic);
  header.replace(345, fields.prefix.size(), fields.prefix);
  seal(header);
  return header + data + std::string((512 - data.size() % 512) % 512, '\0');
}

inline std::string tar_file(const std::string& name, const std::string& data) {
  TarHeader header;
  header.name = name;
  return tar_member(header, data);
}

inline std::string pax(const std::string& key, const std::string& value) {
  // The length counts its own digits.
  std::size_t length = key.size() + value.size() + 3;
  length += std::to_string(length + std::to_string(length).size()).size();
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

inline std::string tar_end() { return std::string(1024, '\0'); }

}  // namespace pronghorn::image::testing
