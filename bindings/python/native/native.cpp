// SPDX-License-Identifier: Apache-2.0
#include "native.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>

namespace pronghorn::python {
namespace {

const char* class_of(ph_status status) {
  switch (status) {
    case PH_INVALID_ARGUMENT:
      return "InvalidArgument";
    case PH_NOT_FOUND:
      return "NotFound";
    case PH_UNSUPPORTED:
      return "Unsupported";
    case PH_CORRUPT:
      return "Corrupt";
    case PH_IO:
      return "IoError";
    case PH_OUT_OF_MEMORY:
      return "OutOfMemory";
    case PH_UNAVAILABLE:
      return "Unavailable";
    case PH_CANCELLED:
      return "Cancelled";
    default:
      return "Internal";
  }
}

void set_error(const char* error_class, const char* message) {
  const nb::object type = nb::module_::import_("pronghorn.errors").attr(error_class);
  PyErr_SetObject(type.ptr(), nb::str(message).ptr());
}

template <typename T>
nb::object new_array(std::vector<T> values, const std::vector<std::size_t>& shape) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  T* data = owned->data();
  const nb::capsule owner(owned.release(),
                          [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T>(data, shape.size(), shape.data(), owner));
}

}  // namespace

void set_python_error(const Error& error) { set_error(class_of(error.status()), error.what()); }

void raise(const char* error_class, const std::string& message) {
  set_error(error_class, message.c_str());
  throw nb::python_error();
}

Input::Input(nb::handle object, const char* what) {
  if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_FULL_RO) != 0) {
    PyErr_Clear();
    raise("WrongType", std::string(what) + " is a " + Py_TYPE(object.ptr())->tp_name +
                           "; a NumPy array of uint8 pixels or float32 is accepted");
  }
  const char* format = view_.format == nullptr ? "B" : view_.format;
  if (*format == '=' || *format == '<' || *format == '@') ++format;
  is_float_ = std::strcmp(format, "f") == 0;
  if (!is_float_ && std::strcmp(format, "B") != 0) {
    const std::string given = nb::hasattr(object, "dtype")
                                  ? nb::cast<std::string>(nb::str(nb::object(object.attr("dtype"))))
                                  : std::string(format);
    PyBuffer_Release(&view_);
    raise("WrongType", std::string(what) + " has dtype " + given +
                           "; uint8 (pixels 0 to 255) or float32 is accepted");
  }
  for (int i = 0; i < view_.ndim; ++i) shape_.push_back(view_.shape[i]);
  size_ = view_.len / view_.itemsize;
  data_ = view_.buf;
  if (PyBuffer_IsContiguous(&view_, 'C') == 0) {
    copy_.resize(static_cast<std::size_t>(view_.len) + 1);
    if (PyBuffer_ToContiguous(copy_.data(), &view_, view_.len, 'C') != 0) {
      PyBuffer_Release(&view_);
      throw nb::python_error();
    }
    data_ = copy_.data();
  }
}

Input::~Input() { PyBuffer_Release(&view_); }

std::string Input::shape_text() const {
  std::string text = "(";
  for (std::size_t i = 0; i < shape_.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape_[i]);
  }
  return text + (shape_.size() == 1 ? ",)" : ")");
}

nb::object to_numpy(std::vector<float> values, const std::vector<std::size_t>& shape) {
  return new_array(std::move(values), shape);
}

nb::object to_numpy(std::vector<std::uint8_t> values, const std::vector<std::size_t>& shape) {
  return new_array(std::move(values), shape);
}

void bind_errors(nb::module_&) {
  nb::register_exception_translator(
      [](const std::exception_ptr& pointer, void*) {
        try {
          std::rethrow_exception(pointer);
        } catch (const Error& error) {
          set_python_error(error);
        }
      },
      nullptr);
}

void bind_memory(nb::module_& module) {
  // Where each object's buffer lies; 0 for one that has none. Valid while the object lives.
  module.def(
      "addresses",
      [](const nb::sequence& objects) {
        nb::list found;
        for (const nb::handle object : objects) {
          Py_buffer view;
          if (PyObject_GetBuffer(object.ptr(), &view, PyBUF_FULL_RO) != 0) {
            PyErr_Clear();
            found.append(0);
            continue;
          }
          found.append(reinterpret_cast<std::uintptr_t>(view.buf));
          PyBuffer_Release(&view);
        }
        return found;
      },
      nb::arg("objects"));
}

}  // namespace pronghorn::python

NB_MODULE(_native, module) {
  using namespace pronghorn::python;
  module.doc() = "The native part of Pronghorn: devices, models, images, sessions, learning.";
  // Models that outlive the interpreter are not worth a warning.
  nb::set_leak_warnings(false);
  bind_errors(module);
  bind_memory(module);
  bind_images(module);
  bind_models(module);
  bind_quantize(module);
  bind_sessions(module);
  bind_classify(module);
  bind_ml(module);
}
