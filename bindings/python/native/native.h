// SPDX-License-Identifier: Apache-2.0
// What the files of the Python module share. The module is over <pronghorn/pronghorn.hpp> alone.
#pragma once

#include <Python.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <pronghorn/pronghorn.hpp>
#include <string>
#include <vector>

namespace pronghorn::python {

namespace nb = nanobind;

void bind_errors(nb::module_& module);
void bind_memory(nb::module_& module);
void bind_images(nb::module_& module);
void bind_models(nb::module_& module);
void bind_quantize(nb::module_& module);
void bind_sessions(nb::module_& module);
void bind_classify(nb::module_& module);
void bind_ml(nb::module_& module);

// Makes the Python exception of an Error the current one (pronghorn.errors has the classes).
void set_python_error(const Error& error);

// Thrown for what only the binding can know; a class of pronghorn.errors by name.
[[noreturn]] void raise(const char* error_class, const std::string& message);

// An array that somebody else owns, seen through the buffer protocol: uint8 or float32, C order.
// Anything else in memory order is copied once; other types are refused (WrongType).
// Made and destroyed with the interpreter lock held.
class Input {
 public:
  // `what` is for messages: "x".
  Input(nb::handle object, const char* what);
  ~Input();
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  bool is_float() const { return is_float_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::string shape_text() const;
  std::int64_t size() const { return size_; }
  bool copied() const { return !copy_.empty(); }
  std::span<const std::uint8_t> bytes() const {
    return {static_cast<const std::uint8_t*>(data_), static_cast<std::size_t>(size_)};
  }
  std::span<const float> floats() const {
    return {static_cast<const float*>(data_), static_cast<std::size_t>(size_)};
  }

 private:
  Py_buffer view_{};
  std::vector<std::byte> copy_;
  const void* data_ = nullptr;
  bool is_float_ = false;
  std::vector<std::int64_t> shape_;
  std::int64_t size_ = 0;
};

// A new float32 NumPy array over `values`, which it owns.
nb::object to_numpy(std::vector<float> values, const std::vector<std::size_t>& shape);
nb::object to_numpy(std::vector<std::uint8_t> values, const std::vector<std::size_t>& shape);

// Raises KeyboardInterrupt and the like when a signal waits. Interpreter lock held.
inline void check_signals() {
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

}  // namespace pronghorn::python
