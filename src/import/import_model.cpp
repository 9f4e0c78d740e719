// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "import/import.h"
#include "import/onnx_wire.h"

namespace pronghorn::import {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kHdf5Signature = "\x89HDF\r\n\x1a\n"sv;
constexpr std::string_view kZipSignature = "PK\x03\x04"sv;

bool has_at(base::Bytes bytes, std::size_t offset, std::string_view signature) {
  return bytes.size() >= offset + signature.size() &&
         std::memcmp(bytes.data() + offset, signature.data(), signature.size()) == 0;
}

// HDF5 allows a block of the user's own before the file: 0, 512, 1024, 2048, ... bytes.
bool is_hdf5(base::Bytes bytes) {
  if (has_at(bytes, 0, kHdf5Signature)) return true;
  for (std::size_t at = 512; at < bytes.size(); at *= 2) {
    if (has_at(bytes, at, kHdf5Signature)) return true;
  }
  return false;
}

}  // namespace

graph::Graph import_model(base::Bytes bytes, std::shared_ptr<const void> owner,
                          const std::string& name) {
  if (bytes.empty()) base::fail(base::Status::kCorrupt, "{}: is empty; no model", name);
  if (is_hdf5(bytes)) return import_keras_h5(bytes, std::move(owner), name);
  if (has_at(bytes, 0, kZipSignature)) return import_keras_zip(bytes, std::move(owner), name);
  if (looks_like_onnx(bytes)) return import_onnx(bytes, std::move(owner), name);
  base::fail(base::Status::kUnsupported,
             "{}: is no model that we read: ONNX, Keras .h5, .weights.h5 or .keras", name);
}

graph::Graph import_model(const std::filesystem::path& path) {
  const auto file = std::make_shared<const base::MappedFile>(path);
  return import_model(file->bytes(), file, path.string());
}

}  // namespace pronghorn::import
