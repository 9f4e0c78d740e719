// SPDX-License-Identifier: Apache-2.0
// Devices, models and quantization.
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>

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

// The library's progress callback, with the interpreter lock: shows progress, looks for Ctrl-C.
// What it raises is thrown by `finish`.
class ProgressCall {
 public:
  explicit ProgressCall(nb::object function) : function_(std::move(function)) {}
  std::function<bool(std::int64_t, std::int64_t)> callback() {
    return [this](std::int64_t done, std::int64_t total) {
      const nb::gil_scoped_acquire acquire;
      try {
        check_signals();
        if (!function_.is_none()) function_(done, total);
        return true;
      } catch (nb::python_error& error) {
        raised_.emplace(std::move(error));
        return false;
      }
    };
  }
  void finish() {
    if (raised_) throw nb::python_error(std::move(*raised_));
  }

 private:
  nb::object function_;
  std::optional<nb::python_error> raised_;
};

template <typename Calibrate>
nb::tuple quantized(ProgressCall& call, Calibrate&& calibrate) {
  std::optional<Quantized> result;
  try {
    const nb::gil_scoped_release release;
    result.emplace(calibrate());
  } catch (const Error&) {
    call.finish();
    throw;
  }
  return nb::make_tuple(std::move(result->model), result->report_json, result->report_table);
}

nb::tuple quantize_source(const Model& model, const Source& calibration, const Resize& resize,
                          QuantizeOptions options, nb::object progress) {
  ProgressCall call(std::move(progress));
  options.progress = call.callback();
  return quantized(call, [&] { return quantize(model, calibration, resize, options); });
}

nb::tuple quantize_tensors(const Model& model, nb::handle x, QuantizeOptions options,
                           nb::object progress) {
  const Input input(x, "calibration");
  const ModelInfo info = model.info();
  const auto& shape = input.shape();
  const std::vector<std::int64_t> image =
      info.input_height == 1 && info.input_width == 1
          ? std::vector<std::int64_t>{info.input_channels}
          : std::vector<std::int64_t>{info.input_height, info.input_width, info.input_channels};
  if (!input.is_float()) raise("WrongType", "calibration tensors must be float32");
  if (shape.size() != image.size() + 1 || !std::equal(image.begin(), image.end(), &shape[1])) {
    std::string wanted;
    for (const std::int64_t n : image) wanted += ", " + std::to_string(n);
    raise("InvalidArgument", "calibration has shape " + input.shape_text() + "; model " +
                                 info.name + " takes (n" + wanted + ")");
  }
  if (shape[0] < 1) raise("InvalidArgument", "calibration holds no images");
  ProgressCall call(std::move(progress));
  options.progress = call.callback();
  return quantized(call, [&] { return quantize(model, input.floats(), options); });
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

  nb::class_<QuantizeOptions>(module, "QuantizeOptions")
      .def(nb::init<>())
      .def_rw("method", &QuantizeOptions::method)
      .def_rw("percentile", &QuantizeOptions::percentile)
      .def_rw("equalize", &QuantizeOptions::equalize)
      .def_rw("report", &QuantizeOptions::report)
      .def_rw("threads", &QuantizeOptions::threads)
      .def_rw("max_images", &QuantizeOptions::max_images);
  module.def("quantize_source", &quantize_source, "model"_a, "calibration"_a, "resize"_a,
             "options"_a, "progress"_a = nb::none());
  module.def("quantize_tensors", &quantize_tensors, "model"_a, "x"_a.none(), "options"_a,
             "progress"_a = nb::none());
}

}  // namespace pronghorn::python
