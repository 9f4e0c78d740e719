// SPDX-License-Identifier: Apache-2.0
//
// Pronghorn's classic machine learning for C++20: what ml.h needs owned or turned into exceptions.
// The estimators themselves are plain functions of ml.h over the caller's arrays; wrap a call in
// pronghorn::check.
#ifndef PRONGHORN_ML_HPP_
#define PRONGHORN_ML_HPP_

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <pronghorn/pronghorn.hpp>
#include <string>
#include <utility>

namespace pronghorn {

// Files of numbers: .npy (mapped) and .csv.
class Data {
 public:
  static Data open(const std::string& path) {
    ph_data* data = nullptr;
    check(ph_data_open(path.c_str(), &data));
    return Data(data);
  }
  // A view that lives as long as this object.
  ph_matrix matrix() const {
    ph_matrix x{};
    x.struct_size = sizeof x;
    check(ph_data_matrix(handle_.get(), &x));
    return x;
  }
  // "" where the file has no names.
  std::string column(std::int64_t index) const {
    const char* name = ph_data_column(handle_.get(), index);
    return name == nullptr ? "" : name;
  }

 private:
  struct Free {
    void operator()(ph_data* data) const { ph_data_free(data); }
  };
  explicit Data(ph_data* data) : handle_(data) {}
  std::unique_ptr<ph_data, Free> handle_;
};

// ph_ml_run with a callback that may be any function. Keep it alive during the call, and call
// rethrow() after it.
class MlRun {
 public:
  // Returns false to stop; the call then fails with PH_CANCELLED.
  using Progress = std::function<bool(int iteration, int max_iter, double objective)>;

  explicit MlRun(std::string device = "", int threads = 0, Progress progress = {})
      : device_(std::move(device)), progress_(std::move(progress)) {
    run_.struct_size = sizeof run_;
    run_.device = detail::or_null(device_);
    run_.threads = threads;
    run_.user = this;
    if (progress_) run_.progress = call;
  }
  MlRun(const MlRun&) = delete;
  MlRun& operator=(const MlRun&) = delete;

  const ph_ml_run* get() const { return &run_; }
  // What the callback threw, if it did.
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  static std::int32_t call(void* user, std::int32_t iteration, std::int32_t max_iter,
                           double objective) {
    auto& self = *static_cast<MlRun*>(user);
    try {
      return self.progress_(iteration, max_iter, objective) ? 0 : 1;
    } catch (...) {
      self.thrown_ = std::current_exception();
      return 1;
    }
  }

  std::string device_;
  Progress progress_;
  ph_ml_run run_{};
  std::exception_ptr thrown_;
};

}  // namespace pronghorn

#endif  // PRONGHORN_ML_HPP_
