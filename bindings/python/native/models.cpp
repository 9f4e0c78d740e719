// SPDX-License-Identifier: Apache-2.0
// Devices and models.
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "native.h"

namespace pronghorn::python {
namespace {

using namespace nb::literals;

Model from_bytes(nb::bytes data, const std::string& name) {
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(data.data()), data.size());
  const nb::gil_scoped_release release;
  return Model::from_bytes(bytes, name);
}

nb::bytes to_bytes(const Model& model) {
  std::vector<std::byte> bytes;
  {
    const nb::gil_scoped_release release;
    bytes = model.to_bytes();
  }
  return nb::bytes(bytes.data(), bytes.size());
}

}  // namespace

void bind_models(nb::module_& module) {
  nb::class_<DeviceInfo>(module, "Device")
      .def_ro("name", &DeviceInfo::name, "What `device=` takes: 'cpu', 'reference', ...")
      .def_ro("description", &DeviceInfo::description)
      .def_ro("isa", &DeviceInfo::isa, "The kernel set in use; '' if none")
      .def_ro("cores", &DeviceInfo::cores)
      .def_ro("memory_bytes", &DeviceInfo::memory_bytes, "0: unknown")
      .def_ro("clock_hz", &DeviceInfo::clock_hz, "0: unknown")
      .def("__repr__", [](const DeviceInfo& d) {
        return "<pronghorn.Device " + d.name + ": " + d.description +
               (d.isa.empty() ? "" : ", " + d.isa) + ">";
      });
  module.def("devices", &devices, "Every device of this machine.");
  module.def("available_cores", &available_cores,
             "Cores that this process may use (affinity and cgroup quota respected).");
  module.def("version", &version);

  nb::class_<ModelInfo>(module, "ModelInfo")
      .def_ro("name", &ModelInfo::name)
      .def_ro("quantized", &ModelInfo::quantized)
      .def_ro("input_height", &ModelInfo::input_height)
      .def_ro("input_width", &ModelInfo::input_width)
      .def_ro("input_channels", &ModelInfo::input_channels)
      .def_ro("input_is_u8", &ModelInfo::input_is_u8, "True: raw pixels; False: float32")
      .def_ro("classes", &ModelInfo::classes)
      .def_ro("macs", &ModelInfo::macs)
      .def_ro("parameter_bytes", &ModelInfo::parameter_bytes)
      .def_ro("nodes", &ModelInfo::nodes)
      .def_ro("resize", &ModelInfo::resize)
      .def_ro("preprocess", &ModelInfo::preprocess, "'torch', 'caffe', 'tf', 'custom', 'none'")
      .def_ro("format", &ModelInfo::format)
      .def_ro("preprocess_mean", &ModelInfo::preprocess_mean)
      .def_ro("preprocess_std", &ModelInfo::preprocess_std)
      .def_ro("preprocess_bgr", &ModelInfo::preprocess_bgr)
      .def_ro("preprocess_inside", &ModelInfo::preprocess_inside,
              "The preprocess was layers of the file, so its users gave it pixels");
  nb::class_<NodeInfo>(module, "Node")
      .def_ro("name", &NodeInfo::name)
      .def_ro("op", &NodeInfo::op)
      .def_ro("dtype", &NodeInfo::dtype)
      .def_ro("height", &NodeInfo::height)
      .def_ro("width", &NodeInfo::width)
      .def_ro("channels", &NodeInfo::channels)
      .def_ro("macs", &NodeInfo::macs)
      .def_ro("parameter_bytes", &NodeInfo::parameter_bytes);
  nb::class_<OutputInfo>(module, "Output")
      .def_ro("name", &OutputInfo::name)
      .def_ro("height", &OutputInfo::height)
      .def_ro("width", &OutputInfo::width)
      .def_ro("channels", &OutputInfo::channels);

  const nb::call_guard<nb::gil_scoped_release> unlocked;
  nb::class_<Model>(module, "Model")
      .def_static("load", &Model::load, "path"_a, unlocked)
      .def_static("embedded", &Model::embedded, "name"_a, unlocked)
      .def_static("from_bytes", &from_bytes, "data"_a, "name"_a = "model")
      .def("to_bytes", &to_bytes)
      .def("save", &Model::save, "path"_a, unlocked)
      .def_prop_ro("info", &Model::info)
      .def("node", &Model::node, "index"_a)
      .def_prop_ro("output_count", &Model::output_count)
      .def("output", &Model::output, "index"_a)
      .def("describe", &Model::describe)
      .def("label", &Model::label, "index"_a)
      .def("label_id", &Model::label_id, "index"_a)
      .def("with_labels", &Model::with_labels, "names"_a, "ids"_a = std::vector<std::string>(),
           unlocked)
      .def("with_preprocess", &Model::with_preprocess, "preset"_a, unlocked)
      .def("with_output", &Model::with_output, "node"_a, unlocked)
      .def("with_resize", &Model::with_resize, "mode"_a, unlocked);
}

}  // namespace pronghorn::python
