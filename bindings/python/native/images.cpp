// SPDX-License-Identifier: Apache-2.0
// Sources of encoded images, and decoding.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "native.h"

namespace pronghorn::python {
namespace {

using namespace nb::literals;

std::span<const std::byte> view(const nb::bytes& bytes) {
  return {static_cast<const std::byte*>(bytes.data()), bytes.size()};
}

Source from_memory(const std::vector<nb::bytes>& images, const std::vector<std::string>& names) {
  std::vector<std::span<const std::byte>> views;
  for (const nb::bytes& image : images) views.push_back(view(image));
  if (!names.empty() && names.size() != images.size()) {
    throw Error(PH_INVALID_ARGUMENT, std::to_string(names.size()) + " names for " +
                                         std::to_string(images.size()) + " images");
  }
  return Source::memory(views, names);
}

// The width that a resize mode leaves: the number at its end.
std::size_t width_of(const std::string& mode) {
  const std::size_t at = mode.find_last_of(':');
  std::size_t width = 0;
  for (std::size_t i = at + 1; at != std::string::npos && i < mode.size(); ++i) {
    if (mode[i] < '0' || mode[i] > '9' || width > 1 << 16)
      return 1;  // the library says what is wrong
    width = width * 10 + static_cast<std::size_t>(mode[i] - '0');
  }
  return width < 1 ? 1 : width;
}

nb::object pixels(const Source& source, std::int64_t index, const Resize& resize) {
  const std::size_t width = width_of(resize.mode);
  std::vector<std::uint8_t> values(width * width * 3);
  {
    const nb::gil_scoped_release release;
    source.pixels(index, resize, values);
  }
  return to_numpy(std::move(values), {width, width, 3});
}

nb::object decode_bytes(const nb::bytes& data, const Resize& resize, const std::string& name) {
  const std::size_t width = width_of(resize.mode);
  std::vector<std::uint8_t> values(width * width * 3);
  const auto bytes = view(data);
  {
    const nb::gil_scoped_release release;
    decode(bytes, name, resize, values);
  }
  return to_numpy(std::move(values), {width, width, 3});
}

}  // namespace

void bind_images(nb::module_& module) {
  nb::class_<Resize>(module, "Resize")
      .def(nb::init<std::string, bool, bool>(), "mode"_a = "", "nearest"_a = false,
           "scaled_decode"_a = false)
      .def_rw("mode", &Resize::mode, "'direct:224' or 'short:256,crop:224'; '': the model's own")
      .def_rw("nearest", &Resize::nearest, "Nearest neighbour instead of antialiased bilinear")
      .def_rw("scaled_decode", &Resize::scaled_decode, "Let the JPEG decoder scale down first");

  const nb::call_guard<nb::gil_scoped_release> unlocked;
  nb::class_<Source>(module, "Source")
      .def_static("open", &Source::open, "path"_a, unlocked)
      .def_static("files", &Source::files, "paths"_a, unlocked)
      .def_static("memory", &from_memory, "images"_a, "names"_a = std::vector<std::string>())
      .def("repeat", &Source::repeat, "size"_a)
      .def("__len__", &Source::size)
      .def("name", &Source::name, "index"_a)
      .def("label", &Source::label, "index"_a)
      .def("pixels", &pixels, "index"_a, "resize"_a);
  module.def("decode", &decode_bytes, "data"_a, "resize"_a, "name"_a = "image");
}

}  // namespace pronghorn::python
